"""Programs out of Debian packages that need not be installed: fetched, unpacked and kept below build/.

For what tests and the sample image need on a machine that has nothing: installing would change the machine, and some
packages would start a service.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dockerengine import Unavailable, apt_get, say

CACHE = Path(__file__).parents[1] / "build" / "debian"
"""One folder per package; ``make clean`` removes it."""
FETCH = ("download", "-o", "APT::Sandbox::User=root")
"""apt's own user may not write into a checkout."""


def program(name: str, package: str, *, cache: Path = CACHE) -> Path:
    """Path of the program ``name``: the installed one, else that of ``package``. Raises ``Unavailable``."""
    if found := shutil.which(name):
        return Path(found)
    folder = unpacked(package, cache=cache)
    for path in (folder / part / name for part in ("usr/bin", "bin", "usr/sbin", "sbin")):
        if path.is_file():
            return path
    raise Unavailable(f"{name}: the Debian package {package} holds no such program; put one on the PATH")


def unpacked(package: str, *, cache: Path = CACHE) -> Path:
    """Folder with the content of ``package``, fetched unless it is there. Raises ``Unavailable``.

    Two processes may ask at once: the folder comes into place in one step.
    """
    return _all_unpacked([package], cache)[0]


def _all_unpacked(packages: Sequence[str], cache: Path) -> list[Path]:
    """One folder for each; those that are not here are fetched together. Raises ``Unavailable``."""
    missing = [package for package in packages if not (cache / package).is_dir()]
    if missing:
        _fetch(missing, cache)
    return [cache / package for package in packages]


def _fetch(packages: Sequence[str], cache: Path) -> None:
    named = " ".join(packages)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"{named}: not here, and no apt-get to fetch it with; install it by hand")
    say(f"{named}: not here; fetching from Debian's archive into {cache}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{packages[0]}-", dir=cache) as name:
        draft = Path(name)
        try:
            apt_get(*FETCH, *packages, folder=draft)
        except Unavailable:  # the lists may be absent, or older than what the archive holds
            apt_get("update")
            apt_get(*FETCH, *packages, folder=draft)
        for package in packages:
            [archive] = draft.glob(f"{package}_*.deb")
            done = subprocess.run(
                ["dpkg-deb", "-x", str(archive), str(draft / package)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise Unavailable(f"{package}: it cannot be unpacked: {done.stderr.strip()}; install it by hand")
            with suppress(OSError):  # another process was first
                (draft / package).rename(cache / package)


def python_program(name: str, package: str, *, cache: Path = CACHE) -> tuple[list[str], dict[str, str]]:
    """How to run a program that is written in Python: command and environment. Raises ``Unavailable``.

    It runs with Debian's own Python, on the modules of its package and of those that the package depends on.
    """
    python = "/usr/bin/python3"
    if not Path(python).exists() or shutil.which("apt-cache") is None:
        raise Unavailable(f"{name}: it requires Debian's Python and apt-cache")
    listed = subprocess.run(
        ["apt-cache", "depends", "--recurse", "--important", "--no-pre-depends", package],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    needed = sorted({line for line in listed if line.startswith("python3-") and line != "python3-minimal"})
    folders = _all_unpacked([package, *needed], cache)
    modules = ":".join(str(folder / "usr/lib/python3/dist-packages") for folder in folders)
    return [python, str(folders[0] / "usr/bin" / name)], {"PYTHONPATH": modules}

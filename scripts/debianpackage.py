"""Programs out of Debian packages that need not be installed: fetched, unpacked and kept below build/.

For what tests and the sample image need on a machine that has nothing: installing would change the machine, and some
packages would start a service.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
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
    folder = cache / package
    if folder.is_dir():
        return folder
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"{package}: not here, and no apt-get to fetch it with; install it by hand")
    say(f"{package}: not here; fetching the Debian package into {cache}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{package}-", dir=cache) as name:
        draft = Path(name)
        try:
            apt_get(*FETCH, package, folder=draft)
        except Unavailable:  # the lists may be absent, or older than what the archive holds
            apt_get("update")
            apt_get(*FETCH, package, folder=draft)
        [archive] = draft.glob("*.deb")
        done = subprocess.run(
            ["dpkg-deb", "-x", str(archive), str(draft / "content")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"{package}: it cannot be unpacked: {done.stderr.strip()}; install it by hand")
        with suppress(OSError):  # another process was first
            (draft / "content").rename(folder)
    return folder

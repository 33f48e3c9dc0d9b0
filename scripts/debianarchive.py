"""Packages of another release of Debian, out of the archive that this machine's apt uses; nothing is installed.

apt works with a configuration, lists and a status file of its own below build/: this machine's are read for the
archive's address and how it is reached, and never written.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from debianpackage import CACHE, unpacked
from dockerengine import Unavailable, apt_get, say

KEYRING = "debian-archive-keyring"
MERGED = ("bin", "lib", "lib64", "sbin")
"""Links into usr/, which a package that is not fetched here would bring."""
HOSTS_OWN = ("passwd", "group", "hosts", "hostname", "nsswitch.conf")
"""Files below /etc that a program in such a root reads, and that no package brings."""


def mirror() -> str:
    """Address of the Debian archive in this machine's apt configuration. Raises ``Unavailable``."""
    if not shutil.which("apt-get"):
        raise Unavailable("debian: there is no apt-get here; this needs a Debian machine")
    wanted = ("Created-By: Packages", "Origin: Debian", "Label: Debian")
    for attempt in range(2):
        command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if found:
            return found[0]
        if attempt == 0:  # the lists may be absent: only they say whose archive it is
            apt_get("update")
    raise Unavailable("debian: apt is configured for no archive of Debian; add one to its sources")


def machines_settings() -> str:
    """How this machine's apt reaches an archive (proxies, time-outs), as lines of an apt.conf."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    ways = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(ways))


def sources(codename: str, keyring: Path | None = None) -> str:
    """A sources.list for that release. ``keyring``: what it is signed with, ``None``: what the reader trusts."""
    signed = f"[signed-by={keyring}] " if keyring else ""
    return f"deb {signed}{mirror()} {codename} main\n"


def keyring() -> Path:
    """The archive's keys, of this machine's release. Raises ``Unavailable``."""
    installed = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    path = installed if installed.exists() else unpacked(KEYRING) / installed.relative_to("/")
    if not path.exists():
        raise Unavailable(f"debian: the package {KEYRING} holds no {path.name}; install it by hand")
    return path


def root_of(codename: str, packages: Sequence[str], *, cache: Path = CACHE) -> Path:
    """A root folder with ``packages`` of that release and all that they depend on; made once. Raises ``Unavailable``.

    They are unpacked, not installed: nothing in them has run. It comes into place in one step.
    """
    folder = cache / f"root-{codename}-{packages[0]}"
    if folder.is_dir():
        return folder
    say(f"debian: fetching {', '.join(packages)} of {codename} with all that they need, into {folder}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{codename}-", dir=cache) as name:
        draft = Path(name)
        archives = _fetch(codename, packages, draft / "apt")
        root = draft / "root"
        for link in MERGED:
            (root / "usr" / link).mkdir(parents=True, exist_ok=True)
            (root / link).symlink_to(f"usr/{link}")
        for archive in archives:
            _unpack(archive, root)
        (root / "etc").mkdir(exist_ok=True)
        for own in HOSTS_OWN:
            with suppress(OSError):
                shutil.copyfile(Path("/etc", own), root / "etc" / own)
        with suppress(OSError):  # another process was first
            root.rename(folder)
    return folder


def _fetch(codename: str, packages: Sequence[str], folder: Path) -> list[Path]:
    """Their archives, by an apt that takes nothing for installed."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(sources(codename, keyring()))
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    apt_get(*options, "update")
    apt_get(*options, "install", "--yes", "--download-only", *packages)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _unpack(archive: Path, root: Path) -> None:
    """By way of tar, which leaves the links of a merged /usr alone where dpkg-deb would replace them."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as content:
        command = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}"]
        done = subprocess.run(command, stdin=content.stdout, capture_output=True, text=True, check=False)
    if done.returncode != 0 or content.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["dpkg-deb does not read it"])[-1]
        raise Unavailable(f"debian: {archive.name} cannot be unpacked: {last}; try again, or use another archive")

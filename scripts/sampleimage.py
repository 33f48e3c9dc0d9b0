"""The image that demo, tests and benchmark run: a static busybox, made here because no registry may be in reach."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from debianpackage import unpacked
from dockerengine import Engine, EngineError, Unavailable, note_image, say

REFERENCE = "ecscope-sample:latest"
MADE_BY = "ecscope sample image 1"
"""Comment of the image; the number goes up when its content changes."""
FOLDERS = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "usr/bin": 0o755, "usr/sbin": 0o755, "var": 0o755}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


def ensure(engine: Engine) -> bool:
    """Make the image unless it is there; ``True`` when it was made. Raises ``Unavailable``.

    One of that name that was made in another way is replaced: it may lack what the tasks run.
    """
    old_id = ""
    with suppress(EngineError):
        old = json.loads(engine.request("GET", f"/images/{REFERENCE}/json"))
        if old["Comment"] == MADE_BY:
            return False
        old_id = old["Id"]
    say(f"image: making {REFERENCE} from a static busybox")
    put_into(engine)
    if old_id:
        with suppress(EngineError):  # in use: then it stays
            engine.request("DELETE", f"/images/{old_id}")
    else:
        note_image(REFERENCE)
    return True


def put_into(engine: Engine) -> None:
    """Make the image, whether or not it is there; it is not noted for removal. Raises ``Unavailable``."""
    name, tag = REFERENCE.split(":")
    made = {"fromSrc": "-", "repo": name, "tag": tag, "message": MADE_BY, "changes": 'CMD ["sh"]'}
    try:
        engine.request("POST", "/images/create", body=_tarball(busybox()), content_type="application/x-tar", **made)
    except EngineError as error:
        raise Unavailable(f"image: the engine does not import {REFERENCE}: {error}") from error


def remove(engine: Engine) -> None:
    """Remove it; absent counts as done. Raises ``EngineError`` where a container uses it."""
    try:
        engine.request("DELETE", f"/images/{REFERENCE}")
    except EngineError as error:
        if error.status != 404:
            raise


def busybox() -> bytes:
    """The program: the installed one where it is static, else out of Debian's package. Raises ``Unavailable``."""
    found = shutil.which("busybox")
    if found and _is_static(program := Path(found).read_bytes()):
        return program
    return _program_in(unpacked("busybox-static"))


def _program_in(package: Path) -> bytes:
    """The static program of an unpacked package, in whichever folder: hooks and links of its name are not it."""
    for path in sorted(package.rglob("busybox")):
        if path.is_file() and not path.is_symlink() and _is_static(program := path.read_bytes()):
            return program
    raise Unavailable("image: the Debian package busybox-static holds no static busybox; put one on the PATH")


def _is_static(program: bytes) -> bool:
    """A program that needs a loader names it near its start."""
    return program[:4] == b"\x7fELF" and b"/ld-linux" not in program[:4096] and b"/ld-musl" not in program[:4096]


def _tarball(busybox: bytes) -> bytes:
    """A root file system; the same bytes for the same busybox."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, mode in FOLDERS.items():
            tar.addfile(_entry(name, kind=tarfile.DIRTYPE, mode=mode))
        for name, text in FILES.items():
            tar.addfile(_entry(name, size=len(text)), io.BytesIO(text.encode()))
        tar.addfile(_entry("bin/busybox", mode=0o755, size=len(busybox)), io.BytesIO(busybox))
        for applet in _applets(busybox):
            if applet != "busybox":
                tar.addfile(_entry(f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox"))
        tar.addfile(_entry("usr/bin/env", kind=tarfile.SYMTYPE, target="../../bin/busybox"))
    return content.getvalue()


def _entry(
    name: str, *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, size: int = 0, target: str = ""
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, size, target
    return entry


def _applets(busybox: bytes) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="ecscope-busybox-") as folder:
        program = Path(folder, "busybox")
        program.write_bytes(busybox)
        program.chmod(0o700)
        listing = subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True)
        return listing.stdout.split()

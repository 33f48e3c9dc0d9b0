"""A place of its own on this machine for what would change it: network, mounts and processes end with the place.

A place is made of namespaces, so that nothing of it can be left: when its first process ends, or the process that
made it does (by any signal), the kernel kills all others, takes the mounts down and drops network, rules and bridges.
Out of it leads the network of a user's process (slirp4netns), which changes nothing outside. cgroups are the
machine's; ``remove_cgroups`` removes what is left of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from debianarchive import root_of
from dockerengine import CGROUPS, Unavailable

ROOT = Path(__file__).resolve().parents[1]
RESOLVER = "10.0.2.3"
"""Name server inside: slirp4netns hands to the machine's."""
NETWORK_TIMEOUT_S = 20
OF_THE_KERNEL = {"dev", "proc", "sys"}
OF_THE_SYSTEM = {"bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "sbin", "usr"}
"""Folders of / that a root of other packages brings itself."""
OLD_ROOT = ".machine"
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
MNT_DETACH = 2


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run this script once more with ``arguments``, as the first process of a new place; its exit code.

    A signal that ends the caller ends the place; ``KeyboardInterrupt`` and ``SystemExit`` go on.
    """
    if os.geteuid() != 0:
        raise Unavailable("place: root is needed to make namespaces; run this as root")
    for tool in ("setpriv", "unshare"):
        if not shutil.which(tool):
            raise Unavailable(f"place: there is no {tool}; install the package util-linux")
    command = ["setpriv", "--pdeathsig=KILL", "--"]  # it ends with us, and the place with it
    command += ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--"]
    # A session of its own: Ctrl-C is the caller's to handle.
    place = subprocess.Popen([*command, *_again(arguments)], env=environment, start_new_session=True)
    try:
        return place.wait()
    finally:
        place.kill()
        place.wait()


def _again(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, str(Path(sys.argv[0]).resolve()), *arguments]


def first_process(work: Callable[[], int]) -> int:
    """``work`` as a child, and its exit code; meanwhile whatever loses its parent in this place is reaped."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        except Unavailable as error:
            print(error, file=sys.stderr)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(code)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def with_network(arguments: Sequence[str]) -> int:
    """This script once more with ``arguments``, in a network of its own with a way out; its exit code."""
    slirp = _slirp4netns()
    command = ["unshare", "--net", "--", *_again(arguments)]
    inside = subprocess.Popen(command)
    _await(lambda: _network_of(inside.pid) != _network_of(os.getpid()), "place: no network of its own came about")
    ready, told = os.pipe()
    options = ["--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={told}"]
    with subprocess.Popen(
        [*slirp, *options, str(inside.pid), "tap0"],
        pass_fds=[told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as way_out:
        os.close(told)
        if not os.read(ready, 1):
            assert way_out.stderr is not None
            last = (way_out.stderr.read().strip().splitlines() or ["no output"])[-1]
            inside.kill()
            raise Unavailable(f"place: slirp4netns failed: {last}; is /dev/net/tun there?")
        code = inside.wait()
        way_out.kill()
    return code


def await_network() -> None:
    """In what ``with_network`` started: return when the way out is there, with the loopback interface up and /sys."""
    _await(_has_default_route, "place: no way out came about")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    new_sys()


def _has_default_route() -> bool:
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return any(route[1] == "00000000" for route in routes)


def _network_of(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return str(Path("/proc/self/ns/net").readlink())


def _await(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + NETWORK_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise Unavailable(otherwise)
        time.sleep(0.01)


def _slirp4netns() -> list[str]:
    """The command: the installed one, else Debian's with all the libraries that it needs. Raises ``Unavailable``."""
    if found := shutil.which("slirp4netns"):
        return [found]
    root = root_of("trixie", ["slirp4netns"])
    # By its own loader: the machine's libraries may be older than those it was linked with, or not be there.
    loaders = [*root.glob("usr/lib64/ld-linux-*.so.*"), *root.glob("usr/lib/ld-linux-*.so.*")]
    libraries = sorted(root.rglob("libslirp.so.0"))
    if not loaders or not libraries:
        raise Unavailable("place: the Debian package slirp4netns came without its libraries; install it by hand")
    return [str(loaders[0]), "--library-path", str(libraries[0].parent), str(root / "usr/bin/slirp4netns")]


# Mounts.


def mount(*arguments: str | Path) -> None:
    """``mount`` with these arguments. Raises ``Unavailable`` with what it said."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"place: {done.stderr.strip()}")


def private_mounts(folders: Mapping[str, Path], empty: Sequence[str]) -> None:
    """An own /run, ``folders`` (where → what is seen there), and ``empty`` ones."""
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for where, what in folders.items():
        what.mkdir(parents=True, exist_ok=True)
        Path(where).mkdir(parents=True, exist_ok=True)
        mount("--bind", what, where)
    for where in empty:
        Path(where).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "tmpfs", where)


def new_sys(where: str = "/sys") -> None:
    """/sys shows the network of the process that mounts it; the cgroups below it stay the machine's."""
    keep = Path("/run/cgroups-of-the-machine")
    keep.mkdir()
    mount("--rbind", CGROUPS, keep)
    mount("-t", "sysfs", "sysfs", where)
    mount("--rbind", keep, Path(where) / "fs" / "cgroup")
    subprocess.run(["umount", "--recursive", "--lazy", str(keep)], capture_output=True, check=False)


def enter(root: Path, command: Sequence[str], environment: Mapping[str, str], *, with_files: bool) -> NoReturn:
    """Become ``command`` in that root.

    For a process in a mount namespace of its own. Not a chroot: a container's start pivots once more.

    Args:
        with_files: the root has the machine's files, but for those of its system; else none of them.
    """
    mount("--make-rprivate", "/")
    new = Path("/run/root")
    new.mkdir()
    mount("--bind", root, new)
    for folder in sorted(Path("/").iterdir()):
        if folder.is_symlink() or not folder.is_dir() or folder.name == "run":
            continue
        if folder.name in OF_THE_KERNEL or (with_files and folder.name not in OF_THE_SYSTEM):
            (new / folder.name).mkdir(exist_ok=True)
            mount("--rbind", folder, new / folder.name)
    (new / "run").mkdir(exist_ok=True)
    mount("--bind", "/run", new / "run")  # without what is mounted in it, as this root is
    (new / OLD_ROOT).mkdir(exist_ok=True)
    os.chdir(new)
    subprocess.run(["pivot_root", ".", OLD_ROOT], check=True)
    os.chdir("/")
    if ctypes.CDLL(None, use_errno=True).umount2(f"/{OLD_ROOT}".encode(), MNT_DETACH) != 0:
        raise Unavailable(f"place: the old root does not go: {os.strerror(ctypes.get_errno())}")
    os.execvpe(command[0], list(command), dict(environment))


# cgroups.


def remove_cgroups(data_root: Path) -> None:
    """Remove those of the containers that are left in an engine's data root, and of their ECS tasks.

    For an engine that was killed. Others on the machine make cgroups of the same kind: only what is named is touched.
    """
    for file in data_root.glob("containers/*/hostconfig.json"):
        parent = "docker"
        with suppress(OSError, ValueError):
            parent = str(json.loads(file.read_text())["CgroupParent"] or parent).strip("/")
        for hierarchy in [CGROUPS, *CGROUPS.glob("*/")]:
            with suppress(OSError):
                (hierarchy / parent / file.parent.name).rmdir()
            if parent.startswith("ecs/"):
                with suppress(OSError):
                    (hierarchy / parent).rmdir()


def ends_on_signals() -> None:
    """SIGTERM and SIGHUP raise ``SystemExit``, so that what must be taken down is."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda ended_by, _: sys.exit(128 + ended_by))

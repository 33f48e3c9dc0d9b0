"""Where our agent runs: on this host, or, where its port is taken, in a network namespace of its own.

In the namespace it is still reached over its loopback interface, by clients that are put there
as well, so that the way to it is as long as the way to the peer.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.needs import Missing

PORT = 51678
_CLONE_NEWNET = 0x40000000


class Place:
    """The host itself (``namespace`` is ``""``), or a network namespace by name."""

    def __init__(self, namespace: str = "") -> None:
        self.namespace = namespace
        self._libc = ctypes.CDLL(None, use_errno=True)

    def command(self, command: list[str]) -> list[str]:
        """``command``, to be run there."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *command] if self.namespace else command

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connection from there. Raises ``OSError``."""
        if not self.namespace:
            return _connect(host, port, timeout_s)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
        try:
            self._enter(there)
            try:
                return _connect(host, port, timeout_s)
            finally:
                self._enter(home)
        finally:
            os.close(home)
            os.close(there)

    def _enter(self, descriptor: int) -> None:
        """Sockets that this thread makes from now on belong to that namespace."""
        if self._libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """From another loopback address: while nobody listens, a socket that got ``port`` itself would reach itself."""
    return socket.create_connection((host, port), timeout_s, source_address=("127.0.0.2", 0))


@contextmanager
def place_for_ours() -> Iterator[Place]:
    """A place where port 51678 is free. Raises ``Missing``."""
    if is_free():
        yield Place()
        return
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise Missing(
            f"port {PORT} is taken; to measure beside its owner, run as root with iproute2 installed, or stop it"
        )
    name = f"ecscope-bench-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield Place(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def is_free() -> bool:
    """Nobody listens on port 51678 here."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", PORT))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True

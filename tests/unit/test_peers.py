"""Who is answered, by address and interface; networks are in ``contract/introspection/test_network.py``."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from ecscope import peers
from ecscope.peers import Peers, arrival, is_of_this_host, may_ask

LO = 1
ELSEWHERE = 4711
"""The index of no interface."""


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    """The server's end of a connection of this host to itself."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]),
        listener.accept()[0] as accepted,
    ):
        yield accepted


class Transport(asyncio.BaseTransport):
    def __init__(self, connection: socket.socket) -> None:
        super().__init__({"socket": connection})


needs_ipv6 = pytest.mark.skipif(not is_of_this_host(ip_address("::1")), reason="this host has no IPv6")


@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_a_connection_over_loopback_arrives_there(address: str) -> None:
    with connected(address) as connection:
        assert arrival(connection) == LO
        assert Peers(logging.getLogger("test"), bridges=("docker0",)).admit(Transport(connection))
        assert connection.fileno() > 0  # it is still the transport's


def test_a_socket_that_is_not_connected_arrived_nowhere() -> None:
    with socket.socket() as unconnected:
        assert arrival(unconnected) == 0
        assert not Peers(logging.getLogger("test"), bridges=("docker0",)).admit(Transport(unconnected))


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("203.0.113.7", False),
        ("2001:db8::7", False),
        ("255.255.255.255", False),
    ],
)
def test_whether_an_address_is_of_this_host(address: str, *, is_own: bool) -> None:
    assert is_of_this_host(ip_address(address)) is is_own


@pytest.mark.parametrize(
    ("peer", "arrived_on", "may"),
    [
        ("203.0.113.7", LO, True),
        ("203.0.113.7", ELSEWHERE, False),
        ("203.0.113.7", 0, False),
        ("127.0.0.1", ELSEWHERE, True),
        ("127.0.0.1", 0, True),
        ("2001:db8::7", ELSEWHERE, False),
        ("fe80::1", LO, False),
        ("fe80::1", ELSEWHERE, False),
    ],
)
def test_the_rule(peer: str, arrived_on: int, *, may: bool) -> None:
    assert may_ask(ip_address(peer), arrived_on=arrived_on, bridges=("docker0",)) is may


def test_what_is_closed_is_said_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "may_ask", lambda peer, **_: False)
    with connected("127.0.0.1") as connection, caplog.at_level(logging.INFO):
        judge = Peers(logging.getLogger("test"), bridges=("docker0", "ecs0"), opened_by="X=true opens it")
        assert not judge.admit(Transport(connection))
        assert not judge.admit(Transport(connection))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("closed a connection from 127.0.0.1, ")
    assert said.endswith("this host and containers on docker0 and ecs0. X=true opens it")


def test_each_bridge_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nametoindex", {"docker0": ELSEWHERE, "ecs0": ELSEWHERE + 1}.__getitem__)
    peer = ip_address("203.0.113.7")
    found = [may_ask(peer, arrived_on=ELSEWHERE + more, bridges=("docker0", "ecs0")) for more in range(3)]
    assert found == [True, True, False]


@pytest.mark.parametrize(
    ("options", "index"),
    [
        (b"", 0),
        (b"\x00" * 40, 0),
        (struct.pack("@NiiI8x4x", 28, 0, 8, 5), 5),
        (struct.pack("@NiiI4x", 20, 0, 2, 9) + struct.pack("@NiiI8x4x", 28, 0, 8, 5), 5),
        (struct.pack("@Nii", 28, 0, 8), 0),
        (struct.pack("@NiiI", 1 << 40, 0, 2, 9), 0),
    ],
    ids=["nothing", "zeros", "alone", "second", "cut-off", "endless"],
)
def test_packet_info_among_control_messages(options: bytes, index: int) -> None:
    assert peers._packet_info(options, 0, 8, struct.Struct("=I")) == index

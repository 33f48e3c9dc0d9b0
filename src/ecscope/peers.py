"""Which clients are answered on a port that listens everywhere: this host, and the containers on bridges of its own.

For 51678 and ``docker0`` that is what the packet filter rules of ``ecs-init`` let through, without needing them:
packets on loopback, where those of the host to any address of its own arrive, and packets on the bridge. The kernel
knows on which interface a connection came in. For the host's own addresses it names the interface that holds the
address, so there it is asked whether the peer's address is the host's own; nobody else can have a connection from such
an address, as the answers to its packets stay here.

Source: introspection-api.md §1.3; docs/adr/0018.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

_LOOPBACK = 1
"""The index of ``lo``, in every network namespace."""

# From the kernel's headers (linux/in.h, in6.h, rtnetlink.h); the module ``socket`` lacks them.
_IP_PKTINFO, _IP_PKTOPTIONS = 8, 9
_IPV6_2292PKTOPTIONS, _IPV6_RECVPKTINFO = 6, 49
_OPTIONS_BYTES = 128
_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST, _RTA_DST, _RTN_LOCAL = 24, 26, 1, 1, 2
_NLMSGHDR = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTATTR = struct.Struct("=HH")
_CMSGHDR = struct.Struct("@Nii")
_CMSG_ALIGNMENT = struct.calcsize("@N")
_IN_PKTINFO = struct.Struct("=I")
_IN6_PKTINFO = struct.Struct("=16xI")


class Peers:
    """Judges connections, and says once that there are such as are closed."""

    def __init__(self, log: logging.Logger, *, bridges: Collection[str], opened_by: str = "") -> None:
        """``bridges``: names of interfaces, which may come and go; ``opened_by``: what opens it to all, a sentence."""
        self._log = log
        self._bridges = bridges
        self._opened_by = opened_by
        self._has_refused = False

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Whether the peer of this new connection is answered. Never raises."""
        kept: socket.socket = transport.get_extra_info("socket")
        with socket.socket(kept.family, kept.type, kept.proto, fileno=kept.fileno()) as connection:
            try:
                return self._judge(connection)
            finally:
                connection.detach()  # it is the transport's

    def _judge(self, connection: socket.socket) -> bool:
        try:
            peer = ip_address(connection.getpeername()[0].partition("%")[0])
        except OSError:
            return False  # it has gone
        if may_ask(peer, arrived_on=arrival(connection), bridges=self._bridges):
            return True
        if not self._has_refused:
            self._has_refused = True
            self._log.info(
                "closed a connection from %s, and will silently close others like it: this port answers this"
                " host and containers on %s%s",
                peer,
                " and ".join(self._bridges),
                f". {self._opened_by}" if self._opened_by else "",
            )
        return False


def may_ask(peer: IPv4Address | IPv6Address, *, arrived_on: int, bridges: Collection[str]) -> bool:
    """``arrived_on``: index of an interface, 0 where it is not known."""
    if isinstance(peer, IPv6Address) and peer.is_link_local:
        return False  # a neighbour on whichever wire
    return arrived_on in {_LOOPBACK, *map(_index_of, bridges)} - {0} or is_of_this_host(peer)


def arrival(connection: socket.socket) -> int:
    """Index of the interface on which an accepted connection came in; 0: the kernel does not say.

    For a connection of this host to itself it may be the one that holds the address.
    """
    try:
        if connection.family == socket.AF_INET6:
            connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            options = connection.getsockopt(socket.IPPROTO_IPV6, _IPV6_2292PKTOPTIONS, _OPTIONS_BYTES)
            return _packet_info(options, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO)
        connection.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        options = connection.getsockopt(socket.IPPROTO_IP, _IP_PKTOPTIONS, _OPTIONS_BYTES)
        return _packet_info(options, socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO)
    except OSError:
        return 0


def _packet_info(options: bytes, level: int, kind: int, form: struct.Struct) -> int:
    """The interface in the control messages of a socket; 0: none is named."""
    at = 0
    while at + _CMSGHDR.size <= len(options):
        size, its_level, its_kind = _CMSGHDR.unpack_from(options, at)
        body = at + _CMSGHDR.size
        if (its_level, its_kind) == (level, kind) and body + form.size <= len(options):
            index: int = form.unpack_from(options, body)[0]
            return index
        if size < _CMSGHDR.size:
            break
        at += -(-size // _CMSG_ALIGNMENT) * _CMSG_ALIGNMENT
    return 0


def is_of_this_host(address: IPv4Address | IPv6Address) -> bool:
    """Whether packets to ``address`` stay on this host. ``False`` as well where the kernel does not say."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    destination = _RTATTR.pack(_RTATTR.size + len(address.packed), _RTA_DST) + address.packed
    route = _RTMSG.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + destination
    question = _NLMSGHDR.pack(_NLMSGHDR.size + len(route), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + route
    with (
        suppress(OSError, struct.error),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel,
    ):
        kernel.setblocking(False)  # the kernel answers before ``send`` returns
        kernel.send(question)
        answer = kernel.recv(4096)
        _, kind, _, _, _ = _NLMSGHDR.unpack_from(answer)
        route_kind: int = _RTMSG.unpack_from(answer, _NLMSGHDR.size)[7]
        return bool(kind == _RTM_NEWROUTE and route_kind == _RTN_LOCAL)
    return False


def _index_of(interface: str) -> int:
    """0: there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0

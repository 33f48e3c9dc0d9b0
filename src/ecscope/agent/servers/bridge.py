"""Docker's default bridge, as the host sees it.

Source: introspection-api.md §1.3; task-metadata-api.md §1.
"""

from __future__ import annotations

import fcntl
import socket
import struct

BRIDGE = "docker0"
"""The interface by which containers in network mode bridge reach the host."""
_SIOCGIFADDR = 0x8915  # of the kernel's linux/sockios.h
_REQUEST = struct.Struct("=16s8x8x")
_ADDRESS = slice(20, 24)


def address_of(interface: str = BRIDGE) -> str:
    """This host's IPv4 address on an interface at this moment; ``""``: there is no such interface, or it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, _REQUEST.pack(interface.encode()))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[_ADDRESS])

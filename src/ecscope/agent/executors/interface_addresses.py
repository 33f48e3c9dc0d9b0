"""Which network interfaces the kernel has, by MAC address."""

from __future__ import annotations

from pathlib import Path

SYS_CLASS_NET = Path("/sys/class/net")
"""Shows what the agent's own network namespace has: the host's."""


def mac_addresses(root: Path = SYS_CLASS_NET) -> frozenset[str]:
    """In lower case, with colons. Interfaces that disappear while they are read are left out; no ``root``: none."""
    found = set()
    for address in root.glob("*/address"):
        try:
            found.add(address.read_text().strip().lower())
        except OSError:
            continue
    return frozenset(found)

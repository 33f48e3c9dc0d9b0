"""Which network interfaces the kernel has, by the address of their hardware."""

from __future__ import annotations

from pathlib import Path

SYS_CLASS_NET = Path("/sys/class/net")
"""Shows what the agent's own network namespace has: the host's."""


def mac_addresses(root: Path = SYS_CLASS_NET) -> frozenset[str]:
    """In lower case, with colons. What goes away meanwhile is left out; without ``root`` there are none."""
    found = set()
    for address in root.glob("*/address"):
        try:
            found.add(address.read_text().strip().lower())
        except OSError:
            continue
    return frozenset(found)

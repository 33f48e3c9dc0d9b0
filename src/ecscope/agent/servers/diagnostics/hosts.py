"""Which ``Host`` a request to a port on loopback may name.

A web page can have its own host name resolve to 127.0.0.1 (DNS rebinding); the browser then sends requests here with
that name as ``Host``, and lets the page read the answer. IP addresses, ``localhost`` and the name of this host are
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

_HOST = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+(?:%25?[A-Za-z0-9._~-]+)?)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{0,5})?"
)


def is_allowed(host: str, names: Iterable[str]) -> bool:
    """``host``: the header, with or without a port; ``names``: of this host."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    if found["address"] is not None:
        return _is_address(found["address"].replace("%25", "%"))
    name = _plain(found["name"])
    return _is_address(name) or name == "localhost" or name in {_plain(own) for own in names if own}


def names_of(hostname: str) -> tuple[str, ...]:
    """The names of a host that calls itself ``hostname``: in full, and without its domain."""
    return tuple(dict.fromkeys((hostname, hostname.partition(".")[0])))


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

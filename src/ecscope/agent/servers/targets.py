"""Request targets: path and query, read as Go's ``net/url`` and ``ServeMux`` read them.

Pure, and only on bytes. The parser in front lets nothing but printable ASCII through.

Source: introspection-api.md §2, §6.1.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?@]*@)?(?:\[[0-9A-Fa-f:.]*(?:%25[^/?\]]*)?\]|[^/?:\[\]@]*)(?::[0-9]*)?(?=[/?]|$)"
)
"""Scheme and authority: a port is a number, and brackets hold an address."""
_NOT_IN_PATH = re.compile(rb"[^A-Za-z0-9$&+,/:;=@!'()*\[\]._~%-]")


class BadTarget(ValueError):
    """The target is not a URI reference that a request may carry."""


def split(target: bytes) -> tuple[bytes, bytes]:
    """Path (still escaped, ``b""`` possible) and query of an origin-form or absolute-form target.

    Raises ``BadTarget``.
    """
    if not target.startswith(b"/"):
        prefix = _ABSOLUTE.match(target)
        if prefix is None or _BAD_ESCAPE.search(prefix[0]):
            raise BadTarget(target)
        target = target[prefix.end() :]
    path, _, query = target.partition(b"?")
    if _BAD_ESCAPE.search(path):
        raise BadTarget(target)
    return path, query


def clean(path: bytes) -> bytes:
    """The canonical form of an escaped path: no empty, ``.`` or ``..`` segments; a trailing slash stays."""
    cleaned = posixpath.normpath(b"/" + path.lstrip(b"/"))
    return cleaned + b"/" if path.endswith(b"/") and cleaned != b"/" else cleaned


def escape(path: bytes) -> bytes:
    """An escaped path with the characters escaped that Go does not leave in a ``Location``."""
    return _NOT_IN_PATH.sub(lambda found: b"%%%02X" % found[0][0], path)


def unescape(text: bytes) -> bytes:
    """``%XX`` decoded; bad escapes stay as they are."""
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)


def first_values(query: bytes) -> dict[bytes, bytes]:
    """The first value of each parameter, decoded; a pair with ``;`` or a bad escape is not there."""
    values: dict[bytes, bytes] = {}
    for name, value in _pairs(query):
        values.setdefault(name, value)
    return values


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    for pair in query.split(b"&"):
        if not pair or b";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        yield unescape(name), unescape(value)

"""JSON exactly as Go's standard encoder writes it.

``msgspec`` writes the same compact form; what differs is repaired afterwards: ``<``, ``>``,
``&``, U+2028 and U+2029 are escaped, and what is not valid Unicode becomes ``\\ufffd``.
No trailing newline.

Source: introspection-api.md §3.
"""

from __future__ import annotations

import re

import msgspec

_DIFFERENT = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")
_ESCAPED = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}
_SURROGATE = re.compile("[\ud800-\udfff]")

_encoder = msgspec.json.Encoder()


class NotEncodable(ValueError):
    """The value holds something JSON has no form for."""


def encode(value: object) -> bytes:
    """The JSON of a Struct, or of a value made of builtins. Raises ``NotEncodable``."""
    try:
        text = _encode(value)
    except (TypeError, ValueError) as error:
        raise NotEncodable(str(error)) from error
    # A match can only lie inside a string: none of these bytes is JSON syntax.
    return _DIFFERENT.sub(lambda found: _ESCAPED[found[0]], text)


def _encode(value: object) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encode_broken(msgspec.to_builtins(value))


def _encode_broken(value: object) -> bytes:
    """As msgspec would, but with ``\\ufffd`` for each surrogate, which represents a byte that is not valid UTF-8."""
    match value:
        case str():
            parts = _SURROGATE.split(value)
            return b'"' + rb"\ufffd".join(_encoder.encode(part)[1:-1] for part in parts) + b'"'
        case dict():
            members = (_encode_broken(key) + b":" + _encode_broken(item) for key, item in value.items())
            return b"{" + b",".join(members) + b"}"
        case list() | tuple():
            return b"[" + b",".join(map(_encode_broken, value)) + b"]"
        case _:
            return _encoder.encode(value)

"""The frames in which Docker sends what a container without a terminal has written. Source: Docker Engine API, logs."""

from __future__ import annotations

HEADER = 8
"""Bytes before each piece: the output, three zeros, the length."""


def frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames at the beginning of ``data``, as output (1 or 2) and content, and the bytes after them."""
    found, at = [], 0
    while at + HEADER <= len(data):
        end = at + HEADER + int.from_bytes(data[at + 4 : at + HEADER])
        if end > len(data):
            break
        found.append((data[at], data[at + HEADER : end]))
        at = end
    return found, data[at:]

"""Lines out of a byte stream, of any length. Pure."""

from __future__ import annotations


class LineSplitter:
    """Takes chunks as they come, gives back the lines that are complete."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, without line ends and without empty ones."""
        if b"\n" not in chunk:
            self._parts.append(chunk)
            return []
        self._parts.append(chunk)
        *complete, rest = b"".join(self._parts).split(b"\n")
        self._parts = [rest] if rest else []
        return [line for line in (part.strip() for part in complete) if line]

    def close(self) -> list[bytes]:
        """What is left when the stream ends without a line end."""
        rest, self._parts = b"".join(self._parts).strip(), []
        return [rest] if rest else []

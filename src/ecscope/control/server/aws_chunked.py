"""A body in pieces as S3's clients send it (``Content-Encoding: aws-chunked``), each signed or not. Pure.

Source: Amazon S3 API Reference, "Signature calculations: transferring payload in multiple chunks (chunked upload)", and
"… including trailing headers".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from hashlib import sha256

from ecscope.control.core.errors import ApiError
from ecscope.control.server.signatures import ChunkSigner

STREAMING = "STREAMING-"
"""What ``x-amz-content-sha256`` of such a request begins with."""
_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
KINDS = (_SIGNED, f"{_SIGNED}-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_LONGEST_LINE = 16384
_SIGNATURE = "x-amz-trailer-signature"
_MISMATCH = "The request signature we calculated does not match the signature you provided, for a piece of the body."


class ChunkedBody:
    """Takes a body apart: ``feed`` what arrives, then ``end``. Both raise ``ApiError`` for what is not such a body."""

    def __init__(self, kind: str, signer: ChunkSigner | None) -> None:
        """``kind``: one of ``KINDS``, else ``ApiError`` is raised; ``signer``: of the request's signature."""
        if kind not in KINDS or (kind.startswith(_SIGNED) and signer is None):
            raise ApiError("NotImplemented", f"A body of the kind {kind[:60]} is not supported here.")
        self._signer = signer if kind.startswith(_SIGNED) else None
        self._before = signer.signature if signer is not None else ""
        self._has_trailer = kind.endswith("-TRAILER")
        self._buffer = bytearray()
        self._left = 0
        """Bytes of the current piece that are still to come."""
        self._digest = sha256()
        self._claimed = ""
        self._is_in_piece = False
        self._is_behind_last = False
        self.trailer: dict[str, str] = {}
        """Headers behind the body, in lower case; complete after ``end``."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What of the body is in there. A piece is known to be signed only when the next one begins."""
        self._buffer += data
        while not self._is_behind_last:
            if self._left:
                part = bytes(self._buffer[: self._left])
                if not part:
                    return
                del self._buffer[: len(part)]
                self._left -= len(part)
                self._digest.update(part)
                yield part
                continue
            if self._is_in_piece:
                if len(self._buffer) < 2:
                    return
                self._check_end_of_piece()
                continue
            if (line := self._line()) is None:
                return
            self._begin_piece(line)
        if len(self._buffer) > _LONGEST_LINE:
            raise _malformed()

    def end(self) -> None:
        """All of it is there."""
        if not self._is_behind_last:
            raise ApiError("IncompleteBody", "The request body terminated unexpectedly")
        lines = bytes(self._buffer).decode("utf-8", "replace").split("\r\n")
        signature = ""
        signed = ""
        for line in lines:
            name, colon, value = line.strip().partition(":")
            if not colon:
                continue
            if name.lower() == _SIGNATURE:
                signature = value.strip()
            else:
                self.trailer[name.lower()] = value.strip()
                signed += f"{name.lower()}:{value.strip()}\n"
        if self._signer is not None and self._has_trailer:
            self._check(self._signer.of_trailer(self._before, signed.encode()), signature)

    def _line(self) -> bytes | None:
        """``None``: its end is still to come."""
        end = self._buffer.find(b"\r\n")
        if end < 0 and len(self._buffer) > _LONGEST_LINE:
            raise _malformed()
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _begin_piece(self, line: bytes) -> None:
        head = _HEAD.fullmatch(line)
        if head is None or (self._signer is not None and head[2] is None):
            raise _malformed()
        self._left = int(head[1], 16)
        self._claimed = (head[2] or b"").decode()
        self._digest = sha256()
        self._is_in_piece = self._left > 0
        if self._left == 0:
            self._check_piece()
            self._is_behind_last = True

    def _check_end_of_piece(self) -> None:
        if self._buffer[:2] != b"\r\n":
            raise _malformed()
        del self._buffer[:2]
        self._is_in_piece = False
        self._check_piece()

    def _check_piece(self) -> None:
        if self._signer is not None:
            self._before = self._check(self._signer.of_chunk(self._before, self._digest.hexdigest()), self._claimed)

    def _check(self, expected: str, claimed: str) -> str:
        if not hmac.compare_digest(expected.encode(), claimed.encode("utf-8", "replace")):
            raise ApiError("InvalidSignatureException", _MISMATCH)
        return expected


def _malformed() -> ApiError:
    return ApiError("InvalidRequest", "The body is not in the form of aws-chunked")

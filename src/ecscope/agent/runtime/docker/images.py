"""The output of a pull, line by line: progress, and errors that come with status 200. Pure.

Source: engine.md §4.2, §4.3; library-choice.md §4.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.runtime.docker.lines import LineSplitter
from ecscope.backoff import Backoff
from ecscope.model.runtime import PullProgress

MANIFEST_TRIES = Backoff(tries=9, first_s=0.01, cap_s=5.0, factor=3.0, jitter=0.2)
PULL_TRIES = Backoff(tries=5, first_s=1.1, cap_s=5.0, factor=2.0, jitter=0.2)
TAG_TRIES = Backoff(tries=5, first_s=0.1, cap_s=0.1)

_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

_DONE = frozenset({"Pull complete", "Already exists"})
_FETCHED = frozenset({"Download complete", "Verifying Checksum", "Extracting"})


class _Descriptor(msgspec.Struct):
    digest: str = ""
    media_type: str = msgspec.field(name="mediaType", default="")


class _Distribution(msgspec.Struct, rename="pascal"):
    descriptor: _Descriptor


class _Detail(msgspec.Struct):
    current: int = 0
    total: int = 0


class _ErrorDetail(msgspec.Struct):
    message: str = ""


class _Line(msgspec.Struct):
    status: str = ""
    id: str = ""
    error: str = ""
    """Gone from API 1.52 on, where only the detail says it."""
    error_detail: _ErrorDetail | None = msgspec.field(name="errorDetail", default=None)
    detail: _Detail | None = msgspec.field(name="progressDetail", default=None)


def distribution_digest(body: bytes) -> str:
    """The digest in the answer to a distribution inspection; ``""`` for a schema-1 manifest.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    descriptor = msgspec.json.decode(body, type=_Distribution).descriptor
    return "" if descriptor.media_type in _SCHEMA_1 else descriptor.digest


class _Layer(msgspec.Struct):
    total: int = 0
    current: int = 0
    done: bool = False


class PullReader:
    """Chunks of a pull's output in; progress and the first error out."""

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._decode = msgspec.json.Decoder(_Line).decode
        self._layers: dict[str, _Layer] = {}
        self.error = ""
        """The first error that the output reported; ``""``: none."""

    @property
    def progress(self) -> PullProgress:
        """How far the pull is, by what has been read. Sizes are those of the compressed layers."""
        layers = self._layers.values()
        return PullProgress(
            layers_total=len(layers),
            layers_done=sum(layer.done for layer in layers),
            bytes_total=sum(layer.total for layer in layers),
            bytes_done=sum(layer.current for layer in layers),
        )

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk."""
        for line in self._lines.feed(chunk):
            self._take(line)

    def close(self) -> None:
        """Take in what is left when the stream ended without a line end."""
        for line in self._lines.close():
            self._take(line)

    def _take(self, raw: bytes) -> None:
        try:
            line = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # progress only: the end of the stream says whether the pull worked
        error = line.error or (line.error_detail.message if line.error_detail is not None else "")
        if error:
            self.error = self.error or error
        elif line.id:
            self._take_layer(line)

    def _take_layer(self, line: _Line) -> None:
        if line.status == "Pulling fs layer":
            self._layers.setdefault(line.id, _Layer())
        elif line.status in _DONE:
            layer = self._layers.setdefault(line.id, _Layer())
            layer.done, layer.current = True, layer.total
        elif layer_known := self._layers.get(line.id):
            if line.status == "Downloading" and line.detail is not None:
                layer_known.current = line.detail.current
                layer_known.total = max(layer_known.total, line.detail.total)
            elif line.status in _FETCHED:
                layer_known.current = layer_known.total

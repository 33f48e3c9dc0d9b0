"""Docker's stats answers of one container, as readers get them. Pure.

The newest is kept as it came, and the one before it: Docker's first answer has none beside it, and is completed with
what is known. Totals are those of all runs of the container.

Source: task-metadata-api.md §12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Document = Mapping[str, Any]
"""One answer, decoded."""

_NO_SAMPLE_BEFORE = b'"preread":"0001-01-01'

_CPU_TOTALS = ("total_usage", "usage_in_kernelmode", "usage_in_usermode")
_NETWORK_TOTALS = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


class Documents:
    """The newest answer, and what is needed to show it whole. None is decoded before it is read."""

    def __init__(self) -> None:
        self._newest = self._before = b""
        self._ended_runs: Document | None = None

    def take(self, document: bytes, *, is_anew: bool = False) -> None:
        """The newest answer; ``is_anew``: the first of another run of the container."""
        if is_anew and self._newest:
            self._ended_runs = summed(self._ended_runs, msgspec.json.decode(self._newest))
            self._newest = b""
        self._before, self._newest = self._newest, document

    @property
    def is_whole(self) -> bool:
        """The newest can be shown with the sample before it."""
        return bool(self._newest) and (bool(self._before) or _NO_SAMPLE_BEFORE not in self._newest)

    def latest(self) -> Document | None:
        """``None``: none has come yet."""
        if not self._newest:
            return None
        document: Document = msgspec.json.decode(self._newest)
        if self._before and _NO_SAMPLE_BEFORE in self._newest:
            before = msgspec.json.decode(self._before)
            document = {**document, "preread": before.get("read"), "precpu_stats": before.get("cpu_stats")}
        return summed(self._ended_runs, document)


def summed(ended: Document | None, document: Document) -> Document:
    """``document`` with its totals raised by those of ``ended``; ``None``: it is the first run."""
    if ended is None:
        return document
    return {
        **document,
        "cpu_stats": _cpu(ended, document, "cpu_stats"),
        "precpu_stats": _cpu(ended, document, "precpu_stats"),
        "blkio_stats": _block_io(_object(ended, "blkio_stats"), _object(document, "blkio_stats")),
        **({"networks": _networks(ended, document)} if document.get("networks") else {}),
    }


def _cpu(ended: Document, document: Document, name: str) -> Document:
    """Of ``precpu_stats`` only what is there: the first answer of a stream has none."""
    cpu = _object(document, name)
    usage, before = _object(cpu, "cpu_usage"), _object(_object(ended, "cpu_stats"), "cpu_usage")
    if not usage.get("total_usage"):
        return cpu
    shown = {**usage, **{key: (usage.get(key) or 0) + (before.get(key) or 0) for key in _CPU_TOTALS if key in usage}}
    per_cpu, per_cpu_before = usage.get("percpu_usage") or [], before.get("percpu_usage") or []
    if per_cpu and len(per_cpu) == len(per_cpu_before):
        shown["percpu_usage"] = [one + other for one, other in zip(per_cpu, per_cpu_before, strict=True)]
    return {**cpu, "cpu_usage": shown}


def _block_io(before: Document, block_io: Document) -> Document:
    return {name: _entries(before.get(name), entries) for name, entries in block_io.items()}


def _entries(before: list[Document] | None, entries: list[Document] | None) -> list[Document] | None:
    if entries is None:
        return None
    totals = {_place(entry): entry.get("value", 0) for entry in before or ()}
    return [{**entry, "value": entry.get("value", 0) + totals.get(_place(entry), 0)} for entry in entries]


def _place(entry: Document) -> tuple[object, ...]:
    return entry.get("major"), entry.get("minor"), entry.get("op")


def _networks(ended: Document, document: Document) -> Document:
    before = _object(ended, "networks")
    return {
        name: {
            **counters,
            **{k: (counters.get(k) or 0) + (_object(before, name).get(k) or 0) for k in _NETWORK_TOTALS},
        }
        for name, counters in _object(document, "networks").items()
    }


def _object(parent: Document, name: str) -> Document:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}

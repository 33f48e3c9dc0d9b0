"""A store that forgets everything when the process ends, and otherwise does what the durable one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecscope.control.store.interface import Changes, Loaded, Prepared, StoreError
from ecscope.control.store.rows import KINDS, checksum, decoded, loaded, prepared


class MemoryStore:
    """``Store``. ``reopened`` is what the next process would find."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], str] = {}
        self._closed = False

    def load(self) -> Loaded:
        """All that was saved before."""
        tables: dict[str, dict[str, Any]] = {table: {} for table in KINDS}
        for (table, _), body in self._rows.items():
            key, value = decoded(table, body.encode(), checksum(table, body).encode())
            tables[table][key] = value
        return loaded(tables, [])

    def prepare(self, changes: Changes) -> Prepared:
        """As text. Raises ``TypeError``, ``ValueError`` or ``OverflowError`` for what is no JSON."""
        return prepared(changes)

    async def save(self, changes: Sequence[Prepared]) -> None:
        """Raises ``StoreError`` once it is closed."""
        if self._closed:
            raise StoreError("the store is closed")
        for change in changes:
            for place, body in change.items():
                if body is None:
                    self._rows.pop(place, None)
                else:
                    self._rows[place] = body

    async def check(self) -> None:
        """Nobody else has it."""

    async def close(self) -> None:
        """May be repeated."""
        self._closed = True

    def reopened(self) -> MemoryStore:
        """Another store with the same records."""
        again = MemoryStore()
        again._rows = dict(self._rows)
        return again

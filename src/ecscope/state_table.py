"""A frozen state while one decision changes it: copied on write, frozen again at the end.

Both Steps, the agent's and the control plane's, are a ``Draft`` of their state. A field of the state that is to change
is declared once: as a table, ``self.images = self.table("images", state.images)``, or as a plain attribute of the
same name, ``self.waiting = state.waiting``. Its value ends up in the new state; there is no second list to maintain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

K = TypeVar("K", bound=str)
V = TypeVar("V")
S = TypeVar("S", bound=msgspec.Struct)


class Table(Generic[K, V]):
    """Rows by key, copied when the first one is changed."""

    __slots__ = ("before", "changed", "rows")

    def __init__(self, rows: Mapping[K, V]) -> None:
        self.before = rows
        """As it was when the decision began."""
        self.rows: Mapping[K, V] = rows
        self.changed: dict[K, None] = {}
        """Keys whose row was put or dropped, in the order in which that first happened."""

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def __iter__(self) -> Iterator[V]:
        return iter(self.rows.values())

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: K) -> V | None:
        return self.rows.get(key)

    def __getitem__(self, key: K) -> V:
        return self.rows[key]

    def put(self, key: K, row: V) -> V:
        """Add or replace; gives the row back."""
        self._own()[key] = row
        self.changed[key] = None
        return row

    def drop(self, key: K) -> None:
        """Forget; nothing when it is not there."""
        if key in self.rows:
            del self._own()[key]
            self.changed[key] = None

    def _own(self) -> dict[K, V]:
        if self.rows is self.before:
            self.rows = dict(self.before)
        assert isinstance(self.rows, dict)
        return self.rows


class Draft(Generic[S]):
    """See the module docstring."""

    def __init__(self, state: S) -> None:
        self.before = state
        """As it was when the decision began; fields that never change are read from it."""
        self._tables: dict[str, Table[Any, Any]] = {}

    def table(self, field: str, rows: Mapping[K, V]) -> Table[K, V]:
        """The rows of a field of the state, to be changed."""
        assert hasattr(self.before, field), f"the state has no field {field}"
        table = self._tables[field] = Table(rows)
        return table

    def new_state(self) -> S:
        """The state with all that was changed; the very same object when nothing was."""
        before, values = self.before, vars(self)
        changed: dict[str, Any] = {
            field: table.rows for field, table in self._tables.items() if table.rows is not table.before
        }
        for field in self._plain_fields():
            was = getattr(before, field)
            now = values.get(field, was)
            if now is not was:
                changed[field] = now
        return msgspec.structs.replace(before, **changed) if changed else before

    def _plain_fields(self) -> tuple[str, ...]:
        """Of the state, those that are no tables: the same for every draft of a class, so they are sought once."""
        known = _PLAIN_FIELDS.get(type(self))
        if known is None:
            fields = self.before.__struct_fields__
            known = _PLAIN_FIELDS[type(self)] = tuple(field for field in fields if field not in self._tables)
        return known


_PLAIN_FIELDS: dict[type, tuple[str, ...]] = {}

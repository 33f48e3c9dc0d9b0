"""What was saved, row by row, so that a file that is damaged while in use can be written again completely."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

Values = tuple[str | int, ...]


class KnownRows:
    """The rows of some tables, in the order in which they were first saved. Unknown until ``remember``."""

    def __init__(self, key_columns: Mapping[str, str], columns: Sequence[str]) -> None:
        """``key_columns``: table → column of its key; ``columns``: the others, the same in all tables."""
        self._key_columns = key_columns
        self._columns = tuple(columns)
        self._rows: dict[str, dict[str, Values]] = {table: {} for table in key_columns}
        self.are_known = False

    def remember(self, connection: sqlite3.Connection) -> None:
        """Take what the file holds as what was saved."""
        self._rows = {table: self._read(connection, table) for table in self._key_columns}
        self.are_known = True

    def forget(self) -> None:
        """Nothing is known: the file counts, as it will be read."""
        self._rows = {table: {} for table in self._key_columns}
        self.are_known = False

    def put(self, table: str, key: str, *values: str | int) -> None:
        """It was saved. ``values`` as the columns."""
        self._rows[table][key] = values

    def drop(self, table: str, key: str) -> None:
        """It was deleted."""
        self._rows[table].pop(key, None)

    def are_in(self, connection: sqlite3.Connection) -> bool:
        """Whether the file holds just these. Raises ``sqlite3.Error``."""
        return all(self._read(connection, table) == rows for table, rows in self._rows.items())

    def write(self, connection: sqlite3.Connection) -> None:
        """Make these, and no others, the rows of a file. Within a transaction of the caller's."""
        for table, key_column in self._key_columns.items():
            names = (key_column, *self._columns)
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed names, here and below
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608
                ((key, *values) for key, values in self._rows[table].items()),
            )

    def _read(self, connection: sqlite3.Connection, table: str) -> dict[str, Values]:
        names = ", ".join((self._key_columns[table], *self._columns))
        rows: dict[str, Values] = {}
        for row in connection.execute(f"SELECT {names} FROM {table} ORDER BY rowid"):  # noqa: S608
            try:
                key, *values = (column.decode() if isinstance(column, bytes) else column for column in row)
            except UnicodeDecodeError:
                continue  # a damaged row that had to stay in the file, and that was never read
            rows[key] = tuple(values)
        return rows

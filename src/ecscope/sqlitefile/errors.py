"""What can go wrong with a file of records, as values, and whose file it is."""

from __future__ import annotations

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose file it is, for the sentences of errors."""

    name: str
    """As in "restart the <name>"."""
    data_dir_setting: str
    """What names the data directory: a variable or an option."""


WHOLE_FILE = "database"
"""The kind for the file itself rather than a record; its damage is logged where it is found."""


class BadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read. It costs itself only."""

    kind: str
    """``WHOLE_FILE``, or one of the owner's: ``task``, …"""
    key: str
    reason: str
    set_aside_as: str
    """Path of the file that now holds it."""


class StoreError(Exception):
    """The store cannot do what was asked; the message says why and what helps.

    ``is_full``: the disk is full; trying again later can help.
    """

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


class UnsafeStore(StoreError):
    """A file or the directory may belong to another user: it was not used. Trying again cannot help."""


class UnreadableRecord(Exception):
    """A row that cannot be turned into a value; the message says why."""

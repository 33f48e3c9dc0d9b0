"""History entries survive being stored, and their kinds keep their stored names apart."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.model.history import Happening, HistoryEntry
from tests.builders import an_entry


@pytest.mark.parametrize("happening", list(Happening))
def test_an_entry_of_each_kind_is_the_same_after_it_was_stored(happening: Happening) -> None:
    entry = an_entry(happening, detail={"exitCode": 137, "oomKilled": True, "reason": "x", "at": 1.5, "no": None})
    assert msgspec.json.decode(msgspec.json.encode(entry), type=HistoryEntry) == entry


def test_no_two_kinds_are_stored_alike() -> None:
    assert len({h.value for h in Happening}) == len(Happening.__members__)

"""Groups and streams outlive a process that is killed at any byte, and damage costs what is damaged, and is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecscope.control.logs.catalog import Catalog, Deleted, LogGroup, LogStream, Record
from ecscope.control.logs.journal import Journal

RECORDS: list[Record] = [
    LogGroup(id=1, name="g", created_at_ms=0, tags={"a": "b"}),
    LogStream(id=2, group_id=1, name="s", created_at_ms=0),
    LogStream(id=3, group_id=1, name="t", created_at_ms=0),
]


def opened(path: Path) -> tuple[Journal, list[Record], list[str]]:
    said: list[str] = []
    journal = Journal(path, warn=said.append)
    return journal, journal.open(), said


def test_a_record_that_is_half_written_is_not_there(tmp_path: Path) -> None:
    journal, _, _ = opened(tmp_path / "catalog")
    for record in RECORDS:
        journal.save([record])
    journal.close()
    whole = (tmp_path / "catalog").read_bytes()
    for length in (len(whole) - 1, len(whole) - 20):
        (tmp_path / "catalog").write_bytes(whole[:length])
        journal, records, said = opened(tmp_path / "catalog")
        assert (records, said) == (RECORDS[:2], [])
        journal.save(RECORDS[2:])
        journal.close()
        assert (tmp_path / "catalog").read_bytes() == whole


def test_damage_in_the_middle_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    journal, _, _ = opened(path)
    journal.save(RECORDS[:1])
    size = path.stat().st_size
    journal.save(RECORDS[1:])
    journal.close()
    data = bytearray(path.read_bytes())
    data[size + 14] ^= 0xFF
    path.write_bytes(data)
    journal, records, said = opened(path)
    journal.close()
    assert records == [RECORDS[0], RECORDS[2]]
    (sentence,) = said
    assert sentence.startswith(f"{path} is damaged")


def test_a_file_that_is_mostly_history_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    journal, _, _ = opened(path)
    history: list[Record] = []
    for number in range(2, 6000):
        history.append(LogStream(id=number, group_id=1, name=f"stream-{number:060}", created_at_ms=0))
        history.append(Deleted(id=number))
    journal.save(history)
    journal.save(RECORDS[:1])
    journal.close()
    large = path.stat().st_size
    journal, records, _ = opened(path)
    assert path.stat().st_size < large / 100
    catalog = Catalog()
    catalog.apply(records)
    assert (list(catalog.groups), catalog.last_id) == (["g"], 5999)
    journal.save(RECORDS[1:2])
    journal.close()
    journal, records, _ = opened(path)
    journal.close()
    assert records[-1] == RECORDS[1]


def test_without_room_nothing_of_it_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog"
    journal, _, _ = opened(path)
    journal.save(RECORDS[:1])
    size = path.stat().st_size

    def no_sync(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", no_sync)
        with pytest.raises(OSError, match="No space"):
            journal.save(RECORDS[1:])
    assert path.stat().st_size == size
    journal.save(RECORDS[1:])
    journal.close()
    journal, records, _ = opened(path)
    journal.close()
    assert records == RECORDS

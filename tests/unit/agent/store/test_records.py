"""Values become rows and come back the same; a row that was changed is noticed."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.store.interface import StoreError
from ecscope.agent.store.records import (
    HistoryRow,
    Kind,
    Metadata,
    UnreadableRecord,
    checksum_of,
    entry_of,
    history_row,
    key_of,
    moment,
    record_of,
    state_row,
)
from ecscope.model import history
from ecscope.model.history import HistoryEntry
from ecscope.model.task import ImageRecord, Task, TaskSource
from tests.builders import AT, a_task, an_entry, an_image_record
from tests.examples import examples
from tests.tables import each_row

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def values_of(kind: object) -> st.SearchStrategy[typing.Any]:
    """Values of any type that the model uses, structs included."""
    if isinstance(kind, typing.NewType):
        return values_of(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: values_of(field.type) for field in msgspec.structs.fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    simple = {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        datetime: st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),
        types.NoneType: st.none(),
    }
    if kind in simple:
        return simple[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    if origin is Mapping:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    raise NotImplementedError(kind)


def _read(kind: Kind, row: tuple[object, ...]) -> object:
    return record_of(kind, str(row[3]).encode(), str(row[4]).encode())


@pytest.mark.parametrize(
    ("kind", "model"),
    [(Kind.TASK, Task), (Kind.IMAGE, ImageRecord), (Kind.SOURCE, TaskSource), (Kind.METADATA, Metadata)],
)
def test_a_record_comes_back_as_it_was(kind: Kind, model: type) -> None:
    @settings(max_examples=examples(60), deadline=None)
    @given(values_of(model))
    def round_trip(record: typing.Any) -> None:
        row = state_row(kind, key_of(record), record, 5)
        assert row.revision == 5
        assert _read(kind, row) == record

    round_trip()


@settings(max_examples=examples(150), deadline=None)
@given(values_of(HistoryEntry))
def test_an_entry_comes_back_as_it_was(entry: HistoryEntry) -> None:
    assert entry_of(tuple(column.encode() for column in history_row(entry))) == entry


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_any_changed_byte_of_a_body_is_noticed(data: st.DataObject) -> None:
    row = state_row(Kind.TASK, a_task().arn, a_task(), 1)
    body = bytearray(row.body.encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnreadableRecord, match="checksum"):
        record_of(Kind.TASK, bytes(body), row.checksum.encode())


@each_row("column", range(len(HistoryRow._fields)))
def test_any_changed_column_of_an_entry_is_noticed(column: int) -> None:
    columns = [text.encode() for text in history_row(an_entry())]
    columns[column] = b"x" + columns[column]
    with pytest.raises(UnreadableRecord, match="checksum"):
        entry_of(tuple(columns))


def test_a_body_of_another_kind_is_noticed() -> None:
    row = state_row(Kind.IMAGE, "ecscope-sample:latest", an_image_record(), 1)
    with pytest.raises(UnreadableRecord, match="checksum"):
        _read(Kind.SOURCE, row)


@pytest.mark.parametrize("body", [None, 7, 1.5, "text"])
def test_a_column_of_another_type_is_noticed(body: object) -> None:
    with pytest.raises(UnreadableRecord, match="where text belongs"):
        record_of(Kind.TASK, body, b"task:00000000")
    with pytest.raises(UnreadableRecord, match="where text belongs"):
        entry_of((body,) * len(HistoryRow._fields))


@each_row("body", [b"{", b"[]", b"{}", b'{"arn": 3}', b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_no_task_is_noticed(body: bytes) -> None:
    with pytest.raises(UnreadableRecord, match="not the JSON of a task record"):
        record_of(Kind.TASK, body, checksum_of("task", body).encode())


def test_moments_sort_as_text() -> None:
    moments = [datetime(987, 1, 1, tzinfo=UTC), AT, AT + timedelta(microseconds=1), AT + timedelta(days=300)]
    texts = [moment(at) for at in moments]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {27}


def test_moments_are_utc() -> None:
    assert moment(datetime(2024, 5, 17, 14, tzinfo=timezone(timedelta(hours=2)))) == "2024-05-17T12:00:00.000000Z"


def a_registration_failure(**facts: object) -> history.InstanceNotRegistered:
    return history.InstanceNotRegistered(obstacle="AccessDenied", message="no", facts=facts)


def test_numbers_of_any_size_survive() -> None:
    entry = an_entry(a_registration_failure(**{"bytes": 2**70, "negative": -(2**64)}))
    assert entry_of(tuple(column.encode() for column in history_row(entry))) == entry


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(StoreError, match="history entry 'event-1' cannot be written"):
        history_row(an_entry(a_registration_failure(key=object())))
    with pytest.raises(StoreError, match="calls itself"):
        state_row(Kind.TASK, "another", a_task(), 1)

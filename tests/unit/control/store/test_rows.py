"""A row is read back as it was written, or refused with the reason."""

from __future__ import annotations

import pytest

from ecscope.control.store.rows import KINDS, checksum, decoded, loaded, prepared
from ecscope.sqlitefile.checksum import checksum_of
from ecscope.sqlitefile.errors import UnreadableRecord
from tests.control_builders import a_control_task


def test_a_row_names_its_key() -> None:
    task = a_control_task()
    rows = prepared({"tasks": {task.arn: task, "gone": None}})
    assert rows["tasks", "gone"] is None
    body = rows["tasks", task.arn]
    assert body is not None
    assert decoded("tasks", body.encode(), checksum("tasks", body).encode()) == (task.arn, task)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (7, "a number, a blob or nothing"),
        (b'{"key":"a","value":1}', "is not the JSON of a cluster record"),
        (b"{", "is not the JSON of a cluster record"),
    ],
)
def test_what_is_no_record_is_refused(body: object, reason: str) -> None:
    with pytest.raises(UnreadableRecord, match=reason):
        decoded("clusters", body, checksum_of("cluster", body if isinstance(body, bytes) else b"").encode())


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(UnreadableRecord, match="checksum does not match"):
        decoded("meta", b'{"key":"a","value":2}', checksum("meta", '{"key":"a","value":1}').encode())


def test_kinds_differ() -> None:
    assert len(set(KINDS.values())) == len(KINDS)


def test_nothing_loaded_is_nothing() -> None:
    empty = loaded({table: {} for table in KINDS}, [])
    assert (empty.tasks, empty.meta, empty.bad) == ((), {}, ())

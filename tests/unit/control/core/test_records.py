"""Records survive being saved."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.control.core.records import Record
from tests.control_builders import a_cluster, a_control_task, a_service, a_task_definition, an_instance


@pytest.mark.parametrize(
    "record",
    [a_cluster(), a_task_definition(), an_instance(), a_control_task(), a_service()],
    ids=lambda r: type(r).__name__,
)
def test_a_record_is_the_same_after_it_was_saved(record: Record) -> None:
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record

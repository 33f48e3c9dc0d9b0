"""A resource says who has to wait for it."""

from __future__ import annotations

import pytest

from ecscope.model.status import ContainerStatus
from ecscope.model.task_resource import ResourceStatus
from tests.builders import a_resource


@pytest.mark.parametrize(
    ("fields", "awaited"),
    [
        ({}, True),
        ({"needed_by": ("app", "db")}, True),
        ({"needed_by": ("db",)}, False),
        ({"needed_by": ()}, False),
        ({"needed_for": ContainerStatus.CREATED}, False),
        ({"status": ResourceStatus.CREATED}, False),
        ({"status": ResourceStatus.REMOVED}, True),
    ],
    ids=["by all", "by it too", "by another", "by nobody", "later", "it is there", "it is gone again"],
)
def test_a_container_waits_for_what_it_needs_for_its_next_step(fields: dict[str, object], awaited: bool) -> None:
    assert a_resource(**fields).is_awaited_by("app", ContainerStatus.PULLED) is awaited

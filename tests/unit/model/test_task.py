"""A task finds its containers, and a volume knows when it can be mounted."""

import pytest

from ecscope.model.task import VolumeKind
from tests.builders import a_container, a_task, a_volume


def test_a_container_is_found_by_name() -> None:
    web, db = a_container("web"), a_container("db")
    task = a_task(web, db)
    assert task.container("web") is web
    assert task.container("db") is db
    assert task.container("") is None
    assert task.container("Web") is None


@pytest.mark.parametrize("kind", VolumeKind)
@pytest.mark.parametrize("created", [False, True])
def test_a_volume_that_docker_makes_is_ready_when_made(kind: VolumeKind, created: bool) -> None:
    assert a_volume(kind=kind, created=created).is_ready == (created or kind is VolumeKind.BIND)

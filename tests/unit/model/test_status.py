"""Statuses have the official spelling and order, and only compare with their own kind. Source: engine.md §1."""

import operator

import pytest

from ecscope.model.status import ContainerStatus, TaskStatus, task_status_of

ORDER = {
    ContainerStatus: ["NONE", "MANIFEST_PULLED", "PULLED", "CREATED", "RUNNING", "RESOURCES_PROVISIONED", "STOPPED"],
    TaskStatus: ["NONE", "MANIFEST_PULLED", "CREATED", "RUNNING", "STOPPED"],
}


@pytest.mark.parametrize("kind", ORDER)
def test_the_official_order(kind: type[ContainerStatus] | type[TaskStatus]) -> None:
    assert [status.value for status in sorted(kind)] == ORDER[kind]
    assert [status.rank for status in kind] == list(range(len(ORDER[kind])))


@pytest.mark.parametrize("kind", ORDER)
@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_members_compare_by_rank(kind: type[ContainerStatus] | type[TaskStatus], compare: object) -> None:
    assert callable(compare)
    for one in kind:
        for other in kind:
            assert compare(one, other) == compare(one.rank, other.rank)


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_a_container_status_does_not_compare_with_a_task_status(compare: object) -> None:
    assert callable(compare)
    with pytest.raises(TypeError):
        compare(ContainerStatus.RUNNING, TaskStatus.RUNNING)


@pytest.mark.parametrize(
    ("status", "task_status"),
    [
        (ContainerStatus.NONE, TaskStatus.NONE),
        (ContainerStatus.MANIFEST_PULLED, TaskStatus.MANIFEST_PULLED),
        (ContainerStatus.PULLED, TaskStatus.MANIFEST_PULLED),
        (ContainerStatus.CREATED, TaskStatus.CREATED),
        (ContainerStatus.RUNNING, TaskStatus.RUNNING),
        (ContainerStatus.RESOURCES_PROVISIONED, TaskStatus.RUNNING),
        (ContainerStatus.STOPPED, TaskStatus.STOPPED),
    ],
)
def test_the_task_status_that_a_container_stands_for(status: ContainerStatus, task_status: TaskStatus) -> None:
    assert task_status_of(status) is task_status


def test_mapping_keeps_the_order() -> None:
    mapped = [task_status_of(status) for status in ContainerStatus]
    assert mapped == sorted(mapped)

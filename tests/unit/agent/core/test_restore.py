"""A process begins with what the last one saved; what is derived is worked out anew."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.core.invariants import check_state
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.model.arn import DockerId
from ecscope.model.resources import HostResources
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld
from ecscope.model.task_resource import ResourceStatus
from tests.builders import AT, a_container, a_resource, a_source, a_task, an_image_record
from tests.unit.agent.core.scenes import ONE, THREE, TWO
from tests.world import INSTANCE


def test_nothing_saved_is_an_empty_agent() -> None:
    state = restored_state(instance=INSTANCE, settings=Settings())
    check_state(state)
    assert (dict(state.tasks), state.waiting, state.taken) == ({}, (), HostResources())
    assert not state.runtime_connected
    assert not state.reconciled


def test_tasks_past_the_queue_hold_their_share_and_the_others_wait_in_their_order() -> None:
    """engine.md §13."""
    needs = HostResources(cpu_units=10, ports_tcp=frozenset({80}))
    held = a_task(number=1, host_resources=HostResourcesHeld.HELD, needs=needs)
    first, second = a_task(number=2, needs=needs), a_task(number=3, needs=needs)
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[held, first, second])
    check_state(state)
    assert state.taken == needs
    assert state.waiting == (TWO, THREE)
    assert list(state.tasks) == [ONE, TWO, THREE]


def test_a_stopped_task_neither_holds_nor_waits() -> None:
    container = a_container(known=ContainerStatus.STOPPED, desired=ContainerStatus.STOPPED)
    gone = msgspec.structs.replace(
        a_task(container), known=TaskStatus.STOPPED, desired=TaskStatus.STOPPED, stopped_at=AT
    )
    for held in (HostResourcesHeld.RELEASED, HostResourcesHeld.WAITING):
        task = msgspec.structs.replace(gone, host_resources=held, needs=HostResources(cpu_units=1))
        state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[task])
        check_state(state)
        assert (state.waiting, state.taken) == ((), HostResources())


def test_every_docker_id_finds_its_container_again() -> None:
    docker_id = DockerId("a" * 64)
    web = a_container("web", docker_id=docker_id, docker_name="ecs-web", known=ContainerStatus.RUNNING)
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[a_task(web, a_container("new"))])
    check_state(state)
    assert state.docker_ids == {docker_id: (ONE, "web")}


def test_calls_under_way_are_not_after_a_restart() -> None:
    container = a_container(in_flight=ContainerStatus.CREATED, cancelling=True, docker_name="ecs-sample-1-app-00")
    removed = a_resource("gone", status=ResourceStatus.REMOVED, is_lost_by_restart=True)
    saved = a_task(
        container,
        resources=(
            a_resource(in_flight=True, status=ResourceStatus.CREATED),
            a_resource("secret", in_flight=True, status=ResourceStatus.CREATED, is_lost_by_restart=True),
            removed,
        ),
    )
    image = an_image_record(removing=True)
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[saved], images=[image])
    assert state.tasks[ONE] == a_task(
        a_container(docker_name="ecs-sample-1-app-00"),
        resources=(
            a_resource(status=ResourceStatus.CREATED),
            a_resource("secret", is_lost_by_restart=True),
            removed,
        ),
    )
    assert state.images[image.name] == an_image_record()


@pytest.mark.parametrize(
    ("known", "needed_by", "status"),
    [
        (ContainerStatus.NONE, None, ResourceStatus.NONE),
        (ContainerStatus.MANIFEST_PULLED, ("app",), ResourceStatus.NONE),
        (ContainerStatus.MANIFEST_PULLED, ("other",), ResourceStatus.CREATED),
        (ContainerStatus.PULLED, None, ResourceStatus.CREATED),
        (ContainerStatus.RUNNING, ("app",), ResourceStatus.CREATED),
    ],
)
def test_what_was_in_memory_is_made_again_only_for_who_still_needs_it(
    known: ContainerStatus, needed_by: tuple[str, ...] | None, status: ResourceStatus
) -> None:
    """A task that runs must not be stopped because a secret that it has got cannot be read once more."""
    docker = {"docker_name": "ecs-app", "docker_id": DockerId("a" * 64)} if known >= ContainerStatus.RUNNING else {}
    secret = a_resource("s", status=ResourceStatus.CREATED, is_lost_by_restart=True, needed_by=needed_by)
    saved = a_task(a_container(known=known, **docker), resources=(secret,))
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[saved])
    assert state.tasks[ONE].resources[0].status is status


def test_records_are_filed_under_their_names() -> None:
    image, source = an_image_record("busybox:1"), a_source("/tasks/a.json")
    state = restored_state(
        instance=INSTANCE, settings=Settings(), images=[image], sources=[source], lost_task_arns=[TWO]
    )
    assert state.images == {"busybox:1": image}
    assert state.sources == {"/tasks/a.json": source}
    assert state.lost_task_arns == {TWO}


def test_a_lost_record_of_a_task_file_is_rebuilt_from_its_task_unless_somebody_stopped_it() -> None:
    """Without it, the file would start a second task."""
    own, stopped, newer = a_source("/own"), a_source("/stopped"), a_source("/newer", version="2")
    tasks = [
        a_task(number=1, source=own),
        a_task(number=2, source=stopped, stop_requested_by="alice"),
        a_task(number=3, source=a_source("/newer")),
    ]
    state = restored_state(instance=INSTANCE, settings=Settings(), tasks=tasks, sources=[newer])
    assert state.sources == {"/own": own, "/newer": newer}

"""What keeps a task or a container is named, kept with the moment since when, and noted when it changes.

That nothing ever waits without a reason is held by ``check_step``, over any order of events in ``tests/property``.
"""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    CreateContainer,
    CreateResource,
    PullImage,
    ResolveManifest,
    StartContainer,
    StopContainer,
)
from ecscope.model import history
from ecscope.model.container import Dependency, DependencyCondition, MountPoint, PortMapping, RegistryLogin
from ecscope.model.status import TaskStatus
from ecscope.model.waiting import WaitingReason
from tests.builders import AT, a_container, a_volume
from tests.unit.agent.core.scenes import (
    ONE,
    THREE,
    TWO,
    a_task,
    a_world,
    brought_to,
    fails,
    running,
    the_call,
    the_container,
    told,
)
from tests.world import ERROR, World


def kept(world: World, name: str = "app", arn: str = ONE) -> tuple[WaitingReason, str] | None:
    waiting = the_container(world, name, arn).waiting
    return (waiting.reason, waiting.on) if waiting is not None else None


def kept_by_task(world: World, arn: str = ONE) -> tuple[WaitingReason, str] | None:
    waiting = world.state.tasks[arn].waiting  # type: ignore[index]  # an ARN is text
    return (waiting.reason, waiting.on) if waiting is not None else None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ResolveManifest, "MANIFEST_PULLED"),
        (PullImage, "PULLED"),
        (CreateContainer, "CREATED"),
        (StartContainer, "RUNNING"),
    ],
)
def test_a_call_under_way_is_kept_and_not_noted(kind: type[Any], status: str) -> None:
    world = brought_to(a_task(), kind)
    assert kept(world) == (WaitingReason.CALL, status)
    assert kept_by_task(world) == (WaitingReason.CONTAINERS, "app")
    assert told(world, history.ContainerWaits) == []


def test_who_has_come_as_far_as_it_is_to_go_waits_for_nothing() -> None:
    world = running(a_task())
    assert (kept(world), kept_by_task(world)) == (None, None)
    world.stop(ONE)
    assert kept_by_task(world) == (WaitingReason.CONTAINERS, "app")
    world.finish(the_call(world, StopContainer))
    assert (kept(world), kept_by_task(world)) == (None, None)


def test_a_dependency_is_kept_since_it_was_first_in_the_way() -> None:
    needs_db = (Dependency(container_name="db", condition=DependencyCondition.HEALTHY),)
    task = a_task(a_container("db", health_check_is_docker=True), a_container("app", depends_on=needs_db))
    world = running(task)
    waiting = the_container(world).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.on, waiting.since) == (WaitingReason.DEPENDENCY, "db HEALTHY", AT)
    world.advance(60)
    world.send(ev.TimerFired(**world.head(), timer=next(iter(world.timers))))
    assert the_container(world).waiting is waiting
    assert told(world, history.ContainerWaitsForDependency) == ["waits for db HEALTHY"]


def test_the_order_of_stops_is_named() -> None:
    needs_db = (Dependency(container_name="db", condition=DependencyCondition.START),)
    world = running(a_task(a_container("db"), a_container("app", depends_on=needs_db)))
    world.stop(ONE)
    assert kept(world, "app") == (WaitingReason.CALL, "STOPPED")
    assert kept(world, "db") == (WaitingReason.DEPENDENTS, "app")
    assert told(world, history.ContainerWaits) == ["waits until what depends on it has stopped: app"]


def test_a_resource_that_is_not_ready_is_named() -> None:
    mounts = (MountPoint(source_volume="data", container_path="/data"),)
    world = brought_to(a_task(a_container(mount_points=mounts), volumes=(a_volume("data"),)), CreateResource)
    while (call := next((c for c in world.calls if not isinstance(c, CreateResource)), None)) is not None:
        world.finish(call)
    assert kept(world) == (WaitingReason.RESOURCE, "volume data")
    world.finish(the_call(world, CreateResource))
    assert kept(world) == (WaitingReason.CALL, "PULLED")


def test_credentials_that_ecs_has_yet_to_send_are_named() -> None:
    login = RegistryLogin(kind="ecr", use_execution_role=True)
    world = a_world(joins_cluster=True)
    world.submit(a_task(a_container(registry_login=login), execution_credentials_id="id"))
    assert kept(world) == (WaitingReason.CREDENTIALS, "")
    assert told(world, history.ContainerWaits) == ["waits for the credentials of its execution role"]


def test_the_queue_says_what_is_lacking_and_who_is_first() -> None:
    port = (PortMapping(container_port=80, host_port=8080),)
    world = running(a_task(a_container(port_mappings=port)))
    world.submit(a_task(a_container(port_mappings=port), number=2))
    world.submit(a_task(number=3))
    assert kept_by_task(world, TWO) == (WaitingReason.HOST_RESOURCES, "TCP port 8080, held by another task")
    assert kept_by_task(world, THREE) == (WaitingReason.QUEUE, TWO)
    assert kept(world, arn=TWO) == kept(world, arn=THREE) == (WaitingReason.TASK, "")
    world.stop(TWO)
    world.run_calls()
    assert kept_by_task(world, THREE) is None
    assert told(world, history.TaskWaitsForHostResources) == [
        "waits for host resources: needs TCP port 8080, held by another task",
        f"waits behind {TWO}, first in the queue for host resources",
    ]


def test_without_docker_all_that_have_a_step_to_take_wait_for_it() -> None:
    world = brought_to(a_task(), PullImage)
    world.submit(a_task(number=2))
    world.run_calls()
    world.stop(TWO)
    world.finish(the_call(world, StopContainer), outcome="unreachable", effect=False)
    assert kept(world, arn=ONE) is None, "it runs, as far as is known"
    assert kept(world, arn=TWO) == (WaitingReason.DOCKER, "")
    world.submit(a_task(number=3))
    assert kept_by_task(world, THREE) == (WaitingReason.DOCKER, "")
    world.connect()
    assert kept(world, arn=TWO) == (WaitingReason.DOCKER, ""), "until it has listed its containers"
    world.run_calls()
    assert (world.task(TWO).known, kept(world, arn=TWO)) == (TaskStatus.STOPPED, None)


def test_after_a_restart_no_call_of_the_last_process_is_taken_for_one_under_way() -> None:
    world = brought_to(a_task(), PullImage)
    world.restart_agent()
    assert kept(world) == (WaitingReason.DOCKER, "")


def test_a_start_that_failed_and_may_run_waits_for_its_stop() -> None:
    world = brought_to(a_task(), StartContainer)
    fails(world, the_call(world, StartContainer), ERROR, inspection=world.box(ONE, "app").inspection())
    assert kept(world) is None

"""The behaviours most often got wrong, one test each: engine.md §15 (2 and 10: see the create call and the wire)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.agent.core.actions import CreateContainer, PullImage, RemoveContainer, ResolveManifest, StopContainer
from ecscope.agent.core.host_ports import HostPortChooser
from ecscope.agent.core.state import PullBehavior
from ecscope.model import history
from ecscope.model.container import Dependency, DependencyCondition, PortMapping
from ecscope.model.status import TaskStatus
from tests.builders import AT, a_container
from tests.unit.agent.core.scenes import (
    NO_IMAGE,
    NO_MANIFEST,
    ONE,
    REFUSED,
    THREE,
    TWO,
    a_task,
    a_world,
    brought_to,
    calls_of,
    exits,
    fails,
    go_on_to,
    running,
    statuses,
    the_call,
    the_container,
    told,
)


def test_1_an_essential_container_exiting_with_code_0_stops_the_task_too() -> None:
    world = running(a_task(a_container("app"), a_container("side", essential=False)))
    exits(world, code=0)
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_3_dynamic_host_ports_are_chosen_by_the_agent_not_by_docker() -> None:
    chosen = HostPortChooser(40000, 40001).assign([PortMapping(container_port=80)], lambda port, protocol: True)
    assert chosen == {"80/tcp": 40000}


def test_4_a_task_is_running_only_when_all_its_containers_are_or_have_stopped() -> None:
    world = brought_to(a_task(a_container("app"), a_container("side", essential=False)), CreateContainer, "side")
    late = [c for c in world.calls if getattr(c, "container_name", "") == "side"]
    world.calls = [c for c in world.calls if c not in late]
    world.run_calls()
    assert statuses(world) == {"app": "RUNNING", "side": "PULLED"}
    assert world.task(ONE).known < TaskStatus.RUNNING
    world.calls = late
    fails(world, late[0], REFUSED)
    assert statuses(world) == {"app": "RUNNING", "side": "STOPPED"}
    assert world.task(ONE).known is TaskStatus.RUNNING, "STOPPED is more than RUNNING"


def test_5_the_first_error_sticks_as_container_reason() -> None:
    """Also if a later step succeeded: the RUNNING report still carries it. engine.md §3.2."""
    world = brought_to(a_task(), ResolveManifest)
    fails(world, the_call(world, ResolveManifest), NO_MANIFEST)
    world.run_calls()
    assert (statuses(world), the_container(world).error) == ({"app": "RUNNING"}, NO_MANIFEST)
    exits(world, code=1)
    assert the_container(world).error == NO_MANIFEST


@pytest.mark.parametrize(
    ("behavior", "stops"),
    [(PullBehavior.DEFAULT, False), (PullBehavior.ALWAYS, True), (PullBehavior.ONCE, True)],
)
def test_6_default_tolerates_pull_failures_and_always_and_once_do_not_even_for_non_essential_containers(
    behavior: PullBehavior, stops: bool
) -> None:
    world = a_world(pull_behavior=behavior)
    world.submit(a_task(a_container("app"), a_container("side", essential=False)))
    go_on_to(world, PullImage, "side")
    fails(world, the_call(world, PullImage, "side"), NO_IMAGE)
    world.run_calls()
    assert (world.task(ONE).known is TaskStatus.STOPPED) is stops


def test_7_start_timeout_is_read_from_the_dependency_not_from_the_dependent() -> None:
    healthy = (Dependency(container_name="db", condition=DependencyCondition.HEALTHY),)
    world = running(
        a_task(
            a_container("app", depends_on=healthy, start_timeout_s=5, essential=False),
            a_container("db", health_check_is_docker=True, start_timeout_s=60),
        )
    )
    world.advance(30)
    assert statuses(world)["app"] == "MANIFEST_PULLED"
    world.advance(40)
    assert statuses(world)["app"] == "STOPPED"


def test_8_containers_of_a_stopped_task_are_kept_for_three_hours() -> None:
    world = running(a_task())
    exits(world)
    world.advance(3 * 3600 - 1)
    assert not calls_of(world, RemoveContainer)
    assert len(world.boxes) == 1
    world.advance(1)
    assert the_call(world, RemoveContainer)
    assert world.now == AT + timedelta(hours=3)


def test_9_stop_order_follows_reversed_depends_on_and_links() -> None:
    started = (Dependency(container_name="db", condition=DependencyCondition.START),)
    world = running(
        a_task(a_container("db"), a_container("app", depends_on=started), a_container("proxy", links=("app:web",)))
    )
    world.stop(ONE)
    order = []
    while calls := calls_of(world, StopContainer):
        assert len(calls) == 1
        order.append(calls[0].container_name)
        world.finish(calls[0])
    assert order == ["proxy", "app", "db"]


@pytest.mark.parametrize("field", ["port", "memory"])
def test_11_a_conflict_with_another_task_does_not_fail_it_but_waits_and_blocks_all_later_tasks(field: str) -> None:
    greedy = (
        a_container(port_mappings=(PortMapping(container_port=80, host_port=8080),))
        if field == "port"
        else a_container(memory_mib=5000)
    )
    world = running(a_task(greedy, number=1))
    world.submit(a_task(greedy, number=2))
    world.submit(a_task(number=3))
    world.run_calls()
    assert (world.task(TWO).known, world.task(THREE).known) == (TaskStatus.NONE, TaskStatus.NONE)
    world.stop(ONE)
    world.run_calls()
    assert (world.task(TWO).known, world.task(THREE).known) == (TaskStatus.RUNNING, TaskStatus.RUNNING)


def test_12_a_missing_image_is_a_cannot_pull_image_manifest_error_and_the_task_reason_stays_empty() -> None:
    world = a_world()
    world.local_images = False
    world.submit(a_task())
    fails(world, the_call(world, ResolveManifest), NO_MANIFEST)
    fails(world, the_call(world, PullImage), NO_IMAGE)
    go_on_to(world, CreateContainer)
    fails(world, the_call(world, CreateContainer), REFUSED)
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert str(the_container(world).error).startswith("CannotPullImageManifestError: ")
    assert world.task(ONE).terminal_reason == ""
    assert told(world, history.TaskStatusChanged)[-1].endswith("→ STOPPED")

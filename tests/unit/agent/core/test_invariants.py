"""Each invariant holds of a whole state, and names its rule and place when it is broken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ecscope.agent.core.invariants import InvariantBroken, check_state, check_step
from ecscope.agent.core.state import AgentState
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError
from ecscope.model.resources import HostResources
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld
from ecscope.model.waiting import Waiting, WaitingReason
from tests.builders import AT, a_container
from tests.unit.agent.core.scenes import ONE, TWO, a_task, running
from tests.world import World

replace = msgspec.structs.replace


@pytest.fixture
def world() -> World:
    return running(a_task(a_container("app", cpu_units=5), a_container("side", essential=False)))


def with_task(state: AgentState, **fields: Any) -> AgentState:
    return replace(state, tasks={ONE: replace(state.tasks[ONE], **fields)})


def with_container(state: AgentState, name: str = "side", **fields: Any) -> AgentState:
    task = state.tasks[ONE]
    changed = tuple(replace(c, **fields) if c.name == name else c for c in task.containers)
    return with_task(state, containers=changed)


STATE_RULES: list[tuple[str, Any]] = [
    ("tasks are filed under their ARN", lambda s: replace(s, tasks={TWO: s.tasks[ONE]})),
    (
        "a task waits in the queue exactly when its host resources are waited for",
        lambda s: replace(s, waiting=(ONE,)),
    ),
    (
        "a task waits in the queue exactly when its host resources are waited for",
        lambda s: replace(with_task(s, host_resources=HostResourcesHeld.WAITING), taken=HostResources()),
    ),
    ("a stopped task holds no host resources", lambda s: with_task(s, known=TaskStatus.STOPPED, stopped_at=AT)),
    ("a task has a stop time exactly when it is STOPPED", lambda s: with_task(s, stopped_at=AT)),
    ("every Docker ID is in the index", lambda s: replace(s, docker_ids={})),
    ("containers of a task that is to stop are to stop", lambda s: with_task(s, desired=TaskStatus.STOPPED)),
    ("a created container has a Docker ID", lambda s: with_container(s, docker_id=DockerId(""))),
    ("a Docker ID comes after a Docker name", lambda s: with_container(s, docker_name="")),
    (
        "an essential container that has ended stops the task",
        lambda s: with_container(s, "app", known=ContainerStatus.STOPPED),
    ),
    ("taken host resources are the sum over live tasks", lambda s: replace(s, taken=HostResources(cpu_units=4))),
]


def test_a_whole_state_holds(world: World) -> None:
    check_state(world.state)
    check_step(world.state, world.state)


@pytest.mark.parametrize(("rule", "broken"), STATE_RULES)
def test_a_broken_state_is_named(world: World, rule: str, broken: Any) -> None:
    with pytest.raises(InvariantBroken, match=rule):
        check_state(broken(world.state))


ERROR = NamedError(name="CannotStartContainerError", message="no")

DOCKER_IS_AWAY = Waiting(reason=WaitingReason.DOCKER, since=AT)

STEP_RULES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a container's known status never goes back", {}, {"known": ContainerStatus.CREATED, "waiting": DOCKER_IS_AWAY}),
    ("a container's desired status never goes back", {"desired": ContainerStatus.STOPPED}, {}),
    ("a container that is not there yet says why", {}, {"desired": ContainerStatus.STOPPED}),
    ("a container that is not there yet says why", {}, {"waiting": DOCKER_IS_AWAY}),
    ("the first error is kept", {"error": ERROR}, {"error": None}),
    ("a Docker name never changes", {}, {"docker_name": "another"}),
]


@pytest.mark.parametrize(("rule", "before", "after"), STEP_RULES)
def test_a_container_that_goes_back_is_named(
    world: World, rule: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    earlier = with_container(world.state, **before)
    later = with_container(world.state, **after) if after else with_container(world.state)
    with pytest.raises(InvariantBroken, match=rule):
        check_step(earlier, later)


@pytest.mark.parametrize(
    ("rule", "before"),
    [
        ("a task's known status never goes back", {"known": TaskStatus.STOPPED}),
        ("a task's desired status never goes back", {"desired": TaskStatus.STOPPED}),
        ("containers never come or go", {"containers": ()}),
    ],
)
def test_a_task_that_goes_back_is_named(world: World, rule: str, before: dict[str, Any]) -> None:
    with pytest.raises(InvariantBroken, match=rule):
        check_step(with_task(world.state, **before), world.state)


def test_a_docker_id_that_changes_is_named(world: World) -> None:
    other = DockerId("f" * 64)
    later = with_container(world.state, docker_id=other)
    later = replace(later, docker_ids={**later.docker_ids, other: (ONE, "side")})
    with pytest.raises(InvariantBroken, match="a Docker ID never changes"):
        check_step(world.state, later)


def test_a_broken_rule_says_where(world: World) -> None:
    with pytest.raises(InvariantBroken, match=f"{ONE} side"):
        check_state(with_container(world.state, docker_name=""))

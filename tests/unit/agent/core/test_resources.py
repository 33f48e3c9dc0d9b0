"""One life for every kind of task resource: shown with kinds that nobody makes yet."""

from __future__ import annotations

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import CreateContainer, CreateResource, PullImage, RemoveResource
from ecscope.model import history
from ecscope.model.container import NamedError
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import ContainerReached, RemovedAt, ResourceKind, ResourceStatus, TaskResource
from tests.builders import a_container, a_resource
from tests.unit.agent.core import scenes
from tests.unit.agent.core.scenes import ONE, a_world, calls_of, statuses, the_call, told
from tests.world import World

MOON = ResourceKind("moon")
ERROR = NamedError(name="MoonError", message="new moon")


def a_moon(**fields: object) -> TaskResource:
    return a_resource("luna", kind=MOON, **fields)


def submitted(monkeypatch: pytest.MonkeyPatch, *resources: TaskResource, task: Task | None = None) -> World:
    """A task that is accepted with these resources."""
    monkeypatch.setattr("ecscope.agent.core.resources._RULES", (lambda settings, task: resources,))
    world = a_world(cleanup_wait_s=60.0)
    world.submit(task or scenes.a_task(a_container("app"), a_container("db")))
    return world


def others(world: World) -> None:
    """Everything ends that is not about resources."""
    while rest := [c for c in world.calls if not isinstance(c, CreateResource | RemoveResource)]:
        world.finish(rest[0])


def the_resource(world: World) -> TaskResource:
    return world.task(ONE).resources[0]


def test_all_containers_wait_for_it_unless_it_says_which_do(monkeypatch: pytest.MonkeyPatch) -> None:
    world = submitted(monkeypatch, a_moon(needed_by=("db",)))
    others(world)
    assert statuses(world) == {"app": "RUNNING", "db": "MANIFEST_PULLED"}
    world = submitted(monkeypatch, a_moon())
    others(world)
    assert statuses(world) == {"app": "MANIFEST_PULLED", "db": "MANIFEST_PULLED"}
    assert the_call(world, CreateResource) == CreateResource(task_arn=ONE, kind=MOON, name="luna")
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING
    assert told(world, history.TaskResourceCreated) == ["moon luna is ready"]


@pytest.mark.parametrize(
    ("step", "held_at"),
    [("MANIFEST_PULLED", "NONE"), ("PULLED", "MANIFEST_PULLED"), ("CREATED", "PULLED"), ("RUNNING", "CREATED")],
)
def test_they_wait_at_the_step_that_needs_it(monkeypatch: pytest.MonkeyPatch, step: str, held_at: str) -> None:
    """engine.md §5.3: secrets and environment files hold back CREATED, volumes PULLED."""
    world = submitted(monkeypatch, a_moon(needed_for=ContainerStatus[step]))
    others(world)
    assert set(statuses(world).values()) == {held_at}
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_it_may_wait_for_a_container_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network namespace does for the pause container."""
    after = ContainerReached(container_name="db", status=ContainerStatus.RUNNING)
    world = submitted(monkeypatch, a_moon(made_after=after, needed_by=("app",), needed_for=ContainerStatus.CREATED))
    assert not calls_of(world, CreateResource)
    others(world)
    assert statuses(world) == {"app": "PULLED", "db": "RUNNING"}
    assert the_call(world, CreateResource)
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_a_failure_stops_the_task_with_the_reason_of_the_kind_or_of_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for resource, reason in ((a_moon(), "New moon"), (a_moon(failure_reason="MoonError: none"), "MoonError: none")):
        world = submitted(monkeypatch, resource)
        world.calls.remove(the_call(world, CreateResource))
        world.send(ev.ResourceCreateFailed(**world.head(), task_arn=ONE, kind=MOON, name="luna", error=ERROR))
        world.run_calls()
        assert (world.task(ONE).known, world.task(ONE).terminal_reason) == (TaskStatus.STOPPED, reason)
        assert told(world, history.TaskResourceFailed) == ["New moon"]
        assert not world.boxes
        assert not calls_of(world, CreateResource), "it is not tried again"


@pytest.mark.parametrize(
    ("removed_at", "left_when_stopped", "left_at_the_end"),
    [(RemovedAt.STOPPED, False, False), (RemovedAt.CLEANUP, True, False), (RemovedAt.NEVER, True, True)],
)
def test_it_is_removed_when_it_says(
    monkeypatch: pytest.MonkeyPatch, removed_at: RemovedAt, left_when_stopped: bool, left_at_the_end: bool
) -> None:
    world = submitted(monkeypatch, a_moon(removed_at=removed_at))
    world.run_calls()
    world.stop(ONE)
    others(world)
    assert world.task(ONE).known is TaskStatus.STOPPED
    world.run_calls()
    assert bool(world.resources) is left_when_stopped
    world.advance(60)
    world.run_calls()
    assert bool(world.resources) is left_at_the_end
    assert not world.state.tasks


def test_what_goes_with_the_end_of_the_task_is_tried_again_when_docker_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = submitted(monkeypatch, a_moon(removed_at=RemovedAt.STOPPED))
    world.run_calls()
    world.stop(ONE)
    others(world)
    world.finish(the_call(world, RemoveResource), outcome="unreachable", effect=False)
    assert the_resource(world).status is ResourceStatus.CREATED
    world.run_calls()
    assert the_resource(world).status is ResourceStatus.REMOVED
    world.advance(60)
    world.run_calls()
    assert not world.state.tasks


def test_what_is_only_in_memory_is_made_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a secret that one container has got already, and the other needs yet."""
    world = submitted(monkeypatch, a_moon(needed_for=ContainerStatus.CREATED, is_lost_by_restart=True))
    world.finish(the_call(world, CreateResource))
    while calls_of(world, PullImage) or not calls_of(world, CreateContainer):
        world.finish(world.calls[0])
    world.restart_agent()
    world.finish(world.calls[0])  # the listing
    assert the_resource(world) == a_moon(needed_for=ContainerStatus.CREATED, is_lost_by_restart=True, in_flight=True)
    others(world)
    assert "CREATED" not in statuses(world).values()
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_late_answers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = submitted(monkeypatch, a_moon(removed_at=RemovedAt.STOPPED))
    world.run_calls()
    world.stop(ONE)
    world.run_calls()
    before = world.state
    for name in ("luna", "phobos"):
        place = {"task_arn": ONE, "kind": MOON, "name": name}
        for event in (
            ev.ResourceCreated(**world.head(), **place),
            ev.ResourceCreateFailed(**world.head(), **place, error=ERROR),
            ev.ResourceRemoved(**world.head(), **place),
        ):
            world.send(event)
            assert world.state is before
            assert told(world, history.NoChange)[-1].startswith(f"moon {name}")

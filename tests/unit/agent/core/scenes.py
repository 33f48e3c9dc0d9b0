"""Scenes that many tests of the core begin with, and the few questions they ask of the world."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core.state import Settings
from ecscope.model import history
from ecscope.model.container import Container, NamedError
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.task import Task
from tests import builders
from tests.builders import an_arn
from tests.world import World

ONE, TWO, THREE = an_arn(1), an_arn(2), an_arn(3)
"""ARNs of the tasks that ``a_task(number=…)`` builds."""

Call = TypeVar("Call", bound=act.Action)

REFUSED = NamedError(name="CannotCreateContainerError", message="Error response from daemon: no")
NO_MANIFEST = NamedError(name="CannotPullImageManifestError", message="Error response from daemon: no such manifest")
NO_IMAGE = NamedError(name="CannotPullContainerError", message="Error response from daemon: no such image")


def a_task(*containers: Container, number: int = 1, **fields: object) -> Task:
    """As the builder's, with names in Docker that are its own."""
    task = builders.a_task(*containers, number=number, **fields)
    own = (msgspec.structs.replace(c, name_suffix=f"{number:04x}{c.name_suffix[4:]}") for c in task.containers)
    return msgspec.structs.replace(task, containers=tuple(own))


def a_world(**settings: Any) -> World:
    """Docker is there, and listed empty."""
    world = World(settings=Settings(**settings))
    world.connect()
    world.run_calls()
    return world


def running(task: Task, **settings: object) -> World:
    """A world in which ``task`` has come as far as it goes while every call succeeds."""
    world = a_world(**settings)
    world.submit(task)
    world.run_calls()
    return world


def brought_to(task: Task, kind: type[act.Action], name: str = "", **settings: object) -> World:
    """A world in which all calls succeeded until one of this kind (for this container) was begun."""
    world = a_world(**settings)
    world.submit(task)
    go_on_to(world, kind, name)
    return world


def go_on_to(world: World, kind: type[act.Action], name: str = "") -> None:
    """Let calls succeed, oldest first, until one of this kind (for this container) is under way."""
    while not calls_of(world, kind, name):
        others = [c for c in world.calls if not isinstance(c, kind)]
        assert others, f"no {kind.__name__} ever came: {world.calls}"
        world.finish(others[0])


def calls_of(world: World, kind: type[Call], name: str = "") -> list[Call]:
    return [c for c in world.calls if isinstance(c, kind) and (not name or getattr(c, "container_name", "") == name)]


def the_call(world: World, kind: type[Call], name: str = "") -> Call:
    """The one call of this kind (for this container) that is under way."""
    found = calls_of(world, kind, name)
    assert len(found) == 1, f"{found} in {world.calls}"
    return found[0]


def the_container(world: World, name: str = "app", arn: str = ONE) -> Container:
    container = world.state.tasks[arn].container(name)  # type: ignore[index]  # an ARN is text
    assert container is not None
    return container


def statuses(world: World, arn: str = ONE) -> dict[str, str]:
    """Container name → known status."""
    return {c.name: c.known.value for c in world.state.tasks[arn].containers}  # type: ignore[index]


def told(world: World, happening: type[history.Happening]) -> list[str]:
    """The texts of all notes of one kind."""
    return [note.text for note in world.notes if type(note.what) is happening]


def fails(world: World, call: act.AnyAction, error: NamedError, **fields: object) -> None:
    """End a call with this error; it did nothing."""
    kinds: dict[type[act.Action], type[ev.FailureEvent]] = {
        act.ResolveManifest: ev.ManifestFailed,
        act.PullImage: ev.ImagePullFailed,
        act.CreateContainer: ev.ContainerCreateFailed,
        act.StartContainer: ev.ContainerStartFailed,
        act.StopContainer: ev.ContainerStopFailed,
    }
    assert isinstance(call, act.ContainerAction)
    world.calls.remove(call)
    place = {"task_arn": call.task_arn, "container_name": call.container_name}
    world.send(kinds[type(call)](**world.head(), **place, error=error, **fields))  # type: ignore[arg-type]


def notices(world: World, action: RuntimeAction, *, name: str = "app", exit_code: int | None = None) -> None:
    """Docker tells of a container without the world's having changed."""
    docker_id = the_container(world, name).docker_id
    notice = RuntimeNotice(docker_id=docker_id, action=action, time_ns=0, exit_code=exit_code)
    world.send(ev.RuntimeNoticed(**world.head(), notice=notice))


def exits(world: World, name: str = "app", code: int = 0, arn: str = ONE) -> None:
    """The program of a container ends, and all that follows of it is answered."""
    world.exits(world.box(arn, name), code)  # type: ignore[arg-type]
    world.run_calls()

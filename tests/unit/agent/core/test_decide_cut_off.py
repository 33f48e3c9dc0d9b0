"""Every plan cut off after each step by a kill of the agent, and started again, ends in the same place."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.agent.core.actions import ContainerAction, StopContainer
from ecscope.model.container import Container, Dependency, DependencyCondition, MountPoint, PortMapping, VolumeFrom
from ecscope.model.status import ContainerStatus, TaskStatus
from tests.builders import a_container, a_volume
from tests.unit.agent.core.scenes import ONE, TWO, a_task
from tests.world import Settings, World

WAIT_S = 600.0


def after(name: str, condition: DependencyCondition) -> tuple[Dependency, ...]:
    return (Dependency(container_name=name, condition=condition),)


MOUNT = (MountPoint(source_volume="data", container_path="/data"),)
WEB = (PortMapping(container_port=80, host_port=8080),)

SHAPES: dict[str, tuple[Container, ...]] = {
    "one container": (a_container(port_mappings=WEB),),
    "a volume": (a_container(mount_points=MOUNT), a_container("other")),
    "a setup that must succeed": (
        a_container(depends_on=after("setup", DependencyCondition.SUCCESS)),
        a_container("setup", essential=False),
    ),
    "links and volumes from another": (
        a_container("app", links=("db",), volumes_from=(VolumeFrom(source_container="files"),)),
        a_container("db", mount_points=MOUNT),
        a_container("files", essential=False),
    ),
}


class CuttingWorld(World):
    """Kills the agent once, after so many answers; calls under way then have had their effect, or not."""

    def __init__(self, *, cut_after: int, effect: bool) -> None:
        self.left = cut_after
        self.effect = effect
        self.answers = 0
        super().__init__(settings=Settings(cleanup_wait_s=WAIT_S))

    def finish(self, call: Any, *, outcome: str = "done", effect: bool = True) -> None:
        super().finish(call, outcome=outcome, effect=effect)
        self.answers += 1
        self.left -= 1
        if self.left == 0:
            if self.effect:
                for pending in list(self.calls):
                    self._happen(pending)
            self.restart_agent()


def setup_ends(world: World) -> None:
    """A ``setup`` container does its work and ends, as soon as it runs."""
    for box in list(world.boxes.values()):
        if box.container_name == "setup" and box.status is ContainerStatus.RUNNING:
            world.exits(box, 0)


def play(world: World, containers: tuple[Container, ...], until: str) -> None:
    """Run, stop and clean up a task: all that is asked for, in this order."""
    volumes = (a_volume(docker_name="ecs-data"),)
    world.submit(a_task(*containers, volumes=volumes))
    world.submit(a_task(a_container(port_mappings=WEB), number=2))
    for _ in range(3):
        world.run_calls()
        setup_ends(world)
    if until == "running":
        return
    world.stop(ONE)
    world.run_calls()
    if until == "stopped":
        return
    world.now = world.now.replace(hour=(world.now.hour + 1) % 24)
    world.advance(WAIT_S)
    world.run_calls()


def place(world: World) -> object:
    """Where the world and the agent have come to, without what a restart may change."""
    tasks = {
        task.arn: (
            task.known,
            task.desired,
            task.terminal_reason,
            task.host_resources,
            task.stop_requested_by,
            tuple(
                (c.name, c.known, c.desired, c.exit_code, c.error, c.docker_id, c.docker_name, c.in_flight, c.removed)
                for c in sorted(task.containers, key=lambda c: c.name)
            ),
            tuple((r.name, r.status, r.in_flight) for r in task.resources),
        )
        for task in world.state.tasks.values()
    }
    docker = {box.name: (box.status, box.exit_code, box.starts, box.ends) for box in world.boxes.values()}
    ids = {docker_id: world.boxes[name].docker_id for name, docker_id in _ids(world).items() if name in world.boxes}
    return (
        _without_ids(tasks, ids),
        docker,
        sorted(world.volumes),
        world.state.taken,
        world.state.waiting,
        world.created,
    )


def _ids(world: World) -> dict[str, str]:
    return {c.docker_name: c.docker_id for task in world.state.tasks.values() for c in task.containers if c.docker_id}


def _without_ids(tasks: Any, ids: dict[str, str]) -> Any:
    """Docker IDs are given in the order of creation, which a restart may change; they only have to be right."""
    assert all(known == real for known, real in ids.items())
    return {
        arn: (*rest, tuple((*c[:5], *c[6:]) for c in containers), volumes)
        for arn, (*rest, containers, volumes) in tasks.items()
    }


def uncut(containers: tuple[Container, ...], until: str) -> tuple[object, int]:
    world = CuttingWorld(cut_after=-1, effect=False)
    play(world, containers, until)
    return place(world), world.answers


@pytest.mark.parametrize("effect", [True, False], ids=["calls had their effect", "calls had none"])
@pytest.mark.parametrize(("until", "before"), [("running", ""), ("stopped", "running"), ("cleaned up", "stopped")])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_plan_cut_off_after_each_step_ends_where_it_would_have_ended(
    shape: str, until: str, before: str, effect: bool
) -> None:
    """Cut off in the last part of a plan; an earlier cut leads to the same place in the part in which it comes."""
    expected, answers = uncut(SHAPES[shape], until)
    answers_before = uncut(SHAPES[shape], before)[1] if before else 0
    assert answers > answers_before
    for cut_after in range(answers_before + 1, answers + 1):
        world = CuttingWorld(cut_after=cut_after, effect=effect)
        play(world, SHAPES[shape], until)
        assert world.left <= 0, "it was cut off"
        assert place(world) == expected, f"cut off after answer {cut_after} of {answers}"


def test_the_plans_go_where_they_are_meant_to_go() -> None:
    """Or the test above would compare nothing with nothing."""
    for shape, containers in SHAPES.items():
        world = World(settings=Settings(cleanup_wait_s=WAIT_S))
        play(world, containers, "running")
        assert world.task(ONE).known is TaskStatus.RUNNING, shape
        assert (world.task(TWO).known is TaskStatus.NONE) is (shape == "one container"), "they want the same port"
        world = World(settings=Settings(cleanup_wait_s=WAIT_S))
        play(world, containers, "stopped")
        assert world.task(ONE).known is TaskStatus.STOPPED
        assert world.task(TWO).known is TaskStatus.RUNNING
        world = World(settings=Settings(cleanup_wait_s=WAIT_S))
        play(world, containers, "cleaned up")
        assert list(world.state.tasks) == [TWO]
        assert [box.task_arn for box in world.boxes.values()] == [TWO]
        assert world.volumes == set() or world.task(TWO).volumes == ()


@pytest.mark.parametrize("twice", range(1, 6))
def test_an_agent_killed_again_and_again_still_arrives(twice: int) -> None:
    expected, _ = uncut(SHAPES["links and volumes from another"], "stopped")
    world = CuttingWorld(cut_after=twice, effect=True)
    finish = CuttingWorld.finish

    def again(call: Any, **how: Any) -> None:
        finish(world, call, **how)
        if world.left == 0 and world.answers < 60:
            world.left = twice + isinstance(call, ContainerAction) + isinstance(call, StopContainer)

    world.finish = again  # type: ignore[method-assign]
    play(world, SHAPES["links and volumes from another"], "stopped")
    assert place(world) == expected

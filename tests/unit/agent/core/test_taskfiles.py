"""What task files start and stop: a task runs once for each version of its file, whenever the change was made."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.core.events import TaskFile, TaskFilesScanned
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.model import history
from ecscope.model.container import PortMapping
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task, TaskSource, VolumeKind
from tests.builders import AT, a_container, a_source, a_task, a_volume, an_arn
from tests.unit.agent.core.scenes import ONE, TWO, a_world, told
from tests.world import INSTANCE, World

KEY = "/tasks/web.json"
OTHER = "/tasks/other.json"


def a_file(content: str = "x", *, number: int = 2, revision: int | None = None, **fields: Any) -> TaskFile:
    """A file of that content, whose task, if any is started, is the one of that number."""
    return TaskFile(task=a_task(number=number, **fields), digest=content, revision=revision)


def recorded(content: str = "x", *, key: str = KEY, version: str = "1", number: int = 1) -> TaskSource:
    return a_source(key, digest=content, version=version, task_arn=an_arn(number))


def knowing(*sources: TaskSource, tasks: Iterable[Task] = (), lost: Iterable[str] = ()) -> World:
    """An agent that has just started with these records."""
    world = World()
    world.state = restored_state(
        instance=INSTANCE, settings=Settings(), tasks=tasks, sources=sources, lost_task_arns=lost
    )
    world.disconnect()  # so that what waits for Docker says so, and only changes what the test is about
    return world


def scan(world: World, files: dict[str, TaskFile] | None = None, **fields: Any) -> None:
    world.send(TaskFilesScanned(**world.head(), files=files or {}, **fields))


def a_stopped_task(number: int = 1) -> Task:
    return a_task(
        number=number,
        known=TaskStatus.STOPPED,
        desired=TaskStatus.STOPPED,
        stopped_at=AT,
        host_resources=HostResourcesHeld.RELEASED,
        containers=(),
    )


def test_a_new_file_starts_a_task_and_is_recorded_with_it() -> None:
    world = a_world()
    scan(world, {KEY: a_file(number=1)})
    source = TaskSource(key=KEY, digest="x", version="1", task_arn=ONE)
    assert world.state.sources == {KEY: source}
    assert (world.task(ONE).version, world.task(ONE).source) == ("1", source)
    assert told(world, history.TaskAccepted) == ["sample:1 from task file /tasks/web.json"]
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_a_file_is_recorded_even_when_its_task_is_refused() -> None:
    """A refused file is not refused again at each start."""
    world = a_world()
    refused = a_task(a_container(memory_mib=2), memory_mib=1)
    for _ in range(2):
        scan(world, {KEY: TaskFile(task=refused, digest="x")})
    assert world.state.sources[KEY].digest == "x"
    assert world.state.tasks == {}
    assert len(told(world, history.TaskRefused)) == 1


@pytest.mark.parametrize("tasks", [(a_task(),), (a_stopped_task(),), ()], ids=["waiting", "stopped", "cleaned up"])
def test_the_recorded_definition_never_runs_again(tasks: tuple[Task, ...]) -> None:
    world = knowing(recorded(), tasks=tasks)
    before = world.state
    scan(world, {KEY: a_file()})
    assert world.state is before


def test_a_changed_definition_stops_the_old_task_first_and_starts_a_new_one() -> None:
    world = knowing(recorded("old"), tasks=(a_task(),))
    scan(world, {KEY: a_file("new")})
    assert world.task(ONE).stop_requested_by == "task file /tasks/web.json"
    assert world.task(ONE).desired is TaskStatus.STOPPED
    assert (world.task(TWO).version, world.task(TWO).desired) == ("2", TaskStatus.RUNNING)
    assert world.state.sources[KEY] == TaskSource(key=KEY, digest="new", version="2", task_arn=TWO)


@pytest.mark.parametrize(
    "tasks",
    [(a_task(a_container(desired=ContainerStatus.STOPPED), desired=TaskStatus.STOPPED),), (a_stopped_task(),), ()],
    ids=["stopping", "stopped", "cleaned up"],
)
def test_an_old_task_that_ends_anyway_is_not_stopped_again(tasks: tuple[Task, ...]) -> None:
    world = knowing(recorded("old"), tasks=tasks)
    scan(world, {KEY: a_file("new")})
    assert not told(world, history.TaskStopRequested)
    assert not told(world, history.NoChange)
    assert TWO in world.state.tasks


@pytest.mark.parametrize(
    ("written", "last", "version"), [(None, "1", "2"), (None, "41", "42"), (7, "1", "7"), (7, "9", "7")]
)
def test_the_revision_is_as_written_or_one_more_than_the_last(written: int | None, last: str, version: str) -> None:
    world = knowing(recorded("old", version=last))
    volumes = (
        a_volume("data", docker_name="ecs-sample-1-data-" + "0" * 20),
        a_volume("shared", kind=VolumeKind.SHARED, docker_name="shared"),
    )
    scan(world, {KEY: a_file("new", revision=written, volumes=volumes)})
    task = world.task(TWO)
    assert (task.version, world.state.sources[KEY].version) == (version, version)
    assert [v.docker_name for v in task.volumes] == [f"ecs-sample-{version}-data-{'0' * 20}", "shared"]


def test_a_new_file_has_the_revision_that_it_states() -> None:
    world = a_world()
    scan(world, {KEY: a_file(number=1, revision=6)})
    assert world.task(ONE).version == "6"


def test_a_file_that_is_gone_is_forgotten_together_with_its_task() -> None:
    world = a_world()
    scan(world, {KEY: a_file(number=1)})
    world.run_calls()
    scan(world)
    assert world.state.sources == {}
    assert world.task(ONE).stop_requested_by == "removal of task file /tasks/web.json"
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED


def test_a_file_may_be_gone_after_its_task() -> None:
    world = knowing(recorded(number=7), tasks=(a_task(),))
    scan(world)
    assert world.state.sources == {}
    assert world.task(ONE).desired is TaskStatus.RUNNING


def test_files_gone_come_before_files_started_so_that_their_ports_come_free() -> None:
    mapping = (PortMapping(container_port=80, host_port=8080),)
    world = a_world()
    scan(world, {KEY: TaskFile(task=a_task(a_container(port_mappings=mapping)), digest="x")})
    new = a_task(a_container(port_mappings=mapping), number=2)
    scan(world, {OTHER: TaskFile(task=new, digest="x")})
    notes = [note.what for note in world.notes if note.task_arn]
    stops = [i for i, what in enumerate(notes) if isinstance(what, history.TaskStopRequested)]
    starts = [i for i, what in enumerate(notes) if isinstance(what, history.TaskAccepted)]
    assert stops[0] < starts[1]
    world.run_calls()
    assert world.task(TWO).known is TaskStatus.RUNNING


@pytest.mark.parametrize(
    "fields",
    [{"left_alone": frozenset({KEY})}, {"is_complete": False}],
    ids=["wrong or half written", "folder unreadable"],
)
def test_what_is_not_known_for_sure_changes_nothing(fields: dict[str, Any]) -> None:
    world = knowing(recorded(), tasks=(a_task(),))
    before = world.state
    scan(world, **fields)
    assert world.state is before


def test_a_task_whose_record_was_lost_is_started_again_in_the_same_version() -> None:
    world = knowing(recorded(version="3"), lost=(ONE,))
    scan(world, {KEY: a_file()})
    assert list(world.state.tasks) == [TWO]
    assert world.task(TWO).version == "3"
    before = world.state
    scan(world, {KEY: a_file(number=3)})
    assert world.state is before, "the task that replaces it is not lost"


def test_a_task_that_is_there_is_not_lost() -> None:
    world = knowing(recorded(), tasks=(a_task(),), lost=(ONE,))
    before = world.state
    scan(world, {KEY: a_file()})
    assert world.state is before


def test_two_files_with_the_same_family_and_revision_are_two_tasks() -> None:
    world = a_world()
    scan(world, {KEY: a_file(number=1, revision=6), OTHER: a_file(number=2, revision=6)})
    assert {arn: task.version for arn, task in world.state.tasks.items()} == {ONE: "6", TWO: "6"}


CONTENTS = st.dictionaries(st.sampled_from([KEY, OTHER]), st.sampled_from(["x", "y", "z"]))


@given(CONTENTS, CONTENTS, st.booleans())
def test_a_scan_leaves_nothing_to_do_for_the_next(
    before: dict[str, str], after: dict[str, str], away_meanwhile: bool
) -> None:
    """Whether each change is seen or only the last one, after a restart: the end is the same."""
    world, numbers = World(), count(1)
    contents = [before, after] if not away_meanwhile else [after]
    for files in contents:
        scan(world, {key: a_file(word, number=next(numbers)) for key, word in files.items()})
    settled = world.state
    scan(world, {key: a_file(word, number=next(numbers)) for key, word in after.items()})
    assert world.state is settled
    assert {key: source.digest for key, source in settled.sources.items()} == after
    running = {arn for arn, task in settled.tasks.items() if task.desired is TaskStatus.RUNNING}
    assert running == {source.task_arn for source in settled.sources.values()}
    assert msgspec.json.encode(list(settled.sources.values()))

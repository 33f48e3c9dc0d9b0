"""What a scan asks of the agent: a task runs once for each version of its file, whenever the change was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.core.events import TaskReceived, TaskSourceGone, TaskStopRequested
from ecscope.agent.taskfiles.plan import TaskFileEvent, plan
from ecscope.agent.taskfiles.scanner import BadFile, Scan
from ecscope.model.arn import TaskArn
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task, TaskSource
from ecscope.taskdefinition.read import TaskDefinition, read_task_definition
from tests.builders import AT, a_source, a_task, an_arn

KEY = "/tasks/web.json"


def a_file(command: str = "serve", **members: object) -> TaskDefinition:
    text = {"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox", "command": [command]}]}
    return read_task_definition(json.dumps({**text, **members}).encode())


def planned(
    scan: Scan,
    *,
    sources: Mapping[str, TaskSource] | None = None,
    tasks: tuple[Task, ...] = (),
    lost: tuple[str, ...] = (),
) -> tuple[TaskFileEvent, ...]:
    numbers = count(100)
    return plan(
        scan,
        sources=sources or {},
        tasks={task.arn: task for task in tasks},
        lost_task_arns=frozenset(lost),
        at=AT,
        event_ids=lambda: f"e{next(numbers)}",
        task_arns=lambda: an_arn(next(numbers)),
        suffixes=lambda: f"{next(numbers):020x}",
    )


def recorded(definition: TaskDefinition, *, version: str = "1", number: int = 1) -> dict[str, TaskSource]:
    return {KEY: a_source(KEY, digest=definition.digest, version=version, task_arn=an_arn(number))}


def the_start(events: tuple[TaskFileEvent, ...]) -> TaskReceived:
    (event,) = (event for event in events if isinstance(event, TaskReceived))
    return event


def test_a_new_file_starts_a_task_and_is_recorded_with_it() -> None:
    definition = a_file()
    events = planned(Scan(definitions={KEY: definition}))
    assert len(events) == 1
    start = the_start(events)
    assert (start.task.family, start.task.version, start.task.received_at) == ("web", "1", AT)
    assert start.requested_by == "task file /tasks/web.json"
    assert start.source == TaskSource(key=KEY, digest=definition.digest, version="1", task_arn=start.task.arn)
    assert start.at == AT


@pytest.mark.parametrize(
    "tasks",
    [
        (a_task(),),
        (a_task(known=TaskStatus.RUNNING),),
        (a_task(known=TaskStatus.STOPPED, desired=TaskStatus.STOPPED),),
        (),
    ],
    ids=["waiting", "running", "stopped", "cleaned up"],
)
def test_the_recorded_definition_never_runs_again(tasks: tuple[Task, ...]) -> None:
    definition = a_file()
    assert planned(Scan(definitions={KEY: definition}), sources=recorded(definition), tasks=tasks) == ()


def test_a_changed_definition_stops_the_old_task_first_and_starts_a_new_one() -> None:
    events = planned(Scan(definitions={KEY: a_file("new")}), sources=recorded(a_file("old")), tasks=(a_task(),))
    stop, start = events
    assert isinstance(stop, TaskStopRequested)
    assert (stop.task_arn, stop.requested_by) == (an_arn(1), "task file /tasks/web.json")
    assert isinstance(start, TaskReceived)
    assert start.task.arn != an_arn(1)
    assert start.task.version == "2"
    assert start.source is not None
    assert start.source.version == "2"


@pytest.mark.parametrize(
    "tasks",
    [(a_task(desired=TaskStatus.STOPPED),), (a_task(known=TaskStatus.STOPPED),), ()],
    ids=["stopping", "stopped", "cleaned up"],
)
def test_an_old_task_that_ends_anyway_is_not_stopped_again(tasks: tuple[Task, ...]) -> None:
    events = planned(Scan(definitions={KEY: a_file("new")}), sources=recorded(a_file("old")), tasks=tasks)
    assert [type(event) for event in events] == [TaskReceived]


@pytest.mark.parametrize(
    ("written", "last", "version"), [(None, "1", "2"), (None, "41", "42"), (7, "1", "7"), (7, "9", "7")]
)
def test_the_revision_is_as_written_or_one_more_than_the_last(written: int | None, last: str, version: str) -> None:
    definition = a_file() if written is None else a_file(revision=written)
    events = planned(Scan(definitions={KEY: definition}), sources=recorded(a_file("old"), version=last))
    assert the_start(events).task.version == version


def test_a_new_file_has_the_revision_that_it_states() -> None:
    assert the_start(planned(Scan(definitions={KEY: a_file(revision=6)}))).task.version == "6"


def test_a_file_that_is_gone_is_forgotten_together_with_its_task() -> None:
    events = planned(Scan(), sources=recorded(a_file()), tasks=(a_task(),))
    assert [(type(event), getattr(event, "key", "")) for event in events] == [(TaskSourceGone, KEY)]


def test_files_gone_come_before_files_started_so_that_their_ports_come_free() -> None:
    scan = Scan(definitions={"/tasks/a.json": a_file()})
    events = planned(scan, sources=recorded(a_file()), tasks=(a_task(),))
    assert [type(event) for event in events] == [TaskSourceGone, TaskReceived]


@pytest.mark.parametrize(
    "scan",
    [
        Scan(bad={KEY: BadFile(path=KEY, mistakes=())}),
        Scan(unsettled=frozenset({KEY})),
        Scan(is_complete=False, problem="cannot be read"),
    ],
    ids=["wrong", "half written", "folder unreadable"],
)
def test_what_is_not_known_for_sure_changes_nothing(scan: Scan) -> None:
    assert planned(scan, sources=recorded(a_file()), tasks=(a_task(),)) == ()


def test_a_task_whose_record_was_lost_is_started_again_in_the_same_version() -> None:
    definition = a_file()
    events = planned(Scan(definitions={KEY: definition}), sources=recorded(definition, version="3"), lost=(an_arn(1),))
    assert len(events) == 1
    assert the_start(events).task.version == "3"
    assert the_start(events).task.arn != an_arn(1)


def test_a_task_that_is_there_is_not_lost() -> None:
    definition = a_file()
    scan = Scan(definitions={KEY: definition})
    assert planned(scan, sources=recorded(definition), tasks=(a_task(),), lost=(an_arn(1),)) == ()


def test_two_files_with_the_same_family_and_revision_are_two_tasks() -> None:
    definition = a_file(revision=6)
    events = planned(Scan(definitions={"/tasks/a.json": definition, "/tasks/b.json": definition}))
    assert len({event.task.arn for event in events if isinstance(event, TaskReceived)}) == 2
    assert len({event.id for event in events}) == 2


CONTENTS = st.dictionaries(st.sampled_from(["/t/a.json", "/t/b.json"]), st.sampled_from(["x", "y", "z"]))


@given(CONTENTS, CONTENTS, st.booleans())
def test_once_carried_out_a_plan_leaves_nothing_to_do(
    before: dict[str, str], after: dict[str, str], away_meanwhile: bool
) -> None:
    """Whether each change is seen or only the last one, after a restart: the end is the same."""
    sources: dict[str, TaskSource] = {}
    tasks: dict[TaskArn, Task] = {}
    events: tuple[TaskFileEvent, ...] = ()
    arns = (an_arn(number) for number in count(1))
    for contents in [before, after, after] if not away_meanwhile else [after, after]:
        events = plan(
            Scan(definitions={key: a_file(word) for key, word in contents.items()}),
            sources=sources,
            tasks=tasks,
            lost_task_arns=(),
            at=AT,
            event_ids=lambda: "e",
            task_arns=lambda: next(arns),
            suffixes=lambda: "0" * 20,
        )
        for event in events:
            match event:
                case TaskReceived(task=task, source=source):
                    assert source is not None
                    tasks[task.arn] = task
                    sources[source.key] = source
                case TaskStopRequested(task_arn=task_arn):
                    tasks.pop(task_arn)
                case TaskSourceGone(key=key):
                    tasks.pop(sources.pop(key).task_arn)
    assert events == ()
    assert {key: source.digest for key, source in sources.items()} == {
        key: a_file(word).digest for key, word in after.items()
    }
    assert {source.task_arn for source in sources.values()} == set(tasks)

"""A payload is taken in, saved, and only then acknowledged; what is unreadable in it is told to ECS."""

from __future__ import annotations

import pytest

from ecscope.agent.core.actions import AcknowledgeCredentials, AcknowledgeMessage
from ecscope.agent.core.events import UnreadableTask
from ecscope.agent.core.state import Settings
from ecscope.model.status import TaskStatus
from tests.builders import a_container, a_task, an_arn, some_credentials
from tests.world import MESSAGE, World


@pytest.fixture
def world() -> World:
    made = World(settings=Settings(joins_cluster=True))
    made.connect()
    made.register()
    return made


def test_a_payload_is_acknowledged_with_what_it_said_of_itself(world: World) -> None:
    world.payload(a_task())
    assert world.acs == [AcknowledgeMessage(message_id="m1", **MESSAGE)]
    assert an_arn(1) in world.state.tasks


def test_a_payload_that_comes_again_is_acknowledged_again_and_starts_nothing(world: World) -> None:
    world.payload(a_task())
    tasks = world.state.tasks
    world.payload(a_task(a_container("other")))
    assert world.state.tasks is tasks
    assert len(world.acs) == 2


def test_a_stop_moves_the_desired_status_and_nothing_moves_it_back(world: World) -> None:
    world.payload(a_task())
    world.payload(a_task(desired=TaskStatus.STOPPED), message_id="m2")
    world.payload(a_task(), message_id="m3")
    assert world.task(an_arn(1)).desired is TaskStatus.STOPPED
    assert world.task(an_arn(1)).stop_requested_by == "ACS payload m2"


def test_stops_come_before_starts_whatever_their_order(world: World) -> None:
    big = a_container("app", memory_mib=8000)
    world.payload(a_task(big))
    world.run_calls()
    world.payload(a_task(big, number=2), a_task(desired=TaskStatus.STOPPED), message_id="m2")
    stopped = next(n for n in world.notes if n.task_arn == an_arn(1) and "stop requested" in n.text)
    accepted = next(n for n in world.notes if n.task_arn == an_arn(2))
    assert world.notes.index(stopped) < world.notes.index(accepted)


def test_an_unknown_task_that_is_to_stop_is_told_stopped(world: World) -> None:
    world.payload(a_task(desired=TaskStatus.STOPPED))
    world.run_calls()
    world.accept_all()
    assert world.statuses_told(an_arn(1)) == ["STOPPED"]
    assert world.created == 0


def test_an_unreadable_task_is_told_stopped_and_the_payload_is_not_acknowledged(world: World) -> None:
    world.payload(a_task(), unreadable=(UnreadableTask(task_arn=an_arn(2), error="no volume"),))
    assert not world.acs
    assert an_arn(1) in world.state.tasks
    world.run_calls()
    world.accept_all()
    told = [s.change for s in world.told if s.task_arn == an_arn(2)]
    assert [(c.status.value, c.reason) for c in told] == [
        ("STOPPED", "UnrecogniedTaskError: Error loading task - no volume")
    ]
    assert an_arn(2) not in world.state.tasks, "once ECS knows, nothing of it is kept"


def test_what_was_refused_is_told_after_a_crash_too(world: World) -> None:
    world.payload(unreadable=(UnreadableTask(task_arn=an_arn(2), error="x"),))
    world.restart_agent()
    world.accept_all()
    assert world.statuses_told(an_arn(2)) == ["STOPPED"]


def test_an_unreadable_task_without_an_arn_can_only_be_noted(world: World) -> None:
    world.payload(unreadable=(UnreadableTask(task_arn=an_arn(0)[:0], error="x"),))
    assert not world.state.tasks
    assert not world.acs


def test_a_task_that_cannot_be_had_is_refused_and_acknowledged(world: World) -> None:
    world.payload(a_task(a_container("app", memory_mib=200), memory_mib=100))
    assert len(world.acs) == 1
    world.accept_all()
    reason = world.told[0].change.reason
    assert reason.startswith("ResourceInitializationError: resource cannot be initialized for task ")


def test_a_task_that_asks_for_what_we_lack_stops_with_its_name(world: World) -> None:
    world.payload(a_task(unsupported="network mode awsvpc"))
    world.run_calls()
    world.accept_all()
    task = world.task(an_arn(1))
    assert task.known is TaskStatus.STOPPED
    assert world.told[0].change.reason == "Ecscope cannot run this task: network mode awsvpc"
    assert not task.is_refused, "it is listed, with its reason"


def test_the_sequence_number_only_rises_and_outlives_a_restart(world: World) -> None:
    world.payload(a_task(), sequence_number=5)
    world.payload(a_task(), sequence_number=4, message_id="m2")
    world.payload(a_task(), sequence_number=None, message_id="m3")
    world.restart_agent()
    assert world.state.manifest_sequence == 5


def test_credentials_in_a_payload_are_kept_and_acknowledged_one_by_one(world: World) -> None:
    given = some_credentials()
    world.payload(a_task(credentials_id=given.credentials_id), credentials=(given,))
    assert world.state.credentials == {given.credentials_id: given}
    assert world.acs[1:] == [
        AcknowledgeCredentials(message_id="m1", credentials_id=given.credentials_id, expiration="2030-01-01T00:00:00Z")
    ]
    assert all(given.secret_access_key not in repr(note) for note in world.notes)


def test_an_agent_without_a_cluster_takes_no_payload() -> None:
    world = World()
    world.connect()
    world.payload(a_task())
    assert not world.state.tasks
    assert not world.acs

"""A manifest counts when it is newer; what it does not list is stopped once ECS confirms it."""

from __future__ import annotations

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import AcknowledgeMessage, VerifyStop
from ecscope.agent.core.state import MANIFEST_SEQUENCE_KEY, Settings
from ecscope.agent.core.step import Decision
from ecscope.model.status import TaskStatus
from tests.builders import a_task, an_arn
from tests.world import MESSAGE, World


@pytest.fixture
def world() -> World:
    made = World(settings=Settings(joins_cluster=True))
    made.connect()
    made.register()
    made.payload(a_task(), a_task(number=2))
    made.acs.clear()
    return made


def manifest(world: World, timeline: int, *running: str, message_id: str = "f1") -> Decision:
    return world.send(
        ev.ManifestReceived(
            **world.head(), **MESSAGE, message_id=message_id, timeline=timeline, running=frozenset(running)
        )
    )


def verified(world: World, *arns: str, message_id: str = "f1") -> None:
    world.send(ev.StopVerified(**world.head(), message_id=message_id, task_arns=arns))


def test_a_manifest_that_lists_all_is_acknowledged(world: World) -> None:
    decision = manifest(world, 5, an_arn(1), an_arn(2))
    assert world.acs == [AcknowledgeMessage(message_id="f1", **MESSAGE)]
    assert decision.metadata == {MANIFEST_SEQUENCE_KEY: "5"}


def test_what_is_not_listed_is_asked_about_and_stopped_when_confirmed(world: World) -> None:
    manifest(world, 5, an_arn(1))
    assert VerifyStop(message_id="f1", cluster_arn=MESSAGE["cluster_arn"], task_arns=(an_arn(2),)) in world.acs
    assert world.task(an_arn(2)).desired is TaskStatus.RUNNING, "not before ECS confirms"
    verified(world, an_arn(2))
    assert world.task(an_arn(2)).desired is TaskStatus.STOPPED
    assert world.task(an_arn(1)).desired is TaskStatus.RUNNING


@pytest.mark.parametrize("timeline", [4, 5])
def test_an_older_manifest_is_ignored(world: World, timeline: int) -> None:
    manifest(world, 5, an_arn(1), an_arn(2))
    world.acs.clear()
    manifest(world, timeline, message_id="f2")
    assert not world.acs


def test_a_sequence_ahead_of_the_servers_is_kept_over_a_restart(world: World) -> None:
    manifest(world, 100, an_arn(1), an_arn(2))
    world.restart_agent()
    world.acs.clear()
    manifest(world, 1, message_id="f2")
    assert not world.acs
    assert world.state.manifest_sequence == 100


def test_a_confirmation_counts_once_and_only_for_the_newest_question(world: World) -> None:
    manifest(world, 5, message_id="f1")
    manifest(world, 6, message_id="f2")
    verified(world, an_arn(1), message_id="f1")
    assert world.task(an_arn(1)).desired is TaskStatus.RUNNING
    verified(world, an_arn(1), an_arn(7), message_id="f2")
    assert world.task(an_arn(1)).desired is TaskStatus.STOPPED
    verified(world, an_arn(2), message_id="f2")
    assert world.task(an_arn(2)).desired is TaskStatus.RUNNING


def test_a_confirmation_without_a_question_is_ignored(world: World) -> None:
    verified(world, an_arn(1), message_id="")
    assert world.task(an_arn(1)).desired is TaskStatus.RUNNING


def test_a_task_that_is_stopping_is_not_asked_about(world: World) -> None:
    world.stop(an_arn(2))
    world.acs.clear()
    manifest(world, 5, an_arn(1))
    assert not [a for a in world.acs if isinstance(a, VerifyStop)]

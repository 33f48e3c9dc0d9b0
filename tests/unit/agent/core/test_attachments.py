"""A network interface is awaited until it comes or expires, and ECS is told of it once, over restarts too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import AcknowledgeMessage, AwaitInterface, SubmitAttachmentStateChange
from ecscope.agent.core.attachments import restored
from ecscope.agent.core.state import ATTACHMENTS_KEY, Settings
from ecscope.model import history
from ecscope.model.attachment import Attachment
from tests.builders import AT, a_failure, an_arn, an_attachment
from tests.unit.agent.core.scenes import told
from tests.world import MESSAGE, World

ONE = an_attachment()
AWAIT_ONE = AwaitInterface(attachment_arn=ONE.arn, mac_address=ONE.mac_address, limit_s=300.0)
TELL_ONE = SubmitAttachmentStateChange(attachment_arn=ONE.arn, task_arn="", limit_s=300.0)


@pytest.fixture
def world() -> World:
    made = World(settings=Settings(joins_cluster=True))
    made.connect()
    made.register()
    return made


def comes(world: World, *attachments: Attachment, message_id: str = "m1") -> None:
    world.send(ev.AttachmentsReceived(**world.head(), **MESSAGE, message_id=message_id, attachments=attachments))


def answered(world: World, kind: type[ev.Event], **fields: object) -> None:
    """The action that is under way ends."""
    action = world.attachments.pop(0)
    world.send(kind(**world.head(), attachment_arn=action.attachment_arn, **fields))  # type: ignore[arg-type]


def test_it_is_saved_awaited_and_acknowledged(world: World) -> None:
    comes(world, ONE)
    assert world.attachments == [AWAIT_ONE]
    assert world.acs == [AcknowledgeMessage(message_id="m1", **MESSAGE)]
    assert restored(world.metadata[ATTACHMENTS_KEY]) == {ONE.arn: ONE}


def test_the_message_again_is_acknowledged_again_and_awaits_nothing_twice(world: World) -> None:
    comes(world, ONE)
    comes(world, ONE, an_attachment(2), message_id="m2")
    assert [action.attachment_arn for action in world.attachments] == [ONE.arn, an_attachment(2).arn]
    assert [ack.message_id for ack in world.acs] == ["m1", "m2"]  # type: ignore[union-attr]


def test_what_is_there_is_told_and_what_was_told_is_forgotten(world: World) -> None:
    comes(world, ONE)
    answered(world, ev.InterfaceAppeared)
    assert world.attachments == [TELL_ONE]
    answered(world, ev.AttachmentAccepted)
    assert not world.attachments
    assert not world.state.attachments
    assert world.metadata[ATTACHMENTS_KEY] == ""
    assert told(world, history.AttachmentEnded) == [f"{ONE.arn}: reported to ECS as attached"]


def test_that_of_a_task_is_told_as_such(world: World) -> None:
    comes(world, an_attachment(task_arn=an_arn(1)))
    answered(world, ev.InterfaceAppeared)
    (action,) = world.attachments
    assert isinstance(action, SubmitAttachmentStateChange)
    assert action.task_arn == an_arn(1)


def test_what_ecs_refuses_is_forgotten(world: World) -> None:
    comes(world, ONE)
    answered(world, ev.InterfaceAppeared)
    answered(world, ev.AttachmentRefused, failure=a_failure())
    assert not world.state.attachments
    assert "ECS refuses the report" in told(world, history.AttachmentEnded)[0]


@pytest.mark.parametrize(("is_here", "words"), [(False, "it did not come"), (True, "cannot be reported to ECS")])
def test_what_expires_is_forgotten(world: World, is_here: bool, words: str) -> None:
    comes(world, ONE)
    if is_here:
        answered(world, ev.InterfaceAppeared)
    answered(world, ev.AttachmentExpired)
    assert not world.state.attachments
    assert words in told(world, history.AttachmentEnded)[0]


def test_after_a_restart_it_is_awaited_for_what_is_left(world: World) -> None:
    comes(world, ONE)
    world.now = AT + timedelta(seconds=100)
    world.restart_agent()
    assert world.attachments == [AwaitInterface(attachment_arn=ONE.arn, mac_address=ONE.mac_address, limit_s=200.0)]


def test_after_a_restart_it_is_told_again(world: World) -> None:
    comes(world, ONE)
    answered(world, ev.InterfaceAppeared)
    world.restart_agent()
    assert world.attachments == [TELL_ONE]


def test_what_expired_while_nobody_ran_is_forgotten(world: World) -> None:
    comes(world, ONE)
    world.now = ONE.expires_at
    world.restart_agent()
    assert not world.attachments
    assert not world.state.attachments
    assert world.metadata[ATTACHMENTS_KEY] == ""


@pytest.mark.parametrize("kind", [ev.InterfaceAppeared, ev.AttachmentAccepted, ev.AttachmentExpired])
def test_an_answer_about_nothing_changes_nothing(world: World, kind: type[ev.Event]) -> None:
    before = world.state
    world.send(kind(**world.head(), attachment_arn=ONE.arn))  # type: ignore[arg-type]
    assert world.state is before


def test_an_interface_that_appears_twice_is_told_once(world: World) -> None:
    comes(world, ONE)
    answered(world, ev.InterfaceAppeared)
    world.send(ev.InterfaceAppeared(**world.head(), attachment_arn=ONE.arn))
    assert world.attachments == [TELL_ONE]


@pytest.mark.parametrize("saved", ["", "{}", "no JSON"])
def test_what_cannot_be_read_is_nothing(saved: str) -> None:
    assert restored(saved) == {}

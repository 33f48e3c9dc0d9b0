"""Every action survives being encoded and rebuilt, so that a log from the field can be replayed."""

from __future__ import annotations

import typing

import msgspec
import pytest

from ecscope.agent.core import actions as act
from ecscope.model.arn import DockerId
from ecscope.model.runtime import RuntimeAction
from ecscope.model.task_resource import VOLUME
from tests.builders import SAMPLE_IMAGE, a_change, an_arn

ID = DockerId("a" * 64)
PLACE: dict[str, typing.Any] = {"task_arn": an_arn(), "container_name": "app"}
CLEANUP = act.Timer(kind=act.TimerKind.CLEANUP, task_arn=an_arn())

EACH: tuple[act.AnyAction, ...] = (
    act.InspectImage(**PLACE, image=SAMPLE_IMAGE),
    act.ResolveManifest(**PLACE, image=SAMPLE_IMAGE),
    act.PullImage(**PLACE, image=SAMPLE_IMAGE, digest="sha256:" + "d" * 64),
    act.CreateContainer(**PLACE),
    act.StartContainer(**PLACE, docker_id=ID),
    act.StopContainer(**PLACE, docker_id=ID, grace_s=30),
    act.RemoveContainer(**PLACE, docker_id=ID),
    act.CancelCall(**PLACE),
    act.InspectContainer(docker_id=ID, seen=RuntimeAction.DIE, exit_code=137),
    act.CreateResource(task_arn=an_arn(), kind=VOLUME, name="data"),
    act.RemoveResource(task_arn=an_arn(), kind=VOLUME, name="data"),
    act.RemoveImage(image=SAMPLE_IMAGE),
    act.RemoveOrphan(docker_id=ID),
    act.ListContainers(),
    act.ReconnectRuntime(),
    act.ConnectToCluster(),
    act.SubmitTaskStateChange(task_arn=an_arn(), change=a_change()),
    act.AcknowledgeMessage(message_id="m", cluster_arn="c", container_instance_arn="i"),
    act.AcknowledgeCredentials(message_id="m", credentials_id="id", expiration="2030-01-01T00:00:00Z"),
    act.VerifyStop(message_id="m", cluster_arn="c", task_arns=(an_arn(),)),
    act.AwaitInterface(attachment_arn="a", mac_address="0e:00:00:00:00:01", limit_s=300.0),
    act.SubmitAttachmentStateChange(attachment_arn="a", task_arn=an_arn(), limit_s=300.0),
    act.SetTimer(timer=CLEANUP, delay_s=1.5, jitter_s=0.5),
    act.CancelTimer(timer=CLEANUP),
)


def test_each_kind_of_action_stands_in_the_table() -> None:
    assert {type(action) for action in EACH} == set(typing.get_args(act.AnyAction))


@pytest.mark.parametrize("action", EACH, ids=lambda action: type(action).__name__)
def test_an_action_is_the_same_after_it_was_logged(action: act.AnyAction) -> None:
    assert msgspec.json.decode(msgspec.json.encode(action), type=act.AnyAction) == action


def test_a_timer_is_known_by_what_it_is_for_and_whose_it_is() -> None:
    """Setting it again replaces it, so equal timers must be one key."""
    again = act.Timer(kind=act.TimerKind.CLEANUP, task_arn=an_arn())
    assert {CLEANUP: 1, again: 2} == {CLEANUP: 2}
    assert act.Timer(kind=act.TimerKind.CLEANUP, task_arn=an_arn(2)) != CLEANUP
    assert act.Timer(kind=act.TimerKind.STEADY_CHECK, task_arn=an_arn()) != CLEANUP

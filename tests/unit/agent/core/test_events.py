"""Every event survives being encoded and rebuilt, and a recorded log replays to the same state."""

from __future__ import annotations

import typing

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import Timer, TimerKind
from ecscope.agent.core.decide import decide
from ecscope.agent.core.step import Decision
from ecscope.model.arn import DockerId
from ecscope.model.container import NamedError
from ecscope.model.resources import HostResources
from ecscope.model.runtime import PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus
from ecscope.model.task_resource import VOLUME
from tests.builders import (
    AT,
    a_container,
    a_failure,
    a_task,
    a_volume,
    an_arn,
    an_attachment,
    an_obstacle,
    some_credentials,
)
from tests.unit.agent.core.scenes import ONE
from tests.world import IMAGE, Box, World

HEAD: dict[str, typing.Any] = {"id": "event-1", "at": AT}
PLACE: dict[str, typing.Any] = {**HEAD, "task_arn": an_arn(), "container_name": "app"}
MESSAGE: dict[str, typing.Any] = {"message_id": "m", "cluster_arn": "c", "container_instance_arn": "i"}
ID = DockerId("a" * 64)
ERROR = NamedError(name="DockerTimeoutError", message="Could not transition to started; timed out after waiting 3m0s")
SEEN = Box(ID, "ecs-sample-1-app-0", an_arn(), "app", status=ContainerStatus.STOPPED, exit_code=1).inspection()

EACH: tuple[ev.AnyEvent, ...] = (
    ev.CleanupRequested(**HEAD),
    ev.TaskFilesScanned(
        **HEAD,
        files={
            "/etc/ecscope/tasks/sample.json": ev.TaskFile(
                task=a_task(volumes=(a_volume(),)), digest="cd" * 32, revision=3
            )
        },
        left_alone=frozenset({"/etc/ecscope/tasks/wrong.json"}),
        is_complete=False,
    ),
    ev.PayloadReceived(
        **HEAD,
        **MESSAGE,
        sequence_number=7,
        tasks=(a_task(),),
        unreadable=(ev.UnreadableTask(task_arn=an_arn(), error="no containers"),),
        credentials=(some_credentials(),),
    ),
    ev.ManifestReceived(**HEAD, **MESSAGE, timeline=8, running=frozenset({an_arn()})),
    ev.StopVerified(**HEAD, message_id="m", task_arns=(an_arn(),)),
    ev.CredentialsReceived(**HEAD, message_id="m", credentials=some_credentials()),
    ev.InstanceRegistered(**HEAD, container_instance_arn="i", availability_zone="us-west-2a"),
    ev.InstanceNotRegistered(**HEAD, obstacle=an_obstacle()),
    ev.AttachmentsReceived(**HEAD, **MESSAGE, attachments=(an_attachment(),)),
    ev.InterfaceAppeared(**HEAD, attachment_arn="a"),
    ev.AttachmentAccepted(**HEAD, attachment_arn="a"),
    ev.AttachmentRefused(**HEAD, attachment_arn="a", failure=a_failure()),
    ev.AttachmentExpired(**HEAD, attachment_arn="a"),
    ev.StateChangeAccepted(**HEAD, task_arn=an_arn(), number=1),
    ev.StateChangeRefused(**HEAD, task_arn=an_arn(), number=1, failure=a_failure()),
    ev.ImageInspected(**PLACE, image=IMAGE),
    ev.ManifestResolved(**PLACE, digest="sha256:" + "d" * 64),
    ev.ManifestFailed(**PLACE, error=ERROR, is_unreachable=True),
    ev.ImagePullProgressed(**PLACE, progress=PullProgress(layers_total=2, layers_done=1, bytes_total=10, bytes_done=5)),
    ev.ImageCallSlow(**PLACE, image="sample", waited_s=5),
    ev.ImagePulled(**PLACE, image=IMAGE),
    ev.ImagePullFailed(**PLACE, error=ERROR),
    ev.ContainerCreated(**PLACE, docker_id=ID),
    ev.ContainerCreateFailed(**PLACE, error=ERROR),
    ev.ContainerStarted(**PLACE, inspection=SEEN),
    ev.ContainerStartFailed(**PLACE, error=ERROR, inspection=SEEN),
    ev.ContainerStopDone(**PLACE, inspection=None),
    ev.ContainerStopFailed(**PLACE, error=ERROR, runtime_answers=True),
    ev.ContainerRemoved(**PLACE, error=ERROR),
    ev.CallCancelled(**PLACE),
    ev.ContainerInspected(**HEAD, docker_id=ID, inspection=SEEN, seen=RuntimeAction.DIE, exit_code=1),
    ev.ResourceCreated(**HEAD, task_arn=an_arn(), kind=VOLUME, name="data"),
    ev.ResourceCreateFailed(**HEAD, task_arn=an_arn(), kind=VOLUME, name="data", error=ERROR),
    ev.ResourceRemoved(**HEAD, task_arn=an_arn(), kind=VOLUME, name="data", error=ERROR),
    ev.ImageRemoved(**HEAD, image="ecscope-sample:latest", error=ERROR),
    ev.OrphanRemoved(**HEAD, docker_id=ID, error=ERROR),
    ev.RuntimeConnected(**HEAD, version="20.10", resources=HostResources(cpu_units=1, ports_tcp=frozenset({22}))),
    ev.RuntimeDisconnected(**HEAD, reason="connection refused"),
    ev.RuntimeListFailed(**HEAD, error=ERROR),
    ev.RuntimeListed(
        **HEAD,
        containers=(ev.ListedContainer(docker_id=ID, docker_name="x", task_arn=an_arn(), inspection=SEEN),),
    ),
    ev.RuntimeNoticed(**HEAD, notice=RuntimeNotice(docker_id=ID, action=RuntimeAction.DIE, time_ns=1, exit_code=137)),
    ev.TimerFired(**HEAD, timer=Timer(kind=TimerKind.CLEANUP, task_arn=an_arn())),
)


def test_each_kind_of_event_stands_in_the_table() -> None:
    assert {type(event) for event in EACH} == set(typing.get_args(ev.AnyEvent))


@pytest.mark.parametrize("event", EACH, ids=lambda event: type(event).__name__)
def test_an_event_is_the_same_after_it_was_logged(event: ev.AnyEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=ev.AnyEvent) == event


class RecordingWorld(World):
    """A world that writes down every event, as a log would."""

    def send(self, event: ev.AnyEvent) -> Decision:
        self.log = [*getattr(self, "log", []), msgspec.json.encode(event)]
        return super().send(event)


def test_a_log_replays_to_the_same_state() -> None:
    world = RecordingWorld()
    before = world.state
    world.connect()
    world.submit(a_task(a_container(), volumes=(a_volume(docker_name="ecs-data"),)))
    world.run_calls()
    world.exits(world.box(ONE, "app"), 3)
    world.run_calls()
    state = before
    for line in world.log:
        state = decide(state, msgspec.json.decode(line, type=ev.AnyEvent)).state
    assert state == world.state
    assert state.tasks[ONE].containers[0].exit_code == 3

"""Effects become frames that an agent reads as they were meant."""

from __future__ import annotations

from typing import Any

from ecscope.control.acs.frames import ForAgent, frames
from ecscope.control.core.effects import ConfirmStop, SendCredentials, SendManifest, SendPayload
from ecscope.control.core.state import ControlState
from ecscope.model.arn import TaskArn
from ecscope.wire.acs.messages import (
    IAMRoleCredentialsMessage,
    PayloadMessage,
    TaskManifestMessage,
    TaskStopVerificationAck,
    decode_from_server,
)
from tests.control_builders import a_cluster, a_control_task, a_task_definition, an_instance

INSTANCE = an_instance()
ROLE = "arn:aws:iam::000000000000:role/app"
DEFINITION = a_task_definition(body={**a_task_definition().body, "taskRoleArn": ROLE})
TASKS = {task.arn: task for task in (a_control_task(1, credentials_id="id"), a_control_task(2))}
STATE = ControlState(
    clusters={"default": a_cluster()},
    task_definitions={DEFINITION.arn: DEFINITION},
    instances={INSTANCE.arn: INSTANCE},
    tasks=TASKS,
)
FIRST, SECOND = TASKS


def messages(effect: ForAgent) -> list[Any]:
    made = frames(STATE, effect, at_ms=5, new_id=lambda: "new")
    return [decode_from_server(text) for text in made]


def test_a_payload() -> None:
    effect = SendPayload(instance_arn=INSTANCE.arn, message_id="m", sequence=7, task_arns=(FIRST, TaskArn("gone")))
    (message,) = messages(effect)
    assert isinstance(message, PayloadMessage)
    assert (message.message_id, message.seq_num, message.generated_at) == ("m", 7, 5)
    assert (message.cluster_arn, message.container_instance_arn) == (a_cluster().arn, INSTANCE.arn)
    assert [(task.arn, task.desired_status) for task in message.tasks or ()] == [(FIRST, "RUNNING")]


def test_a_payload_of_forgotten_tasks_is_not_sent() -> None:
    gone = SendPayload(instance_arn=INSTANCE.arn, message_id="m", sequence=7, task_arns=(TaskArn("gone"),))
    assert messages(gone) == []


def test_a_manifest() -> None:
    effect = SendManifest(instance_arn=INSTANCE.arn, message_id="m", timeline=9, task_arns=(FIRST, SECOND))
    (message,) = messages(effect)
    assert isinstance(message, TaskManifestMessage)
    assert (message.message_id, message.timeline) == ("m", 9)
    assert [(task.task_arn, task.desired_status) for task in message.tasks or ()] == [
        (FIRST, "RUNNING"),
        (SECOND, "RUNNING"),
    ]


def test_a_confirmation() -> None:
    (message,) = messages(ConfirmStop(instance_arn=INSTANCE.arn, message_id="m", task_arns=(SECOND,)))
    assert isinstance(message, TaskStopVerificationAck)
    assert [(task.task_arn, task.desired_status) for task in message.stop_tasks or ()] == [(SECOND, "STOPPED")]


def test_credentials() -> None:
    (message,) = messages(SendCredentials(instance_arn=INSTANCE.arn, task_arns=(FIRST, SECOND)))
    assert isinstance(message, IAMRoleCredentialsMessage)
    assert (message.message_id, message.task_arn, message.role_type) == ("new", FIRST, "TaskApplication")
    assert message.role_credentials is not None
    assert message.role_credentials.credentials_id == "id"


def test_an_instance_that_is_gone_is_told_nothing() -> None:
    assert messages(SendManifest(instance_arn="gone", message_id="m", timeline=9, task_arns=())) == []

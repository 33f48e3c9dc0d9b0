"""Builders with good defaults: a test names only what it is about.

``from tests.builders import a_task, a_container``. Every builder takes any field of its value as
a keyword; a field that does not exist is a ``TypeError``. Nothing here is random: the same call
gives the same value.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ecscope.agent.core.events import TaskFile, TaskFilesScanned
from ecscope.model import history
from ecscope.model.api_failure import ApiFailure
from ecscope.model.arn import TaskArn, task_arn
from ecscope.model.attachment import Attachment
from ecscope.model.container import Container, ContainerDefinition, MountPoint
from ecscope.model.container_instance import Obstacle, ObstacleKind
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.history import AnyHappening, HistoryEntry
from ecscope.model.network import TaskInterface
from ecscope.model.state_change import ContainerStateChange, TaskStateChange
from ecscope.model.status import ReportedStatus
from ecscope.model.task import ImageRecord, Task, TaskSource, Volume, VolumeKind
from ecscope.model.task_resource import VOLUME, TaskResource

AT = datetime(2024, 5, 17, 12, 0, 0, tzinfo=UTC)
"""The moment at which everything here happens unless a test says otherwise."""

SAMPLE_IMAGE = "ecscope-sample:latest"

_DEFINITION_FIELDS = frozenset(ContainerDefinition.__struct_fields__)


def an_arn(number: int = 1, *, cluster: str = "default") -> TaskArn:
    """The ARN of task ``number``; its ID is the number as 32 hex digits."""
    return task_arn(region="us-west-2", account="012345678910", cluster=cluster, task_id=f"{number:032x}")


def a_definition(name: str = "app", **fields: object) -> ContainerDefinition:
    """An essential container of the sample image that asks for nothing else."""
    return msgspec.structs.replace(ContainerDefinition(name=name, image=SAMPLE_IMAGE), **fields)


def a_container(name: str = "app", **fields: object) -> Container:
    """A container to which nothing has happened yet.

    Takes the fields of ``Container`` and of ``ContainerDefinition``:
    ``a_container("db", essential=False, known=ContainerStatus.RUNNING)``.
    """
    asked = {key: value for key, value in fields.items() if key in _DEFINITION_FIELDS}
    seen = {key: value for key, value in fields.items() if key not in _DEFINITION_FIELDS}
    container = Container(definition=a_definition(name, **asked), name_suffix=f"{_stable_number(name):020x}"[-20:])
    return msgspec.structs.replace(container, **seen)


def an_interface(**fields: object) -> TaskInterface:
    """The network interface of an awsvpc task."""
    interface = TaskInterface(
        eni_id="eni-0a1b2c3d4e5f60718",
        attachment_arn="arn:aws:ecs:us-west-2:012345678910:attachment/6a6f0c8e-0000-4000-8000-000000000001",
        mac="02:42:0a:d5:00:07",
        ipv4="10.213.0.7",
        gateway="10.213.0.1/20",
        private_dns_name="ip-10-213-0-7.us-west-2.compute.internal",
    )
    return msgspec.structs.replace(interface, **fields)


def a_task(*containers: Container, number: int = 1, **fields: object) -> Task:
    """A task that has just been received; with one container ``app`` unless others are given.

    ``number`` makes tasks different: it sets the ARN. Where no container mounts anything, the first one mounts the
    Docker volumes among ``volumes``.
    """
    containers = containers or (a_container(),)
    volumes = [v.name for v in fields.get("volumes", ()) if v.kind is not VolumeKind.BIND]  # type: ignore[attr-defined]
    if volumes and not any(container.definition.mount_points for container in containers):
        mounts = tuple(MountPoint(source_volume=name, container_path=f"/{name}") for name in volumes)
        first = containers[0]
        definition = msgspec.structs.replace(first.definition, mount_points=mounts)
        containers = (msgspec.structs.replace(first, definition=definition), *containers[1:])
    task = Task(
        arn=an_arn(number),
        family="sample",
        version="1",
        containers=containers,
        received_at=AT,
    )
    return msgspec.structs.replace(task, **fields)


def a_task_file(task: Task) -> str:
    """The path of the task file in which ``a_scan`` puts a task."""
    return f"/tasks/{task.arn.rpartition('/')[2]}.json"


def a_scan(*tasks: Task, **fields: object) -> TaskFilesScanned:
    """A scan that finds a new task file for each task, and leaves others alone."""
    files = {
        a_task_file(task): TaskFile(task=task, digest=f"digest of {task.arn}", revision=int(task.version))
        for task in tasks
    }
    return msgspec.structs.replace(TaskFilesScanned(id="e1", at=AT, files=files, is_complete=False), **fields)


def a_volume(name: str = "data", **fields: object) -> Volume:
    """A Docker volume of the task, not made yet."""
    return msgspec.structs.replace(Volume(name=name, kind=VolumeKind.TASK), **fields)


def a_resource(name: str = "data", **fields: object) -> TaskResource:
    """The resource of the volume ``data``, not made yet."""
    return msgspec.structs.replace(TaskResource(kind=VOLUME, name=name), **fields)


def an_image_record(name: str = SAMPLE_IMAGE, **fields: object) -> ImageRecord:
    """An image that the agent pulled and used at ``AT``."""
    record = ImageRecord(name=name, image_id="sha256:" + "ab" * 32, pulled_at=AT, last_used_at=AT)
    return msgspec.structs.replace(record, **fields)


def a_source(key: str = "/etc/ecscope/tasks/sample.json", **fields: object) -> TaskSource:
    """The record of a task file that gave rise to task 1."""
    return msgspec.structs.replace(TaskSource(key=key, digest="cd" * 32, version="1", task_arn=an_arn()), **fields)


def an_entry(what: AnyHappening | None = None, *, text: str = "The volume failed.", **fields: object) -> HistoryEntry:
    """A history entry about task 1; unless ``what`` happened, one whose sentence is ``text``."""
    entry = HistoryEntry(
        at=AT,
        event_id="event-1",
        cause="container started",
        what=what or history.VolumeFailed(volume="data", reason=text),
        task_arn=an_arn(),
    )
    return msgspec.structs.replace(entry, **fields)


def _stable_number(name: str) -> int:
    """A number that is the same in every process, unlike ``hash``."""
    return int.from_bytes(name.encode(), "big")


def a_change(number: int = 1, **fields: object) -> TaskStateChange:
    """A task and its container ``app`` became RUNNING."""
    change = TaskStateChange(
        number=number,
        status=ReportedStatus.RUNNING,
        containers=(ContainerStateChange(container_name="app", status=ReportedStatus.RUNNING, runtime_id="a" * 64),),
    )
    return msgspec.structs.replace(change, **fields)


def some_credentials(**fields: object) -> TaskCredentials:
    """The task role's credentials of task 1."""
    credentials = TaskCredentials(
        task_arn=an_arn(),
        role_type=RoleType.TASK_APPLICATION,
        credentials_id="11111111-2222-4333-8444-555555555555",
        role_arn="arn:aws:iam::012345678910:role/task-role",
        access_key_id="AKIDTASKROLE",
        secret_access_key="task-role-secret",
        session_token="task-role-token",
        expiration="2030-01-01T00:00:00Z",
    )
    return msgspec.structs.replace(credentials, **fields)


def a_failure(**fields: object) -> ApiFailure:
    """ECS found fault with a state change."""
    failure = ApiFailure(
        operation="SubmitTaskStateChange",
        kind=ObstacleKind.REGISTRATION_REFUSED,
        message="Unable to submit the state change.",
        code="InvalidParameterException",
        status=400,
    )
    return msgspec.structs.replace(failure, **fields)


def an_attachment(number: int = 1, **fields: object) -> Attachment:
    """A network interface of the instance, awaited for five minutes."""
    attachment = Attachment(
        arn=f"arn:aws:ecs:us-west-2:012345678910:attachment/{number:08x}-0000-4000-8000-000000000000",
        mac_address=f"0e:00:00:00:00:{number:02x}",
        expires_at=AT + timedelta(minutes=5),
    )
    return msgspec.structs.replace(attachment, **fields)


def an_obstacle(**fields: object) -> Obstacle:
    """AWS denied the registration."""
    obstacle = Obstacle(kind=ObstacleKind.ACCESS_DENIED, message="not authorized", since=AT)
    return msgspec.structs.replace(obstacle, **fields)

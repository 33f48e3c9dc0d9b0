"""Everything the agent can learn, as small typed events in the past tense.

Each carries an ``id`` (made outside) that travels into notes, log lines and history, and
``at``, the only clock the core knows. Events can be encoded and rebuilt (they are tagged),
so that a log from the field can be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ecscope.agent.core.actions import Timer
from ecscope.model.api_failure import ApiFailure
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.attachment import Attachment
from ecscope.model.container import ContainerInspection, ImageInspection, NamedError
from ecscope.model.container_instance import Obstacle
from ecscope.model.credentials import TaskCredentials
from ecscope.model.resources import HostResources
from ecscope.model.runtime import PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.task import Task
from ecscope.model.task_resource import ResourceKind


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Parent of all events."""

    id: str
    """Unique; also on the log lines and history entries it causes."""
    at: datetime
    """Aware UTC."""


# --- requests -------------------------------------------------------------------------


class CleanupRequested(Event, frozen=True, kw_only=True, tag=True):
    """What is left of stopped tasks is to go now, and not after the wait."""


class TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file with a task definition."""

    task: Task
    """The task that the file starts, if it starts one: with a new ARN and names. Its version is decided in the core."""
    digest: str
    """SHA-256 of the definition's canonical form."""
    revision: int | None = None
    """As written; ``None``: none is."""


class TaskFilesScanned(Event, frozen=True, kw_only=True, tag=True):
    """What task files there are now, by absolute path. Comes when something changed, and once at the start."""

    files: Mapping[str, TaskFile] = {}
    left_alone: frozenset[str] = frozenset()
    """Files that are there but wrong, and those that are wrong or missing just now, perhaps half written."""
    is_complete: bool = True
    """False: the folder could not be listed, so that a missing file means nothing."""


# --- what ECS says over ACS ------------------------------------------------------------------------


class UnreadableTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a payload that could not be converted."""

    task_arn: TaskArn
    """``""``: not even that could be read, and nothing can be reported."""
    error: str


class PayloadReceived(Event, frozen=True, kw_only=True, tag=True):
    """ECS hands over tasks, to run or to stop. Source: agent-protocol.md §4.5."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    sequence_number: int | None = None
    tasks: tuple[Task, ...] = ()
    """In the order of the message."""
    unreadable: tuple[UnreadableTask, ...] = ()
    credentials: tuple[TaskCredentials, ...] = ()
    """Those that the tasks contained."""


class ManifestReceived(Event, frozen=True, kw_only=True, tag=True):
    """ECS lists the tasks that should be here. Source: agent-protocol.md §4.7."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    timeline: int
    running: frozenset[TaskArn] = frozenset()
    """Tasks listed with desired status RUNNING."""


class StopVerified(Event, frozen=True, kw_only=True, tag=True):
    """ECS confirms which of the named tasks are really to stop. Source: agent-protocol.md §4.7."""

    message_id: str
    task_arns: tuple[TaskArn, ...]


class CredentialsReceived(Event, frozen=True, kw_only=True, tag=True):
    """ECS hands over or renews credentials of one task. Source: agent-protocol.md §4.6."""

    message_id: str
    credentials: TaskCredentials


class AttachmentsReceived(Event, frozen=True, kw_only=True, tag=True):
    """ECS attaches network interfaces, to the instance or to a task. Source: agent-protocol.md §4.8."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    attachments: tuple[Attachment, ...]


# --- how attachments fare ---------------------------------------------------------------------------


class InterfaceAppeared(Event, frozen=True, kw_only=True, tag=True):
    """An awaited network interface is there."""

    attachment_arn: str


class AttachmentAccepted(Event, frozen=True, kw_only=True, tag=True):
    """ECS knows now that it is attached."""

    attachment_arn: str


class AttachmentRefused(Event, frozen=True, kw_only=True, tag=True):
    """ECS will never take that it is attached. Source: agent-protocol.md §3.8."""

    attachment_arn: str
    failure: ApiFailure


class AttachmentExpired(Event, frozen=True, kw_only=True, tag=True):
    """It was not found, or could not be reported, before ECS abandons it."""

    attachment_arn: str


# --- how the link to ECS fares ----------------------------------------------------------------------


class InstanceRegistered(Event, frozen=True, kw_only=True, tag=True):
    """ECS knows this container instance."""

    container_instance_arn: str
    availability_zone: str = ""


class InstanceNotRegistered(Event, frozen=True, kw_only=True, tag=True):
    """It is not, or not any more, registered; ``obstacle`` says why."""

    obstacle: Obstacle


class StateChangeAccepted(Event, frozen=True, kw_only=True, tag=True):
    """ECS took a state change."""

    task_arn: TaskArn
    number: int


class StateChangeRefused(Event, frozen=True, kw_only=True, tag=True):
    """ECS will never take this state change, so it is dropped. Source: agent-protocol.md §3.8."""

    task_arn: TaskArn
    number: int
    failure: ApiFailure


# --- results of runtime calls for one container -------------------------------------------------


class ContainerEvent(Event, frozen=True, kw_only=True, tag=True):
    """Parent of the results of ``ContainerAction``."""

    task_arn: TaskArn
    container_name: str


class FailureEvent(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """Parent of failed calls."""

    error: NamedError
    is_unreachable: bool = False
    """The runtime could not be reached: the outcome is unknown, and it is not an error of the container."""


class ImageInspected(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """Answer to ``InspectImage``. ``image`` ``None``: no such local image."""

    image: ImageInspection | None
    is_unreachable: bool = False


class ManifestResolved(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """``digest`` ``""``: the registry or the runtime provides none, which is not an error."""

    digest: str


class ManifestFailed(FailureEvent, frozen=True, kw_only=True, tag=True):
    """``CannotPullImageManifestError`` or ``DockerTimeoutError``."""


class ImagePullProgressed(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """At most once a second per pull; the call continues."""

    progress: PullProgress


class ImageCallSlow(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """A digest or an image takes longer than usual; the call continues."""

    image: str
    waited_s: int
    progress: PullProgress | None = None
    """``None``: the registry has not sent anything yet."""


class ImagePulled(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """The image is there and tagged with its name."""

    image: ImageInspection


class ImagePullFailed(FailureEvent, frozen=True, kw_only=True, tag=True):
    """``CannotPullContainerError`` and its kin."""


class ContainerCreated(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """Docker has the container."""

    docker_id: DockerId
    missing_host_paths: tuple[str, ...] = ()
    """Mounted, and not there before: Docker made an empty folder of each."""


class ContainerCreateFailed(FailureEvent, frozen=True, kw_only=True, tag=True):
    """``CannotCreateContainerError`` and its kin."""

    was_asked: bool = True
    """False: the request to Docker could not be built, so no container of that name exists."""


class ContainerStarted(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """The start call succeeded; the inspection may already show it stopped."""

    inspection: ContainerInspection


class ContainerStartFailed(FailureEvent, frozen=True, kw_only=True, tag=True):
    """``CannotStartContainerError`` and similar; ``inspection`` ``None``: it failed, too."""

    inspection: ContainerInspection | None = None


class ContainerStopDone(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """The stop call succeeded."""

    inspection: ContainerInspection | None
    """``None``: the container is gone."""


class ContainerStopFailed(FailureEvent, frozen=True, kw_only=True, tag=True):
    """All tries failed."""

    runtime_answers: bool
    """The ping afterwards succeeded."""


class ContainerRemoved(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """Clean-up of one container ended; ``error`` ``None``: it is gone."""

    error: NamedError | None = None
    is_unreachable: bool = False


class CallCancelled(ContainerEvent, frozen=True, kw_only=True, tag=True):
    """The call under way ended early, as asked."""


# --- results of other calls --------------------------------------------------------------------


class ContainerInspected(Event, frozen=True, kw_only=True, tag=True):
    """Answer to ``InspectContainer``."""

    docker_id: DockerId
    inspection: ContainerInspection | None
    """``None``: it could not be read."""
    is_not_found: bool = False
    seen: RuntimeAction | None
    exit_code: int | None = None


class ResourceEvent(Event, frozen=True, kw_only=True, tag=True):
    """The end of a call for one resource of one task."""

    task_arn: TaskArn
    kind: ResourceKind
    name: str


class ResourceCreated(ResourceEvent, frozen=True, kw_only=True, tag=True):
    """What waits for it may proceed."""


class ResourceCreateFailed(ResourceEvent, frozen=True, kw_only=True, tag=True):
    """It cannot be made, and so the task cannot run."""

    error: NamedError
    is_unreachable: bool = False


class ResourceRemoved(ResourceEvent, frozen=True, kw_only=True, tag=True):
    """Its removal ended; ``error`` ``None``: it is gone."""

    error: NamedError | None = None
    is_unreachable: bool = False


class ImageRemoved(Event, frozen=True, kw_only=True, tag=True):
    """Removal of one image ended; ``error`` ``None``: it is gone."""

    image: str
    error: NamedError | None = None


class OrphanRemoved(Event, frozen=True, kw_only=True, tag=True):
    """Removal of an orphan ended; ``error`` ``None``: it is gone."""

    docker_id: DockerId
    error: NamedError | None = None


# --- the runtime as a whole ---------------------------------------------------------------------


class RuntimeConnected(Event, frozen=True, kw_only=True, tag=True):
    """The runtime answers and its event stream is open."""

    version: str
    resources: HostResources
    """All that the host has for tasks; ``ports_*`` are the reserved ones, already taken."""


class RuntimeDisconnected(Event, frozen=True, kw_only=True, tag=True):
    """The runtime cannot be reached. No runtime action is decided until it is back."""

    reason: str


class ListedContainer(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the listing that follows every (re)connect."""

    docker_id: DockerId
    docker_name: str
    task_arn: str
    inspection: ContainerInspection | None
    """``None``: it is listed but could not be inspected."""


class RuntimeListed(Event, frozen=True, kw_only=True, tag=True):
    """All containers with a task ARN label: the truth to reconcile the state with."""

    containers: tuple[ListedContainer, ...]


class RuntimeListFailed(Event, frozen=True, kw_only=True, tag=True):
    """The listing failed, so it is not known what is there."""

    error: NamedError


class RuntimeNoticed(Event, frozen=True, kw_only=True, tag=True):
    """One event of the runtime's stream."""

    notice: RuntimeNotice


class TimerFired(Event, frozen=True, kw_only=True, tag=True):
    """A timer that was set ran out."""

    timer: Timer


AnyEvent = (
    TaskFilesScanned
    | CleanupRequested
    | PayloadReceived
    | ManifestReceived
    | StopVerified
    | CredentialsReceived
    | InstanceRegistered
    | InstanceNotRegistered
    | AttachmentsReceived
    | InterfaceAppeared
    | AttachmentAccepted
    | AttachmentRefused
    | AttachmentExpired
    | StateChangeAccepted
    | StateChangeRefused
    | ImageInspected
    | ManifestResolved
    | ManifestFailed
    | ImagePullProgressed
    | ImageCallSlow
    | ImagePulled
    | ImagePullFailed
    | ContainerCreated
    | ContainerCreateFailed
    | ContainerStarted
    | ContainerStartFailed
    | ContainerStopDone
    | ContainerStopFailed
    | ContainerRemoved
    | CallCancelled
    | ContainerInspected
    | ResourceCreated
    | ResourceCreateFailed
    | ResourceRemoved
    | ImageRemoved
    | OrphanRemoved
    | RuntimeConnected
    | RuntimeDisconnected
    | RuntimeListed
    | RuntimeListFailed
    | RuntimeNoticed
    | TimerFired
)

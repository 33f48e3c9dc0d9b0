"""The durable history: what happened, when, to whom, and why.

One frozen struct for each kind of happening. Verdicts read its fields; the sentence that people read derives from
them, so that what is shown and what is concluded cannot differ. The name of a struct is stored and printed: never
rename one. A field that is added needs a default, because entries of older versions lack it.

Facts that only Docker had (exit code, signal, the nanosecond of a death) are kept as it gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, get_args

import msgspec

from ecscope.model.status import ContainerStatus, HealthStatus, ReportedStatus, TaskStatus
from ecscope.model.waiting import WaitingReason, sentence_of

Detail = str | int | float | bool | None

_TAG = "type"


class Happening(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field=_TAG, rename="camel"):
    """Parent of all happenings."""

    in_sentence: ClassVar[frozenset[str]] = frozenset()
    """Stored names of fields whose value the sentence gives in other words."""

    @property
    def kind(self) -> str:
        """Its name, as stored and printed."""
        return type(self).__name__

    @property
    def sentence(self) -> str:
        """What happened, in one sentence for a person, without a full stop."""
        raise NotImplementedError

    @property
    def detail(self) -> Mapping[str, Detail]:
        """Its fields under their stored names."""
        fields: dict[str, Detail] = msgspec.to_builtins(self)
        del fields[_TAG]
        return fields


# --- tasks ---------------------------------------------------------------------------------------


class TaskAccepted(Happening, frozen=True, kw_only=True):
    """The agent has taken over a task."""

    requested_by: str
    family: str
    version: str

    @property
    def sentence(self) -> str:
        return f"{self.family}:{self.version} from {self.requested_by}"


class TaskRefused(Happening, frozen=True, kw_only=True):
    """A task that is never managed."""

    reason: str
    requested_by: str
    task_arn: str = msgspec.field(name="taskARN", default="")
    """Where the task is not known to the agent; ``""``: see the entry."""

    @property
    def sentence(self) -> str:
        return self.reason


class TaskStopRequested(Happening, frozen=True, kw_only=True):
    """The first request to stop a task."""

    requested_by: str
    """``task file …``, ``ACS payload …``, ``ACS manifest …``, ``removal of task file …``."""

    @property
    def sentence(self) -> str:
        return f"stop requested by {self.requested_by}"


class TaskWaitsForHostResources(Happening, frozen=True, kw_only=True):
    """A task that was just accepted waits in the queue in front of CPU, memory and ports."""

    why: str
    queue_position: int
    """1: the head of the queue."""

    @property
    def sentence(self) -> str:
        return self.why


class TaskHostResourcesHeld(Happening, frozen=True, kw_only=True):
    """The wait is over, or there was none."""

    cpu_units: int
    memory_mib: int = msgspec.field(name="memoryMiB")

    @property
    def sentence(self) -> str:
        return "the instance has what the task needs"


class TaskStatusChanged(Happening, frozen=True, kw_only=True):
    """The known status of a task went forward."""

    before: TaskStatus = msgspec.field(name="from")
    to: TaskStatus
    desired: TaskStatus
    reason: str = ""
    """Why it could not run; ``""``: nothing kept it from running."""

    @property
    def sentence(self) -> str:
        return f"{self.before.value} → {self.to.value}"


class TaskDesiredStatusChanged(Happening, frozen=True, kw_only=True):
    """A task is to stop."""

    to: TaskStatus
    why: str

    @property
    def sentence(self) -> str:
        return f"desired status is now {self.to.value}: {self.why}"


class TaskCleanedUp(Happening, frozen=True, kw_only=True):
    """Nothing of a stopped task is left."""

    @property
    def sentence(self) -> str:
        return "its containers and volumes are removed"


# --- containers ----------------------------------------------------------------------------------


class ContainerStatusChanged(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The known status of a container went forward; which fields are set depends on where to."""

    before: ContainerStatus = msgspec.field(name="from")
    to: ContainerStatus
    why: str
    docker_id: str = ""
    exit_code: int | None = None
    """STOPPED: ``None``: it never ran, or its end was not observed."""
    signal: int | None = None
    """STOPPED: what an exit code above 128 says."""
    oom_killed: bool = False
    """STOPPED: Docker's flag, which can be wrong either way."""
    reason: str = ""
    """STOPPED: the first error."""
    finished_at: str = ""
    """STOPPED: RFC 3339, as Docker gave it."""
    image: str = ""
    """PULLED: as the task definition names it."""
    image_id: str = ""
    from_local_image: bool = False
    """PULLED: nothing was pulled."""
    started_at: str = ""
    """RUNNING: RFC 3339, as Docker gave it."""

    @property
    def sentence(self) -> str:
        return f"{self.before.value} → {self.to.value}: {self.why}"

    @property
    def detail(self) -> Mapping[str, Detail]:
        fields = dict(super().detail)
        if self.to is ContainerStatus.STOPPED:
            fields |= {"exitCode": self.exit_code, "oomKilled": self.oom_killed}
        elif self.to is ContainerStatus.PULLED:
            fields |= {"imageId": self.image_id, "fromLocalImage": self.from_local_image}
        return fields


class ContainerDied(Happening, frozen=True, kw_only=True):
    """Docker's ``die``: the main process of a container ended."""

    exit_code: int | None
    signal: int | None
    """The last signal sent through Docker during that run; ``None``: none was."""
    time_ns: int
    """When, by Docker's clock: nanoseconds since the epoch; 0: Docker did not say."""
    stop_requested: bool
    """The agent had asked Docker to stop it."""

    in_sentence: ClassVar[frozenset[str]] = frozenset({"exitCode", "signal", "timeNs"})

    @property
    def sentence(self) -> str:
        code = "with an unknown exit code" if self.exit_code is None else f"with {self.exit_code}"
        signal = f" after signal {self.signal} was sent through Docker" if self.signal is not None else ""
        moment = f" at {rfc3339_of(self.time_ns)}" if self.time_ns else ""
        return f"its process ended {code}{signal}{moment}"


class ContainerNotRestarted(Happening, frozen=True, kw_only=True):
    """A container with a restart policy ended, and stays ended."""

    why: str
    exit_code: int | None
    restart_count: int

    @property
    def sentence(self) -> str:
        return f"not restarted: {self.why}"


class ContainerRestarted(Happening, frozen=True, kw_only=True):
    """The restart policy starts it again."""

    exit_code: int | None
    restart_count: int
    """How often it was restarted, this time included."""
    oom_killed: bool
    finished_at: str = ""
    """The end that led to it. RFC 3339, as Docker gave it."""
    was_cut_off: bool = False
    """The same restart, decided before: the agent ended, or lost Docker, before the start was done."""

    in_sentence: ClassVar[frozenset[str]] = frozenset({"wasCutOff"})

    @property
    def sentence(self) -> str:
        if self.was_cut_off:
            return "the restart by its policy was cut off; starting it again"
        return f"exited with {self.exit_code}; restarted by its restart policy"


class ContainerStopping(Happening, frozen=True, kw_only=True):
    """The agent asks Docker to stop it: SIGTERM (or the image's own stop signal), then SIGKILL."""

    grace_s: int
    """Between the two, in seconds."""
    docker_id: str

    in_sentence: ClassVar[frozenset[str]] = frozenset({"graceS", "dockerId"})

    @property
    def sentence(self) -> str:
        return f"asking Docker to stop it; it has {self.grace_s} s before SIGKILL"


class ContainerHealthChanged(Happening, frozen=True, kw_only=True):
    """Docker's health check came to another verdict."""

    before: HealthStatus = msgspec.field(name="from")
    to: HealthStatus
    output: str
    """Of the probe, cut at 1,024 characters."""
    exit_code: int | None
    checked_at: str = ""
    """The probe in Docker's health log that gave the verdict: RFC 3339, as Docker gave it; ``""``: unknown."""

    @property
    def sentence(self) -> str:
        return f"{self.before.value} → {self.to.value}"


class ContainerError(Happening, frozen=True, kw_only=True):
    """A call for a container failed."""

    doing: str
    """``pull``, ``create``, ``start``, ``stop``, ``restart``, ``resolving the image digest``."""
    error_name: str
    """ECS's name of the error."""
    message: str

    @property
    def sentence(self) -> str:
        return f"{self.doing} failed: {self.error_name}: {self.message}"


class ContainerWaitsForDependency(Happening, frozen=True, kw_only=True):
    """A ``dependsOn`` entry holds a container back."""

    depends_on: str
    """Container and condition: ``db HEALTHY``."""

    @property
    def sentence(self) -> str:
        return f"waits for {self.depends_on}"


class ContainerWaits(Happening, frozen=True, kw_only=True):
    """Something else than a dependency keeps a container from its next step."""

    reason: WaitingReason
    on: str
    """See ``Waiting.on``."""

    @property
    def sentence(self) -> str:
        return sentence_of(self.reason, self.on)


class ContainerOutOfMemory(Happening, frozen=True, kw_only=True):
    """Docker's ``oom``: the kernel killed a process of the container."""

    time_ns: int = 0
    """By Docker's clock: nanoseconds since the epoch; 0: Docker did not say."""

    @property
    def sentence(self) -> str:
        return "the kernel killed a process: out of memory"


class HostPathMissing(Happening, frozen=True, kw_only=True):
    """A path of the host that a container mounts was not there."""

    path: str

    @property
    def sentence(self) -> str:
        return f"host path {self.path} did not exist, so Docker mounts an empty directory that it created there"


class ContainerVanished(Happening, frozen=True, kw_only=True):
    """The container is not in Docker any more, and the agent did not remove it."""

    why: str
    time_ns: int = 0
    """Of Docker's ``destroy``: nanoseconds since the epoch; 0: its removal was not observed."""

    @property
    def sentence(self) -> str:
        return self.why


class ContainerStartedFromOutside(Happening, frozen=True, kw_only=True):
    """A STOPPED container was started outside of the agent."""

    @property
    def sentence(self) -> str:
        return "was started from outside after it had stopped; stopping it once more"


# --- images --------------------------------------------------------------------------------------


class ImagePullStarted(Happening, frozen=True, kw_only=True):
    """A pull began."""

    image: str

    @property
    def sentence(self) -> str:
        return f"pulling {self.image}"


class ImagePullProgress(Happening, frozen=True, kw_only=True):
    """How far a pull is, at most once a second."""

    layers_done: int
    layers_total: int
    bytes_done: int
    bytes_total: int

    @property
    def sentence(self) -> str:
        return f"{self.layers_done} of {self.layers_total} layers"


class ImagePullSlow(Happening, frozen=True, kw_only=True):
    """An image is waited for, for longer than is usual: from 5 s on, then every half minute."""

    image: str
    waited_s: int
    layers_done: int = 0
    layers_total: int = 0
    """0: the registry has not sent anything yet."""
    bytes_done: int = 0
    bytes_total: int = 0

    @property
    def sentence(self) -> str:
        waited = f"still pulling {self.image} after {self.waited_s} s"
        if not self.layers_total:
            return f"{waited}: the registry has sent nothing of it yet"
        size = f", {self.bytes_done / 1e6:.1f} of {self.bytes_total / 1e6:.1f} MB" if self.bytes_total else ""
        return f"{waited}: {self.layers_done} of {self.layers_total} layers{size}"


class ImagePulled(Happening, frozen=True, kw_only=True):
    """The image is there."""

    image: str
    image_id: str
    size_bytes: int

    @property
    def sentence(self) -> str:
        return f"pulled {self.image}"


class ImagePullFailed(Happening, frozen=True, kw_only=True):
    """The pull ended without the image."""

    error_name: str
    """ECS's name of the error."""
    message: str
    image: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.error_name}: {self.message}"


class ImageRemoved(Happening, frozen=True, kw_only=True):
    """Image clean-up removed it."""

    image: str

    @property
    def sentence(self) -> str:
        return f"removed image {self.image}, unused"


# --- resources of tasks, and what is left of them --------------------------------------------------


class TaskResourceCreated(Happening, frozen=True, kw_only=True):
    """A resource of a task exists, and what waited for it can proceed."""

    resource: str = msgspec.field(name="kind")
    """``volume``, ``cgroup``, …"""
    name: str

    @property
    def sentence(self) -> str:
        return f"{self.resource} {self.name} is ready"


class TaskResourceFailed(Happening, frozen=True, kw_only=True):
    """A resource could not be made, so the task cannot run."""

    resource: str = msgspec.field(name="kind")
    name: str
    reason: str

    @property
    def sentence(self) -> str:
        return self.reason


class VolumeCreated(Happening, frozen=True, kw_only=True):
    """No longer written, but in the histories of older agents; as are the next two."""

    volume: str

    @property
    def sentence(self) -> str:
        return f"volume {self.volume} is ready"


class VolumeFailed(Happening, frozen=True, kw_only=True):
    """See ``TaskResourceFailed``."""

    volume: str
    reason: str

    @property
    def sentence(self) -> str:
        return self.reason


class CgroupFailed(Happening, frozen=True, kw_only=True):
    """See ``TaskResourceFailed``."""

    reason: str

    @property
    def sentence(self) -> str:
        return self.reason


class CleanupFailed(Happening, frozen=True, kw_only=True):
    """Something could not be removed; it is not tried again."""

    what: str
    """``the container``, ``<kind> <name>`` of a resource, ``image …``, ``orphan …``; ``""``: ``error`` says it."""
    error: str

    @property
    def sentence(self) -> str:
        return f"could not remove {self.what}: {self.error}" if self.what else self.error


# --- the runtime as a whole ------------------------------------------------------------------------


class RuntimeConnected(Happening, frozen=True, kw_only=True):
    """Docker answers."""

    version: str

    @property
    def sentence(self) -> str:
        return f"connected to Docker {self.version}"


class RuntimeDisconnected(Happening, frozen=True, kw_only=True):
    """Docker cannot be reached."""

    reason: str

    @property
    def sentence(self) -> str:
        return f"lost Docker: {self.reason}"


class OrphanContainerFound(Happening, frozen=True, kw_only=True):
    """A container carries the ARN of a task that the agent does not know."""

    docker_id: str
    docker_name: str = ""
    task_arn: str = msgspec.field(name="taskARN")
    is_removed: bool = False
    """It belongs to a task whose record was lost, and is removed; else it is left alone."""

    in_sentence: ClassVar[frozenset[str]] = frozenset({"isRemoved"})

    @property
    def sentence(self) -> str:
        if self.is_removed:
            return (
                f"container {self.docker_name} belongs to {self.task_arn}, whose record could not be read; removing it"
            )
        return f"container {self.docker_name} carries {self.task_arn}, which is not a task of this agent; left alone"


# --- ECS -------------------------------------------------------------------------------------------


class InstanceRegistered(Happening, frozen=True, kw_only=True):
    """ECS knows the container instance."""

    container_instance_arn: str
    cluster: str

    @property
    def sentence(self) -> str:
        return f"registered with cluster {self.cluster} as {self.container_instance_arn}"


class InstanceNotRegistered(Happening, frozen=True, kw_only=True):
    """The reason why the instance cannot be registered has changed."""

    obstacle: str = msgspec.field(name="kind")
    """The name of an ``ObstacleKind``."""
    message: str
    facts: Mapping[str, Detail] = {}
    """What AWS said, what was asked for: see ``core/registration``."""

    @property
    def sentence(self) -> str:
        return self.message

    @property
    def detail(self) -> Mapping[str, Detail]:
        return {"kind": self.obstacle, **self.facts}


class PayloadReceived(Happening, frozen=True, kw_only=True):
    """ECS handed over tasks."""

    message_id: str
    tasks: int
    unreadable: int

    @property
    def sentence(self) -> str:
        return f"payload of {self.tasks + self.unreadable} tasks"


class ManifestReceived(Happening, frozen=True, kw_only=True):
    """ECS listed the tasks that should be here."""

    message_id: str
    timeline: int
    running: int | None = None
    """How many tasks ECS lists as RUNNING."""
    beside: int
    """How many more run here."""

    in_sentence: ClassVar[frozenset[str]] = frozenset({"running"})

    @property
    def sentence(self) -> str:
        return f"ECS lists {self.running} running tasks; {self.beside} more are here"


class CredentialsReceived(Happening, frozen=True, kw_only=True):
    """ECS handed over or renewed credentials of a task. Never the credentials themselves."""

    credentials_id: str
    role_arn: str
    role_type: str
    expiration: str

    @property
    def sentence(self) -> str:
        return f"credentials of role type {self.role_type}"


class AttachmentReceived(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """ECS attaches a network interface."""

    attachment_arn: str
    mac_address: str
    task_arn: str = msgspec.field(name="taskARN", default="")
    """``""``: it is the instance's own."""
    message_id: str = ""

    @property
    def sentence(self) -> str:
        return f"a network interface with the address {self.mac_address} is to come"


class AttachmentAttached(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The network interface is here."""

    attachment_arn: str
    mac_address: str
    task_arn: str = msgspec.field(name="taskARN", default="")

    @property
    def sentence(self) -> str:
        return f"the network interface with the address {self.mac_address} is here"


class AttachmentEnded(Happening, frozen=True, kw_only=True, omit_defaults=True):
    """The agent has done what there was to do about an attachment."""

    attachment_arn: str
    mac_address: str
    task_arn: str = msgspec.field(name="taskARN", default="")
    why: str

    @property
    def sentence(self) -> str:
        return f"{self.attachment_arn}: {self.why}"


class StateChangeQueued(Happening, frozen=True, kw_only=True):
    """There is a state change of a task to report to ECS."""

    number: int
    status: ReportedStatus

    @property
    def sentence(self) -> str:
        return f"state change to report to ECS: {self.status.value}"


class StateChangeAccepted(Happening, frozen=True, kw_only=True):
    """ECS knows."""

    number: int
    status: ReportedStatus

    @property
    def sentence(self) -> str:
        return f"ECS accepted the state change {self.status.value}"


class StateChangeRefused(Happening, frozen=True, kw_only=True):
    """ECS will never take it."""

    number: int
    status: ReportedStatus
    code: str
    message: str
    failure: str = ""
    """The failure in one sentence."""

    @property
    def sentence(self) -> str:
        return f"ECS refuses the state change {self.status.value}, so it is not sent again: {self.failure}"


# --- the agent -------------------------------------------------------------------------------------


class RecordSetAside(Happening, frozen=True, kw_only=True):
    """A saved record could not be read; it is kept in a separate file."""

    record: str = msgspec.field(name="kind")
    """``task``, ``image``, …"""
    key: str
    set_aside_as: str
    reason: str

    @property
    def sentence(self) -> str:
        return f"a saved {self.record} record cannot be read: {self.reason}"


class StateOfOtherInstanceDropped(Happening, frozen=True, kw_only=True):
    """The saved state was that of another EC2 instance."""

    ec2_instance_id: str

    @property
    def sentence(self) -> str:
        return f"dropped the state of EC2 instance {self.ec2_instance_id}"


class AgentStarted(Happening, frozen=True, kw_only=True):
    """A process began."""

    version: str
    saved_tasks: int

    in_sentence: ClassVar[frozenset[str]] = frozenset({"savedTasks"})

    @property
    def sentence(self) -> str:
        return f"{self.version}, {self.saved_tasks} saved tasks"


class AgentStopped(Happening, frozen=True, kw_only=True):
    """A process ended as it should. Without one, the last process was killed."""

    @property
    def sentence(self) -> str:
        return "stopped as asked"


class NoChange(Happening, frozen=True, kw_only=True):
    """A late, repeated or unknown event; logged at debug level, not stored."""

    why: str

    @property
    def sentence(self) -> str:
        return self.why


class WrittenByOlderVersion(Happening, frozen=True, kw_only=True):
    """What a version wrote whose entries were free text, where that text says more than the fields of its kind."""

    written_kind: str
    text: str
    facts: Mapping[str, Detail]

    @property
    def kind(self) -> str:
        return self.written_kind

    @property
    def sentence(self) -> str:
        return self.text

    @property
    def detail(self) -> Mapping[str, Detail]:
        return self.facts


AnyHappening = (
    TaskAccepted
    | TaskRefused
    | TaskStopRequested
    | TaskWaitsForHostResources
    | TaskHostResourcesHeld
    | TaskStatusChanged
    | TaskDesiredStatusChanged
    | TaskCleanedUp
    | ContainerStatusChanged
    | ContainerDied
    | ContainerNotRestarted
    | ContainerRestarted
    | ContainerStopping
    | ContainerHealthChanged
    | ContainerError
    | ContainerWaitsForDependency
    | ContainerWaits
    | ContainerOutOfMemory
    | HostPathMissing
    | ContainerVanished
    | ContainerStartedFromOutside
    | ImagePullStarted
    | ImagePullProgress
    | ImagePullSlow
    | ImagePulled
    | ImagePullFailed
    | ImageRemoved
    | TaskResourceCreated
    | TaskResourceFailed
    | VolumeCreated
    | VolumeFailed
    | CgroupFailed
    | CleanupFailed
    | RuntimeConnected
    | RuntimeDisconnected
    | OrphanContainerFound
    | InstanceRegistered
    | InstanceNotRegistered
    | PayloadReceived
    | ManifestReceived
    | CredentialsReceived
    | AttachmentReceived
    | AttachmentAttached
    | AttachmentEnded
    | StateChangeQueued
    | StateChangeAccepted
    | StateChangeRefused
    | RecordSetAside
    | StateOfOtherInstanceDropped
    | AgentStarted
    | AgentStopped
    | NoChange
    | WrittenByOlderVersion
)

KINDS: Mapping[str, type[Happening]] = {kind.__name__: kind for kind in get_args(AnyHappening)}
"""Every kind by its stored name."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as stored and as shown."""

    at: datetime
    """Aware UTC: when the agent learned of it."""
    event_id: str
    """Id of the event that caused it; the same id is on the log line."""
    cause: str
    """What kind of event caused it, in words."""
    what: AnyHappening
    task_arn: str = ""
    container_name: str = ""

    @property
    def kind(self) -> str:
        """The name of what happened."""
        return self.what.kind

    @property
    def text(self) -> str:
        """One sentence for a person."""
        return self.what.sentence

    @property
    def detail(self) -> Mapping[str, Detail]:
        """What happened, field by field."""
        return self.what.detail


def rfc3339_of(time_ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 text with all nine digits, as Docker writes moments."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"

"""Everything the agent can want done, as small typed actions in the imperative.

Each runtime action gives exactly one event back (see ``events``), named in its docstring:
done, failed with a typed error, timed out or cancelled. An action may be repeated after a
crash, because what led to it was saved before it was carried out.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.runtime import RuntimeAction
from ecscope.model.state_change import TaskStateChange
from ecscope.model.task_resource import ResourceKind


class Action(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Parent of all actions."""


class ContainerAction(Action, frozen=True, kw_only=True, tag=True):
    """A runtime call for one container of one task; never two at once for one container."""

    task_arn: TaskArn
    container_name: str


class InspectImage(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Look at the local image. Gives ``ImageInspected``."""

    image: str


class ResolveManifest(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Ask the registry for the image's digest. Gives ``ManifestResolved`` or ``ManifestFailed``."""

    image: str


class PullImage(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Pull. Gives any number of ``ImagePullProgressed``, then ``ImagePulled`` or ``ImagePullFailed``."""

    image: str
    digest: str
    """``""``: pull by name; else pull ``name@digest`` and tag it with ``image``."""


class CreateContainer(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Create under the name saved in the state. Gives ``ContainerCreated`` or ``ContainerCreateFailed``."""


class StartContainer(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Start, then inspect. Gives ``ContainerStarted`` or ``ContainerStartFailed``."""

    docker_id: DockerId


class StopContainer(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Stop, then inspect. Gives ``ContainerStopDone`` or ``ContainerStopFailed``."""

    docker_id: DockerId
    grace_s: int


class RemoveContainer(ContainerAction, frozen=True, kw_only=True, tag=True):
    """Remove with anonymous volumes, no force. Gives ``ContainerRemoved``."""

    docker_id: DockerId


class CancelCall(ContainerAction, frozen=True, kw_only=True, tag=True):
    """End the call under way early. The call itself then gives ``CallCancelled``, or its own result."""


class InspectContainer(Action, frozen=True, kw_only=True, tag=True):
    """Read a container because of something seen. Gives ``ContainerInspected``."""

    docker_id: DockerId
    seen: RuntimeAction | None
    """The notice that made us look; ``None``: the regular check or a reconnect."""
    exit_code: int | None = None
    """What the notice said."""


class ResourceAction(Action, frozen=True, kw_only=True, tag=True):
    """A call for one resource of one task; never two at once for one resource."""

    task_arn: TaskArn
    kind: ResourceKind
    name: str


class CreateResource(ResourceAction, frozen=True, kw_only=True, tag=True):
    """Make it, or check that it is there. Gives ``ResourceCreated`` or ``ResourceCreateFailed``."""


class RemoveResource(ResourceAction, frozen=True, kw_only=True, tag=True):
    """Remove it; absent counts as done. Gives ``ResourceRemoved``."""


class RemoveImage(Action, frozen=True, kw_only=True, tag=True):
    """Remove an image by name. Gives ``ImageRemoved``."""

    image: str


class RemoveOrphan(Action, frozen=True, kw_only=True, tag=True):
    """Force-remove a container of ours whose task record is lost. Gives ``OrphanRemoved``."""

    docker_id: DockerId


class ListContainers(Action, frozen=True, kw_only=True, tag=True):
    """List and inspect all task containers after a (re)connect. Gives ``RuntimeListed`` or ``RuntimeListFailed``."""


class ReconnectRuntime(Action, frozen=True, kw_only=True, tag=True):
    """A call found the runtime away: connect again. Gives ``RuntimeConnected`` in the end."""


# --- to ECS -----------------------------------------------------------------------------------------


class ConnectToCluster(Action, frozen=True, kw_only=True, tag=True):
    """Open ACS and TCS: the instance is registered, and that is saved. Gives no event of its own."""


class SubmitTaskStateChange(Action, frozen=True, kw_only=True, tag=True):
    """Tell ECS, trying until it answers. Gives ``StateChangeAccepted`` or ``StateChangeRefused``.

    Never two at once for one task, so that its changes arrive in order.
    """

    task_arn: TaskArn
    change: TaskStateChange


class AcknowledgeMessage(Action, frozen=True, kw_only=True, tag=True):
    """``AckRequest`` over ACS. Gives no event: a message whose answer is lost comes again."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str


class AcknowledgeCredentials(Action, frozen=True, kw_only=True, tag=True):
    """``IAMRoleCredentialsAckRequest`` over ACS. Gives no event, likewise."""

    message_id: str
    credentials_id: str
    expiration: str


class VerifyStop(Action, frozen=True, kw_only=True, tag=True):
    """Ask ECS over ACS whether these tasks are to stop. May give ``StopVerified``."""

    message_id: str
    cluster_arn: str
    task_arns: tuple[TaskArn, ...]


class AwaitInterface(Action, frozen=True, kw_only=True, tag=True):
    """Look for a network interface. Gives ``InterfaceAppeared`` or, after ``limit_s``, ``AttachmentExpired``."""

    attachment_arn: str
    mac_address: str
    limit_s: float


class SubmitAttachmentStateChange(Action, frozen=True, kw_only=True, tag=True):
    """Tell ECS that it is attached, trying until it answers.

    Gives ``AttachmentAccepted``, ``AttachmentRefused`` or, after ``limit_s``, ``AttachmentExpired``.
    """

    attachment_arn: str
    task_arn: TaskArn
    """``""``: it is the instance's own."""
    limit_s: float


EcsAction = ConnectToCluster | SubmitTaskStateChange | AcknowledgeMessage | AcknowledgeCredentials | VerifyStop
"""Actions that go to ECS and not to the runtime."""

AttachmentAction = AwaitInterface | SubmitAttachmentStateChange
"""Actions about what ECS attaches."""


class TimerKind(Enum):
    """What a timer is for."""

    STEADY_CHECK = "STEADY_CHECK"
    """Inspect all containers of a task that has been quiet. Source: engine.md §2.1."""
    DEPENDENCY_CHECK = "DEPENDENCY_CHECK"
    """A dependency's start time-out may have passed."""
    CLEANUP = "CLEANUP"
    """Remove what is left of a stopped task. Source: engine.md §11."""
    REPORT_DRAIN = "REPORT_DRAIN"
    """Container changes that no task change carried are sent on their own. Source: agent-protocol.md §3.5."""
    IMAGE_CLEANUP = "IMAGE_CLEANUP"
    """A cycle of image clean-up. Source: engine.md §14."""


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of a timer: setting it again replaces it."""

    kind: TimerKind
    task_arn: TaskArn = TaskArn("")


class SetTimer(Action, frozen=True, kw_only=True, tag=True):
    """Gives ``TimerFired`` after ``delay_s`` plus a random part of ``jitter_s``."""

    timer: Timer
    delay_s: float
    jitter_s: float = 0.0


class CancelTimer(Action, frozen=True, kw_only=True, tag=True):
    """The timer, if set, does not fire."""

    timer: Timer


AnyAction = (
    InspectImage
    | ResolveManifest
    | PullImage
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | CancelCall
    | InspectContainer
    | CreateResource
    | RemoveResource
    | RemoveImage
    | RemoveOrphan
    | ListContainers
    | ReconnectRuntime
    | ConnectToCluster
    | SubmitTaskStateChange
    | AcknowledgeMessage
    | AcknowledgeCredentials
    | VerifyStop
    | AwaitInterface
    | SubmitAttachmentStateChange
    | SetTimer
    | CancelTimer
)

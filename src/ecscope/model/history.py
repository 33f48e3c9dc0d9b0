"""One entry of the durable history: what happened, when, to whom, and why.

Later verdicts stand on these entries, so ``detail`` carries what a person would ask for:
exit code, OOM flag, health output, pull progress, who asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

Detail = str | int | float | bool | None


class Happening(Enum):
    """What an entry tells. The value is stored and printed: never rename one."""

    TASK_ACCEPTED = "TaskAccepted"
    TASK_REFUSED = "TaskRefused"
    TASK_STOP_REQUESTED = "TaskStopRequested"
    TASK_WAITS_FOR_RESOURCES = "TaskWaitsForHostResources"
    TASK_RESOURCES_HELD = "TaskHostResourcesHeld"
    TASK_STATUS = "TaskStatusChanged"
    TASK_DESIRED_STATUS = "TaskDesiredStatusChanged"
    TASK_REMOVED = "TaskCleanedUp"
    CONTAINER_STATUS = "ContainerStatusChanged"
    CONTAINER_HEALTH = "ContainerHealthChanged"
    CONTAINER_ERROR = "ContainerError"
    CONTAINER_RESTARTED = "ContainerRestarted"
    CONTAINER_WAITS = "ContainerWaitsForDependency"
    CONTAINER_OOM = "ContainerOutOfMemory"
    CONTAINER_VANISHED = "ContainerVanished"
    CONTAINER_CAME_BACK = "ContainerStartedFromOutside"
    IMAGE_PULL_STARTED = "ImagePullStarted"
    IMAGE_PULL_PROGRESS = "ImagePullProgress"
    IMAGE_PULLED = "ImagePulled"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    IMAGE_REMOVED = "ImageRemoved"
    RESOURCE_CREATED = "TaskResourceCreated"
    RESOURCE_FAILED = "TaskResourceFailed"
    VOLUME_CREATED = "VolumeCreated"
    """No longer written, but in the histories of older agents; as are the next two."""
    VOLUME_FAILED = "VolumeFailed"
    CGROUP_FAILED = "CgroupFailed"
    CLEANUP_FAILED = "CleanupFailed"
    RUNTIME_CONNECTED = "RuntimeConnected"
    RUNTIME_DISCONNECTED = "RuntimeDisconnected"
    ORPHAN_FOUND = "OrphanContainerFound"
    INSTANCE_REGISTERED = "InstanceRegistered"
    INSTANCE_NOT_REGISTERED = "InstanceNotRegistered"
    PAYLOAD_RECEIVED = "PayloadReceived"
    MANIFEST_RECEIVED = "ManifestReceived"
    CREDENTIALS_RECEIVED = "CredentialsReceived"
    ATTACHMENT_RECEIVED = "AttachmentReceived"
    ATTACHMENT_ATTACHED = "AttachmentAttached"
    ATTACHMENT_ENDED = "AttachmentEnded"
    STATE_CHANGE_QUEUED = "StateChangeQueued"
    STATE_CHANGE_ACCEPTED = "StateChangeAccepted"
    STATE_CHANGE_REFUSED = "StateChangeRefused"
    RECORD_SET_ASIDE = "RecordSetAside"
    AGENT_STARTED = "AgentStarted"
    AGENT_STOPPED = "AgentStopped"
    NO_CHANGE = "NoChange"
    """A late, repeated or unknown event; logged at debug level, not stored."""


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as stored and as shown."""

    at: datetime
    """Aware UTC: when the agent learned of it."""
    event_id: str
    """Id of the event that caused it; the same id is on the log line."""
    cause: str
    """What kind of event caused it, in words."""
    happening: Happening
    task_arn: str = ""
    container_name: str = ""
    text: str = ""
    """One sentence for a person."""
    detail: Mapping[str, Detail] = {}

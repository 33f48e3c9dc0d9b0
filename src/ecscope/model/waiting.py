"""Why a task or a container waits, and since when. Values only; the rules are in ``core/waiting``."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from ecscope.model.status import ContainerStatus


class WaitingReason(Enum):
    """The kind of obstacle. The value is stored: never rename one."""

    DOCKER = "DOCKER"
    """Docker is away, or has not listed its containers since it came back."""
    HOST_RESOURCES = "HOST_RESOURCES"
    """A task: the instance lacks what it needs, and it is the first in the queue."""
    QUEUE = "QUEUE"
    """A task: another one is the first in that queue."""
    TASK = "TASK"
    """A container: its task waits."""
    CONTAINERS = "CONTAINERS"
    """A task: not all of its containers have reached that status."""
    DEPENDENCY = "DEPENDENCY"
    """A container: ``dependsOn``, links or volumesFrom."""
    DEPENDENTS = "DEPENDENTS"
    """A container that is to stop: others that depend on it stop first."""
    RESOURCE = "RESOURCE"
    """A container: a resource of its task is not ready."""
    CREDENTIALS = "CREDENTIALS"
    """A container: the execution role's, to ask the registry with."""
    IMAGE_REMOVAL = "IMAGE_REMOVAL"
    """A container: image clean-up is removing its image."""
    CALL = "CALL"
    """A container: a call to Docker is under way."""


_CALLS = {
    ContainerStatus.MANIFEST_PULLED.value: "its image's digest is being resolved",
    ContainerStatus.PULLED.value: "its image is being pulled",
    ContainerStatus.CREATED.value: "Docker is creating it",
    ContainerStatus.RUNNING.value: "Docker is starting it",
    ContainerStatus.STOPPED.value: "Docker is stopping it",
}


def sentence_of(reason: WaitingReason, on: str) -> str:
    """The obstacle in one sentence for a person."""
    match reason:
        case WaitingReason.DOCKER:
            return "waits until Docker is connected"
        case WaitingReason.HOST_RESOURCES:
            return f"waits for host resources: needs {on}"
        case WaitingReason.QUEUE:
            return f"waits behind {on}, first in the queue for host resources"
        case WaitingReason.TASK:
            return "waits with its task"
        case WaitingReason.CONTAINERS:
            return f"waits for its containers: {on}"
        case WaitingReason.DEPENDENTS:
            return f"waits until what depends on it has stopped: {on}"
        case WaitingReason.CREDENTIALS:
            return "waits for the credentials of its execution role"
        case WaitingReason.IMAGE_REMOVAL:
            return f"waits until the removal of image {on} has ended"
        case WaitingReason.CALL:
            return _CALLS.get(on, f"a call is under way that leads to {on}")
        case WaitingReason.DEPENDENCY | WaitingReason.RESOURCE:
            return f"waits for {on}"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An obstacle, as a task's record keeps it."""

    reason: WaitingReason
    on: str = ""
    """For whom or what, by reason: ``db HEALTHY``; ``volume data``; names of containers, separated by commas; the ARN
    of a task; what the instance lacks, as one clause; the status that a call leads to; ``""``: the reason says it all.
    """
    since: datetime
    """When this obstacle was first in the way. Aware UTC."""

    @property
    def sentence(self) -> str:
        """In one sentence for a person."""
        return sentence_of(self.reason, self.on)

"""The containers that the agent adds to a task: each holds namespaces that the task's own containers share.

They run before the others and stop after them; the task ends with them. Which namespaces a container gets is said in
``container_config``.

Source: engine.md §5.3, §8.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec

from ecscope.agent.core.state import Settings
from ecscope.model.container import Container, ContainerDefinition, ContainerKind, PortBinding
from ecscope.model.names import NAMESPACE_PAUSE, NETWORK_PAUSE, PAUSE_IMAGE
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import TASK_NETWORK, RemovedAt, TaskResource

_SUFFIX_DIGITS = 20

_HOST_CONFIG = '{"LogConfig": {"Type": "none"}, "ReadonlyRootfs": true, "CapDrop": ["ALL"]}'
"""It says nothing, and needs nothing."""

_HOLDS = {ContainerKind.CNI_PAUSE: "network namespace", ContainerKind.NAMESPACE_PAUSE: "PID or IPC namespace"}


def with_pauses(task: Task) -> Task:
    """The task with the pause containers that it needs, before its own."""
    return msgspec.structs.replace(task, containers=(*_pauses(task), *task.containers))


def _pauses(task: Task) -> Iterator[Container]:
    if task.interface is not None:
        yield _pause(task, NETWORK_PAUSE, ContainerKind.CNI_PAUSE)
    if "task" in (task.pid_mode, task.ipc_mode):
        yield _pause(task, NAMESPACE_PAUSE, ContainerKind.NAMESPACE_PAUSE)


def _pause(task: Task, name: str, kind: ContainerKind) -> Container:
    return Container(
        definition=ContainerDefinition(name=name, image=PAUSE_IMAGE, docker_host_config=_HOST_CONFIG),
        kind=kind,
        name_suffix=sha256(f"{task.arn} {name}".encode()).hexdigest()[:_SUFFIX_DIGITS],
    )


def wanted(settings: Settings, task: Task) -> tuple[TaskResource, ...]:
    """The network, which outlives the task and may have been removed by hand since the last one."""
    if task.interface is None or settings.task_network is None:
        return ()
    return (
        TaskResource(
            kind=TASK_NETWORK,
            name=settings.task_network.bridge,
            needed_by=(NETWORK_PAUSE,),
            needed_for=ContainerStatus.CREATED,
            removed_at=RemovedAt.NEVER,
            is_lost_by_restart=True,
        ),
    )


def awaited(task: Task, target: Container) -> Container | None:
    """The pause container without which one of the user's cannot take its next step; ``None``: none is missing."""
    if target.is_agents_own:
        return None
    for pause in task.containers:
        if not pause.is_agents_own or pause.is_steady:
            continue
        if pause.kind is ContainerKind.CNI_PAUSE or target.known >= ContainerStatus.MANIFEST_PULLED:
            return pause
    return None


def has_died(pause: Container) -> bool:
    """It was not the agent that stopped it.

    Containers that lose their PID namespace with it are killed, and may be seen to end first: the agent then asks for
    its stop after its end.
    """
    if not (pause.is_stopped and pause.started_at):
        return False
    asked_at = pause.stop_asked_at
    return asked_at is None or 0 < pause.died_at_ns < asked_at.timestamp() * 1e9


def reason_of_end(pause: Container) -> str:
    """Why a task ends with its pause container."""
    if pause.error is not None:
        return str(pause.error)
    how = "has stopped" if pause.exit_code is None else f"exited with {pause.exit_code}"
    return f"The pause container of the task, which holds its {_HOLDS[pause.kind]}, was stopped or removed: it {how}"


def published_ports(task: Task, container: Container) -> tuple[PortBinding, ...]:
    """The ports of one of an awsvpc task's containers that are published on this host, by the pause container."""
    pause = task.container(NETWORK_PAUSE) if not container.is_agents_own else None
    if pause is None or not pause.bindings:
        return ()
    declared = {
        (port, mapping.protocol)
        for mapping in container.definition.port_mappings
        for port in _ports(mapping.container_port, mapping.container_port_range)
    }
    return tuple(binding for binding in pause.bindings if (binding.container_port, binding.protocol) in declared)


def _ports(port: int, port_range: str | None) -> range:
    """Empty for a range that is none; such a container is not created."""
    if port_range is None:
        return range(port, port + 1)
    first, _, last = port_range.partition("-")
    return range(int(first), int(last) + 1) if first.isdecimal() and last.isdecimal() else range(0)

"""CPU, memory and host ports: what a task needs, and the queue in front of them.

First in, first out: the head of the queue blocks everything behind it.

Source: engine.md §2.2.
"""

from __future__ import annotations

import json

import msgspec

from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import ContainerDefinition
from ecscope.model.resources import ContainerShare, HostResources, Lack, lacks, task_needs
from ecscope.model.runtime import EngineInfo
from ecscope.model.status import TaskStatus
from ecscope.model.task import HostResourcesHeld, Task

_MIB = 1024 * 1024


def needs_of(task: Task) -> HostResources:
    """What a task takes of the instance while it is not STOPPED."""
    return task_needs(
        launch_type=task.launch_type,
        network_mode=task.network_mode,
        cpu_units=int(task.cpu_vcpu * 1024),
        memory_mib=task.memory_mib,
        containers=(_share_of(container.definition) for container in task.containers),
    )


def _share_of(definition: ContainerDefinition) -> ContainerShare:
    return ContainerShare(
        cpu_units=definition.cpu_units,
        memory_mib=definition.memory_mib,
        memory_reservation_mib=_reservation_mib(definition),
        host_ports=tuple((mapping.host_port, mapping.protocol) for mapping in definition.port_mappings),
    )


def _reservation_mib(definition: ContainerDefinition) -> int | None:
    """Docker's MemoryReservation in MiB; ``None``: there is none."""
    try:
        host_config = json.loads(definition.docker_host_config or "{}")
    except ValueError:
        return None  # an unreadable host config fails at create, with its own error
    if isinstance(host_config, dict):
        for name, value in host_config.items():
            if name.lower() == "memoryreservation" and isinstance(value, int) and value > 0:
                return value // _MIB
    return None


def host_of(
    info: EngineInfo,
    *,
    reserved_memory_mib: int,
    reserved_ports_tcp: frozenset[int],
    reserved_ports_udp: frozenset[int],
) -> HostResources:
    """All that the instance has for tasks; its ports are those that no task may take."""
    return HostResources(
        cpu_units=info.cpus * 1024,
        memory_mib=info.memory_bytes // _MIB - reserved_memory_mib,
        ports_tcp=reserved_ports_tcp,
        ports_udp=reserved_ports_udp,
    )


def shortage(needs: HostResources, *, host: HostResources, taken: HostResources) -> str:
    """What is lacking, as one clause; ``""``: nothing. The ports of ``host`` are those reserved."""
    return "; ".join(map(_clause, lacks(needs, host=host, taken=taken)))


def _clause(lack: Lack) -> str:
    if lack.kind == "PORTS":
        ports = ", ".join(map(str, sorted(lack.ports)))
        whose = "reserved on this instance" if lack.is_reserved else "held by another task"
        return f"{lack.protocol} port {ports}, {whose}"
    what = "CPU units" if lack.kind == "CPU" else "MiB of memory"
    return f"{lack.needed} {what}, {lack.free} free"


def release(step: Step, task: Task) -> Task:
    """Give back what a task holds; harmless when it holds nothing."""
    if task.host_resources is HostResourcesHeld.HELD:
        step.taken = step.taken.minus(task.needs)
    elif task.arn in step.waiting:
        step.waiting = tuple(arn for arn in step.waiting if arn != task.arn)
    if task.host_resources is HostResourcesHeld.RELEASED:
        return task
    return step.put(msgspec.structs.replace(task, host_resources=HostResourcesHeld.RELEASED))


def serve_queue(step: Step) -> None:
    """Let tasks in, from the head of the queue, as long as the head fits."""
    while step.waiting and step.runtime_connected:
        task = step.tasks.get(step.waiting[0])
        if task is None or task.host_resources is not HostResourcesHeld.WAITING:
            step.waiting = step.waiting[1:]
            continue
        if task.desired is TaskStatus.STOPPED:
            step.waiting = step.waiting[1:]  # a stop request ends the wait
            step.touch(task.arn)
            continue
        lack = shortage(task.needs, host=step.host, taken=step.taken)
        if lack:
            return
        step.waiting = step.waiting[1:]
        step.taken = step.taken.plus(task.needs)
        task = step.put(msgspec.structs.replace(task, host_resources=HostResourcesHeld.HELD))
        step.note(
            history.TaskHostResourcesHeld(cpu_units=task.needs.cpu_units, memory_mib=task.needs.memory_mib), task=task
        )

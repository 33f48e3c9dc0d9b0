"""The rules of a definition whose tasks have a network interface, and of one that is to run on Fargate, in ECS's words.

They look at a text whose single members may be wrong, as ``rules`` does, and every breach is reported.

Source: RegisterTaskDefinition of the ECS API (2014-11-13), and of the developer guide "Amazon ECS task definition
differences for Fargate" and "Fargate task sizes".
"""

from __future__ import annotations

from collections.abc import Iterator

from ecscope.model import refused
from ecscope.model.image_reference import ECR
from ecscope.model.network import NetworkMode, network_mode
from ecscope.taskdefinition.members import Report
from ecscope.taskdefinition.positions import Node
from ecscope.taskdefinition.rules import Place, cpu_units, memory_mib

SIZES_MIB = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""CPU units of a task → the amounts of memory that it may have with them, in MiB."""
EPHEMERAL_STORAGE_GIB = 20
"""What a task has that asks for none."""

_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
_CAPABILITY = "SYS_PTRACE"
_UNEQUAL_PORTS = "When networkMode=awsvpc, the host ports and container ports in port mappings must match"
_NOT_WITH_AWSVPC = {
    "hostname": "hostname is",
    "extraHosts": "Extra hosts are",
    "disableNetworking": "Disable Networking is",
}
"""Member → the beginning of what ECS says of it."""
_CANNOT = "Fargate compatible task definitions do not support"
_NEEDS_ROLE = "Fargate requires task definition to have execution role ARN to support"
_OF_LINUX = ("devices", "maxSwap", "sharedMemorySize", "swappiness", "tmpfs")


def check_awsvpc(root: Node, report: Report) -> None:
    """Add what belongs to the network of a task, and not to that of a container.

    Difference: ``dnsServers`` and ``dnsSearchDomains`` are taken, and hold for the whole task.
    """
    task = Place(root, "")
    if network_mode(task.text("networkMode")) is not NetworkMode.AWSVPC:
        return
    for container in task.items("containerDefinitions"):
        for member, words in _NOT_WITH_AWSVPC.items():
            place = container.member(member)
            if place is not None and place.node.value not in (False, "", []):
                report.add(place.node, place.path, f"{words} not supported on container when networkMode=awsvpc")
        for link in container.items("links"):
            report.add(link.node, link.path, "Links are not supported when networkMode=awsvpc")
        for mapping in container.items("portMappings"):
            host, port = mapping.member("hostPort"), mapping.whole("containerPort")
            if host is not None and port is not None and host.node.value not in (0, port):
                report.add(host.node, host.path, _UNEQUAL_PORTS)


def check_fargate(root: Node, report: Report, *, is_asked_for: bool = False) -> None:
    """Add every breach of Fargate's rules, if the definition requires that compatibility.

    Args:
        is_asked_for: it does, whatever it says.
    """
    task = Place(root, "")
    if not is_asked_for and next(_requirements(task), None) is None:
        storage = task.member("ephemeralStorage")
        if storage is not None:
            report.add(storage.node, storage.path, "is for tasks on Fargate: add FARGATE to requiresCompatibilities")
        return
    mode = task.member("networkMode")
    if task.text("networkMode") != "awsvpc":
        report.add(mode.node if mode else root, "networkMode", "Fargate only supports network mode ‘awsvpc’")
    _size(task, report)
    _task(task, report)
    for container in task.items("containerDefinitions"):
        _container(task, container, report)


def refuse_fargate(root: Node, report: Report) -> None:
    """Of a task file: it has nothing to say how its tasks are launched."""
    for place in _requirements(Place(root, "")):
        report.add(place.node, place.path, refused.FARGATE_OF_A_FILE.why)


def _requirements(task: Place) -> Iterator[Place]:
    return (place for place in task.items("requiresCompatibilities") if place.node.value == "FARGATE")


def _size(task: Place, report: Report) -> None:
    for name in ("cpu", "memory"):
        if task.member(name) is None:
            report.add(task.node, name, f"Fargate requires that '{name}' be defined at the task level")
    cpu, memory = task.member("cpu"), task.member("memory")
    units, mib = cpu_units(task.text("cpu") or ""), memory_mib(task.text("memory") or "")
    if cpu is None or memory is None or units is None or mib is None or mib in SIZES_MIB.get(units, ()):
        return
    given = f"No Fargate configuration exists for given values: {units} CPU, {mib} memory"
    if units not in SIZES_MIB:
        report.add(cpu.node, "cpu", f"{given}. CPU must be one of {', '.join(map(str, SIZES_MIB))}")
    else:
        amounts = SIZES_MIB[units]
        step = f" in steps of {amounts.step}" if isinstance(amounts, range) else f": {', '.join(map(str, amounts))}"
        report.add(memory.node, "memory", f"{given}. Memory must be from {amounts[0]} to {amounts[-1]} MiB{step}")


def _task(task: Place, report: Report) -> None:
    constraints = task.member("placementConstraints")
    if constraints is not None and constraints.node.value:
        report.add(constraints.node, constraints.path, f"{_CANNOT} constraints")
    pid, ipc = task.member("pidMode"), task.member("ipcMode")
    if pid is not None and task.text("pidMode") == "host":
        report.add(pid.node, pid.path, f"{_CANNOT} pidMode host: only task")
    if ipc is not None and task.text("ipcMode"):
        report.add(ipc.node, ipc.path, f"{_CANNOT} ipcMode")
    for volume in task.items("volumes"):
        docker, host = volume.member("dockerVolumeConfiguration"), volume.member("host")
        if docker is not None:
            report.add(docker.node, docker.path, f"{_CANNOT} dockerVolumeConfiguration")
        source = host.member("sourcePath") if host is not None else None
        if source is not None and source.node.value:
            report.add(source.node, source.path, f"{_CANNOT} sourcePath")


def _container(task: Place, container: Place, report: Report) -> None:
    privileged = container.member("privileged")
    if privileged is not None and privileged.node.value is True:
        report.add(privileged.node, privileged.path, f"{_CANNOT} privileged")
    options = container.member("dockerSecurityOptions")
    if options is not None and options.node.value:
        report.add(options.node, options.path, f"{_CANNOT} dockerSecurityOptions")
    linux = container.member("linuxParameters")
    for name in _OF_LINUX if linux is not None else ():
        place = linux.member(name) if linux is not None else None
        if place is not None and place.node.value not in ([], 0 if name == "sharedMemorySize" else None):
            report.add(place.node, place.path, f"{_CANNOT} {name}")
    capabilities = linux.member("capabilities") if linux is not None else None
    for place in capabilities.items("add") if capabilities is not None else ():
        if place.node.value != _CAPABILITY:
            report.add(place.node, place.path, f"{_CANNOT} added capabilities other than {_CAPABILITY}")
    _logs(task, container, report)
    image = container.member("image")
    if image is not None and ECR.fullmatch(container.text("image") or "") and not task.text("executionRoleArn"):
        report.add(image.node, image.path, f"{_NEEDS_ROLE} ECR images")


def _logs(task: Place, container: Place, report: Report) -> None:
    logs = container.member("logConfiguration")
    driver = logs.member("logDriver") if logs is not None else None
    if logs is None or driver is None or not isinstance(driver.node.value, str):
        return
    if driver.node.value not in _LOG_DRIVERS:
        report.add(driver.node, driver.path, f"Fargate supports the log drivers {', '.join(_LOG_DRIVERS)} only")
    elif driver.node.value == "awslogs" and not task.text("executionRoleArn"):
        report.add(driver.node, driver.path, f"{_NEEDS_ROLE} log driver awslogs")

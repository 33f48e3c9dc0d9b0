"""The rules of a task definition that concern more than one member.

They look at a text whose single members may be wrong (``members`` has said
so): what is missing or of the wrong kind is passed over here.

Source: RegisterTaskDefinition of the ECS API (2014-11-13); control-plane.md §5.1;
engine.md §5.1, §7, §9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from ecscope.model import refused
from ecscope.model.network import NetworkMode, network_mode
from ecscope.taskdefinition.members import Report
from ecscope.taskdefinition.positions import Node

MIN_CPU_UNITS = 128
MAX_CPU_UNITS = 196608
MIN_MEMORY_MIB = 6
_MOST_PORT_RANGES = 100
_IPC_SYSCTLS = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


class Place(msgspec.Struct, frozen=True):
    """A value and its path. Reading a member of the wrong kind gives ``None`` or nothing."""

    node: Node
    path: str

    def member(self, name: str) -> Place | None:
        value = self.node.value
        if not isinstance(value, dict) or name not in value:
            return None
        return Place(value[name].node, f"{self.path}.{name}" if self.path else name)

    def items(self, name: str) -> Iterator[Place]:
        list_place = self.member(name)
        if list_place is not None and isinstance(list_place.node.value, list):
            for index, node in enumerate(list_place.node.value):
                yield Place(node, f"{list_place.path}[{index}]")

    def text(self, name: str) -> str | None:
        place = self.member(name)
        return place.node.value if place is not None and isinstance(place.node.value, str) else None

    def whole(self, name: str) -> int | None:
        place = self.member(name)
        return place.node.value if place is not None and type(place.node.value) is int else None


def cpu_units(text: str) -> int | None:
    """Task ``cpu`` in CPU units; ``None``: it is neither units nor vCPUs."""
    return _amount(text, "vcpu", 1024)


def memory_mib(text: str) -> int | None:
    """Task ``memory`` in MiB; ``None``: it is neither MiB nor GB."""
    return _amount(text, "gb", 1024)


def _amount(text: str, unit: str, factor: int) -> int | None:
    lowered = text.strip().lower()
    number = lowered.removesuffix("s" if unit == "vcpu" else "").removesuffix(unit).strip()
    try:
        if number == lowered:
            return int(number)
        return round(float(number) * factor)
    except (ValueError, OverflowError):
        return None


def check_rules(root: Node, report: Report) -> None:
    """Add every breach of a rule between members to ``report``."""
    task = Place(root, "")
    containers = list(task.items("containerDefinitions"))
    names = _names(containers, report)
    _task_size(task, containers, report)
    volumes = _volumes(task, report)
    _essential(task, containers, report)
    for container in containers:
        _memory(container, report)
        _links(task, container, names, report)
        _volumes_from(container, names, report)
        _mount_points(container, volumes, report)
        _depends_on(container, names, containers, report)
        _ports(task, container, report)
        _single_settings(task, container, report)
        _logs(task, container, report)
    _host_ports(task, containers, report)
    _cycles(containers, report)


def _names(containers: list[Place], report: Report) -> set[str]:
    names: set[str] = set()
    for container in containers:
        name = container.text("name")
        place = container.member("name")
        if name is None or place is None:
            continue
        if name in names:
            report.add(place.node, place.path, f"is the name of an earlier container: {name!a}")
        names.add(name)
    return names


def _task_size(task: Place, containers: list[Place], report: Report) -> None:
    cpu = task.member("cpu")
    text = task.text("cpu")
    units = cpu_units(text) if text is not None else None
    if cpu is not None and units is not None:
        total = sum(container.whole("cpu") or 0 for container in containers)
        if not MIN_CPU_UNITS <= units <= MAX_CPU_UNITS:
            report.add(cpu.node, "cpu", f"must be from {MIN_CPU_UNITS} to {MAX_CPU_UNITS} CPU units, not {units}")
        elif total > units:
            report.add(cpu.node, "cpu", f"is {units} CPU units, less than the {total} of all containers together")
    memory = task.member("memory")
    text = task.text("memory")
    mib = memory_mib(text) if text is not None else None
    if memory is None or mib is None:
        return
    if mib < MIN_MEMORY_MIB:
        report.add(memory.node, "memory", f"must be at least {MIN_MEMORY_MIB} MiB, not {mib}")
        return
    for container in containers:
        limit = container.member("memory")
        if limit is not None and (container.whole("memory") or 0) > mib:
            report.add(limit.node, limit.path, f"is more than the {mib} MiB of the whole task")
    total = sum(container.whole("memoryReservation") or container.whole("memory") or 0 for container in containers)
    if total > mib:
        report.add(memory.node, "memory", f"is {mib} MiB, less than the {total} MiB of all containers together")


def _mode(task: Place) -> NetworkMode | None:
    """``None``: it is not a valid one, which is reported separately."""
    return network_mode(task.text("networkMode"))


def _essential(task: Place, containers: list[Place], report: Report) -> None:
    flags = [container.member("essential") for container in containers]
    if flags and all(flag is not None and flag.node.value is False for flag in flags):
        place = task.member("containerDefinitions")
        assert place is not None
        report.add(place.node, place.path, "must have at least one essential container")


def _volumes(task: Place, report: Report) -> set[str]:
    names: set[str] = set()
    for volume in task.items("volumes"):
        name = volume.text("name")
        name_place = volume.member("name")
        if name is not None and name_place is not None:
            if name in names:
                report.add(name_place.node, name_place.path, f"is the name of an earlier volume: {name!a}")
            names.add(name)
        docker = volume.member("dockerVolumeConfiguration")
        if docker is None:
            continue
        if volume.member("host") is not None:
            report.add(docker.node, docker.path, "cannot stand beside host; a volume is one or the other")
        scope = docker.text("scope") or "task"
        autoprovision = docker.member("autoprovision")
        if autoprovision is not None and autoprovision.node.value is True and scope == "task":
            report.add(autoprovision.node, autoprovision.path, "is only for scope shared")
        is_docker_name = name is None or (len(name) != 1 and name[:1] not in ("_", "-"))
        if scope == "shared" and name_place is not None and not is_docker_name:
            reason = "must have two or more characters and start with a letter or digit, as a shared Docker volume"
            report.add(name_place.node, name_place.path, reason)
    return names


def _memory(container: Place, report: Report) -> None:
    memory = container.whole("memory")
    reservation = container.whole("memoryReservation")
    place = container.member("memory")
    if place is not None and memory is not None and reservation is not None and memory < reservation:
        report.add(place.node, place.path, f"must not be less than memoryReservation, which is {reservation} MiB")
    linux = container.member("linuxParameters")
    swap = linux.member("maxSwap") if linux is not None else None
    if swap is not None and container.member("memory") is None:
        report.add(swap.node, swap.path, "needs the container's memory: Docker limits swap together with memory")


def _links(task: Place, container: Place, names: set[str], report: Report) -> None:
    for place in container.items("links"):
        if not isinstance(place.node.value, str):
            continue
        target = place.node.value.split(":", 1)[0]
        mode = _mode(task)
        if mode in (None, NetworkMode.HOST, NetworkMode.NONE):
            report.add(place.node, place.path, f"needs networkMode bridge, not {task.text('networkMode')}")
        else:
            _target(container, place, target, names, report)


def _volumes_from(container: Place, names: set[str], report: Report) -> None:
    for entry in container.items("volumesFrom"):
        place = entry.member("sourceContainer")
        if place is not None and isinstance(place.node.value, str):
            _target(container, place, place.node.value, names, report)


def _target(container: Place, place: Place, target: str, names: set[str], report: Report) -> None:
    if target == container.text("name"):
        report.add(place.node, place.path, "must name another container, not its own")
    elif target not in names:
        report.add(place.node, place.path, f"names a container that is not in this task definition: {target!a}")


def _mount_points(container: Place, volumes: set[str], report: Report) -> None:
    taken: set[str] = set()
    linux = container.member("linuxParameters")
    entries = [*container.items("mountPoints"), *(linux.items("tmpfs") if linux is not None else ())]
    for entry in entries:
        volume = entry.member("sourceVolume")
        if volume is not None and isinstance(volume.node.value, str) and volume.node.value not in volumes:
            report.add(volume.node, volume.path, f"names a volume that is not in volumes: {volume.node.value!a}")
        path = entry.member("containerPath")
        if path is None or not isinstance(path.node.value, str):
            continue
        plain_path = "/" + "/".join(part for part in path.node.value.split("/") if part not in ("", "."))
        if plain_path == "/":
            report.add(path.node, path.path, "must not be the root folder")
        elif plain_path in taken:
            report.add(path.node, path.path, "is the containerPath of an earlier mount")
        taken.add(plain_path)


def _depends_on(container: Place, names: set[str], containers: list[Place], report: Report) -> None:
    by_name = {other.text("name"): other for other in containers}
    seen: set[str] = set()
    for entry in container.items("dependsOn"):
        place = entry.member("containerName")
        if place is None or not isinstance(place.node.value, str):
            continue
        target = place.node.value
        _target(container, place, target, names, report)
        if target in seen:
            report.add(place.node, place.path, "is named in an earlier entry; give one condition for each container")
        seen.add(target)
        condition = entry.member("condition")
        other = by_name.get(target)
        if condition is None or other is None or other is container:
            continue
        if condition.node.value == "HEALTHY" and other.member("healthCheck") is None:
            reason = f"HEALTHY needs a healthCheck in the container it waits for, {target!a}"
            report.add(condition.node, condition.path, reason)
        if condition.node.value in ("COMPLETE", "SUCCESS"):
            essential = other.member("essential")
            if essential is None or essential.node.value is True:
                reason = (
                    f"{condition.node.value} can only wait for a container that is not essential: "
                    f"set essential to false in {target!a}"
                )
                report.add(condition.node, condition.path, reason)


def _ports(task: Place, container: Place, report: Report) -> None:
    mode = _mode(task)
    shares_ports = mode is not None and mode.shares_host_ports
    taken: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    ranges = 0
    for mapping in container.items("portMappings"):
        if not isinstance(mapping.node.value, dict):
            continue
        port, port_range, host = (mapping.member(n) for n in ("containerPort", "containerPortRange", "hostPort"))
        if mode is NetworkMode.NONE:
            report.add(mapping.node, mapping.path, "is not possible with networkMode none")
        if port is None and port_range is None:
            report.add(mapping.node, f"{mapping.path}.containerPort", "is required and missing")
            continue
        ports = range(0)
        if port_range is not None:
            ranges += 1
            ports = _port_range(mapping, port_range, report, shares_ports=shares_ports)
            for other in (port, host):
                if other is not None:
                    report.add(other.node, other.path, "cannot stand beside containerPortRange")
        elif port is not None and type(port.node.value) is int:
            ports = range(port.node.value, port.node.value + 1)
        if shares_ports and host is not None and port is not None and host.node.value not in (0, port.node.value):
            report.add(host.node, host.path, "must equal containerPort with networkMode host, or be left out")
        used = taken.get(mapping.text("protocol") or "tcp", set())
        place = port_range or port
        if place is not None and not used.isdisjoint(ports):
            report.add(place.node, place.path, "is mapped by an earlier entry; a port has one mapping")
        used.update(ports)
    if ranges > _MOST_PORT_RANGES:
        place = container.member("portMappings")
        assert place is not None
        report.add(place.node, place.path, f"must have at most {_MOST_PORT_RANGES} port ranges, not {ranges}")


def _port_range(mapping: Place, place: Place, report: Report, *, shares_ports: bool) -> range:
    text = mapping.text("containerPortRange") or ""
    first_text, _, last_text = text.partition("-")
    if not (first_text.isascii() and first_text.isdigit() and last_text.isascii() and last_text.isdigit()):
        return range(0)
    first, last = int(first_text[:9]), int(last_text[:9])
    if not 1 <= first < last <= 65535:
        report.add(place.node, place.path, "must go from a lower to a higher port, both from 1 to 65535")
        return range(0)
    if shares_ports:
        report.add(place.node, place.path, "needs networkMode bridge")
    return range(first, last + 1)


def _host_ports(task: Place, containers: list[Place], report: Report) -> None:
    taken: set[tuple[int, str]] = set()
    mode = _mode(task)
    shares_ports = mode is not None and mode.has_one_port_number
    for container in containers:
        for mapping in container.items("portMappings"):
            place = mapping.member("hostPort") or (mapping.member("containerPort") if shares_ports else None)
            port = mapping.whole("hostPort") or (mapping.whole("containerPort") if shares_ports else None)
            key = (port or 0, mapping.text("protocol") or "tcp")
            if place is None or not port:
                continue
            if key in taken:
                whose = "task" if mode is NetworkMode.AWSVPC else "host"
                report.add(
                    place.node, place.path, f"port {port}/{key[1]} of the {whose} is taken by an earlier mapping"
                )
            taken.add(key)


def _single_settings(task: Place, container: Place, report: Report) -> None:
    """Rules inside one container that need more than one member, or more than a pattern."""
    from ipaddress import ip_address  # noqa: PLC0415  # only when a task definition is read

    def is_address(text: str) -> bool:
        try:
            ip_address(text)
        except ValueError:
            return False
        return True

    _once(container, "environment", "name", report)
    _once(container, "ulimits", "name", report)
    _once(container, "systemControls", "namespace", report)
    for limit in container.items("ulimits"):
        soft, hard, place = limit.whole("softLimit"), limit.whole("hardLimit"), limit.member("softLimit")
        if place is not None and soft is not None and hard is not None and hard != -1 and (soft == -1 or soft > hard):
            report.add(place.node, place.path, f"must not be more than hardLimit, which is {hard}")
    for place in container.items("dnsServers"):
        if isinstance(place.node.value, str) and not is_address(place.node.value):
            report.add(place.node, place.path, "must be an IP address")
    for entry in container.items("extraHosts"):
        address = entry.member("ipAddress")
        text = entry.text("ipAddress")
        if address is not None and text is not None and text != "host-gateway" and not is_address(text):
            report.add(address.node, address.path, "must be an IP address")
    for place in container.items("dockerSecurityOptions"):
        if isinstance(place.node.value, str) and place.node.value.startswith("credentialspec"):
            report.add(place.node, place.path, refused.CREDENTIAL_SPECS.why)
    for control in container.items("systemControls"):
        namespace = control.member("namespace")
        text = control.text("namespace") or ""
        if namespace is None:
            continue
        if text.startswith("net.") and _mode(task) is NetworkMode.HOST:
            report.add(namespace.node, namespace.path, "cannot be set with networkMode host")
        elif text.startswith(_IPC_SYSCTLS) and task.text("ipcMode") == "host":
            report.add(namespace.node, namespace.path, "cannot be set with ipcMode host")


def _once(container: Place, list_name: str, member_name: str, report: Report) -> None:
    seen: set[str] = set()
    for entry in container.items(list_name):
        place = entry.member(member_name)
        if place is None or not isinstance(place.node.value, str):
            continue
        if place.node.value in seen:
            report.add(place.node, place.path, f"is set by an earlier entry too: {place.node.value!a}")
        seen.add(place.node.value)


def _cycles(containers: list[Place], report: Report) -> None:
    """Waiting in a circle by dependsOn, links and volumesFrom together. Source: engine.md §5.1, §2."""
    edges: dict[str, list[tuple[str, Place]]] = {}
    for container in containers:
        waits = edges.setdefault(container.text("name") or "", [])
        waits += _edges(container, "dependsOn", lambda entry: entry.member("containerName"))
        waits += _edges(container, "volumesFrom", lambda entry: entry.member("sourceContainer"))
        waits += _edges(container, "links", lambda entry: entry)
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> None:
        for target, place in edges.get(name, ()):
            if target in trail:
                circle = " → ".join([*trail[trail.index(target) :], target])
                if len(trail) - trail.index(target) > 1:
                    report.add(place.node, place.path, f"closes a circle in which nothing can start: {circle}")
            elif target not in done:
                walk(target, [*trail, target])
        done.add(name)

    for name in edges:
        if name not in done:
            walk(name, [name])


def _edges(container: Place, list_name: str, target: Callable[[Place], Place | None]) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = []
    for entry in container.items(list_name):
        place = target(entry)
        if place is not None and isinstance(place.node.value, str):
            found.append((place.node.value.split(":", 1)[0], place))
    return found


def _logs(task: Place, container: Place, report: Report) -> None:
    """What ``awslogs`` requires. Source: ECS API, ``LogConfiguration``."""
    log = container.member("logConfiguration")
    if log is None or log.text("logDriver") != "awslogs":
        return
    options = log.member("options")
    place = options or log
    if options is None or not options.text("awslogs-group"):
        report.add(place.node, place.path, "log driver awslogs requires the option awslogs-group")
    is_fargate = any(each.node.value == "FARGATE" for each in task.items("requiresCompatibilities"))
    if is_fargate and (options is None or not options.text("awslogs-stream-prefix")):
        report.add(place.node, place.path, "log driver awslogs requires the option awslogs-stream-prefix on Fargate")

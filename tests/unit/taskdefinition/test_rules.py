"""Each rule between members of a task definition: broken, it names the place and says what to do; kept, it is mute."""

from __future__ import annotations

import pytest

from ecscope.taskdefinition.read import mistakes_in
from ecscope.taskdefinition.rules import cpu_units, memory_mib
from tests.tables import each_row

from .definitions import container, mistakes_of, task

C0 = "containerDefinitions[0]"
C1 = "containerDefinitions[1]"


def only_mistake(document: object) -> tuple[str, str]:
    found = mistakes_of(document)
    assert len(found) == 1, found
    return found.popitem()


def waits(name: str, *targets: str, condition: str = "START", **members: object) -> dict[str, object]:
    entries = [{"containerName": target, "condition": condition} for target in targets]
    return container(name, dependsOn=entries, **members)


HEALTH = {"command": ["CMD", "true"]}

BROKEN = {
    "container names are unique": (
        task(container("a"), container("a")), f"{C1}.name", "is the name of an earlier container: 'a'"),
    "volume names are unique": (
        task(volumes=[{"name": "v"}, {"name": "v"}]), "volumes[1].name", "is the name of an earlier volume: 'v'"),
    "one container is essential": (
        task(container(essential=False)), "containerDefinitions", "must have at least one essential container"),
    "task cpu has a least value": (
        task(cpu="64"), "cpu", "must be from 128 to 196608 CPU units, not 64"),
    "task cpu has a greatest value": (
        task(cpu="193 vCPU"), "cpu", "must be from 128 to 196608 CPU units, not 197632"),
    "task cpu holds the containers": (
        task(container("a", cpu=100), container("b", cpu=200), cpu="256"),
        "cpu", "is 256 CPU units, less than the 300 of all containers together"),
    "task memory has a least value": (
        task(memory="5"), "memory", "must be at least 6 MiB, not 5"),
    "task memory holds each container": (
        task(container(memory=600, memoryReservation=10), memory="512"),
        f"{C0}.memory", "is more than the 512 MiB of the whole task"),
    "task memory holds the containers together": (
        task(container("a", memory=300), container("b", memoryReservation=300), memory="0.5GB"),
        "memory", "is 512 MiB, less than the 600 MiB of all containers together"),
    "memory is not below the reservation": (
        task(container(memory=10, memoryReservation=11)),
        f"{C0}.memory", "must not be less than memoryReservation, which is 11 MiB"),
    "swap needs memory": (
        task(container(memoryReservation=10, linuxParameters={"maxSwap": 0})),
        f"{C0}.linuxParameters.maxSwap", "needs the container's memory: Docker limits swap together with memory"),
    "Fargate": (
        task(requiresCompatibilities=["EC2", "FARGATE"]),
        "requiresCompatibilities[1]",
        "launch type FARGATE is not supported in a task file: register it with a control plane (ecscope up)"),
    "a volume is one kind": (
        task(volumes=[{"name": "v", "host": {}, "dockerVolumeConfiguration": {}}]),
        "volumes[0].dockerVolumeConfiguration", "cannot stand beside host; a volume is one or the other"),
    "only shared volumes are autoprovisioned": (
        task(volumes=[{"name": "v", "dockerVolumeConfiguration": {"autoprovision": True}}]),
        "volumes[0].dockerVolumeConfiguration.autoprovision", "is only for scope shared"),
    "a shared volume has a name that Docker takes": (
        task(volumes=[{"name": "_v", "dockerVolumeConfiguration": {"scope": "shared"}}]),
        "volumes[0].name",
        "must have two or more characters and start with a letter or digit, as a shared Docker volume"),
    "links need bridge": (
        task(container("a", links=["b"]), container("b"), networkMode="host"),
        f"{C0}.links[0]", "needs networkMode bridge, not host"),
    "links name a container": (
        task(container("a", links=["c:alias"])),
        f"{C0}.links[0]", "names a container that is not in this task definition: 'c'"),
    "links name another container": (
        task(container("a", links=["a"])), f"{C0}.links[0]", "must name another container, not its own"),
    "volumesFrom names a container": (
        task(container("a", volumesFrom=[{"sourceContainer": "c"}])),
        f"{C0}.volumesFrom[0].sourceContainer", "names a container that is not in this task definition: 'c'"),
    "volumesFrom names another container": (
        task(container("a", volumesFrom=[{"sourceContainer": "a"}])),
        f"{C0}.volumesFrom[0].sourceContainer", "must name another container, not its own"),
    "a mount point names a volume": (
        task(container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}])),
        f"{C0}.mountPoints[0].sourceVolume", "names a volume that is not in volumes: 'v'"),
    "a mount point is not the root": (
        task(container(mountPoints=[{"sourceVolume": "v", "containerPath": "/./"}]), volumes=[{"name": "v"}]),
        f"{C0}.mountPoints[0].containerPath", "must not be the root folder"),
    "a path is mounted once": (
        task(
            container(
                mountPoints=[{"sourceVolume": "v", "containerPath": p} for p in ("/v/", "/v")]
            ),
            volumes=[{"name": "v"}],
        ),
        f"{C0}.mountPoints[1].containerPath", "is the containerPath of an earlier mount"),
    "a tmpfs does not hide a mount": (
        task(
            container(
                mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}],
                linuxParameters={"tmpfs": [{"containerPath": "/v", "size": 1}]},
            ),
            volumes=[{"name": "v"}],
        ),
        f"{C0}.linuxParameters.tmpfs[0].containerPath", "is the containerPath of an earlier mount"),
    "dependsOn names a container": (
        task(waits("a", "b")),
        f"{C0}.dependsOn[0].containerName", "names a container that is not in this task definition: 'b'"),
    "dependsOn names another container": (
        task(waits("a", "a")), f"{C0}.dependsOn[0].containerName", "must name another container, not its own"),
    "dependsOn names a container once": (
        task(waits("a", "b", "b"), container("b")),
        f"{C0}.dependsOn[1].containerName", "is named in an earlier entry; give one condition for each container"),
    "HEALTHY needs a health check": (
        task(waits("a", "b", condition="HEALTHY"), container("b")),
        f"{C0}.dependsOn[0].condition", "HEALTHY needs a healthCheck in the container it waits for, 'b'"),
    "COMPLETE waits for what may end": (
        task(waits("a", "b", condition="COMPLETE"), container("b")),
        f"{C0}.dependsOn[0].condition",
        "COMPLETE can only wait for a container that is not essential: set essential to false in 'b'"),
    "SUCCESS waits for what may end": (
        task(waits("a", "b", condition="SUCCESS"), container("b", essential=True)),
        f"{C0}.dependsOn[0].condition",
        "SUCCESS can only wait for a container that is not essential: set essential to false in 'b'"),
    "dependsOn makes no circle": (
        task(waits("a", "b"), waits("b", "c"), waits("c", "a")),
        "containerDefinitions[2].dependsOn[0].containerName",
        "closes a circle in which nothing can start: a → b → c → a"),
    "links and dependsOn make no circle": (
        task(waits("a", "b"), container("b", links=["a:x"])),
        f"{C1}.links[0]", "closes a circle in which nothing can start: a → b → a"),
    "volumesFrom and dependsOn make no circle": (
        task(waits("a", "b"), container("b", volumesFrom=[{"sourceContainer": "a"}])),
        f"{C1}.volumesFrom[0].sourceContainer", "closes a circle in which nothing can start: a → b → a"),
    "a port is given": (
        task(container(portMappings=[{"hostPort": 80}])),
        f"{C0}.portMappings[0].containerPort", "is required and missing"),
    "no ports without a network": (
        task(container(portMappings=[{"containerPort": 80}]), networkMode="none"),
        f"{C0}.portMappings[0]", "is not possible with networkMode none"),
    "a port stands alone": (
        task(container(portMappings=[{"containerPort": 80, "containerPortRange": "90-91"}])),
        f"{C0}.portMappings[0].containerPort", "cannot stand beside containerPortRange"),
    "a range has no host port": (
        task(container(portMappings=[{"hostPort": 80, "containerPortRange": "90-91"}])),
        f"{C0}.portMappings[0].hostPort", "cannot stand beside containerPortRange"),
    "a range goes upwards": (
        task(container(portMappings=[{"containerPortRange": "91-90"}])),
        f"{C0}.portMappings[0].containerPortRange", "must go from a lower to a higher port, both from 1 to 65535"),
    "a range ends at the last port": (
        task(container(portMappings=[{"containerPortRange": "90-65536"}])),
        f"{C0}.portMappings[0].containerPortRange", "must go from a lower to a higher port, both from 1 to 65535"),
    "ranges need bridge": (
        task(container(portMappings=[{"containerPortRange": "90-91"}]), networkMode="host"),
        f"{C0}.portMappings[0].containerPortRange", "needs networkMode bridge"),
    "ranges do not overlap": (
        task(container(portMappings=[{"containerPortRange": "90-95"}, {"containerPortRange": "95-96"}])),
        f"{C0}.portMappings[1].containerPortRange", "is mapped by an earlier entry; a port has one mapping"),
    "a port has one mapping": (
        task(container(portMappings=[{"containerPort": 80, "hostPort": 1}, {"containerPort": 80, "hostPort": 2}])),
        f"{C0}.portMappings[1].containerPort", "is mapped by an earlier entry; a port has one mapping"),
    "ranges are at most a hundred": (
        task(container(portMappings=[{"containerPortRange": f"{n * 10 + 1}-{n * 10 + 2}"} for n in range(101)])),
        f"{C0}.portMappings", "must have at most 100 port ranges, not 101"),
    "host mode keeps the port": (
        task(container(portMappings=[{"containerPort": 80, "hostPort": 8080}]), networkMode="host"),
        f"{C0}.portMappings[0].hostPort", "must equal containerPort with networkMode host, or be left out"),
    "a host port is taken once": (
        task(
            container("a", portMappings=[{"containerPort": 80, "hostPort": 8080}]),
            container("b", portMappings=[{"containerPort": 81, "hostPort": 8080}]),
        ),
        f"{C1}.portMappings[0].hostPort", "port 8080/tcp of the host is taken by an earlier mapping"),
    "in host mode a container port is taken once": (
        task(
            container("a", portMappings=[{"containerPort": 80}]),
            container("b", portMappings=[{"containerPort": 80}]),
            networkMode="host",
        ),
        f"{C1}.portMappings[0].containerPort", "port 80/tcp of the host is taken by an earlier mapping"),
    "a variable is set once": (
        task(container(environment=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
        f"{C0}.environment[1].name", "is set by an earlier entry too: 'A'"),
    "a kernel setting is set once": (
        task(container(systemControls=[{"namespace": "net.a", "value": "1"}, {"namespace": "net.a", "value": "2"}])),
        f"{C0}.systemControls[1].namespace", "is set by an earlier entry too: 'net.a'"),
    "a limit is set once": (
        task(container(ulimits=[{"name": "core", "softLimit": 0, "hardLimit": 0}] * 2)),
        f"{C0}.ulimits[1].name", "is set by an earlier entry too: 'core'"),
    "a soft limit is not above the hard one": (
        task(container(ulimits=[{"name": "core", "softLimit": 2, "hardLimit": 1}])),
        f"{C0}.ulimits[0].softLimit", "must not be more than hardLimit, which is 1"),
    "an unlimited soft limit is above any hard one": (
        task(container(ulimits=[{"name": "core", "softLimit": -1, "hardLimit": 1}])),
        f"{C0}.ulimits[0].softLimit", "must not be more than hardLimit, which is 1"),
    "network settings of the kernel need an own network": (
        task(container(systemControls=[{"namespace": "net.a", "value": "1"}]), networkMode="host"),
        f"{C0}.systemControls[0].namespace", "cannot be set with networkMode host"),
    "IPC settings of the kernel need an own namespace": (
        task(container(systemControls=[{"namespace": "kernel.shmmax", "value": "1"}]), ipcMode="host"),
        f"{C0}.systemControls[0].namespace", "cannot be set with ipcMode host"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "path", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_names_the_place_and_the_reason(document: object, path: str, reason: str) -> None:
    assert only_mistake(document) == (path, reason)


KEPT = {
    "memory may be missing, as the official agent allows": task(container()),
    "containers may fill the task": task(
        container("a", cpu=128, memory=256), container("b", cpu=128, memory=256), cpu="256", memory="512"
    ),
    "memory may equal the reservation": task(container(memory=10, memoryReservation=10)),
    "links may have an alias": task(container("a", links=["b:db"]), container("b"), networkMode="bridge"),
    "HEALTHY with a health check": task(waits("a", "b", condition="HEALTHY"), container("b", healthCheck=HEALTH)),
    "COMPLETE on a container that may end": task(
        waits("a", "b", condition="COMPLETE"), container("b", essential=False)
    ),
    "two may wait for one": task(waits("a", "c"), waits("b", "a", "c"), container("c")),
    "one volume at two paths": task(
        container(mountPoints=[{"sourceVolume": "v", "containerPath": f"/v{n}"} for n in (1, 2)]),
        volumes=[{"name": "v"}],
    ),
    "tcp and udp are different ports": task(
        container(
            portMappings=[{"containerPort": 53, "hostPort": 53, "protocol": protocol} for protocol in ("tcp", "udp")]
        )
    ),
    "dynamic host ports do not collide": task(
        container("a", portMappings=[{"containerPort": 80}]),
        container("b", portMappings=[{"containerPort": 80, "hostPort": 0}]),
    ),
    "host mode with the same port or none": task(
        container("a", portMappings=[{"containerPort": 80, "hostPort": 80}]),
        container("b", portMappings=[{"containerPort": 81, "hostPort": 0}]),
        networkMode="host",
    ),
    "the hard limit may be unlimited": task(container(ulimits=[{"name": "core", "softLimit": 2, "hardLimit": -1}])),
    "EC2 is what this agent is": task(requiresCompatibilities=["EC2"]),
}


@pytest.mark.parametrize("document", KEPT.values(), ids=KEPT)
def test_a_rule_that_is_kept_is_silent(document: object) -> None:
    assert mistakes_of(document) == {}


def test_fargate_with_awsvpc_meets_both_mistakes_at_once() -> None:
    found = mistakes_of(task(networkMode="awsvpc", requiresCompatibilities=["FARGATE"]))
    assert set(found) == {"networkMode", "requiresCompatibilities[0]"}


@each_row(
    "text, units",
    [
        ("256", 256),
        ("0.25 vCPU", 256),
        (".5vcpu", 512),
        ("2 vCPUs", 2048),
        ("1VCPU", 1024),
        ("x", None),
        ("vCPU", None),
    ],
)
def test_cpu_units(text: str, units: int | None) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("1GB", 1024), ("0.5 gb", 512), ("x", None), ("GB", None)])
def test_memory_mib(text: str, mib: int | None) -> None:
    assert memory_mib(text) == mib


@each_row(
    "options, wanted, required",
    [
        ({}, [], ["awslogs-group"]),
        ({"awslogs-group": "g"}, [], []),
        ({"awslogs-group": "g"}, ["EC2"], []),
        ({"awslogs-group": "g", "awslogs-stream-prefix": "p"}, ["FARGATE"], []),
        ({"awslogs-group": "g"}, ["EC2", "FARGATE"], ["awslogs-stream-prefix on Fargate"]),
    ],
)
def test_what_awslogs_requires(options: dict[str, str], wanted: list[str], required: list[str]) -> None:
    logging = {"logDriver": "awslogs", "options": options}
    found = mistakes_in(task(container("app", logConfiguration=logging), requiresCompatibilities=wanted))
    words = [mistake.reason for mistake in found if mistake.path == f"{C0}.logConfiguration.options"]
    assert words == [f"log driver awslogs requires the option {name}" for name in required]

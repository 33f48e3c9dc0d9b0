"""A definition for Fargate or awsvpc is held to ECS's rules; every breach is in the first answer, in ECS's words."""

from __future__ import annotations

from typing import Any

from ecscope.taskdefinition.fargate import SIZES_MIB
from ecscope.taskdefinition.read import fargate_mistakes, mistakes_in
from tests.tables import each_row

from .definitions import container, mistakes_of, task

AWSLOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-stream-prefix": "p"}}
C0 = "containerDefinitions[0]"
FARGATE: dict[str, Any] = {
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
}
CANNOT = "Fargate compatible task definitions do not support"


def found(document: Any) -> dict[str, str]:
    return {mistake.path: mistake.reason for mistake in mistakes_in(document)}


def fargate(*containers: Any, **members: Any) -> Any:
    return task(*containers, **{**FARGATE, **members})


@each_row(
    "document",
    [
        fargate(),
        fargate(ephemeralStorage={"sizeInGiB": 21}),
        fargate(runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        fargate(container(portMappings=[{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}])),
        fargate(container(linuxParameters={"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}})),
        fargate(container(logConfiguration={"logDriver": "splunk"})),
        fargate(container(logConfiguration=AWSLOGS), executionRoleArn="arn:aws:iam::1:role/x"),
        fargate(container(dnsServers=["10.0.0.2"], dnsSearchDomains=["local"]), volumes=[{"name": "v", "host": {}}]),
        fargate(cpu=".5 vCPU", memory="1 GB"),
        task(networkMode="awsvpc"),
    ],
)
def test_what_fargate_takes_is_no_mistake(document: Any) -> None:
    assert found(document) == {}


@each_row(
    "document, path, reason",
    [
        (fargate(networkMode="bridge"), "networkMode", "Fargate only supports network mode ‘awsvpc’"),
        (
            task(requiresCompatibilities=["FARGATE"], cpu="256", memory="512"),
            "networkMode",
            "Fargate only supports network mode ‘awsvpc’",
        ),
        (
            fargate(cpu="300"),
            "cpu",
            "No Fargate configuration exists for given values: 300 CPU, 512 memory. CPU must be one of 256, 512, 1024,"
            " 2048, 4096, 8192, 16384",
        ),
        (
            fargate(memory="4096"),
            "memory",
            "No Fargate configuration exists for given values: 256 CPU, 4096 memory. Memory must be from 512 to 2048"
            " MiB: 512, 1024, 2048",
        ),
        (
            fargate(cpu="8 vCPU", memory="17 GB"),
            "memory",
            "No Fargate configuration exists for given values: 8192 CPU, 17408 memory. Memory must be from 16384 to"
            " 61440 MiB in steps of 4096",
        ),
        (fargate(pidMode="host"), "pidMode", f"{CANNOT} pidMode host: only task"),
        (fargate(ipcMode="host"), "ipcMode", f"{CANNOT} ipcMode"),
        (
            fargate(placementConstraints=[{"type": "memberOf", "expression": "a == b"}]),
            "placementConstraints",
            f"{CANNOT} constraints",
        ),
        (
            fargate(volumes=[{"name": "v", "host": {"sourcePath": "/x"}}]),
            "volumes[0].host.sourcePath",
            f"{CANNOT} sourcePath",
        ),
        (
            fargate(volumes=[{"name": "v", "dockerVolumeConfiguration": {}}]),
            "volumes[0].dockerVolumeConfiguration",
            f"{CANNOT} dockerVolumeConfiguration",
        ),
        (fargate(container(privileged=True)), f"{C0}.privileged", f"{CANNOT} privileged"),
        (
            fargate(container(dockerSecurityOptions=["no-new-privileges"])),
            f"{C0}.dockerSecurityOptions",
            f"{CANNOT} dockerSecurityOptions",
        ),
        *(
            (
                fargate(container(memory=64, linuxParameters={name: value})),
                f"{C0}.linuxParameters.{name}",
                f"{CANNOT} {name}",
            )
            for name, value in (
                ("devices", [{"hostPath": "/dev/fuse"}]),
                ("maxSwap", 0),
                ("sharedMemorySize", 64),
                ("swappiness", 0),
                ("tmpfs", [{"containerPath": "/t", "size": 1}]),
            )
        ),
        (
            fargate(container(linuxParameters={"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}})),
            f"{C0}.linuxParameters.capabilities.add[1]",
            f"{CANNOT} added capabilities other than SYS_PTRACE",
        ),
        (
            fargate(container(logConfiguration={"logDriver": "json-file"})),
            f"{C0}.logConfiguration.logDriver",
            "Fargate supports the log drivers awslogs, splunk, awsfirelens only",
        ),
        (
            fargate(container(logConfiguration=AWSLOGS)),
            f"{C0}.logConfiguration.logDriver",
            "Fargate requires task definition to have execution role ARN to support log driver awslogs",
        ),
        (
            fargate(container(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1")),
            f"{C0}.image",
            "Fargate requires task definition to have execution role ARN to support ECR images",
        ),
        (fargate(container(links=["x"])), f"{C0}.links[0]", "Links are not supported when networkMode=awsvpc"),
        (
            fargate(container(hostname="web")),
            f"{C0}.hostname",
            "hostname is not supported on container when networkMode=awsvpc",
        ),
        (
            fargate(container(extraHosts=[{"hostname": "a", "ipAddress": "10.0.0.1"}])),
            f"{C0}.extraHosts",
            "Extra hosts are not supported on container when networkMode=awsvpc",
        ),
        (
            fargate(container(disableNetworking=True)),
            f"{C0}.disableNetworking",
            "Disable Networking is not supported on container when networkMode=awsvpc",
        ),
        (
            fargate(container(portMappings=[{"containerPort": 80, "hostPort": 8080}])),
            f"{C0}.portMappings[0].hostPort",
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match",
        ),
        (
            fargate(
                container("a", portMappings=[{"containerPort": 80}]),
                container("b", portMappings=[{"containerPort": 80}]),
            ),
            "containerDefinitions[1].portMappings[0].containerPort",
            "port 80/tcp of the task is taken by an earlier mapping",
        ),
        (
            task(ephemeralStorage={"sizeInGiB": 21}),
            "ephemeralStorage",
            "is for tasks on Fargate: add FARGATE to requiresCompatibilities",
        ),
        (fargate(ephemeralStorage={"sizeInGiB": 20}), "ephemeralStorage.sizeInGiB", "must be from 21 to 200 GiB"),
        (fargate(ephemeralStorage={}), "ephemeralStorage.sizeInGiB", "is required and missing"),
    ],
)
def test_what_fargate_forbids_is_named_in_the_words_of_ecs(document: Any, path: str, reason: str) -> None:
    assert found(document) == {path: reason}


def test_every_mistake_is_in_the_first_answer() -> None:
    document = task(
        container(privileged=True, hostname="web", logConfiguration=AWSLOGS),
        requiresCompatibilities=["FARGATE"],
        volumes=[{"name": "v", "host": {"sourcePath": "/x"}}],
    )
    assert set(found(document)) == {
        "networkMode",
        "cpu",
        "memory",
        "volumes[0].host.sourcePath",
        f"{C0}.privileged",
        f"{C0}.logConfiguration.logDriver",
    }


def test_what_was_not_meant_for_fargate_may_fit_it_all_the_same() -> None:
    assert not fargate_mistakes(task(networkMode="awsvpc", cpu="1024", memory="2048"))
    assert fargate_mistakes(task(networkMode="awsvpc"))
    assert fargate_mistakes(task(cpu="1024", memory="2048"))


def test_the_sizes() -> None:
    assert sum(len(amounts) for amounts in SIZES_MIB.values()) == 3 + 4 + 7 + 13 + 23 + 12 + 12
    assert [(amounts[0], amounts[-1]) for amounts in SIZES_MIB.values()] == [
        (512, 2048), (1024, 4096), (2048, 8192), (4096, 16384), (8192, 30720), (16384, 61440), (32768, 122880)
    ]  # fmt: skip


def test_a_task_file_has_no_launch_type() -> None:
    assert mistakes_of(fargate(ephemeralStorage={"sizeInGiB": 21})).keys() == {
        "networkMode",
        "requiresCompatibilities[0]",
        "ephemeralStorage",
    }

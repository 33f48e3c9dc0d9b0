"""What Docker says about containers and images is translated by the rules of engine.md §12."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ecscope.agent.runtime.docker.inspect import container_inspection, image_inspection
from ecscope.model.arn import DockerId
from ecscope.model.container import (
    ContainerInspection,
    ContainerNetwork,
    Health,
    ImageInspection,
    Mount,
    NamedError,
    PortBinding,
)
from ecscope.model.status import ContainerStatus, HealthStatus
from tests.tables import each_row
from tests.unit.agent.runtime.docker.recordings import VERSIONS, recorded

ZERO = "0001-01-01T00:00:00Z"
T1, T2, T3 = "2024-05-17T12:00:00.123456789Z", "2024-05-17T12:00:01.1Z", "2024-05-17T12:00:09Z"
ID = "ab" * 32


def inspected(state: dict[str, Any] | None = None, **members: Any) -> ContainerInspection:
    default = {"StartedAt": ZERO, "FinishedAt": ZERO, "ExitCode": 0, "Error": "", "Running": False, "Dead": False}
    document = {"Id": ID, "Name": "/ecs-x", "Created": T1, "State": {**default, **(state or {})}, **members}
    return container_inspection(json.dumps(document).encode())


@each_row(
    "state, status, exit_code",
    [
        ({}, ContainerStatus.CREATED, None),
        ({"Error": "no such program", "ExitCode": 127}, ContainerStatus.STOPPED, None),
        ({"Running": True, "StartedAt": T2}, ContainerStatus.RUNNING, None),
        ({"Running": True, "Paused": True, "StartedAt": T2}, ContainerStatus.RUNNING, None),
        ({"Running": True, "StartedAt": T3, "FinishedAt": T2, "ExitCode": 0}, ContainerStatus.RUNNING, None),
        ({"StartedAt": T2, "FinishedAt": T3, "ExitCode": 3}, ContainerStatus.STOPPED, 3),
        ({"StartedAt": T2, "FinishedAt": T3}, ContainerStatus.STOPPED, 0),
        ({"StartedAt": T2}, ContainerStatus.STOPPED, None),
        ({"Dead": True}, ContainerStatus.STOPPED, None),
    ],
)
def test_status_and_exit_code(state: dict[str, Any], status: ContainerStatus, exit_code: int | None) -> None:
    found = inspected(state)
    assert (found.status, found.exit_code) == (status, exit_code)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({}, None),
        ({"Error": "boom"}, NamedError(name="DockerStateError", message="boom")),
        (
            {"OOMKilled": True, "Error": "boom"},
            NamedError(name="OutOfMemoryError", message="Container killed due to memory usage"),
        ),
    ],
)
def test_errors(state: dict[str, Any], error: NamedError | None) -> None:
    found = inspected(state)
    assert found.error == error
    assert found.oom_killed is ("OOMKilled" in state)


def test_times_keep_their_text_and_zero_is_nothing() -> None:
    found = inspected({"StartedAt": T2, "FinishedAt": ZERO})
    assert (found.created_at, found.started_at, found.finished_at) == (T1, T2, "")


def test_names_and_labels() -> None:
    labels = {"com.amazonaws.ecs.task-arn": "arn", "com.amazonaws.ecs.container-name": "app", "other": "x"}
    found = inspected(Image="sha256:aa", Config={"Labels": labels})
    assert (found.docker_id, found.docker_name, found.image_id) == (DockerId(ID), "ecs-x", "sha256:aa")
    assert (found.task_arn, found.container_name) == ("arn", "app")


@pytest.mark.parametrize("config", [{}, {"Labels": None}])
def test_no_labels(config: dict[str, Any]) -> None:
    assert (inspected(Config=config).task_arn, inspected(Config=config).container_name) == ("", "")


def test_bindings() -> None:
    ports = {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5353"}],
        "81/tcp": None,
        "odd": [{"HostIp": "", "HostPort": "1"}],
        "82/tcp": [{"HostIp": "", "HostPort": ""}],
        "83": [{"HostIp": "", "HostPort": "83"}],
    }
    assert inspected(NetworkSettings={"Ports": ports}).bindings == (
        PortBinding(container_port=80, host_port=8080, host_ip="0.0.0.0"),
        PortBinding(container_port=80, host_port=8080, host_ip="::"),
        PortBinding(container_port=53, host_port=5353, protocol="udp", host_ip="0.0.0.0"),
        PortBinding(container_port=83, host_port=83),
    )
    assert inspected(NetworkSettings={"Ports": None}).bindings == ()


def test_mounts() -> None:
    mounts = [
        {"Type": "volume", "Name": "v", "Source": "/s/_data", "Destination": "/d"},
        {"Type": "bind", "Source": "/h", "Destination": "/e"},
    ]
    assert inspected(Mounts=mounts).mounts == (
        Mount(name="v", source="/s/_data", destination="/d"),
        Mount(source="/h", destination="/e"),
    )
    assert inspected(Mounts=None).mounts == ()


def check(code: int, output: str = "") -> dict[str, Any]:
    return {"Start": T1, "End": T2, "ExitCode": code, "Output": output}


@each_row(
    "health, expected",
    [
        (None, Health()),
        ({"Status": "starting", "Log": None}, Health()),
        ({"Status": "starting", "Log": [check(1, "no")]}, Health(since=T2, output="no", exit_code=1)),
        (
            {"Status": "healthy", "Log": [check(1, "old"), check(0, "fine")]},
            Health(status=HealthStatus.HEALTHY, since=T2, output="fine", exit_code=0),
        ),
        (
            {"Status": "unhealthy", "Log": [check(2, "ü" * 2000)]},
            Health(status=HealthStatus.UNHEALTHY, since=T2, output="ü" * 1024, exit_code=2),
        ),
        ({"Status": "unhealthy", "Log": []}, Health(status=HealthStatus.UNHEALTHY)),
        ({"Status": "none"}, Health()),
    ],
)
def test_health(health: dict[str, Any] | None, expected: Health) -> None:
    assert inspected({"Health": health}).health == expected


def test_an_image() -> None:
    document = {
        "Id": "sha256:aa",
        "RepoTags": ["app:1"],
        "RepoDigests": ["app@sha256:bb"],
        "Size": 7,
        "Config": {"Env": ["PATH=/bin", "AWS_REGION=x=y", "EMPTY"]},
    }
    assert image_inspection(json.dumps(document).encode()) == ImageInspection(
        image_id="sha256:aa",
        repo_tags=("app:1",),
        repo_digests=("app@sha256:bb",),
        environment_names=frozenset({"PATH", "AWS_REGION", "EMPTY"}),
        size_bytes=7,
    )


@pytest.mark.parametrize("config", [None, {"Env": None}])
def test_an_image_that_says_little(config: dict[str, Any] | None) -> None:
    document = {"Id": "sha256:aa", "RepoTags": None, "RepoDigests": None, "Config": config}
    assert image_inspection(json.dumps(document).encode()) == ImageInspection(image_id="sha256:aa")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Id":1}', b"<html>"])
def test_what_is_no_inspection(body: bytes) -> None:
    for translate in (container_inspection, image_inspection):
        with pytest.raises(msgspec.DecodeError):
            translate(body)


def inspection(version: str, name: str) -> ContainerInspection:
    return container_inspection(recorded(version, f"{name}.json"))


@pytest.mark.parametrize("version", ["26.1.5", "28.5.2"])
def test_a_start_whose_client_left_is_one_that_was_never_asked_for(version: str) -> None:
    """Docker shows ``created``, exit code 128 and the error ``context canceled``."""
    found = inspection(version, "start-left")
    assert (found.status, found.start_dropped) == (ContainerStatus.CREATED, True)
    assert (found.error, found.exit_code) == (None, None)


@pytest.mark.parametrize("version", ["26.1.5", "28.5.2"])
def test_a_restart_whose_client_left_leaves_the_end_before_it_without_its_exit_code(version: str) -> None:
    """The container had exited with 3; Docker shows 128 and the error ``context canceled``."""
    found = inspection(version, "restart-left")
    assert (found.status, found.start_dropped) == (ContainerStatus.STOPPED, True)
    assert (found.error, found.exit_code) == (None, None)
    assert found.finished_at


@pytest.mark.parametrize("version", ["20.10.24", "26.1.5", "28.5.2"])
def test_a_start_that_was_refused_is_told_from_one_that_was_dropped(version: str) -> None:
    found = inspection(version, "start-refused")
    assert (found.status, found.start_dropped, found.exit_code) == (ContainerStatus.STOPPED, False, None)
    assert found.error is not None
    assert found.error.name == "DockerStateError"
    assert "no such file or directory" in found.error.message


def test_an_engine_that_goes_on_without_its_client_drops_nothing() -> None:
    started, exited = inspection("20.10.24", "start-left"), inspection("20.10.24", "restart-left")
    assert (started.status, started.start_dropped) == (ContainerStatus.RUNNING, False)
    assert (exited.status, exited.start_dropped, exited.exit_code) == (ContainerStatus.STOPPED, False, 3)


@each_row(
    "settings, mode, expected",
    [
        ({}, "", ()),
        ({}, "host", (ContainerNetwork(name="host"),)),
        ({"Networks": {}, "IPAddress": "1.2.3.4"}, "default", (ContainerNetwork(name="default", ipv4="1.2.3.4"),)),
        ({"Networks": {"host": {"IPAddress": ""}}}, "host", (ContainerNetwork(name="host"),)),
        ({"Networks": {"host": None}}, "host", (ContainerNetwork(name="host"),)),
        (
            {
                "Networks": {
                    "other": {"IPAddress": "10.0.0.2", "GlobalIPv6Address": "fd00::2"},
                    "bridge": {"IPAddress": "172.17.0.2"},
                }
            },
            "bridge",
            (
                ContainerNetwork(name="bridge", ipv4="172.17.0.2"),
                ContainerNetwork(name="other", ipv4="10.0.0.2", ipv6="fd00::2"),
            ),
        ),
    ],
)
def test_networks(settings: dict[str, Any], mode: str, expected: tuple[ContainerNetwork, ...]) -> None:
    assert inspected(NetworkSettings=settings, HostConfig={"NetworkMode": mode}).networks == expected
    assert inspected(Config={"Labels": {"a": "b"}}).labels == {"a": "b"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "exit_code"), [("killed", 137), ("exited", 3)])
def test_an_end_of_each_engine(version: str, name: str, exit_code: int) -> None:
    found = inspection(version, name)
    assert (found.status, found.exit_code, found.error) == (ContainerStatus.STOPPED, exit_code, None)
    assert found.docker_name == "recorded-life"
    assert found.started_at
    assert found.finished_at  # of an end within milliseconds it may lie before the start: 26.1.5
    assert found.health.status is not HealthStatus.UNKNOWN
    assert not found.oom_killed

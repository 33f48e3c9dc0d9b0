"""What a container definition says in Docker's words, member by member."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ecscope.model.network import NetworkMode
from ecscope.taskdefinition import docker_settings
from ecscope.taskdefinition.definition import ContainerDefinition

from .definitions import FULL, container

FULL_CONTAINER = FULL["containerDefinitions"][0]
MIB = 1024 * 1024


def config(members: object) -> Any:
    return plain(docker_settings.config(msgspec.convert(members, ContainerDefinition)))


def host_config(members: object, mode: NetworkMode) -> Any:
    return plain(docker_settings.host_config(msgspec.convert(members, ContainerDefinition), mode))


def plain(members: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(members))


def config_of(**members: object) -> Any:
    return config(container("app", **members))


def host_config_of(**members: object) -> Any:
    return host_config(container("app", **members), NetworkMode.DEFAULT)


def test_all_of_dockers_config() -> None:
    assert config(FULL_CONTAINER) == {
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Hostname": "web.local",
        "Labels": {"tier": "front"},
        "NetworkDisabled": False,
        "OpenStdin": True,
        "Tty": True,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 10_000_000_000,
            "Timeout": 4_000_000_000,
            "Retries": 2,
            "StartPeriod": 20_000_000_000,
        },
    }


def test_all_of_dockers_host_config() -> None:
    assert host_config(FULL_CONTAINER, NetworkMode.BRIDGE) == {
        "NetworkMode": "bridge",
        "Privileged": False,
        "ReadonlyRootfs": True,
        "Dns": ["10.0.0.2"],
        "DnsSearch": ["example.internal"],
        "SecurityOpt": ["no-new-privileges"],
        "ExtraHosts": ["db:10.0.0.9"],
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
        "MemoryReservation": 128 * MIB,
        "Sysctls": {"net.core.somaxconn": "1024"},
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "rm"}],
        "Init": True,
        "ShmSize": 32 * MIB,
        "Tmpfs": {"/run": "size=16m,noexec,mode=700"},
        "MemorySwap": (512 + 64) * MIB,
        "MemorySwappiness": 30,
    }


def test_a_container_that_asks_for_nothing_gives_docker_nothing() -> None:
    assert (config_of(), host_config_of()) == ({}, {})


def test_health_check_defaults() -> None:
    assert config_of(healthCheck={"command": ["CMD", "x"], "startPeriod": 0})["Healthcheck"] == {
        "Test": ["CMD", "x"],
        "Interval": 30_000_000_000,
        "Timeout": 5_000_000_000,
        "Retries": 3,
    }


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_the_network_mode_reaches_docker(mode: str) -> None:
    assert host_config(container(), NetworkMode(mode)) == {"NetworkMode": mode}


def test_a_device_has_the_path_and_permissions_of_the_host_by_default() -> None:
    assert host_config_of(linuxParameters={"devices": [{"hostPath": "/dev/fuse"}]})["Devices"] == [
        {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
    ]


def test_swap_is_given_to_docker_together_with_memory() -> None:
    assert host_config_of(memory=100, linuxParameters={"maxSwap": 0})["MemorySwap"] == 100 * MIB
    assert host_config_of(linuxParameters={"swappiness": 5}) == {}


def test_a_log_driver_without_options() -> None:
    host = host_config_of(logConfiguration={"logDriver": "journald"})
    assert host["LogConfig"] == {"Type": "journald", "Config": {}}


def test_shared_memory_of_nothing_is_dockers_default() -> None:
    assert host_config_of(linuxParameters={"sharedMemorySize": 0}) == {}

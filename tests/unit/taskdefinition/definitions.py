"""A task definition with every member that is supported, and a way to spoil one place of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from ecscope.taskdefinition.read import TaskDefinition, TaskDefinitionError, read_task_definition

FULL: dict[str, Any] = {
    "family": "web-app_1",
    "revision": 7,
    "taskRoleArn": "",
    "executionRoleArn": "arn:aws:iam::000000000000:role/ecsTaskExecutionRole",
    "networkMode": "bridge",
    "pidMode": "host",
    "ipcMode": "none",
    "cpu": "512",
    "memory": "1GB",
    "requiresCompatibilities": ["EC2"],
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:rack == 1"}],
    "tags": [{"key": "team", "value": "blue"}],
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "inferenceAccelerators": [],
    "enableFaultInjection": False,
    "volumes": [
        {"name": "logs", "host": {"sourcePath": "/var/log"}, "configuredAtLaunch": False},
        {
            "name": "data",
            "dockerVolumeConfiguration": {
                "scope": "shared",
                "autoprovision": True,
                "driver": "local",
                "driverOpts": {"type": "tmpfs"},
                "labels": {"keep": "yes"},
            },
        },
        {"name": "scratch"},
    ],
    "containerDefinitions": [
        {
            "name": "web",
            "image": "registry.example:5000/team/web:1.2",
            "cpu": 256,
            "memory": 512,
            "memoryReservation": 128,
            "essential": True,
            "entryPoint": ["sh", "-c"],
            "command": ["serve"],
            "environment": [{"name": "MODE", "value": "fast"}, {"name": "EMPTY", "value": ""}],
            "environmentFiles": [],
            "secrets": [],
            "links": ["init:first"],
            "portMappings": [
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp", "name": "http", "appProtocol": "http"},
                {"containerPortRange": "9000-9005", "protocol": "udp"},
            ],
            "mountPoints": [{"sourceVolume": "logs", "containerPath": "/logs", "readOnly": True}],
            "volumesFrom": [{"sourceContainer": "init", "readOnly": True}],
            "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
            "startTimeout": 60,
            "stopTimeout": 10,
            "restartPolicy": {"enabled": True, "ignoredExitCodes": [0, 3], "restartAttemptPeriod": 90},
            "versionConsistency": "disabled",
            "hostname": "web.local",
            "user": "1000:1000",
            "workingDirectory": "/srv",
            "disableNetworking": False,
            "privileged": False,
            "readonlyRootFilesystem": True,
            "dnsServers": ["10.0.0.2"],
            "dnsSearchDomains": ["example.internal"],
            "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.9"}],
            "dockerSecurityOptions": ["no-new-privileges"],
            "interactive": True,
            "pseudoTerminal": True,
            "dockerLabels": {"tier": "front"},
            "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
            "logConfiguration": {"logDriver": "json-file", "options": {"max-size": "10m"}, "secretOptions": []},
            "healthCheck": {
                "command": ["CMD-SHELL", "true"],
                "interval": 10,
                "timeout": 4,
                "retries": 2,
                "startPeriod": 20,
            },
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
            "resourceRequirements": [],
            "credentialSpecs": [],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
                "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/f", "permissions": ["read", "mknod"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 32,
                "tmpfs": [{"containerPath": "/run", "size": 16, "mountOptions": ["noexec", "mode=700"]}],
                "maxSwap": 64,
                "swappiness": 30,
            },
        },
        {"name": "init", "image": "busybox", "essential": False},
    ],
}
"""Every supported member stands here at least once."""


def mistakes_of(document: object) -> dict[str, str]:
    """Path → reason of every mistake."""
    return mistakes_in(json.dumps(document, indent=1))


def mistakes_in(text: str) -> dict[str, str]:
    try:
        read_task_definition(text.encode())
    except TaskDefinitionError as error:
        return {mistake.path: mistake.reason for mistake in error.mistakes}
    return {}


def read(document: object) -> TaskDefinition:
    return read_task_definition(json.dumps(document).encode())


def changed(path: str, value: object, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """``FULL`` (or ``base``) with the place ``path`` set to ``value``."""
    return _edited(path, base, lambda holder, key: holder.__setitem__(key, value))


def without(path: str, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """``FULL`` (or ``base``) with nothing at ``path``."""
    return _edited(path, base, lambda holder, key: holder.__delitem__(key))


def _edited(path: str, base: dict[str, Any] | None, edit: Callable[[Any, Any], None]) -> dict[str, Any]:
    document = copy.deepcopy(FULL if base is None else base)
    steps = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    holder: Any = document
    for step in steps[:-1]:
        holder = holder[step]
    edit(holder, steps[-1])
    return document


def container(name: str = "app", /, **members: object) -> dict[str, object]:
    return {"name": name, "image": "busybox", **members}


def task(*containers: dict[str, object], **members: object) -> dict[str, object]:
    return {"family": "sample", "containerDefinitions": list(containers or (container(),)), **members}

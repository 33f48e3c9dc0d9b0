"""Which attributes the instance registers: what it can do, and what a user gave it.

Only what this agent supports is registered: ECS places tasks accordingly. What the official agent registers
and this one does not is listed, with the reason, in the unit test.

Source: agent-protocol.md §3.2, §3.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.model.container_instance import Attribute

_OLD_PREFIX = "com.amazonaws.ecs.capability."
_PREFIX = "ecs.capability."

_ALWAYS = (
    "private-registry-authentication.secretsmanager",
    "secrets.ssm.environment-variables",
    "secrets.ssm.bootstrap.log-driver",
    "ecr-endpoint",
    "secrets.asm.environment-variables",
    "secrets.asm.bootstrap.log-driver",
    "container-ordering",
    "full-sync",
    "network.container-port-range",
    "container-restart-policy",
)

_TOLD_API_VERSIONS = (
    "1.17",
    "1.18",
    "1.19",
    "1.20",
    "1.21",
    "1.22",
    "1.23",
    "1.24",
    "1.25",
    "1.28",
    "1.29",
    "1.30",
    "1.32",
)
"""Quirk: without 1.26, 1.27 and 1.31, and nothing after: so ECS knows them."""

_DRIVER_NEEDS_API = {
    "json-file": "1.18",
    "syslog": "1.18",
    "journald": "1.19",
    "gelf": "1.20",
    "fluentd": "1.20",
    "awslogs": "1.21",
    "splunk": "1.22",
    "logentries": "1.25",
    "sumologic": "1.29",
    "none": "1.19",
}

_HEALTH_CHECK_NEEDS_API = "1.24"
_TASK_ROLES_NEED_API = "1.19"

_CPU_ARCHITECTURES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "i386": "i386",
    "i686": "i386",
    "aarch64": "arm64",
    "arm64": "arm64",
}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that decide what is registered."""

    api_version: str
    """The newest that Docker supports."""
    architecture: str
    """As the kernel names it; ``""``: not known."""
    volume_plugins: tuple[str, ...]
    """With their tags, in the order in which they are registered."""
    logging_drivers: tuple[str, ...]
    has_task_limits: bool
    """``ECS_ENABLE_TASK_CPU_MEM_LIMIT``, and cgroups can be made."""
    has_task_network: bool = False
    """Tasks can have network interfaces of their own."""
    has_pause_image: bool = False
    """Containers of a task can share a PID or an IPC namespace."""
    has_task_roles: bool = False
    """``ECS_ENABLE_TASK_IAM_ROLE``: containers get the credentials of their task's role."""
    has_task_roles_in_host_network: bool = False
    """``ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST``."""
    has_logs_as_execution_role: bool = False
    """``ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE``: dockerd gets the credentials of the execution role from here."""
    is_external: bool = False
    is_privileged_disabled: bool = False
    is_health_check_disabled: bool = False
    is_selinux_capable: bool = False
    is_apparmor_capable: bool = False
    detailed_os_family: str = "LINUX"
    outpost_arn: str = ""
    """``""``: on no Outpost."""
    custom_attributes: Mapping[str, str] = {}


def attributes(offer: Offer, *, is_first_registration: bool) -> tuple[Attribute, ...]:
    """What to register, in the official order. Custom attributes are sent once, at the first registration."""
    listed = [Attribute(name=f"{_PREFIX}{name}") for name in _ALWAYS]
    listed += (Attribute(name=name) for name in _that_depend(offer))
    listed += (
        Attribute(name="ecs.os-type", value="linux"),
        Attribute(name="ecs.os-family", value="LINUX"),
        Attribute(name="ecs.os-type-detailed", value=offer.detailed_os_family),
    )
    # Difference: where tasks of Fargate run, they are kept off a machine that cannot run them.
    if (offer.is_external or offer.has_task_network) and offer.architecture in _CPU_ARCHITECTURES:
        listed.append(Attribute(name="ecs.cpu-architecture", value=_CPU_ARCHITECTURES[offer.architecture]))
    if offer.outpost_arn:
        listed.append(Attribute(name="ecs.outpost-arn", value=offer.outpost_arn))
    custom = offer.custom_attributes if is_first_registration else {}
    return (*(Attribute(name=name, value=value) for name, value in custom.items()), *listed)


def _that_depend(offer: Offer) -> list[str]:
    newest = _numbers(offer.api_version)
    names = []
    if not offer.is_privileged_disabled:
        names.append(f"{_OLD_PREFIX}privileged-container")
    # An engine that gave up old versions still does what tasks of that time ask for.
    names += [f"{_OLD_PREFIX}docker-remote-api.{api}" for api in _TOLD_API_VERSIONS if _numbers(api) <= newest]
    names += [
        f"{_OLD_PREFIX}logging-driver.{driver}"
        for driver in offer.logging_drivers
        if driver in _DRIVER_NEEDS_API and _numbers(_DRIVER_NEEDS_API[driver]) <= newest
    ]
    if offer.is_selinux_capable:
        names.append(f"{_OLD_PREFIX}selinux")
    if offer.is_apparmor_capable:
        names.append(f"{_OLD_PREFIX}apparmor")
    if _numbers(_TASK_ROLES_NEED_API) <= newest:
        names += [f"{_OLD_PREFIX}task-iam-role"] if offer.has_task_roles else []
        names += [f"{_OLD_PREFIX}task-iam-role-network-host"] if offer.has_task_roles_in_host_network else []
    if offer.has_task_limits:
        names += [f"{_PREFIX}task-cpu-mem-limit", f"{_PREFIX}increased-task-cpu-limit"]
    if offer.has_task_network and offer.has_pause_image:
        names.append(f"{_PREFIX}task-eni")
    names += [f"{_OLD_PREFIX}ecr-auth", f"{_PREFIX}execution-role-ecr-pull"]
    if not offer.is_health_check_disabled and _numbers(_HEALTH_CHECK_NEEDS_API) <= newest:
        names.append(f"{_PREFIX}container-health-check")
    if offer.has_logs_as_execution_role:
        names.append(f"{_PREFIX}execution-role-awslogs")
    names += [f"{_PREFIX}docker-plugin.{name}" for plugin in offer.volume_plugins for name in _plugin_names(plugin)]
    if offer.has_pause_image:
        names.append(f"{_PREFIX}pid-ipc-namespace-sharing")
    if offer.is_external:
        names.append(f"{_PREFIX}external")
    return list(dict.fromkeys(names))


def _plugin_names(plugin: str) -> list[str]:
    """A task definition may omit the tag ``latest`` of a plugin; both forms are registered."""
    tagged = plugin.replace(":", ".")
    bare, _, tag = plugin.rpartition(":")
    return [bare.replace(":", "."), tagged] if bare and tag == "latest" else [tagged]


def _numbers(api_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api_version.split("."))

"""Bodies and answers of the agent's calls of the ECS API. Sans-I/O: values in, JSON objects out, and the other way.

A member that has nothing to say is left out, save those that the official agent always sends.

Source: agent-protocol.md §3; engine.md §1.3, §7.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from ecscope.model.container import PortBinding, PortMapping
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from ecscope.model.state_change import ContainerStateChange, TaskStateChange

TARGET = "AmazonEC2ContainerServiceV20141113"
"""The prefix of the operation in ``X-Amz-Target``."""
AVAILABILITY_ZONE = "ecs.availability-zone"
"""The attribute in which ECS returns the availability zone of the instance."""

REASON_LIMIT = 1024
"""Characters of a task's or a container's reason."""
ID_LIMIT = 255
"""Characters of a runtime ID and of an image digest."""
BINDINGS_LIMIT = 100
"""Bindings that a container with port ranges may have in one report."""
ANY_IPV4 = "0.0.0.0"  # noqa: S104 (reported, not bound to)
ANY_IPV6 = "::"

_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnusableAnswer(ValueError):
    """ECS answered without what the answer is for; the message says what is missing."""


class ReportCannotBeBuilt(ValueError):
    """A state change has no form in which ECS would take it; the message says why."""


# --- registration ------------------------------------------------------------------------------------


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``RegisterContainerInstance``."""

    container_instance_arn: str
    availability_zone: str = ""
    """``""``: ECS did not say."""
    attributes: tuple[Attribute, ...] = ()
    """All that the instance now has."""


def register_container_instance(
    *,
    cluster: str,
    client_token: str,
    resources: HostResources,
    attributes: Iterable[Attribute],
    tags: Mapping[str, str] | None = None,
    container_instance_arn: str = "",
    identity_document: str = "",
    identity_document_signature: str = "",
) -> dict[str, Any]:
    """Body of ``RegisterContainerInstance``. Source: agent-protocol.md §3.2.

    Args:
        client_token: a UUID, the same through all tries of one process.
        resources: all that the instance has for tasks, the reserved memory taken off; of ports, those that no task
            may have.
        container_instance_arn: from an earlier registration; ``""``: this is the first.
        identity_document: as the metadata service gives it; ``""``: there is none, which is sent all the same.
    """
    body: dict[str, Any] = {
        "cluster": cluster,
        "clientToken": client_token,
        "instanceIdentityDocument": identity_document,
        "instanceIdentityDocumentSignature": identity_document_signature,
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": resources.cpu_units},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": resources.memory_mib},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": _port_set(resources.ports_tcp)},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": _port_set(resources.ports_udp)},
        ],
        "attributes": [_attribute(attribute) for attribute in attributes],
    }
    if container_instance_arn:
        body["containerInstanceArn"] = container_instance_arn
    if tags:
        body["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
    return body


def _port_set(ports: Collection[int]) -> list[str]:
    return [str(port) for port in sorted(ports)]


def _attribute(attribute: Attribute) -> dict[str, str]:
    if attribute.value is None:
        return {"name": attribute.name}
    return {"name": attribute.name, "value": attribute.value}


class _AttributeIn(msgspec.Struct):
    name: str = ""
    value: str | None = None


class _ContainerInstanceIn(msgspec.Struct, rename="camel"):
    container_instance_arn: str = ""
    attributes: list[_AttributeIn] | None = None


class _RegisterAnswer(msgspec.Struct, rename="camel"):
    container_instance: _ContainerInstanceIn | None = None


def registration(answer: Mapping[str, Any]) -> Registration:
    """Read the answer of ``RegisterContainerInstance``.

    Raises:
        UnusableAnswer: without an ARN, or of another form.
    """
    found = _read(answer, _RegisterAnswer).container_instance
    if found is None or not found.container_instance_arn:
        raise UnusableAnswer("the answer to RegisterContainerInstance names no container instance")
    attributes = tuple(
        Attribute(name=attribute.name, value=attribute.value) for attribute in found.attributes or () if attribute.name
    )
    zone = next((attribute.value for attribute in attributes if attribute.name == AVAILABILITY_ZONE), None)
    return Registration(
        container_instance_arn=found.container_instance_arn, availability_zone=zone or "", attributes=attributes
    )


def attributes_not_echoed(sent: Iterable[Attribute], answer: Registration) -> tuple[str, ...]:
    """Names of what ECS did not take over as it was sent, with what it has instead; empty: it took everything.

    A missing value counts as an empty one. Source: agent-protocol.md §3.2 (echo check).
    """
    echoed = {attribute.name: attribute.value or "" for attribute in answer.attributes}
    wrong: list[str] = []
    for attribute in sent:
        value = attribute.value or ""
        if attribute.name not in echoed:
            wrong.append(attribute.name)
        elif echoed[attribute.name] != value:
            wrong.append(f"{attribute.name} ({echoed[attribute.name]!r} instead of {value!r})")
    return tuple(wrong)


def create_cluster(name: str) -> dict[str, Any]:
    """Body of ``CreateCluster``. Source: agent-protocol.md §3.1."""
    return {"clusterName": name}


# --- endpoints ---------------------------------------------------------------------------------------


class PollEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``DiscoverPollEndpoint``, as ECS wrote it: ``http…``, not yet ``ws…``."""

    endpoint: str
    """For ACS."""
    telemetry_endpoint: str = ""
    """For TCS; ``""``: ECS named none."""


class _DiscoverAnswer(msgspec.Struct, rename="camel"):
    endpoint: str | None = None
    telemetry_endpoint: str | None = None


def discover_poll_endpoint(*, cluster: str, container_instance_arn: str) -> dict[str, Any]:
    """Body of ``DiscoverPollEndpoint``. Source: agent-protocol.md §3.4."""
    return {"containerInstance": container_instance_arn, "cluster": cluster, "zoneId": ""}


def poll_endpoints(answer: Mapping[str, Any]) -> PollEndpoints:
    """Read the answer of ``DiscoverPollEndpoint``.

    Raises:
        UnusableAnswer: without an endpoint for ACS, or of another form.
    """
    found = _read(answer, _DiscoverAnswer)
    if not found.endpoint:
        raise UnusableAnswer("no endpoint returned; nil")
    return PollEndpoints(endpoint=found.endpoint, telemetry_endpoint=found.telemetry_endpoint or "")


# --- state changes -----------------------------------------------------------------------------------


def submit_task_state_change(
    *,
    cluster: str,
    task_arn: str,
    change: TaskStateChange,
    port_mappings: Mapping[str, Sequence[PortMapping]],
    exclude_ipv6: bool,
    exclude_ipv4: bool = False,
) -> dict[str, Any]:
    """Body of ``SubmitTaskStateChange``. Source: agent-protocol.md §3.5.

    Args:
        port_mappings: of the task definition, by container name; only ports that are mapped there are reported.
        exclude_ipv6: leave out bindings on ``::`` (``ECS_EXCLUDE_IPV6_PORTBINDING``).
        exclude_ipv4: leave out bindings on ``0.0.0.0``: the instance has IPv6 only.

    Raises:
        ReportCannotBeBuilt: a container has more bindings than a report may hold.
    """
    body: dict[str, Any] = {
        "cluster": cluster,
        "task": task_arn,
        "status": change.status.value,
        "reason": change.reason[:REASON_LIMIT],
    }
    excluded = {address for address, is_out in ((ANY_IPV6, exclude_ipv6), (ANY_IPV4, exclude_ipv4)) if is_out}
    containers = [
        _container_state_change(container, port_mappings.get(container.container_name, ()), excluded)
        for container in change.containers
    ]
    if containers:
        body["containers"] = containers
    moments = {
        "pullStartedAt": change.pull_started_at,
        "pullStoppedAt": change.pull_stopped_at,
        "executionStoppedAt": change.execution_stopped_at,
    }
    body |= {name: epoch_seconds(moment) for name, moment in moments.items() if moment is not None}
    return body


def _container_state_change(
    change: ContainerStateChange, mappings: Sequence[PortMapping], excluded: set[str]
) -> dict[str, Any]:
    body: dict[str, Any] = {"containerName": change.container_name, "status": change.status.value}
    if change.runtime_id:
        body["runtimeId"] = change.runtime_id[:ID_LIMIT]
    if change.image_digest:
        body["imageDigest"] = change.image_digest[:ID_LIMIT]
    if change.exit_code is not None:
        body["exitCode"] = change.exit_code
    if change.reason:
        body["reason"] = change.reason[:REASON_LIMIT]
    if bindings := network_bindings(change.bindings, mappings, excluded=excluded):
        if len(bindings) > BINDINGS_LIMIT and any(mapping.container_port_range for mapping in mappings):
            raise ReportCannotBeBuilt(
                f"container {change.container_name} uses port ranges and has {len(bindings)} bindings, and ECS takes "
                f"at most {BINDINGS_LIMIT}: map fewer single ports, or one range instead of them"
            )
        body["networkBindings"] = bindings
    return body


def network_bindings(
    bindings: Sequence[PortBinding], mappings: Sequence[PortMapping], *, excluded: Collection[str] = ()
) -> list[dict[str, Any]]:
    """``networkBindings`` of a container: single ports one by one, then each range as one, per address and protocol.

    Source: agent-protocol.md §3.5; engine.md §7; ``agent/api/ecsclient`` of the official agent.
    """
    bindings = [binding for binding in bindings if binding.host_ip not in excluded]
    single_ports = {mapping.container_port for mapping in mappings if not mapping.container_port_range}
    found: list[dict[str, Any]] = [
        {
            "bindIP": binding.host_ip,
            "containerPort": binding.container_port,
            "hostPort": binding.host_port,
            "protocol": binding.protocol,
        }
        for binding in bindings
        if binding.container_port in single_ports
    ]
    for mapping in mappings:
        if mapping.container_port_range:
            found += _range_bindings(mapping.container_port_range, mapping.protocol, bindings)
    return found


def _range_bindings(container_ports: str, protocol: str, bindings: Sequence[PortBinding]) -> list[dict[str, Any]]:
    """One entry per address; the host's ports are a block, because the agent chose them as one."""
    first, _, last = container_ports.partition("-")
    host_ports: dict[str, list[int]] = {}
    for binding in bindings:
        if binding.protocol == protocol and int(first) <= binding.container_port <= int(last or first):
            host_ports.setdefault(binding.host_ip, []).append(binding.host_port)
    return [
        {
            "bindIP": address,
            "containerPortRange": container_ports,
            "hostPortRange": f"{min(ports)}-{max(ports)}",
            "protocol": protocol,
        }
        for address, ports in host_ports.items()
    ]


def submit_attachment_state_changes(*, cluster: str, attachment_arns: Iterable[str]) -> dict[str, Any]:
    """Body of ``SubmitAttachmentStateChanges``: they are attached. Source: agent-protocol.md §3.7."""
    attached = [{"attachmentArn": arn, "status": "ATTACHED"} for arn in attachment_arns]
    return {"cluster": cluster, "attachments": attached}


def submit_task_attachment(*, cluster: str, task_arn: str, attachment_arn: str) -> dict[str, Any]:
    """Body of ``SubmitTaskStateChange`` that says only that an attachment of the task is attached.

    Source: agent-protocol.md §3.5.
    """
    attached = [{"attachmentArn": attachment_arn, "status": "ATTACHED"}]
    return {"cluster": cluster, "task": task_arn, "attachments": attached}


def update_container_instances_state(*, cluster: str, container_instance_arn: str, status: str) -> dict[str, Any]:
    """Body of ``UpdateContainerInstancesState``, ``status`` being ``DRAINING``. Source: agent-protocol.md §3.9."""
    return {"cluster": cluster, "containerInstances": [container_instance_arn], "status": status}


def epoch_seconds(moment: datetime) -> float:
    """A timestamp as the ECS API writes it: seconds with milliseconds, cut and not rounded. Source: §3."""
    return (moment - _EPOCH) // timedelta(milliseconds=1) / 1000


def _read(answer: Mapping[str, Any], form: type[_T]) -> _T:
    try:
        return msgspec.convert(answer, form)
    except msgspec.ValidationError as error:
        raise UnusableAnswer(f"the answer is not of the form that the API has: {error}") from error

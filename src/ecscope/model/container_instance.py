"""The container instance: its identity, what it offers, and why it is not registered. Values only.

Source: agent-protocol.md §3.2, §3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

from ecscope.model.history import Detail


class ContainerInstance(msgspec.Struct, frozen=True, kw_only=True):
    """Who this instance is."""

    cluster: str
    """As configured, name or ARN, unchanged."""
    arn: str
    """``""``: not registered yet, nor ever before."""
    agent_version: str
    """The whole ``Version`` of ``/v1/metadata``."""
    availability_zone: str = ""
    """What ECS said at registration; ``""``: nothing."""
    is_inactive: bool = False
    """ECS has called it inactive since: it was deregistered."""


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute of the instance: a capability, or what a user gave it."""

    name: str
    value: str | None = None
    """``None``: it has none, and none is sent."""


class ObstacleKind(Enum):
    """Why the instance is not registered. The value is part of the introspection API's answer: never rename one."""

    STARTING = "Starting"
    """Nothing is wrong: the first try is under way."""
    INSTANCE_METADATA_UNAVAILABLE = "InstanceMetadataUnavailable"
    """Registration shows an identity document, and the service that has it does not answer."""
    DOCKER_UNAVAILABLE = "DockerUnavailable"
    """Registration needs to know what Docker offers."""
    NO_CREDENTIALS = "NoCredentials"
    """Nothing that the chain looks into has any."""
    ACCESS_DENIED = "AccessDenied"
    """AWS refused the action to the role."""
    INVALID_CREDENTIALS = "InvalidCredentials"
    """AWS does not know the key, or the signature or the token is wrong or has expired."""
    CLOCK_SKEW = "ClockSkew"
    """Signed with a time that AWS does not accept."""
    ENDPOINT_UNREACHABLE = "EndpointUnreachable"
    """No name, no connection, no answer in time."""
    CERTIFICATE_REFUSED = "CertificateRefused"
    """The endpoint's certificate is not to be trusted."""
    CLUSTER_NOT_FOUND = "ClusterNotFound"
    THROTTLED = "Throttled"
    SERVER_ERROR = "ServerError"
    """The endpoint answered with an error of its own, or with something that is not an ECS answer."""
    REGISTRATION_REFUSED = "RegistrationRefused"
    """ECS refuses what is registered; trying again cannot help."""
    DEREGISTERED = "Deregistered"
    """It was registered, and has been deregistered."""


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why the agent is not registered in its cluster. Contains no secret."""

    kind: ObstacleKind
    message: str
    """What is wrong and what helps, in a sentence or two for a person."""
    since: datetime
    """When it was first met; unchanged as long as the kind and the message stay."""
    detail: Mapping[str, Detail] = {}
    """Facts for programs: ``action``, ``role``, ``endpoint``, ``skewSeconds``, ``lookedIn``, ``awsMessage``, …"""

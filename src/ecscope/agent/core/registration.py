"""Registration of the container instance: what prevents it, what is tried again, what is final.

The loop that makes the calls is ``agent/cluster/registration``; its rules are here.

Source: agent-protocol.md §3.1, §3.2.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec

from ecscope.agent.core import attachments, reporting
from ecscope.agent.core.actions import ConnectToCluster
from ecscope.agent.core.events import InstanceNotRegistered, InstanceRegistered
from ecscope.agent.core.state import AVAILABILITY_ZONE_KEY, CLUSTER_KEY, INACTIVE_KEY, INSTANCE_ARN_KEY, AgentState
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import Obstacle, ObstacleKind
from ecscope.model.history import Detail

replace = msgspec.structs.replace

_INACTIVE = "inactive"
_INSTANCE_TYPE_CHANGED = "Container instance type changes are not supported."


# --- what an event changes -----------------------------------------------------------------------


def registered(step: Step, event: InstanceRegistered) -> None:
    """ECS knows the instance: reports may be sent, and port 51678 may answer."""
    was = step.instance
    step.instance = replace(
        was, arn=event.container_instance_arn, availability_zone=event.availability_zone, is_inactive=False
    )
    step.obstacle = None
    if was.is_inactive:
        step.remember(INACTIVE_KEY, "")
    step.remember(INSTANCE_ARN_KEY, event.container_instance_arn)
    step.remember(CLUSTER_KEY, was.cluster)
    step.remember(AVAILABILITY_ZONE_KEY, event.availability_zone)
    step.note(history.InstanceRegistered(container_instance_arn=event.container_instance_arn, cluster=was.cluster))
    step.act(ConnectToCluster())
    reporting.resume(step)
    attachments.resume(step)


def not_registered(step: Step, event: InstanceNotRegistered) -> None:
    """Noted once for as long as it stays the same.

    Once registered, the instance is shown as registered, as by the official agent: the link to ECS
    may be down, but its tasks are unaffected. Only ECS itself can make it inactive.
    """
    obstacle, known = event.obstacle, step.obstacle
    is_inactive = obstacle.kind is ObstacleKind.DEREGISTERED
    if is_inactive and not step.instance.is_inactive:
        step.instance = replace(step.instance, is_inactive=True)
        step.remember(INACTIVE_KEY, "true")
    if known is not None and _is_same(known, obstacle):
        if known.message != obstacle.message:
            step.obstacle = replace(obstacle, since=known.since)
        step.note(history.NoChange(why="the same obstacle as before"))
        return
    if known is not None or is_inactive:
        step.obstacle = obstacle
    if obstacle.kind is ObstacleKind.STARTING:
        step.note(history.NoChange(why="registration is no longer prevented"))
        return
    step.note(
        history.InstanceNotRegistered(obstacle=obstacle.kind.value, message=obstacle.message, facts=obstacle.detail)
    )


def is_introspected(state: AgentState) -> bool:
    """Whether port 51678 is open: there is a container instance to show, and ECS has not called it inactive.

    Officially it opens once the registration of this start has succeeded; what an earlier one saved is as good, and is
    there while AWS cannot be reached. Source: introspection-api.md §1.1.
    """
    instance = state.instance
    return not state.settings.joins_cluster or (bool(instance.arn) and not instance.is_inactive)


_WORDED_ANEW = frozenset(
    {ObstacleKind.CLOCK_SKEW, ObstacleKind.INVALID_CREDENTIALS, ObstacleKind.SERVER_ERROR, ObstacleKind.THROTTLED}
)
"""AWS puts the time or the request's ID into these messages: another wording is not a change."""


def _is_same(known: Obstacle, obstacle: Obstacle) -> bool:
    return known.kind is obstacle.kind and (known.kind in _WORDED_ANEW or known.message == obstacle.message)


# --- the rules of the loop -----------------------------------------------------------------------


class Next(Enum):
    """What follows a failed registration."""

    CREATE_CLUSTER = "CREATE_CLUSTER"
    """Make the default cluster, then register again."""
    RETRY = "RETRY"
    """Register again, after a wait."""
    GIVE_UP = "GIVE_UP"
    """Trying again cannot help: the agent ends and is not to be started again as it is."""


def after_failure(failure: ApiFailure, *, is_cluster_configured: bool, has_created_cluster: bool) -> Next:
    """What to do about a failed RegisterContainerInstance."""
    match failure.kind:
        case ObstacleKind.CLUSTER_NOT_FOUND if not is_cluster_configured and not has_created_cluster:
            return Next.CREATE_CLUSTER
        case ObstacleKind.REGISTRATION_REFUSED:
            return Next.GIVE_UP
        case _:
            return Next.RETRY


def obstacle_of(failure: ApiFailure, *, cluster: str, at: datetime) -> Obstacle:
    """What a failed call means, as an answer to why this instance is not registered."""
    return Obstacle(kind=failure.kind, message=_message(failure, cluster), since=at, detail=detail_of(failure))


def starting(at: datetime) -> Obstacle:
    """Before the first try has ended."""
    return Obstacle(
        kind=ObstacleKind.STARTING,
        message="The agent has just started: it asks Docker and the instance metadata service, then registers with"
        " ECS.",
        since=at,
    )


def registering(at: datetime) -> Obstacle:
    """What had to be waited for is there, and the next try has not ended."""
    return Obstacle(kind=ObstacleKind.STARTING, message="The agent is registering with ECS.", since=at)


def instance_metadata_unavailable(at: datetime) -> Obstacle:
    """Who this instance is cannot be shown yet."""
    return Obstacle(
        kind=ObstacleKind.INSTANCE_METADATA_UNAVAILABLE,
        message="The agent is waiting for the EC2 instance metadata service, which has the identity document that"
        " registration shows; after a minute it registers without it. If this is not an EC2 instance, set"
        " ECS_EXTERNAL=true or AWS_EC2_METADATA_DISABLED=true. In a container, give the service a hop limit of 2 or use"
        " the host's network.",
        since=at,
    )


def docker_unavailable(reason: str, at: datetime) -> Obstacle:
    """What the instance offers is not known yet."""
    return Obstacle(
        kind=ObstacleKind.DOCKER_UNAVAILABLE,
        message=f"Docker cannot be used, and registration has to say what it offers: {reason}. Start Docker, or set"
        " DOCKER_HOST to its address.",
        since=at,
        detail={"reason": reason},
    )


def attributes_not_echoed(missing: tuple[str, ...], at: datetime) -> Obstacle:
    """ECS took the registration, but not all that it said."""
    names = ", ".join(missing)
    return Obstacle(
        kind=ObstacleKind.REGISTRATION_REFUSED,
        message=f"Attribute validation failed: ECS did not take over these attributes: {names}.",
        since=at,
        detail={"attributes": names},
    )


def deregistered(message: str, at: datetime) -> Obstacle:
    """The instance was deregistered while the agent was running."""
    return Obstacle(
        kind=ObstacleKind.DEREGISTERED,
        message=f"ECS says that this container instance is inactive: {message.rstrip('.') or 'no reason given'}. It was"
        " deregistered; remove the saved state (ECS_DATADIR) and start the agent again to register a new one.",
        since=at,
        detail={"awsMessage": message},
    )


def _message(failure: ApiFailure, cluster: str) -> str:
    words = failure.message
    match failure.kind:
        case ObstacleKind.NO_CREDENTIALS:
            return (
                "No AWS credentials were found. Attach an IAM role for container instances to this instance, or set"
                f" AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Looked in: {'; '.join(failure.looked_in) or words}."
            )
        case ObstacleKind.ACCESS_DENIED:
            action = failure.action or f"ecs:{failure.operation}"
            role = failure.role_arn or "the role of this instance"
            return f"AWS denies {action} to {role}. Allow it in the role's policy. AWS says: {words}"
        case ObstacleKind.INVALID_CREDENTIALS:
            return f"AWS does not accept the credentials. AWS says: {words}"
        case ObstacleKind.CLOCK_SKEW:
            off = "off" if failure.skew_s is None else f"{_seconds(failure.skew_s)}"
            return (
                f"The clock of this host is {off}, and AWS accepts at most 300 seconds. Set it right (chronyd,"
                f" systemd-timesyncd). AWS says: {words}"
            )
        case ObstacleKind.ENDPOINT_UNREACHABLE:
            return (
                f"The ECS endpoint {failure.endpoint} cannot be reached: {words}. Check the network, the proxy"
                " (HTTPS_PROXY), the region (AWS_DEFAULT_REGION) and ECS_BACKEND_HOST."
            )
        case ObstacleKind.CERTIFICATE_REFUSED:
            return (
                f"The certificate of {failure.endpoint} cannot be trusted: {words}. Check the clock, and whether a"
                " proxy is in between; name its authority with SSL_CERT_FILE."
            )
        case ObstacleKind.CLUSTER_NOT_FOUND:
            return f"There is no cluster {cluster}. Create it, or set ECS_CLUSTER. AWS says: {words}"
        case ObstacleKind.THROTTLED:
            return f"AWS is throttling: {words}"
        case ObstacleKind.REGISTRATION_REFUSED if _INSTANCE_TYPE_CHANGED in words:
            return (
                f"AWS refuses the registration: {words} The saved state belongs to an instance of another type: remove"
                " it (ECS_DATADIR) and start the agent again."
            )
        case ObstacleKind.REGISTRATION_REFUSED:
            advice = (
                "The saved state is that of an instance which was deregistered: remove it (ECS_DATADIR)"
                if _INACTIVE in words
                else "Correct what it names"
            )
            said = f"{failure.code + ': ' if failure.code else ''}{words.rstrip('.')}"
            return f"AWS refuses the registration: {said}. {advice} and start the agent again."
        case _:
            return f"{failure.endpoint or 'The ECS endpoint'} answered with a failure: {words}"


def _seconds(skew_s: float) -> str:
    return f"{abs(skew_s):.0f} seconds {'fast' if skew_s > 0 else 'slow'}"


def detail_of(failure: ApiFailure) -> dict[str, Detail]:
    """What is known of a failed call, for programs: see ``Obstacle.detail``."""
    detail: dict[str, Detail] = {"operation": failure.operation, "awsMessage": failure.message}
    for name, value in (
        ("awsCode", failure.code),
        ("action", failure.action),
        ("role", failure.role_arn),
        ("endpoint", failure.endpoint),
        ("lookedIn", "; ".join(failure.looked_in)),
    ):
        if value:
            detail[name] = value
    if failure.skew_s is not None:
        detail["skewSeconds"] = round(failure.skew_s)
    return detail

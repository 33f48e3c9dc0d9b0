"""When a container may take its next step: ``dependsOn``, and what links and volumesFrom imply.

Also the reverse order in which containers stop. Pure questions about one task.

Source: engine.md §5; the sentences of failures are the official agent's, to the letter.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from ecscope.model.container import Container, ContainerDefinition, Dependency, DependencyCondition
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.status import ContainerStatus, HealthStatus
from ecscope.model.task import Task

_START_TIMEOUT_CONDITIONS = (
    DependencyCondition.SUCCESS,
    DependencyCondition.COMPLETE,
    DependencyCondition.HEALTHY,
)


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing holds the container back."""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency is not met yet."""

    dependency: Dependency
    check_again_at: datetime | None = None
    """When a start time-out among the dependencies runs out; ``None``: there is none."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency can never be met."""

    reason: str


def with_implied_dependencies(definition: ContainerDefinition) -> ContainerDefinition:
    """``links`` imply START, ``volumesFrom`` implies CREATE. Source: engine.md §5.1."""
    implied = [
        Dependency(container_name=link.split(":", 1)[0], condition=DependencyCondition.START)
        for link in definition.links
    ] + [
        Dependency(container_name=volumes.source_container, condition=DependencyCondition.CREATE)
        for volumes in definition.volumes_from
    ]
    added = tuple(d for d in dict.fromkeys(implied) if d not in definition.depends_on)
    if not added:
        return definition
    return msgspec.structs.replace(definition, depends_on=definition.depends_on + added)


def can_be_resolved(containers: tuple[Container, ...]) -> bool:
    """Whether some order exists in which every container can start.

    False for a circle, an unknown name, and HEALTHY on a container without a Docker health check.
    """
    resolved: set[str] = set()
    unresolved = list(containers)
    checked = {c.name for c in containers if c.definition.health_check_is_docker}
    while unresolved:
        ready = [
            c
            for c in unresolved
            if all(
                d.container_name in resolved
                and (d.condition is not DependencyCondition.HEALTHY or d.container_name in checked)
                for d in c.definition.depends_on
            )
        ]
        if not ready:
            return False
        resolved.update(c.name for c in ready)
        unresolved = [c for c in unresolved if c.name not in resolved]
    return True


def may_go_on(task: Task, target: Container, *, now: datetime, pull_dependents_upfront: bool) -> Met | Blocked | Failed:
    """Whether ``target``, wanted RUNNING, may take its next step."""
    blocked_by: Dependency | None = None
    check_again_at: datetime | None = None
    for dependency in target.definition.depends_on:
        needed = task.container(dependency.container_name)
        if needed is None:
            return Failed(
                reason=f"dependency graph: container ordering dependency [{dependency.container_name}]"
                f" for target [{describe(target)}] does not exist."
            )
        deadline = _start_deadline(needed, dependency)
        if target.known < ContainerStatus.CREATED and not needed.is_stopped and deadline is not None:
            if now > deadline:
                return Failed(
                    reason=f"dependency graph: container ordering dependency [{describe(needed)}]"
                    f" for target [{describe(target)}] has timed out."
                )
            if check_again_at is None or deadline < check_again_at:
                check_again_at = deadline
        if dependency.condition is DependencyCondition.SUCCESS and needed.is_stopped and needed.exit_code != 0:
            return Failed(
                reason=f"dependency graph: failed to resolve container ordering dependency [{describe(needed)}]"
                f" for target [{describe(target)}] as dependency did not exit successfully."
            )
        if _will_never_start(needed):
            return Failed(
                reason=f"dependency graph: failed to resolve container ordering dependency [{describe(needed)}]"
                f" for target [{describe(target)}] because dependency will never start"
            )
        if not _is_met(target, needed, dependency.condition, pull_dependents_upfront=pull_dependents_upfront):
            blocked_by = dependency
    if blocked_by is None:
        return Met()
    return Blocked(dependency=blocked_by, check_again_at=check_again_at)


def unstopped_dependents(task: Task, target: Container) -> list[str]:
    """Names of what depends on ``target`` and has to stop before it. Source: engine.md §5.2, §5.3.

    All of the user's containers depend on what the agent made up for them.
    """
    if target.is_agents_own:
        return [other.name for other in task.containers if not other.is_stopped and not other.is_agents_own]
    return [
        other.name
        for other in task.containers
        if not other.is_stopped and any(d.container_name == target.name for d in other.definition.depends_on)
    ]


def describe(container: Container) -> str:
    """A container as the official agent names it in reasons."""
    text = f"{container.name}({container.definition.image}) ({container.known.value}->{container.desired.value})"
    if container.exit_code is not None:
        text += f" - Exit: {container.exit_code}"
    return text


def _is_met(
    target: Container, needed: Container, condition: DependencyCondition, *, pull_dependents_upfront: bool
) -> bool:
    if target.known < ContainerStatus.MANIFEST_PULLED:
        return True
    if pull_dependents_upfront and target.known < ContainerStatus.PULLED:
        return True
    match condition:
        case DependencyCondition.CREATE:
            return needed.known >= ContainerStatus.CREATED
        case DependencyCondition.START:
            return needed.is_steady or needed.is_stopped
        case DependencyCondition.SUCCESS:
            return needed.is_stopped and needed.exit_code == 0
        case DependencyCondition.COMPLETE:
            return needed.is_stopped and needed.exit_code is not None
        case DependencyCondition.HEALTHY:
            return needed.definition.health_check_is_docker and needed.health.status is HealthStatus.HEALTHY
        case _:
            assert_never(condition)


def _will_never_start(container: Container) -> bool:
    if container.is_stopped:
        return not container.started_at
    return (
        container.known < ContainerStatus.RUNNING
        and container.desired is ContainerStatus.STOPPED
        and container.in_flight is None
    )


def _start_deadline(needed: Container, dependency: Dependency) -> datetime | None:
    """Quirk: the time-out is the dependency's own, not the waiting container's. Source: engine.md §5.1."""
    timeout_s = needed.definition.start_timeout_s
    if not timeout_s or dependency.condition not in _START_TIMEOUT_CONDITIONS:
        return None
    started_at = parse_docker_time(needed.started_at)
    if started_at is None:
        return None
    return started_at + timedelta(seconds=timeout_s)

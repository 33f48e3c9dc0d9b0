"""A definition as one task has it: with the overrides of its request merged in.

Source: control-plane.md §10; TaskOverride of the ECS API (2014-11-13).
"""

from __future__ import annotations

from ecscope.control.core.errors import ApiError, client_error
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.control.core.task_definitions import check
from ecscope.taskdefinition.definition import Definition, definition_of

_OF_TASKS = ("cpu", "memory", "taskRoleArn", "executionRoleArn")
_AMOUNTS_OF_CONTAINERS = ("cpu", "memory", "memoryReservation")


def members_for(definition: TaskDefinition, overrides: Json) -> Definition:
    """What a definition says to one task. ``overrides``: as for ``merged``."""
    return definition_of(merged(definition.body, overrides)) if overrides else definition.members


def merged(body: Json, overrides: Json) -> Json:
    """The members of a definition as one task has them.

    ``overrides``: of containers that there are, and of nothing that is refused; the task's ``cpu`` and ``memory`` as
    plain numbers in text. An empty command or environment overrides nothing, and neither does an amount of 0, which
    Terraform's provider always sends.
    """
    if not overrides:
        return body
    task = {name: overrides[name] for name in _OF_TASKS if overrides.get(name)}
    by_name = {override["name"]: override for override in overrides.get("containerOverrides", ())}
    containers = [
        _container(container, by_name[container["name"]]) if container["name"] in by_name else container
        for container in body["containerDefinitions"]
    ]
    return {**body, **task, "containerDefinitions": containers}


def role_of(body: Json, overrides: Json, member: str) -> str:
    """Which role a task has, as it was named; ``""``: none. An empty override overrides nothing.

    Args:
        body: of the task's definition.
        member: ``taskRoleArn`` or ``executionRoleArn``.
    """
    role: str = overrides.get(member) or body.get(member) or ""
    return role


def check_merged(definition: TaskDefinition, overrides: Json) -> None:
    """Raises ``ClientException`` for what no definition could hold either, such as too much memory."""
    body = merged(definition.body, overrides)
    if body == definition.body:
        return
    try:
        check({"family": definition.family, **body})
    except ApiError as error:
        raise client_error(f"With the overrides of this request: {error.message}") from None


def _container(container: Json, override: Json) -> Json:
    changed: dict[str, object] = {
        **container,
        **{name: override[name] for name in _AMOUNTS_OF_CONTAINERS if override.get(name)},
    }
    if override.get("command"):
        changed["command"] = override["command"]
    if override.get("environment"):
        environment = _variables(container) | _variables(override)
        changed["environment"] = [{"name": name, "value": value} for name, value in environment.items()]
    return changed


def _variables(members: Json) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in members.get("environment", ())}

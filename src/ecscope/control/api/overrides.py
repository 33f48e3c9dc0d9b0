"""What RunTask and StartTask may override of a task definition; everything else is refused by name.

Source: TaskOverride and ContainerOverride of the ECS API (2014-11-13); control-plane.md §3.5.
"""

from __future__ import annotations

from ecscope.control.core.errors import client_error, invalid, unsupported
from ecscope.control.core.overrides import check_merged
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.model import refused
from ecscope.taskdefinition.members import LEAST_STORAGE_GIB, MOST_STORAGE_GIB
from ecscope.taskdefinition.rules import MIN_MEMORY_MIB, cpu_units, memory_mib

_REFUSED = {
    "inferenceAcceleratorOverrides": refused.INFERENCE,
}
_REFUSED_IN_A_CONTAINER = {
    "environmentFiles": refused.ENVIRONMENT_FILES,
    "resourceRequirements": refused.GPU,
}


def overrides_of(given: Json, definition: TaskDefinition) -> Json:
    """Checked, amounts of the task as plain numbers. Raises ``ApiError``."""
    for member, feature in _REFUSED.items():
        if given.get(member):
            raise unsupported(f"overrides.{member}: {feature.why}.")
    checked: dict[str, object] = {name: given[name] for name in ("taskRoleArn", "executionRoleArn") if given.get(name)}
    for member, read in (("cpu", cpu_units), ("memory", memory_mib)):
        if not given.get(member):
            continue
        amount = read(given[member])
        if amount is None or amount <= 0:
            raise client_error(f"Invalid '{member}' setting for task: {given[member]!r} is not a valid amount.")
        checked[member] = str(amount)
    if storage := given.get("ephemeralStorage"):
        if not LEAST_STORAGE_GIB <= storage["sizeInGiB"] <= MOST_STORAGE_GIB:
            raise client_error(f"ephemeralStorage must be from {LEAST_STORAGE_GIB} to {MOST_STORAGE_GIB} GiB.")
        checked["ephemeralStorage"] = storage
    names = {container.name for container in definition.members.container_definitions}
    containers: list[Json] = []
    for override in given.get("containerOverrides", ()):
        name = override.get("name")
        if not name:
            raise client_error("Container.name should not be null or empty.")
        if name not in names:
            raise invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
        if any(other["name"] == name for other in containers):
            raise invalid(f"Two overrides are for the container named {name}.")
        _check_container(override)
        containers.append(override)
    if containers:
        checked["containerOverrides"] = containers
    check_merged(definition, checked)
    return checked


def _check_container(override: Json) -> None:
    name = override["name"]
    for member, feature in _REFUSED_IN_A_CONTAINER.items():
        if override.get(member):
            raise unsupported(f"overrides.{member} of container {name}: {feature.why}.")
    if (cpu := override.get("cpu")) is not None and cpu < 0:
        raise client_error(f"Invalid 'cpu' setting for container '{name}': {cpu}.")
    for member in ("memory", "memoryReservation"):
        if (memory := override.get(member)) and memory < MIN_MEMORY_MIB:  # 0 overrides nothing
            raise client_error(
                f"Invalid '{member}' setting for container '{name}': {memory}. At least {MIN_MEMORY_MIB} are needed."
            )
    for variable in override.get("environment", ()):
        if not variable.get("name"):
            raise client_error(f"An environment variable of the override for container '{name}' has no name.")

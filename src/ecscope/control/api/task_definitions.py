"""Task definitions: registered, described, listed, deregistered, deleted.

Source: control-plane.md §3.1, §3.5, §5.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.core.errors import ApiError, Failure, client_error, invalid
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.control.core.statuses import TaskDefinitionStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of
from ecscope.control.core.task_definitions import register

_MOST_DELETED = 10
_STILL_ACTIVE = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
_NO_SUCH = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
_NO_IDENTIFIER = "The specified task definition identifier is invalid. Specify a valid name or ARN and try again."


def register_task_definition(step: Step, body: Json) -> Json:
    definition = register(step, body, tags_of(body.get("tags", ())))
    return {"taskDefinition": shapes.task_definition(definition), "tags": shapes.tags(definition.tags)}


def describe_task_definition(step: Step, body: Json) -> Json:
    definition = lookup.find_task_definition(step, body["taskDefinition"])
    if definition is None:
        raise client_error("Unable to describe task definition.")
    return {
        "taskDefinition": shapes.task_definition(definition),
        "tags": shapes.tags_if_asked(definition.tags, body),
    }


def deregister_task_definition(step: Step, body: Json) -> Json:
    """Tasks and services that use it are unaffected; an INACTIVE one stays as it is."""
    definition = lookup.exact_task_definition(step, body["taskDefinition"])
    if definition.status == TaskDefinitionStatus.DELETE_IN_PROGRESS:
        raise client_error("The specified task definition is being deleted.")
    if definition.status == TaskDefinitionStatus.ACTIVE:
        changed = msgspec.structs.replace(definition, status=TaskDefinitionStatus.INACTIVE, deregistered_at=step.at)
        definition = step.put_task_definition(changed)
    return {"taskDefinition": shapes.task_definition(definition)}


def delete_task_definitions(step: Step, body: Json) -> Json:
    """They are DELETE_IN_PROGRESS until nothing uses them: see ``core/task_definitions.py``."""
    references = body["taskDefinitions"]
    if not 1 <= len(references) <= _MOST_DELETED:
        raise invalid(f"TaskDefinitions must have from 1 to {_MOST_DELETED} elements.")
    deleted, failures = [], []
    for reference in references:
        try:
            definition = lookup.exact_task_definition(step, reference)
        except ApiError as error:
            reason = _NO_SUCH if error.code == "ClientException" else _NO_IDENTIFIER
            failures.append(Failure(arn=reference, reason=reason))
            continue
        if definition.status == TaskDefinitionStatus.ACTIVE:
            failures.append(Failure(arn=definition.arn, reason=_STILL_ACTIVE))
            continue
        if definition.status == TaskDefinitionStatus.INACTIVE:
            changed = msgspec.structs.replace(
                definition, status=TaskDefinitionStatus.DELETE_IN_PROGRESS, delete_requested_at=step.at
            )
            definition = step.put_task_definition(changed)
        deleted.append(shapes.task_definition(definition))
    return {"taskDefinitions": deleted, "failures": [msgspec.to_builtins(failure) for failure in failures]}


def list_task_definitions(step: Step, body: Json) -> Json:
    """``familyPrefix`` is the whole name of a family here, as in ECS."""
    family, status = body.get("familyPrefix"), body.get("status", TaskDefinitionStatus.ACTIVE)
    found: list[TaskDefinition] = sorted(
        (
            definition
            for definition in step.task_definitions
            if definition.status == status and family in (None, definition.family)
        ),
        key=lambda definition: (definition.family, definition.revision),
        reverse=body.get("sort") == "DESC",
    )
    arns = [definition.arn for definition in found]
    return page("ListTaskDefinitions", body, "taskDefinitionArns", arns, key=str, show=str)


def list_task_definition_families(step: Step, body: Json) -> Json:
    """A family is ACTIVE as long as one revision is."""
    active = {
        definition.family for definition in step.task_definitions if definition.status == TaskDefinitionStatus.ACTIVE
    }
    every = {definition.family for definition in step.task_definitions}
    chosen = {TaskDefinitionStatus.ACTIVE: active, TaskDefinitionStatus.INACTIVE: every - active, "ALL": every}[
        body.get("status", TaskDefinitionStatus.ACTIVE)
    ]
    families = sorted(family for family in chosen if family.startswith(body.get("familyPrefix", "")))
    return page("ListTaskDefinitionFamilies", body, "families", families, key=str, show=str)


ACTIONS: Mapping[str, Action] = {
    "RegisterTaskDefinition": Action(register_task_definition),
    "DescribeTaskDefinition": Action(describe_task_definition, is_reader=True),
    "DeregisterTaskDefinition": Action(deregister_task_definition),
    "DeleteTaskDefinitions": Action(delete_task_definitions),
    "ListTaskDefinitions": Action(list_task_definitions, is_reader=True),
    "ListTaskDefinitionFamilies": Action(list_task_definition_families, is_reader=True),
}

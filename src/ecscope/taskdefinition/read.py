"""Task definitions as people write them: read, checked, and made into tasks.

The shape is what ``aws ecs register-task-definition --cli-input-json`` takes, and also what
``aws ecs describe-task-definition`` gives as ``taskDefinition``. Pure: no I/O, no clock, no
random numbers. What cannot be done here is refused by name, never passed over in silence.

Source: control-plane.md §5, §10; engine.md §6, §7, §9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ecscope.model.arn import TaskArn
from ecscope.model.task import Task
from ecscope.taskdefinition.fargate import check_awsvpc, check_fargate, refuse_fargate
from ecscope.taskdefinition.members import TASK_DEFINITION, TASK_DEFINITION_TO_REGISTER, Mistake, Report
from ecscope.taskdefinition.positions import MAX_SIZE_BYTES, Document, JsonError, parse, plain, tree
from ecscope.taskdefinition.rules import check_rules

__all__ = [
    "Mistake",
    "TaskDefinition",
    "TaskDefinitionError",
    "fargate_mistakes",
    "mistakes_in",
    "read_task_definition",
    "to_task",
]


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition without mistakes."""

    family: str
    revision: int | None
    """As written; ``None``: the file does not say."""
    digest: str
    """SHA-256 (hex) of the canonical form: layout and order of members do not change it."""
    members: Mapping[str, Any]
    """The checked JSON."""

    def __repr__(self) -> str:
        return f"TaskDefinition(family={self.family!r}, revision={self.revision!r}, digest={self.digest!r}, …)"


class TaskDefinitionError(Exception):
    """The text is not a task definition that can run here; ``mistakes`` has every reason."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


def read_task_definition(data: bytes) -> TaskDefinition:
    """The definition in ``data``. Raises ``TaskDefinitionError`` with every mistake in it."""
    try:
        document = parse(data, max_size_bytes=MAX_SIZE_BYTES)
    except JsonError as error:
        mistake = Mistake(line=error.line, column=error.column, path="", reason=error.reason)
        raise TaskDefinitionError((mistake,)) from None
    mistakes = _check(document)
    if mistakes:
        raise TaskDefinitionError(mistakes)
    members = plain(document.root)
    assert isinstance(members, dict)
    family = members["family"]
    revision = members.get("revision")
    assert isinstance(family, str)
    assert revision is None or isinstance(revision, int)
    return TaskDefinition(family=family, revision=revision, digest=_digest(members), members=members)


def mistakes_in(definition: Mapping[str, Any]) -> tuple[Mistake, ...]:
    """What is wrong with a definition that is to be registered; line and column mean nothing here.

    It is held to the rules of a task file, and to those of Fargate if it asks for that.
    """
    root = tree(dict(definition))
    report = Report()
    TASK_DEFINITION_TO_REGISTER.check(root, "", report)
    check_awsvpc(root, report)
    check_rules(root, report)
    check_fargate(root, report)
    return report.mistakes()


def fargate_mistakes(definition: Mapping[str, Any]) -> tuple[Mistake, ...]:
    """Why a definition without mistakes could not run on Fargate, asked for or not; empty: it could."""
    report = Report()
    check_fargate(tree(dict(definition)), report, is_asked_for=True)
    return report.mistakes()


def _check(document: Document) -> tuple[Mistake, ...]:
    report = Report()
    for duplicate in document.duplicates:
        report.add_at(
            duplicate.line,
            duplicate.column,
            duplicate.path,
            f"is a duplicate key in its object, first on line {duplicate.first_line}",
        )
    root = document.root
    if isinstance(root.value, dict) and "taskDefinition" in root.value and "family" not in root.value:
        report.add(
            root.value["taskDefinition"],
            "taskDefinition",
            "is the answer of describe-task-definition; only what is inside taskDefinition belongs in the file",
        )
    elif not isinstance(root.value, dict):
        report.add(root, "", "a task definition is a JSON object")
    else:
        TASK_DEFINITION.check(root, "", report)
        check_rules(root, report)
        refuse_fargate(root, report)
    return report.mistakes()


def _digest(members: object) -> str:
    from hashlib import sha256  # noqa: PLC0415  # only when a task definition is read

    return sha256(msgspec.json.encode(members, order="sorted")).hexdigest()


# --- into a task ----------------------------------------------------------------------------------


def to_task(
    definition: TaskDefinition,
    *,
    arn: TaskArn,
    version: str,
    suffixes: Callable[[], str],
    received_at: datetime,
) -> Task:
    """The task that ECS would send to the agent for this definition.

    It is made into a payload and read like one that comes from ECS, so that it cannot mean anything else. What links
    and ``volumesFrom`` imply for the order is not added here.

    Args:
        version: the revision as text.
        suffixes: gives 20 fresh hex digits at each call; one for each container and volume.
    """
    from ecscope.taskdefinition.definition import definition_of  # noqa: PLC0415
    from ecscope.taskdefinition.payload import payload_task  # noqa: PLC0415
    from ecscope.wire.acs import to_task as acs_task  # noqa: PLC0415  # 2 MiB that only a task needs

    payload = payload_task(definition_of(definition.members), family=definition.family, arn=arn, version=version)
    return acs_task.to_task(payload, suffixes=suffixes, received_at=received_at)

"""Statuses are the words of the API's model, in the order in which things happen, and stand in one place only."""

from __future__ import annotations

import ast
from enum import StrEnum
from pathlib import Path

import pytest

import ecscope.control
from ecscope.control.core import statuses
from ecscope.control.core.statuses import (
    DesiredStatus,
    LastStatus,
    LaunchType,
    RolloutState,
    SchedulingStrategy,
    StopCode,
)
from tests.control_builders import MODEL

SOURCE = Path(ecscope.control.__file__).parent
KINDS = [kind for kind in vars(statuses).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
WORDS = {word.value for kind in KINDS for word in kind if word.value}
OTHERS = {
    ("api/clusters.py", "ACTIVE"): "of a capacity provider",
    ("api/service_shapes.py", "IN_PROGRESS"): "of a service deployment",
    ("api/service_shapes.py", "STOPPED"): "of a service deployment",
    ("api/shapes.py", "EC2"): "part of a name of a statistic",
}
"""The same word, and yet no status of a record."""


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (DesiredStatus, "DesiredStatus"),
        (LaunchType, "LaunchType"),
        (RolloutState, "DeploymentRolloutState"),
        (SchedulingStrategy, "SchedulingStrategy"),
        (StopCode, "TaskStopCode"),
    ],
)
def test_every_word_is_one_of_the_model(kind: type[StrEnum], shape: str) -> None:
    assert {word.value for word in kind if word.value} <= set(MODEL.shape(shape).enum)


def test_what_has_not_run_yet_is_pending() -> None:
    assert [status.value for status in LastStatus if status.is_pending] == ["PROVISIONING", "PENDING", "ACTIVATING"]
    assert all(status.rank < LastStatus.RUNNING.rank for status in LastStatus if status.is_pending)
    assert LastStatus.STOPPED.rank == max(status.rank for status in LastStatus)


def test_no_status_is_written_as_text() -> None:
    """A word that is mistyped would be compared, and never be equal."""
    found = {
        (str(path.relative_to(SOURCE)), node.value, node.lineno)
        for path in SOURCE.rglob("*.py")
        if path.name != "statuses.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in WORDS
    }
    assert sorted(one for one in found if one[:2] not in OTHERS) == []
    assert {one[:2] for one in found} >= OTHERS.keys()

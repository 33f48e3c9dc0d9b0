"""@aws-sdk/client-ecs: its waiters and paginators end, dates are dates, and a refusal is an error of its own class."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import clients
from tests.contract.control.live import ARN, LivePlane
from tests.contract.control.planes import IMAGE

pytestmark = pytest.mark.timeout(400)  # the first one installs it


@pytest.fixture(scope="module")
def seen(live: LivePlane, node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    environment = live.environment(home=tmp_path_factory.mktemp("home"))
    done = subprocess.run(
        ["node", str(clients.NODE / "client.cjs"), IMAGE],
        env={**environment, "NODE_PATH": str(node_modules / "node_modules")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tasks(seen: Any) -> None:
    assert seen["tasks"] == {
        "definition": f"{ARN}:task-definition/node:1",
        "registeredAt": True,
        "running": "SUCCESS",
        "pages": [2, 1],
        "listed": True,
        "tags": [{"key": "by", "value": "node"}],
        "startedAt": True,
        "stopped": "SUCCESS",
        "reason": "seen",
        "exitCode": 143,
    }


def test_a_service(seen: Any) -> None:
    assert seen["service"] == {
        "stable": "SUCCESS",
        "deployments": ["PRIMARY", "ACTIVE"],
        "again": "SUCCESS",
        "listed": 1,
        "deleted": "DRAINING",
        "inactive": "SUCCESS",
    }


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        ("cluster", "ClusterNotFoundException", "Cluster not found."),
        ("task", "InvalidParameterException", "The referenced task was not found."),
        ("validation", "InvalidParameterException", "MOON"),
        ("exec", "InvalidParameterException", "The referenced task was not found."),
        ("unsupported", "UnsupportedFeatureException", "CreateTaskSet"),
    ],
)
def test_refusals_are_errors_of_their_own_class(seen: Any, call: str, name: str, message: str) -> None:
    refusal = seen[call]
    assert (refusal["name"], refusal["status"], refusal["isModelled"], refusal["isItsClass"]) == (name, 400, True, True)
    assert message in refusal["message"]

"""``ecscope services``: its table, and what it says where nobody can be asked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ecscope.agent.diagnosis.why.service import Service
from ecscope.cli.main import main
from ecscope.cli.services import lines_of, row_of
from tests.unit.agent.probes.test_ecs import SERVICE


def a_service(**fields: object) -> Service:
    return msgspec.convert({**SERVICE, **fields}, Service, strict=False)


def test_a_row() -> None:
    assert row_of(a_service()) == ("web", "web:2", "1/2", "IN_PROGRESS", "has started 1 tasks")
    primary = {
        "status": "PRIMARY",
        "taskDefinition": "arn:aws:ecs:eu-west-1:1:task-definition/web:3",
        "rolloutState": "IN_PROGRESS",
        "failedTasks": 2,
    }
    assert row_of(a_service(pendingCount=1, deployments=[primary], events=[])) == (
        "web",
        "web:3",
        "1/2 +1",
        "IN_PROGRESS, 2 failed",
        "-",
    )
    assert row_of(a_service(status="DRAINING", deployments=[]))[3] == "DRAINING"


def test_the_table_is_sorted_and_fits() -> None:
    long = [{"id": "1", "createdAt": 0, "message": "(service b) was unable to place a task because " + "x" * 200}]
    header, first, second = lines_of([a_service(serviceName="b", events=long), a_service(serviceName="a")])
    assert header.split()[0] == "SERVICE"
    assert (first.split()[0], second.split()[0]) == ("a", "b")
    assert max(map(len, (header, first, second))) <= 80


def test_without_an_up_or_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["services", "--data-dir", str(tmp_path)]) == 1
    assert "no `ecscope up` runs here; start it" in capsys.readouterr().err

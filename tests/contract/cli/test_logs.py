"""``ecscope logs`` for a task that the agent has forgotten, from the log store of ``ecscope up``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from ecscope.cli.main import main
from ecscope.up.running import Running, publish
from tests.contract.control.live import APP, LivePlane

NOWHERE = "http://127.0.0.1:9"


def test_lines_of_a_removed_container_are_in_its_log_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with LivePlane(
        tmp_path / "live", settings_of_agents={"ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","awslogs"]'}
    ) as live:
        key, data_dir = live.plane.administrator, live.plane._data_dir
        publish(
            data_dir,
            Running(
                pid=os.getpid(),
                url=live.plane.url,
                region="us-east-1",
                cluster="default",
                access_key_id=key.access_key_id,
                secret_access_key=key.secret_access_key,
            ),
        )
        ecs, logs = live.client(), live.client("logs")
        container = {
            **APP,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/ecs/app", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"},
            },
        }
        task = a_task(live, ecs, container)
        task_id = task.rpartition("/")[2]
        stream = {"logGroupName": "/ecs/app", "logStreamName": f"web/app/{task_id}"}
        logs.create_log_group(logGroupName="/ecs/app")
        logs.create_log_stream(**stream)

        def put(*messages: str) -> None:
            now_ms = int(time.time() * 1000)
            logs.put_log_events(**stream, logEvents=[{"timestamp": now_ms, "message": each} for each in messages])

        def shown(*words: str) -> tuple[int, str, str]:
            code = main(["logs", task_id, "--endpoint", NOWHERE, "--data-dir", str(data_dir), *words])
            out, err = capfd.readouterr()
            return code, out, err

        put("one", "two")
        put("three")
        assert shown() == (0, "one\ntwo\nthree\n", "")
        assert shown("--tail", "2") == (0, "two\nthree\n", "")
        assert shown("--tail", "0") == (0, "", "")
        logs.delete_log_group(logGroupName="/ecs/app")
        code, out, err = shown()
        assert (code, out) == (1, "")
        assert (
            f"are in the log stream web/app/{task_id} of /ecs/app, which cannot be read: The specified log group" in err
        )


def a_task(live: LivePlane, ecs: Any, container: Any) -> str:
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    (task,) = ecs.run_task(taskDefinition="web")["tasks"]
    live.until(lambda: live.tasks() == ["RUNNING"], "the task to run")
    return str(task["taskArn"])

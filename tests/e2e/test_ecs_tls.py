"""An ECS with a certificate of its own authority: refused, and told so, until that authority is named."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fake_ecs import a_payload_container, a_payload_task, to_stop
from fake_ecs.process import BackendProcess
from tests.e2e.agents import AgentProcess, a_lone_agent, an_agent, eventually


@contextmanager
def a_backend_with_tls(folder: Path) -> Iterator[tuple[BackendProcess, dict[str, str]]]:
    """And what leads an agent there, but for whom it is to trust."""
    folder.mkdir()
    with BackendProcess(arguments=("--tls", str(folder))) as backend:
        environment = {**backend.environment(), "ECS_EXTERNAL": "true", "TEST_TASKS": ""}
        del environment["ECS_CLUSTER"]
        assert environment["ECS_BACKEND_HOST"].startswith("https://")
        yield backend, environment


def registration(agent: AgentProcess) -> tuple[int, dict[str, Any]]:
    """Status and body of port 51680's first page. Raises ``OSError`` before the port is open."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{agent.diagnostics_port}/", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_it_is_refused_and_the_port_says_why(tmp_path: Path, docker_endpoint: str) -> None:
    with (
        a_backend_with_tls(tmp_path / "tls") as (backend, environment),
        a_lone_agent(tmp_path, docker_host=docker_endpoint, **environment) as agent,
    ):
        agent.data_dir.mkdir()
        agent.start()
        status, body = eventually(
            lambda: registration(agent), lambda shown: shown[1].get("Reason") == "CertificateRefused", ""
        )
        assert status == 503
        assert "self-signed certificate" in body["Message"]
        assert backend.ask("calls") == []


def test_with_its_authority_named_both_the_calls_and_the_websockets_take_it(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with a_backend_with_tls(tmp_path / "tls") as (backend, environment):
        environment["SSL_CERT_FILE"] = str(tmp_path / "tls" / "certificate.pem")
        with an_agent(tmp_path, docker_host=docker_endpoint, **environment) as agent:
            agent.data_dir.mkdir()
            backend.ask("make_cluster", agent.cluster)
            agent.start()
            for channel in ("acs", "tcs"):
                backend.connected(channel)
            task = a_payload_task(a_payload_container("app", memory=16), cluster=agent.cluster)
            backend.ask("push_tasks", task)
            backend.ask("state_change", task["arn"], "RUNNING")
            backend.ask("message", "PublishMetricsRequest", channel="tcs")
            backend.ask("push_tasks", to_stop(task))
            backend.ask("state_change", task["arn"], "STOPPED")
            assert registration(agent)[0] == 200
            assert backend.ask("problems") == []

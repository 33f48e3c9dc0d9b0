"""The client reads what agents answer, and turns everything else into one sentence that helps."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ecscope.cli import client as client_module
from ecscope.cli.client import AgentProblem, BadEndpoint, Client, client_for
from ecscope.cli.main import main
from tests.tables import each_row
from tests.unit.cli.answering import Answers, a_task, answering_once, captured, nobody, serving

RUNNING = "arn:aws:ecs:us-west-2:012345678910:task/default/e01d58a8151b40e8bc0122647b9ecfec"


@each_row(
    "text, endpoint, is_local",
    [
        ("http://localhost:51678", "http://localhost:51678", True),
        ("localhost", "http://localhost:51678", True),
        (" 127.0.0.2:80 ", "http://127.0.0.2:80", True),
        ("http://[::1]:51678/", "http://[::1]:51678", True),
        ("10.0.0.1", "http://10.0.0.1:51678", False),
        ("http://agent.internal", "http://agent.internal:51678", False),
    ],
)
def test_endpoints(text: str, endpoint: str, is_local: bool) -> None:
    client = Client(text)
    assert (client.endpoint, client.is_local) == (endpoint, is_local)


@each_row(
    "text",
    ["", "https://localhost", "http://", "localhost:0", "localhost:65536", "http://u:p@h", "http://h/v1", "a b", "h:x"],
)
def test_other_endpoints_are_refused(text: str) -> None:
    with pytest.raises(BadEndpoint, match="write http://host:port, such as http://localhost:51678"):
        Client(text)


def test_option_then_environment_then_this_host() -> None:
    environ = {"ECSCOPE_ENDPOINT": "http://b:1"}
    assert client_for("http://a:1", environ).endpoint == "http://a:1"
    assert client_for(None, environ).endpoint == "http://b:1"
    assert client_for(None, {}).endpoint == "http://localhost:51678"


def test_the_official_metadata(agent: Answers) -> None:
    metadata, body = Client(agent.endpoint).metadata()
    assert (metadata.cluster, metadata.version) == ("default", "Amazon ECS Agent - v1.105.1 (*a8b3e7d3)")
    assert body == captured("metadata")[1]


def test_the_official_tasks(agent: Answers) -> None:
    running, stopped = Client(agent.endpoint).tasks()
    assert (running.arn, running.known, running.desired, running.family, running.version) == (
        RUNNING,
        "RUNNING",
        "RUNNING",
        "console-sample-app-static",
        "6",
    )
    assert stopped.known == "STOPPED"
    assert running.id == RUNNING[-32:]
    app = running.containers[0]
    assert (app.name, app.image, app.restart_count) == ("simple-app", "busybox:latest", None)
    assert [(port.host_port, port.container_port, port.protocol) for port in app.ports] == [(8080, 80, "tcp")] * 2
    assert app.volumes[0].destination == "/usr/local/apache2/htdocs"
    assert bytes(running.raw) == captured("tasks-by-arn-running")[1]


def test_one_task_is_found_or_not(agent: Answers) -> None:
    client = Client(agent.endpoint)
    found = client.find("dockerid", "79a58fd1")
    assert found is not None
    assert found.arn == RUNNING
    assert client.find("dockerid", "ffff") is None
    assert client.find("taskarn", "arn:a/b&c") is None
    assert agent.asked[-1] == "/v1/tasks?taskarn=arn%3Aa%2Fb%26c"


def test_unknown_members_do_not_matter_and_are_kept() -> None:
    answers = Answers()
    answers.tasks(a_task(New={"a": [1.0, 2]}))
    with serving(answers):
        (task,) = Client(answers.endpoint).tasks()
    assert b'"New": {"a": [1.0, 2]}' in bytes(task.raw)


def test_nobody_answers() -> None:
    with pytest.raises(AgentProblem, match=r"no agent answers on .*Connection refused.*ecscope agent --tasks PATH"):
        Client(nobody()).tasks()


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(AgentProblem, match=r"no agent answers on http://nowhere\.invalid:51678"):
        Client("nowhere.invalid").metadata()


@each_row(
    "body",
    [b"", b"hello", b"[]", b'{"Tasks":null}', b'{"Tasks":[{}]}', b'{"Tasks":[{"Arn":1}]}', b"\xff", b"[" * 100_000],
)
def test_an_answer_that_is_not_an_agents(body: bytes) -> None:
    with (
        serving(Answers({"/v1/tasks": (200, body)})) as answers,
        pytest.raises(AgentProblem, match="is not an ECS agent: check --endpoint"),
    ):
        Client(answers.endpoint).tasks()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(500, "the agent's own log says why"), (404, "is it the port of an agent"), (302, "is it the port of an")],
)
def test_another_status(status: int, sentence: str) -> None:
    with serving(Answers({"/v1/metadata": (status, b""), "/v1/tasks": (status, b"")})) as answers:
        for ask in (Client(answers.endpoint).metadata, Client(answers.endpoint).tasks):
            with pytest.raises(AgentProblem, match=sentence):
                ask()


def test_a_failing_look_up_is_a_problem_and_not_an_absent_task() -> None:
    with (
        serving(Answers({"/v1/tasks?taskarn=x": (500, b"")})) as answers,
        pytest.raises(AgentProblem, match="status 500"),
    ):
        Client(answers.endpoint).find("taskarn", "x")


@pytest.mark.parametrize(
    "raw", [b"", b"220 mail.example.com ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_what_speaks_no_http_or_breaks_off(raw: bytes) -> None:
    with (
        answering_once(raw) as endpoint,
        pytest.raises(AgentProblem, match=r"not an ECS agent|no agent|no ECS agent|cut off"),
    ):
        Client(endpoint).tasks()


def test_silence_ends_with_the_time_out() -> None:

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(AgentProblem, match=r"no answer from .* within 0\.05 s"):
            client.tasks()


NOT_REGISTERED = (
    b'{"Error":"ContainerInstanceNotRegistered","Reason":"AccessDenied","Message":"the role \\u001b[2J may not",'
    b'"Detail":{"Role":"x"},"Since":"2026-11-26T21:05:09Z"}'
)


REGISTERED = b'{"Status":"Registered","Cluster":"default","ContainerInstanceArn":"arn:i","Version":"v"}'


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint of an agent whose port is closed, as if it were 51678; nobody is on 51680 either."""
    endpoint, elsewhere = nobody(), nobody()
    monkeypatch.setattr(client_module, "_PORT", int(endpoint.rpartition(":")[2]))
    monkeypatch.setattr(client_module, "_DIAGNOSTICS_PORT", int(elsewhere.rpartition(":")[2]))
    return endpoint


@contextmanager
def diagnostics(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes) -> Iterator[None]:
    with serving(Answers({"/": (status, body)})) as answers:
        monkeypatch.setattr(client_module, "_DIAGNOSTICS_PORT", int(answers.endpoint.rpartition(":")[2]))
        yield


def test_an_instance_that_is_not_registered_is_told_in_its_own_words(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(closed)
    with diagnostics(monkeypatch, 503, NOT_REGISTERED):
        for ask in (client.metadata, client.tasks, lambda: client.find("taskarn", "x")):
            with pytest.raises(AgentProblem) as caught:
                ask()
            assert str(caught.value) == (
                "the agent on this host has not registered its container instance (AccessDenied, since "
                "2026-11-26T21:05:09Z): the role \x1b[2J may not"
            )


def test_an_agent_that_runs_without_its_port(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with diagnostics(monkeypatch, 200, REGISTERED), pytest.raises(AgentProblem) as caught:
        Client(closed).tasks()
    assert f"runs (Registered), but does not listen on {closed}: another program may hold" in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"overloaded", b'{"Error":"x"}', NOT_REGISTERED.replace(b"NotReg", b"No"), b"[]"]
)
def test_what_is_no_agent_on_51680_says_nothing(closed: str, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with diagnostics(monkeypatch, 503, body), pytest.raises(AgentProblem, match="no agent answers on"):
        Client(closed).tasks()


def test_nobody_on_either_port(closed: str) -> None:
    with pytest.raises(AgentProblem, match=r"no agent answers on .* start one with"):
        Client(closed).tasks()


def test_another_port_is_not_explained_by_this_hosts_agent(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PORT", 51678)
    with diagnostics(monkeypatch, 503, NOT_REGISTERED), pytest.raises(AgentProblem, match="no agent answers on"):
        Client(closed).tasks()


def test_a_503_is_a_failure_like_any() -> None:
    answers = Answers({"/v1/tasks": (503, NOT_REGISTERED)})
    with serving(answers), pytest.raises(AgentProblem, match="status 503"):
        Client(answers.endpoint).tasks()


@pytest.mark.parametrize("words", [["tasks"], ["task", "web"], ["metadata"]])
def test_commands_print_the_reason_and_end_with_1(
    words: list[str], closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with diagnostics(monkeypatch, 503, NOT_REGISTERED):
        assert main([*words, "--endpoint", closed]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"ecscope {words[0]}: the agent on this host has not registered")
    assert shown.err.endswith("the role \\x1b[2J may not\n")

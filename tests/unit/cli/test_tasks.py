"""``ecscope tasks``: what is listed, filtered, written as JSON and drawn again, and with which exit code it ends."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ecscope.agent.core.pauses import with_pauses
from ecscope.agent.store.interface import Batch
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.cli.client import Client, Port
from ecscope.cli.kept import as_shown, state_of, with_ports
from ecscope.cli.main import build_parser
from ecscope.cli.tasks import Listed, json_of, matching, row_of, run
from ecscope.model.container import Container, Health, PortBinding, PortMapping
from ecscope.model.network import NetworkMode
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.waiting import Waiting, WaitingReason
from tests.builders import a_container as a_known_container
from tests.builders import a_task as a_known_task
from tests.builders import an_interface
from tests.unit.cli.answering import Answers, a_container, a_task, captured, nobody, serving

NOW = datetime(2026, 11, 23, 17, 47, 17, tzinfo=UTC)


def arguments(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["tasks", *words])


def tasks_run(*words: str, sleep: Callable[[float], None] | None = None) -> int:
    return run(arguments(*words), sleep=sleep) if sleep else run(arguments(*words))


def test_a_row_of_the_official_agent(agent: Answers) -> None:
    running, stopped = (Listed(task=task) for task in Client(agent.endpoint).tasks())
    assert row_of(running, now=NOW) == (
        "e01d58a8151b",
        "console-sample-app-static:6",
        "RUNNING",
        "2h59m",
        "8080->80/tcp",
        "-",
    )
    assert row_of(stopped, now=NOW)[2] == "STOPPED"


def test_a_row_says_how_it_ended_and_how_it_is() -> None:
    def state(container: Container, known: TaskStatus, **members: object) -> str:
        return state_of(a_known_task(container, known=known, **members))

    ended = a_known_container(known=ContainerStatus.STOPPED, exit_code=137)
    assert state(ended, TaskStatus.STOPPED) == "exit app 137"
    assert state(ended, TaskStatus.STOPPED, terminal_reason="no such volume") == "no such volume"
    ill = Health(status=HealthStatus.UNHEALTHY)
    assert state(a_known_container(known=ContainerStatus.RUNNING, health=ill), TaskStatus.RUNNING) == "unhealthy: app"
    well = Health(status=HealthStatus.HEALTHY)
    running = a_known_container(known=ContainerStatus.RUNNING, health=well, restart_count=2)
    assert state(running, TaskStatus.RUNNING) == "healthy, restarted 2x"
    waiting = Waiting(reason=WaitingReason.HOST_RESOURCES, on="9 CPU units, 1 free", since=NOW)
    assert "9 CPU units" in state(a_known_container(), TaskStatus.NONE, waiting=waiting)


def test_ports_of_an_awsvpc_task_are_those_of_this_host() -> None:
    app = a_known_container(
        known=ContainerStatus.RUNNING,
        docker_id="d",
        started_at="2026-11-23T17:00:00Z",
        port_mappings=(PortMapping(container_port=80, host_port=80),),
    )
    task = a_known_task(app, network_mode=NetworkMode.AWSVPC, interface=an_interface(), known=TaskStatus.RUNNING)
    assert row_of(Listed(task=with_ports(as_shown(task), task)), now=NOW)[4] == "80/tcp", "nothing is published"
    pause, app = with_pauses(task).containers
    bindings = (PortBinding(container_port=80, host_port=32768, host_ip="127.0.0.1"),)
    task = msgspec.structs.replace(task, containers=(msgspec.structs.replace(pause, bindings=bindings), app))
    (shown,) = with_ports(as_shown(task), task).containers
    assert shown.ports == (Port(80, "tcp", 32768, "127.0.0.1"),)
    assert row_of(Listed(task=with_ports(as_shown(task), task)), now=NOW)[4] == "127.0.0.1:32768->80/tcp"
    assert with_ports(as_shown(task), None) == as_shown(task)


async def test_the_newest_first_from_the_state_where_no_agent_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = SqliteStore(tmp_path)
    store.load()
    batch = Batch()
    stopped = a_known_container(known=ContainerStatus.STOPPED, exit_code=3)
    for task in (
        a_known_task(number=1, known=TaskStatus.RUNNING, received_at=NOW - timedelta(hours=2)),
        a_known_task(number=2, known=TaskStatus.RUNNING, received_at=NOW - timedelta(hours=1)),
        a_known_task(stopped, number=3, known=TaskStatus.STOPPED, received_at=NOW),
    ):
        batch.tasks[task.arn] = task
    await store.save(batch)
    await store.close()
    here = ("--endpoint", nobody(), "--data-dir", str(tmp_path))
    assert tasks_run(*here) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2
    assert tasks_run(*here, "--all") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert ["exit app 3" in row for row in rows] == [True, False, False]
    assert all(len(row) <= 80 for row in (header, *rows))


def test_a_row_of_a_task_that_has_nothing_yet() -> None:
    answers = Answers()
    task = a_task(KnownStatus="PENDING")
    del task["DesiredStatus"]
    answers.tasks(task)
    with serving(answers):
        (task_seen,) = Client(answers.endpoint).tasks()
    assert row_of(Listed(task=task_seen), now=NOW)[1:] == ("web:1", "PENDING", "-", "-", "-")


def test_the_list_is_a_plain_table_when_it_is_no_terminal(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks_run("--endpoint", agent.endpoint, "--all") == 0
    out, err = capsys.readouterr()
    header, *rows = out.splitlines()
    assert header.split() == ["TASK", "FAMILY", "STATUS", "AGE", "PORTS", "STATE"]
    assert [row.split()[0] for row in rows] == ["5f6d64ab8f2c", "e01d58a8151b"]
    assert "\x1b" not in out
    assert err == ""


def test_the_environment_names_the_agent(
    agent: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECSCOPE_ENDPOINT", agent.endpoint)
    assert tasks_run("--all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert tasks_run() == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ((), 2),
        (("--family", "console-sample-app-static"), 2),
        (("--family", "console-sample-app-static:6"), 2),
        (("--status", "running"), 1),
        (("--status", "STOPPED", "--family", "console-sample-app-static"), 1),
    ],
)
def test_json_holds_the_official_objects(
    agent: Answers, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], number: int
) -> None:
    assert tasks_run("--json", "--endpoint", agent.endpoint, *words) == 0
    shown = json.loads(capsys.readouterr().out)
    official = json.loads(captured("tasks")[1])
    assert list(shown) == ["Tasks"]
    assert len(shown["Tasks"]) == number
    assert all(task in official["Tasks"] for task in shown["Tasks"])
    assert all(list(task) == list(official["Tasks"][0]) for task in shown["Tasks"])


@pytest.mark.parametrize("words", [("--family", "console"), ("--family", "web:6"), ("--status", "PENDING")])
def test_nothing_matches(agent: Answers, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert tasks_run("--endpoint", agent.endpoint, *words) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"ecscope tasks: no task matches on {agent.endpoint}\n"
    assert tasks_run("--json", "--endpoint", agent.endpoint, *words) == 3
    assert json.loads(capsys.readouterr().out) == {"Tasks": []}


def test_no_tasks_at_all_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Answers({"/v1/tasks": captured("tasks-none")})) as answers:
        assert tasks_run("--endpoint", answers.endpoint) == 0
        assert capsys.readouterr().err == f"ecscope tasks: no task runs or waits on {answers.endpoint}\n"
        assert tasks_run("--all", "--endpoint", answers.endpoint) == 0
        assert capsys.readouterr().err == f"ecscope tasks: no tasks on {answers.endpoint}\n"
        assert tasks_run("--json", "--endpoint", answers.endpoint) == 0
        out, err = capsys.readouterr()
        assert (json.loads(out), err) == ({"Tasks": []}, "")


def test_no_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks_run("--endpoint", nobody()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("ecscope tasks: no agent answers on http://127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--status", "up"), "write PENDING, RUNNING or STOPPED"),
        (("--watch", "--json"), "cannot be combined"),
        (("--endpoint", "https://x"), "write http://host:port"),
    ],
)
def test_wrong_options(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str) -> None:
    assert tasks_run(*words) == 2
    assert sentence in capsys.readouterr().err


def test_the_newest_comes_first_whatever_the_agents_order(capsys: pytest.CaptureFixture[str]) -> None:
    def made(hour: int) -> list[dict[str, object]]:
        return [a_container(CreatedAt=f"2026-11-23T{hour:02}:00:00Z")]

    answers = Answers()
    answers.tasks(a_task(3, Containers=made(9)), a_task(2, Containers=made(11)), a_task(1, Containers=made(10)))
    with serving(answers):
        assert tasks_run("--endpoint", answers.endpoint) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 3
    assert [row.split()[3] for row in rows] == sorted((row.split()[3] for row in rows), key=len)


def test_names_from_outside_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers()
    answers.tasks(a_task(Family="\x1b[2Jweb", Containers=[a_container(Name="a\nb")]))
    with serving(answers):
        assert tasks_run("--endpoint", answers.endpoint) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_matching_is_exact() -> None:
    answers = Answers()
    answers.tasks(a_task(1), a_task(2, Family="web2"), a_task(3, KnownStatus="STOPPED"))
    with serving(answers):
        tasks = Client(answers.endpoint).tasks()
    assert [task.id[-1] for task in matching(tasks, family="web", status=None)] == ["1", "3"]
    assert [task.id[-1] for task in matching(tasks, family="web:1", status="STOPPED")] == ["3"]
    assert json.loads(json_of(matching(tasks, family="none", status=None))) == {"Tasks": []}


class Naps:
    """Instead of sleeping: does one thing after the other, then Ctrl-C."""

    def __init__(self, *actions: Callable[[], object]) -> None:
        self.actions = list(actions)
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if not self.actions:
            raise KeyboardInterrupt
        self.actions.pop(0)()


def test_watching_shows_what_changes_and_ends_with_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers()
    answers.tasks(a_task(1))
    naps = Naps(lambda: answers.tasks(a_task(1, KnownStatus="STOPPED"), a_task(2)))
    with serving(answers):
        assert tasks_run("--watch", "--all", "--endpoint", answers.endpoint, sleep=naps) == 0
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert " 1 task " in first
    assert " 2 tasks " in second
    assert "STOPPED" in second
    assert naps.seconds == [2.0, 2.0]


def test_watching_survives_an_agent_that_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers()
    answers.tasks(a_task(1))
    tasks = answers.by_target["/v1/tasks"]
    naps = Naps(
        lambda: answers.by_target.update({"/v1/tasks": (500, b"")}),
        lambda: answers.by_target.update({"/v1/tasks": tasks}),
    )
    with serving(answers):
        assert tasks_run("--watch", "--all", "--endpoint", answers.endpoint, sleep=naps) == 0
    first, away, back = capsys.readouterr().out.strip().split("\n\n")
    assert "answers with status 500" in away
    assert first.splitlines()[1:] == back.splitlines()[1:]


def test_watching_begins_only_if_there_is_an_agent() -> None:
    assert tasks_run("--watch", "--endpoint", nobody(), sleep=Naps()) == 1

"""``ecscope task``: which task is meant, what is told of it, where its events come from, and the exit codes."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecscope.agent.store.interface import Batch
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.cli.client import Client
from ecscope.cli.main import build_parser
from ecscope.cli.task import event_lines, events_of, find, lines_of, run
from ecscope.model import history
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from tests.builders import a_container as a_known_container
from tests.builders import a_task as a_known_task
from tests.builders import an_entry
from tests.unit.cli.answering import Answers, a_container, a_task, captured, nobody, serving

RUNNING = "e01d58a8151b40e8bc0122647b9ecfec"
STOPPED = "5f6d64ab8f2c4d47a1b9f2a3c4d5e6f7"
NOW = datetime(2026, 11, 23, 15, 47, 18, tzinfo=UTC)


def arguments(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["task", *words])


def task_run(*words: str) -> int:
    return run(arguments(*words))


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (f"arn:aws:ecs:us-west-2:012345678910:task/default/{RUNNING}", [RUNNING]),
        (RUNNING, [RUNNING]),
        ("e01d", [RUNNING]),
        ("5", [STOPPED]),
        ("d8a1076354c0feb4957f99582c47fba456a1c6d71bad15eeca3810d295451d31", [RUNNING]),
        ("79a58fd1830f", [RUNNING]),
        ("0793bd34e168c", [STOPPED]),
        ("ecs-console-sample-app-static-6-busybox-d0ffed8d8a9e849d0800", [STOPPED]),
        ("ec80bea9819d9cb37700", [RUNNING]),
        ("task/default/e01", [RUNNING]),
        ("console-sample-app-static", [STOPPED, RUNNING]),
        ("console-sample-app-static:6", [STOPPED, RUNNING]),
        ("static-6-simple-app", [STOPPED, RUNNING]),
        ("E01D", []),
        ("nope", []),
    ],
)
def test_which_task_is_meant(agent: Answers, which: str, expected: list[str]) -> None:
    assert [task.id for task in find(Client(agent.endpoint), which)] == expected


def test_a_whole_name_beats_the_beginning_of_another() -> None:
    answers = Answers()
    answers.tasks(
        a_task(1, Family="web"),
        a_task(2, Family="web-2"),
        a_task(3, Family="db", Containers=[a_container(5, DockerName="d")]),
    )
    with serving(answers):
        client = Client(answers.endpoint)
        assert [task.family for task in find(client, "web")] == ["web"]
        assert [task.family for task in find(client, "eb")] == ["web", "web-2"]
        assert [task.family for task in find(client, f"{5:064x}")] == ["db"]


def test_tasks_that_are_not_listed_are_found_by_arn_and_docker_id() -> None:
    hidden = json.dumps(a_task(9, Family="", Version="")).encode()
    answers = Answers(
        {
            "/v1/tasks?taskarn=arn%3A%3A%3A%3A%3A%2Frelay-1": (200, hidden),
            "/v1/tasks?dockerid=abcdef": (200, hidden),
            "/v1/tasks?dockerid=abcdee": (400, b"{}"),
        }
    )
    answers.tasks()
    with serving(answers):
        client = Client(answers.endpoint)
        assert [task.id for task in find(client, "arn:::::/relay-1")] == [f"{9:032x}"]
        assert [task.id for task in find(client, "abcdef")] == [f"{9:032x}"]
        assert find(client, "abcdee") == []
        assert find(client, "abcde") == []


def test_everything_that_is_told(agent: Answers) -> None:
    (task,) = find(Client(agent.endpoint), RUNNING)
    assert lines_of(task, now=NOW, colour=False) == [
        f"Task          {RUNNING}",
        f"ARN           arn:aws:ecs:us-west-2:012345678910:task/default/{RUNNING}",
        "Family        console-sample-app-static:6",
        "Status        RUNNING (desired RUNNING)",
        "",
        "Container busybox",
        "  Docker ID     d8a1076354c0feb4957f99582c47fba456a1c6d71bad15eeca3810d295451d31",
        "  Docker name   ecs-console-sample-app-static-6-busybox-9a90e3bff1efc9f95e00",
        "  Image         busybox:latest (sha256:c60b6ada5acf1d02f1a9c7bc8d76713e8689e22887113ff349fbaf3f59fa9082)",
        "  Created       2026-11-23T14:47:17.939462553Z (1h ago)",
        "  Started       2026-11-23T14:47:18.474979648Z (59m ago)",
        "  Ports         -",
        "  Volume        ecs-console-sample-app-static-6-my-vol-cef1c19efbedc1b1c701 on /usr/local/apache2/htdocs",
        "",
        "Container simple-app",
        "  Docker ID     79a58fd1830f1de1b13ec76daa79e52e74b9cc0062fc0ce34733053a7424476b",
        "  Docker name   ecs-console-sample-app-static-6-simple-app-ec80bea9819d9cb37700",
        "  Image         busybox:latest (sha256:c60b6ada5acf1d02f1a9c7bc8d76713e8689e22887113ff349fbaf3f59fa9082)",
        "  Created       2026-11-23T14:47:17.713892454Z (1h ago)",
        "  Started       2026-11-23T14:47:18.477296172Z (59m ago)",
        "  Ports         8080->80/tcp",
        "  Volume        ecs-console-sample-app-static-6-my-vol-cef1c19efbedc1b1c701 on /usr/local/apache2/htdocs",
    ]


def test_what_only_some_tasks_have() -> None:
    answers = Answers()
    container = a_container(
        RestartCount=0,
        ImageID="",
        Networks=[{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.0.9"]}],
        Volumes=[{"Source": "/host", "Destination": "/in"}],
    )
    task = a_task(1, KnownStatus="STOPPED", Containers=[container])
    del task["DesiredStatus"]
    answers.tasks(task, a_task(2))
    with serving(answers):
        first, second = Client(answers.endpoint).tasks()
    lines = lines_of(first, now=NOW, colour=False)
    assert "Status        STOPPED" in lines
    assert "  Image         sample:1" in lines
    assert "  Created       -" in lines
    assert "  Restarts      0" in lines
    assert "  Network       awsvpc 10.0.0.9" in lines
    assert "  Volume        /host on /in" in lines
    assert lines_of(second, now=NOW, colour=False)[-1] == "Containers    none yet"
    assert "\x1b[32mRUNNING\x1b[0m" in "\n".join(lines_of(second, now=NOW, colour=True))


def test_more_than_one_task_fits(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert task_run("console", "--endpoint", agent.endpoint) == 4
    out, err = capsys.readouterr()
    assert out == ""
    first, header, *rows = err.splitlines()
    assert first == "ecscope task: 'console' matches 2 tasks; give more of the ID:"
    assert header.split() == ["TASK", "FAMILY", "KNOWN"]
    assert [row.split() for row in rows] == [
        [STOPPED, "console-sample-app-static:6", "STOPPED"],
        [RUNNING, "console-sample-app-static:6", "RUNNING"],
    ]


async def test_a_stopped_task_from_the_state_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = a_known_container(
        known=ContainerStatus.STOPPED, docker_id="c" * 64, exit_code=137, finished_at="2026-11-23T14:47:18Z"
    )
    task = a_known_task(ended, known=TaskStatus.STOPPED)
    store = SqliteStore(tmp_path)
    store.load()
    batch = Batch()
    batch.tasks[task.arn] = task
    await store.save(batch)
    await store.close()
    words = (task.arn.rpartition("/")[2], "--endpoint", nobody(), "--data-dir", str(tmp_path))
    code = await asyncio.to_thread(task_run, *words)
    out = capsys.readouterr().out
    assert code == 0
    assert out.startswith("Stopped because container app ended with 137")
    assert "  Exit code     137 (SIGKILL)\n" in out
    assert "  Finished      2026-11-23T14:47:18Z" in out


def test_no_such_task(agent: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    assert task_run("nope\x1b", "--endpoint", agent.endpoint) == 3
    err = capsys.readouterr().err
    assert err == f"ecscope task: no task on {agent.endpoint} has 'nope\\\\x1b'; `ecscope tasks --all` lists them\n"


def test_other_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert task_run(" ", "--endpoint", nobody()) == 2
    assert task_run("x", "--endpoint", "https://x") == 2
    assert task_run("x", "--endpoint", nobody()) == 1
    assert "Traceback" not in capsys.readouterr().err


class TestEvents:
    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        """The state of an agent that kept two events of the running task and one of another."""
        arn = f"arn:aws:ecs:us-west-2:012345678910:task/default/{RUNNING}"
        at = datetime(2026, 11, 23, 14, 47, 17, 500_000, tzinfo=UTC)
        entries = [
            an_entry(history.TaskStopRequested(requested_by="accepted"), task_arn=arn, at=at),
            an_entry(
                history.ContainerNotRestarted(why="exit code 0 should be ignored", exit_code=0, restart_count=3),
                task_arn=arn,
                at=at + timedelta(seconds=1),
                container_name="busybox",
            ),
            an_entry(history.TaskCleanedUp(), task_arn="arn:other", at=at),
        ]

        async def keep() -> None:
            store = SqliteStore(tmp_path)
            store.load()
            await store.save(Batch(history=entries))
            await store.close()

        asyncio.run(keep())
        return tmp_path

    def test_they_are_told_oldest_first(
        self, agent: Answers, data_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        here = ("--endpoint", agent.endpoint, "--data-dir", str(data_dir))
        assert task_run(RUNNING, *here) == 0
        assert capsys.readouterr().out.split("\n\n")[-1].splitlines() == [
            "Events (UTC; -v shows all)",
            "  11-23 14:47:17           stop requested by accepted",
            "  11-23 14:47:18  busybox  not restarted: exit code 0 should be ignored",
        ]
        assert task_run(RUNNING, *here, "-v") == 0
        out = capsys.readouterr().out
        assert out.split("\n\n")[-1].splitlines() == [
            "WHEN                      EVENT                  CONTAINER  WHAT",
            "2026-11-23 14:47:17.500Z  TaskStopRequested      -          stop requested by accepted",
            "2026-11-23 14:47:18.500Z  ContainerNotRestarted  busybox    not restarted: exit code 0 should be ignored"
            "  exitCode=0  restartCount=3",
        ]

    def test_the_environment_names_the_directory(
        self, agent: Answers, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("ECS_DATADIR", str(data_dir))
        assert task_run(RUNNING, "--endpoint", agent.endpoint, "--events", "1") == 0
        out = capsys.readouterr().out
        assert "should be ignored" in out
        assert "accepted" not in out

    def test_from_the_directory_of_ecscope_up(
        self, agent: Answers, data_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (data_dir.parent / "up").mkdir()
        data_dir.rename(data_dir.parent / "up" / "agent")
        named = str(data_dir.parent / "up")
        assert task_run(RUNNING, "--endpoint", agent.endpoint, "--data-dir", named) == 0
        assert "stop requested by accepted" in capsys.readouterr().out

    def test_from_the_home_of_ecscope_up(
        self, agent: Answers, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        home = data_dir.parent / "home"
        (home / ".ecscope").mkdir(parents=True)
        data_dir.rename(home / ".ecscope" / "agent")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("ECS_DATADIR", str(data_dir.parent / "none"))
        assert task_run(RUNNING, "--endpoint", agent.endpoint) == 0
        assert "stop requested by accepted" in capsys.readouterr().out

    def test_for_programs(self, agent: Answers, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert task_run(RUNNING, "--json", "--endpoint", agent.endpoint, "--data-dir", str(data_dir)) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["Task"] == json.loads(captured("tasks-by-arn-running")[1])
        assert [event["happening"] for event in document["Events"]] == ["TaskStopRequested", "ContainerNotRestarted"]
        assert document["Events"][1] == {
            "at": "2026-11-23T14:47:18.500000Z", "event_id": "event-1", "cause": "container started",
            "happening": "ContainerNotRestarted", "task_arn": document["Events"][0]["task_arn"],
            "container_name": "busybox", "text": "not restarted: exit code 0 should be ignored",
            "detail": {"why": "exit code 0 should be ignored", "exitCode": 0, "restartCount": 3},
        }  # fmt: skip
        assert document["EventsMissing"] == ""

    def test_a_task_of_which_nothing_is_kept(
        self, agent: Answers, data_dir: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert task_run(STOPPED, "--endpoint", agent.endpoint, "--data-dir", str(data_dir)) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "Events: none are kept about this task"

    def test_a_directory_without_state(
        self, agent: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert task_run(RUNNING, "--endpoint", agent.endpoint, "--data-dir", str(tmp_path)) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith("Events: there is no state file ")
        assert task_run(RUNNING, "--json", "--endpoint", agent.endpoint, "--data-dir", str(tmp_path)) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["Events"] == []
        assert "there is no state file" in document["EventsMissing"]

    def test_an_agent_elsewhere_keeps_them_elsewhere(self, agent: Answers, tmp_path: Path) -> None:
        (task,) = find(Client(agent.endpoint), RUNNING)
        entries, why = events_of(Client("10.0.0.1"), task, folders=[tmp_path], limit=5)
        assert (list(entries), why) == ([], "events are kept by the agent on its own host: ask there (10.0.0.1)")

    def test_none_are_asked_for(self, agent: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert task_run(RUNNING, "--endpoint", agent.endpoint, "--events", "0") == 0
        assert "Events" not in capsys.readouterr().out

    def test_texts_cannot_command_the_terminal(self) -> None:
        entry = an_entry(
            history.ContainerHealthChanged(
                before=HealthStatus.UNKNOWN, to=HealthStatus.HEALTHY, output="a\x1b[2J\nb\x07", exit_code=0
            )
        )
        lines = event_lines([entry], "", colour=False)
        assert len(lines) == 2
        assert all(line.isprintable() for line in lines)

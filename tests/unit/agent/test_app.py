"""A whole agent over a simulated runtime: built once, answers first, keeps its identity, ends when asked."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from ecscope.agent.app import Agent, AgentError
from ecscope.agent.config.settings import Config
from ecscope.agent.config.values import Secret
from ecscope.agent.core.state import PullBehavior
from ecscope.agent.runtime.simulated.programs import Program
from ecscope.agent.store.sqlite import SqliteStore
from tests.builders import SAMPLE_IMAGE
from tests.simulated_knobs import FakeRuntime

DEFINITION = {
    "family": "sample",
    "containerDefinitions": [{"name": "app", "image": SAMPLE_IMAGE, "memory": 16, "essential": True}],
}


def a_config(folder: Path, **fields: object) -> Config:
    return Config(
        data_dir=str(folder / "data"),
        checkpoint=True,
        image_pull_behavior=PullBehavior.PREFER_CACHED,
        introspection_addresses=("127.0.0.1",),
        **fields,
    )


@asynccontextmanager
async def running(folder: Path, runtime: FakeRuntime, *, config: Config | None = None) -> AsyncIterator[Agent]:
    (folder / "tasks").mkdir(exist_ok=True)
    agent = Agent(
        config or a_config(folder),
        tasks_path=folder / "tasks",
        runtime=runtime,
        introspection_port=0,
        diagnostics_port=0,
        checked=True,
    )
    life = asyncio.create_task(agent.run())
    try:
        await until(lambda: agent.introspection is not None and bool(agent.introspection.bound), life)
        yield agent
    finally:
        agent.stop()
        await life


async def until(wanted: Callable[[], bool], life: asyncio.Task[None] | None = None) -> None:
    async with asyncio.timeout(20):
        while not wanted():
            if life is not None and life.done():
                life.result()
            await asyncio.sleep(0.005)


def known(agent: Agent) -> list[str]:
    return [task.known.value for task in agent.state.tasks.values()]


async def ask(agent: Agent, path: str) -> dict:
    assert agent.introspection is not None
    host, port = agent.introspection.bound[0]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_task_file_becomes_a_running_task_on_51678(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sample.json").write_text(json.dumps(DEFINITION))
    async with running(tmp_path, FakeRuntime(images=[SAMPLE_IMAGE])) as agent:
        await until(lambda: known(agent) == ["RUNNING"])
        [task] = (await ask(agent, "/v1/tasks"))["Tasks"]
        assert (task["Family"], task["Version"], task["KnownStatus"]) == ("sample", "1", "RUNNING")
        assert task["Arn"].startswith("arn:aws:ecs:us-east-1:000000000000:task/default/")


async def test_the_identity_is_kept_over_a_restart_and_follows_the_cluster(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    async with running(tmp_path, runtime) as agent:
        first = (await ask(agent, "/v1/metadata"))["ContainerInstanceArn"]
    async with running(tmp_path, runtime) as agent:
        assert (await ask(agent, "/v1/metadata"))["ContainerInstanceArn"] == first
    config = a_config(tmp_path, cluster="other", region="eu-west-1")
    async with running(tmp_path, runtime, config=config) as agent:
        other = await ask(agent, "/v1/metadata")
        assert other["Cluster"] == "other"
        assert other["ContainerInstanceArn"].startswith("arn:aws:ecs:eu-west-1:000000000000:container-instance/other/")


async def test_the_log_begins_with_who_starts_and_where(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ecscope")
    async with running(tmp_path, FakeRuntime(), config=a_config(tmp_path, cluster="blue")):
        pass
    first = caplog.messages[0]
    assert first.startswith("ecscope ")
    assert first.endswith(
        f" starts: cluster blue, tasks from {tmp_path / 'tasks'}, state in {tmp_path / 'data'}, 0 saved tasks"
    )


async def test_a_restart_finds_its_containers_and_starts_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sample.json").write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    async with running(tmp_path, runtime) as agent:
        await until(lambda: known(agent) == ["RUNNING"])
        before = agent.state.tasks
    async with running(tmp_path, runtime) as agent:
        assert agent.state.tasks == before
        await until(lambda: agent.state.reconciled)
        assert known(agent) == ["RUNNING"]
    assert len(runtime.calls_of("create_container")) == 1


async def test_what_a_start_led_to_is_saved_when_the_agent_is_stopped_meanwhile(tmp_path: Path) -> None:
    """Engines from 26 on drop a start whose client goes."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sample.json").write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    runtime.latency_s["start_container"] = 0.1
    async with running(tmp_path, runtime) as agent:
        await until(lambda: bool(runtime.calls_of("start_container")))
    assert known(agent) == ["RUNNING"]
    async with running(tmp_path, runtime) as agent:
        assert known(agent) == ["RUNNING"], "saved, not found out"
        await until(lambda: agent.state.reconciled)
    assert len(runtime.calls_of("start_container")) == 1


async def test_an_unreadable_task_record_is_reported_and_its_containers_removed(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sample.json").write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    async with running(tmp_path, runtime) as agent:
        await until(lambda: known(agent) == ["RUNNING"])
        [lost] = agent.state.tasks
    damage_task_record(tmp_path / "data")
    async with running(tmp_path, runtime) as agent:
        await until(lambda: known(agent) == ["RUNNING"])
        [arn] = agent.state.tasks
        assert arn != lost
        await until(lambda: [c.task_arn for c in runtime.containers] == [arn])
    assert list((tmp_path / "data" / "set-aside").iterdir())


def damage_task_record(data_dir: Path) -> None:
    import sqlite3  # noqa: PLC0415  # the store's own format, touched nowhere else

    with closing(sqlite3.connect(next(data_dir.glob("*.db")), isolation_level=None)) as connection:
        connection.execute("UPDATE tasks SET body = substr(body, 1, 40)")


async def test_another_agent_on_the_same_data_is_a_clear_error(tmp_path: Path) -> None:
    async with running(tmp_path, FakeRuntime()):
        second = Agent(
            a_config(tmp_path), tasks_path=tmp_path, runtime=FakeRuntime(), introspection_port=0, diagnostics_port=0
        )
        with pytest.raises(AgentError):
            await second.run()


async def test_a_part_that_ends_ends_the_agent_with_its_error(tmp_path: Path) -> None:
    class Broken(FakeRuntime):
        async def connect(self):
            raise ZeroDivisionError("a bug")

    agent = Agent(a_config(tmp_path), tasks_path=tmp_path, runtime=Broken(), introspection_port=0, diagnostics_port=0)
    with pytest.raises(ZeroDivisionError):
        await agent.run()


async def test_more_memory_reserved_than_there_is_ends_the_agent(tmp_path: Path) -> None:
    config = a_config(tmp_path, reserved_memory_mib=65_535)
    agent = Agent(config, tasks_path=tmp_path, runtime=FakeRuntime(), introspection_port=0, diagnostics_port=0)
    with pytest.raises(AgentError, match="ECS_RESERVED_MEMORY is 65535 MiB, but the host has 8192 MiB"):
        await agent.run()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"docker_host": "smoke://signals"}, "DOCKER_HOST: .*smoke://signals"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    with pytest.raises(AgentError, match=reason):
        Agent(a_config(tmp_path, **fields), tasks_path=tmp_path)


async def test_systemd_learns_of_start_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        async with running(tmp_path, FakeRuntime()):
            assert [await asyncio.to_thread(manager.recv, 64) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
        assert manager.recv(64) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("data", "is_told"),
    [
        ("", False),
        ("{hunter2", True),
        ('{"host": {"username": "me", "password": ["hunter2"]}}', True),
    ],
)
async def test_bad_registry_credentials_cost_themselves_only(
    tmp_path: Path, data: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, as officially; where no data are given (or they were ignored), not even that."""
    config = a_config(tmp_path, engine_auth_type="docker", engine_auth_data=Secret(data))
    async with running(tmp_path, FakeRuntime(), config=config) as agent:
        assert (await ask(agent, "/v1/tasks")) == {"Tasks": []}
    assert ("images are pulled without these credentials: ECS_ENGINE_AUTH_DATA" in caplog.text) == is_told
    assert "hunter2" not in caplog.text


async def test_without_checkpoint_nothing_is_written(tmp_path: Path) -> None:
    config = Config(data_dir=str(tmp_path / "data"), checkpoint=False, introspection_addresses=("127.0.0.1",))
    async with running(tmp_path, FakeRuntime(), config=config) as agent:
        assert (await ask(agent, "/v1/tasks")) == {"Tasks": []}
    assert not (tmp_path / "data").exists()


async def test_state_before_run_is_an_error(tmp_path: Path) -> None:
    agent = Agent(a_config(tmp_path), tasks_path=tmp_path, runtime=FakeRuntime(), store=SqliteStore(tmp_path))
    with pytest.raises(RuntimeError, match="not running yet"):
        _ = agent.state


async def test_a_program_that_ends_is_seen(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sample.json").write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    runtime.behave(Program(run_for_s=0.05, exit_code=3), image=SAMPLE_IMAGE)
    async with running(tmp_path, runtime) as agent:
        await until(lambda: known(agent) == ["STOPPED"])
        [task] = agent.state.tasks.values()
        assert task.containers[0].exit_code == 3


async def test_stopped_tasks_can_be_cleaned_up_at_once_before_the_end(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    file = tmp_path / "tasks" / "sample.json"
    file.write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    agent = Agent(
        a_config(tmp_path),
        tasks_path=tmp_path / "tasks",
        runtime=runtime,
        introspection_port=0,
        diagnostics_port=0,
        checked=True,
    )
    life = asyncio.create_task(agent.run())
    await until(lambda: agent.introspection is not None and known(agent) == ["RUNNING"], life)
    file.unlink()
    await until(lambda: known(agent) == ["STOPPED"], life)
    await agent.clean_up()
    await life
    assert known(agent) == []
    assert len(runtime.calls_of("remove_container")) == 1


async def test_a_clean_up_that_cannot_be_does_not_hold_the_end_up(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    file = tmp_path / "tasks" / "sample.json"
    file.write_text(json.dumps(DEFINITION))
    runtime = FakeRuntime(images=[SAMPLE_IMAGE])
    async with running(tmp_path, runtime) as agent:
        await until(lambda: known(agent) == ["RUNNING"])
        file.unlink()
        await until(lambda: known(agent) == ["STOPPED"])
        runtime.hang_next("remove_container")
        await agent.clean_up(limit_s=0.05)
        assert known(agent) == ["STOPPED"], "it is taken up at the next start"

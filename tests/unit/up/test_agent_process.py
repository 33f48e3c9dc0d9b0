"""The agent's process is started again when it dies, not when that cannot help, and an orphan's place is taken."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ecscope.backoff import Backoff
from ecscope.sqlitefile.lock import holder_of
from ecscope.up.agent_process import AgentEnded, AgentProcess
from tests.agent_ends import until

HOLDS_THE_DIRECTORY = """
import sys, time
from pathlib import Path
from ecscope.sqlitefile.errors import Owner
from ecscope.sqlitefile.lock import DataDirLock
lock = DataDirLock(Path(sys.argv[1]), Owner(name="agent", data_dir_setting="x"))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Watched:
    """An agent process whose program a test chooses, and the lines that were said of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.life: asyncio.Task[None] | None = None
        self.process: AgentProcess | None = None

    def start(self, program: str) -> AgentProcess:
        self.process = AgentProcess(
            command=[sys.executable, "-c", program],
            environment=ENVIRONMENT,
            data_dir=self.folder,
            log_path=self.folder / "agent.log",
            say=self.said.append,
            again=Backoff(tries=None, first_s=0.01, cap_s=0.01),
        )
        self.life = asyncio.create_task(self.process.run())
        return self.process

    async def end(self) -> None:
        if self.life is not None and self.process is not None:
            self.life.cancel()
            await asyncio.gather(self.life, return_exceptions=True)
            await self.process.end()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    it = Watched(tmp_path)
    yield it
    await it.end()


async def test_it_is_started_again_when_it_dies(watched: Watched) -> None:
    process = watched.start("import time; time.sleep(60)")
    await until(lambda: process.pid)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: process.pid not in (None, first))
    assert process.starts == 2
    assert "was killed by SIGKILL; it is started again in 0 s" in watched.said[0]


async def test_it_is_not_started_again_where_that_cannot_help(watched: Watched) -> None:
    process = watched.start("import sys; print('ecscope agent: the cluster is unknown', file=sys.stderr); sys.exit(5)")
    assert watched.life is not None
    with pytest.raises(AgentEnded, match="code 5, and starting it again cannot help: the cluster is unknown"):
        await watched.life
    assert process.starts == 1
    assert process.pid is None


async def test_it_is_in_a_session_of_its_own(watched: Watched) -> None:
    process = watched.start("import time; time.sleep(60)")
    await until(lambda: process.pid)
    assert process.pid is not None
    assert os.getsid(process.pid) == process.pid


async def test_the_end_is_asked_for_first(watched: Watched) -> None:
    process = watched.start(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('in good form', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    await until(lambda: process.log_path.exists() and "ready" in process.log_path.read_text())
    await watched.end()
    assert process.log_path.read_text().endswith("in good form\n")
    assert process.pid is None


async def test_the_place_of_an_orphan_is_taken(watched: Watched, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_DIRECTORY, str(tmp_path)], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"held\n"
        assert holder_of(tmp_path) == orphan.pid
        process = watched.start("import time; time.sleep(60)")
        assert await asyncio.to_thread(orphan.wait, 10) == -signal.SIGTERM
        await until(lambda: process.pid)
    assert f"process {orphan.pid}) goes on; taking its place" in watched.said[0]


async def test_a_log_that_grows_large_is_shortened_while_the_agent_runs(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecscope.up.agent_process._LARGEST_LOG_BYTES", 100)
    monkeypatch.setattr("ecscope.up.agent_process._LOOK_AT_LOG_S", 0.02)
    process = watched.start(
        "import os, time\n"
        "print('x' * 200, flush=True)\n"
        f"while os.path.getsize({str(tmp_path / 'agent.log')!r}): time.sleep(0.01)\n"
        "print('on', flush=True); time.sleep(60)"
    )
    await until(lambda: process.log_path.exists() and process.log_path.read_text() == "on\n")
    assert (tmp_path / "agent.log.1").read_text() == "x" * 200 + "\n"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("agent.log*")} == {0o600}
    assert process.starts == 1


async def test_a_large_log_is_put_away(watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecscope.up.agent_process._LARGEST_LOG_BYTES", 3)
    (tmp_path / "agent.log").write_text("old words")
    process = watched.start("import time; print('new', flush=True); time.sleep(60)")
    await until(lambda: process.log_path.exists() and process.log_path.read_text() == "new\n")
    assert (tmp_path / "agent.log.1").read_text() == "old words"


async def test_it_is_asked_to_clean_up_before_it_ends(watched: Watched) -> None:
    process = watched.start(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR2, lambda *_: (print('cleaned', flush=True), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    await until(lambda: process.log_path.exists() and "ready" in process.log_path.read_text())
    assert watched.life is not None
    watched.life.cancel()
    await process.end(clean_up=True)
    assert "cleaned" in process.log_path.read_text()


async def test_a_log_that_is_a_link_is_not_followed(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "agent.log").symlink_to(tmp_path / "target")
    watched.start("print('words')")
    assert watched.life is not None
    with pytest.raises(AgentEnded, match=r"cannot be started: .*agent\.log: it is a symbolic link"):
        await watched.life
    assert (tmp_path / "target").read_text() == "mine"

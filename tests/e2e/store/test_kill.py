"""What a store has reported as saved is there after ``kill -9``, however often and whenever it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from ecscope.agent.store.interface import Loaded
from ecscope.agent.store.reader import read_history
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.arn import task_id

# Eight writers, each with one task whose version counts its saves; a line goes out for each save that returned.
_WRITER = """
import asyncio, os, sys
from pathlib import Path
from ecscope.agent.store.interface import Batch
from ecscope.agent.store.sqlite import SqliteStore
from tests.builders import a_container, a_task, an_entry

async def write(store, number, version):
    while True:
        version += 1
        app = a_container(environment={"PADDING": "x" * (version * 37 % 9000)})
        task = a_task(app, number=number, version=str(version))
        await store.save(Batch(
            tasks={task.arn: task},
            metadata={str(number): str(version)},
            history=[an_entry(task_arn=task.arn, event_id=str(version))],
        ))
        os.write(1, f"{number} {version}\\n".encode())

async def main():
    store = SqliteStore(Path(sys.argv[1]), history_max_entries=500)
    loaded = store.load()
    assert loaded.bad == (), loaded.bad
    versions = {int(task.arn.rsplit("/")[-1], 16): int(task.version) for task in loaded.tasks}
    async def expire():
        from tests.builders import AT
        while True:
            await store.expire_history(AT)
    await asyncio.gather(expire(), *(write(store, number, versions.get(number, 0)) for number in range(8)))

asyncio.run(main())
"""


def _load(directory: Path) -> Loaded:
    async def load() -> Loaded:
        store = SqliteStore(directory)
        loaded = store.load()
        await store.close()
        return loaded

    return asyncio.run(load())


def test_kill_9_of_a_writer_again_and_again(tmp_path: Path) -> None:
    reported: dict[int, int] = {}
    for round_number in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        ) as writer:
            assert writer.stdout is not None
            # Not a time but a number of saves, each round another: the kill falls at any point of the next one.
            for _ in range(3 + round_number * 29):
                line = writer.stdout.readline()
                assert line, "the writer ended by itself"
                number, version = map(int, line.split())
                reported[number] = version
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout.read().splitlines():
                if line.count(b" ") == 1:
                    number, version = map(int, line.split())
                    reported[number] = version
        if round_number % 4 == 3:
            loaded = _load(tmp_path)
            assert loaded.bad == ()
            saved = {int(task_id(task.arn), 16): int(task.version) for task in loaded.tasks}
            for number, version in reported.items():
                assert version <= saved[number] <= version + 1, "at most the save that was not reported yet"
                assert loaded.metadata[str(number)] == str(saved[number]), "a batch is saved all or nothing"
            newest = {entry.task_arn: int(entry.event_id) for entry in read_history(tmp_path, limit=500)}
            assert all(newest.get(task.arn, int(task.version)) == int(task.version) for task in loaded.tasks)
    assert sum(reported.values()) > 1800

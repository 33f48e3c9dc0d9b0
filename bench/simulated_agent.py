"""The agent as a process that joins a cluster, over a simulated runtime: for more tasks than an engine takes.

Whole but for the runtime: websocket, core, store on disk, signed calls. Each line on stdin is answered with one of
JSON that tells what it has: its tasks, how many of them are STOPPED, and how many state changes wait for ECS; after
the line ``weigh`` also how much these are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.child import Child, child

IMAGE = "ecscope-sample:latest"


class Told(NamedTuple):
    """What the agent has."""

    tasks: int
    stopped: int
    queued: int
    """State changes that ECS has not taken."""
    queued_bytes: int
    """All that these are made of, also what they share with the tasks; 0: not weighed."""


class SimulatedAgent:
    """The process, seen from the one that started it."""

    def __init__(self, process: Child) -> None:
        self._process = process
        self.pid = process.pid

    def ask(self, *, weigh: bool = False) -> Told:
        """``weigh`` takes memory itself: ask for it last. Raises ``Missing`` when it has ended."""
        return Told(**self._process.ask("weigh" if weigh else ""))


@contextmanager
def simulated_agent(folder: Path, environment: Mapping[str, str], *, run_for_s: float) -> Iterator[SimulatedAgent]:
    """Started now; its containers end ``run_for_s`` after their start. Ended and waited for afterwards."""
    settings = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "ECS_DATADIR": str(folder / "data"),
        "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "none.json"),
        "ECS_EXTERNAL": "true",
        "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
        "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
        "ECS_LOGLEVEL": "error",
        "ECSCOPE_INTROSPECTION_ADDRESS": "127.0.0.1",
    }
    with child(
        "bench.simulated_agent",
        str(run_for_s),
        environment={**settings, **environment},
        log=folder / "agent.log",
    ) as process:
        yield SimulatedAgent(process)


def _size_bytes(values: Iterable[object]) -> int:
    """Of values and all below them, each object once."""
    seen: set[int] = set()
    size_bytes, left = 0, list(values)
    while left:
        value = left.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        size_bytes += sys.getsizeof(value)
        left += gc.get_referents(value)
    return size_bytes


def main(arguments: list[str]) -> int:
    # Loaded here, so that who starts it loads nothing of the agent.
    from ecscope.agent.app import Agent  # noqa: PLC0415
    from ecscope.agent.config.load import load_config  # noqa: PLC0415
    from ecscope.agent.runtime.simulated.images import Images  # noqa: PLC0415
    from ecscope.agent.runtime.simulated.programs import Program  # noqa: PLC0415
    from ecscope.agent.runtime.simulated.runtime import SimulatedRuntime  # noqa: PLC0415
    from ecscope.log import configure_logging  # noqa: PLC0415
    from ecscope.model.runtime import EngineInfo  # noqa: PLC0415
    from ecscope.model.status import TaskStatus  # noqa: PLC0415
    from ecscope.open_files import allow_many_files  # noqa: PLC0415

    loaded = load_config(os.environ)
    if loaded.errors:
        print(loaded.errors, file=sys.stderr)
        return 2
    configure_logging(level=loaded.config.log_level)
    allow_many_files(logging.getLogger("ecscope.agent"))

    async def live() -> None:
        images = Images()
        images.add_local(IMAGE)  # without a digest, so that no task is PENDING to ECS: two state changes for each
        program = Program(run_for_s=float(arguments[0]))
        runtime = SimulatedRuntime(
            info=EngineInfo(version="20.10.24", api_version="1.41", cpus=1 << 16, memory_bytes=1 << 46),
            images=images,
            program=lambda config, start: program,
        )
        agent = Agent(loaded.config, runtime=runtime, introspection_port=0, diagnostics_port=0)

        def answer() -> None:
            asked = os.read(sys.stdin.fileno(), 4096)
            if not asked:
                agent.stop()
                return
            tasks = agent.state.tasks.values()
            stopped = sum(task.known is TaskStatus.STOPPED for task in tasks)
            queues = [task.state_changes for task in tasks]
            told = Told(
                tasks=len(queues),
                stopped=stopped,
                queued=sum(map(len, queues)),
                queued_bytes=_size_bytes(queues) if asked.startswith(b"weigh") else 0,
            )
            print(json.dumps(told._asdict()), flush=True)

        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), answer)
        await agent.run()

    asyncio.run(live())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A whole control plane with agents that have joined, in a thread of its own, so that blocking clients can use it.

``with LivePlane(folder) as live: live.client().run_task(…)``. Agents are ours, over simulated runtimes: containers run
until they are stopped, unless ``live.runtimes`` is told otherwise. Each answer is held to botocore's model.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import boto3
from botocore.config import Config

from ecscope.agent.runtime.simulated.programs import Program
from ecscope.control.app import ControlPlane
from tests.contract.control.planes import IMAGE, a_plane, an_agent
from tests.simulated_knobs import FakeRuntime

T = TypeVar("T")
ARN = "arn:aws:ecs:us-east-1:000000000000"
SOON: Mapping[str, float] = {"Delay": 0.1, "MaxAttempts": 300}
"""For waiters, whose own delays of 6 and 15 s are for a network."""
ELSEWHERE = "http://127.0.0.1:9"
"""Where clients find every other service of AWS: nobody."""
APP: Mapping[str, Any] = {"name": "app", "image": IMAGE, "memory": 16, "stopTimeout": 2}
"""A container."""


class LivePlane:
    """See the module docstring."""

    def __init__(
        self, folder: Path, *, agents: int = 1, settings_of_agents: Mapping[str, str] | None = None, **arguments: Any
    ) -> None:
        """``arguments`` are the control plane's."""
        self._folder = folder
        self._settings_of_agents = settings_of_agents
        self._agents = agents
        self._arguments = arguments
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="live plane")
        self._stack = AsyncExitStack()
        self.runtimes: list[FakeRuntime] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def _start(self) -> None:
        plane = a_plane(self._folder, **self._arguments)
        self.plane: ControlPlane = await self._stack.enter_async_context(plane)
        for number in range(self._agents):
            runtime = FakeRuntime(images=[IMAGE], seed=f"{number}")
            self.runtimes.append(runtime)
            agent = an_agent(
                self.plane, self._folder, runtime=runtime, name=f"agent{number}", settings=self._settings_of_agents
            )
            await self._stack.enter_async_context(agent)

    def _end(self) -> None:
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def call(self, function: Callable[[], T]) -> T:
        """In the thread of the plane, where the runtimes have to be told."""

        async def inside() -> T:
            return function()

        return self._run(inside())

    def client(self, service: str = "ecs", *, key: tuple[str, str] | None = None, **config: Any) -> Any:
        """A boto3 client of the administrator, or of the one with this key."""
        administrator = self.plane.administrator
        key_id, secret = key or (administrator.access_key_id, administrator.secret_access_key)
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.plane.url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, **config),
        )

    def environment(self, *, home: Path) -> dict[str, str]:
        """What ``ecscope up`` says to export, and nothing of this machine's own settings."""
        key = self.plane.administrator
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL_ECS": self.plane.url,
            "AWS_ENDPOINT_URL": ELSEWHERE,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        }

    def behave(self, *command: str, **program: Any) -> None:
        """What containers with this command do, on whatever instance; takes the fields of ``Program``."""
        for runtime in self.runtimes:
            self.call(partial(runtime.behave, Program(**program), command=command))

    def until(self, is_so: Callable[[], object], what: str, within_s: float = 30.0) -> None:
        """Before a client with long delays of its own is asked to wait."""
        end_s = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > end_s:
                raise AssertionError(f"waited {within_s} s for {what}")
            time.sleep(0.02)  # nothing tells when

    def tasks(self, desired: str = "RUNNING") -> list[str]:
        """Last statuses of the tasks that are to run, or to stop."""
        return sorted(t.last_status for t in self.plane.state.tasks.values() if t.desired_status == desired)

    def until_stable(self, service: str) -> None:
        """One deployment, and all of its tasks run."""
        self.until(lambda: self._is_stable(service), f"{service} to be stable")

    def _is_stable(self, name: str) -> bool:
        services = [s for s in self.plane.state.services.values() if s.name == name]
        counts = [(len(s.deployments), s.desired_count, self._running(s.arn)) for s in services]
        return counts == [(1, counts[0][1], counts[0][1])]

    def _running(self, service_arn: str) -> int:
        return sum(
            t.service_arn == service_arn and t.is_running and not t.is_to_stop for t in self.plane.state.tasks.values()
        )


class Programs:
    """Runs the programs of one folder, each to its end, with nothing of this machine's own settings."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, home: Path) -> None:
        """``home``: its working directory too, and the first place where they look for programs."""
        self.folder = folder
        self.environment = {**environment, "PATH": f"{home}:{environment['PATH']}"}
        self.home = home

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / program), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def output(self, program: str, *arguments: str) -> str:
        """Of one that has to succeed."""
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

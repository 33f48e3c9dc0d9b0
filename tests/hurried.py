"""An event loop whose seconds are short, and whose names are the test's: for faults that last a minute, and lost names.

What waits by the loop (time-outs, back-off, heartbeats, ``asyncio.sleep``) waits a part of its time; sockets, threads
and the host's clock are as ever. So the agent's own limits are tried as they are, and not a test's in their place.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

HURRY = 15.0
"""Seconds of the loop in one second. More, and a slow machine would miss limits that it should meet."""


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout if timeout is None else timeout / HURRY)


class HurriedLoop(asyncio.SelectorEventLoop):
    """See the module docstring."""

    def __init__(self) -> None:
        super().__init__(_Selector())
        self.names: set[str] = set()
        """Under ``.test``, which no resolver knows (RFC 6761): those that are this machine for now."""

    def time(self) -> float:
        return super().time() * HURRY

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        if not str(host).endswith(".test"):
            return await super().getaddrinfo(host, port, **hints)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return await super().getaddrinfo("127.0.0.1", port, **hints)


def on_the_host(seconds: float) -> float:
    """As many seconds of the running loop as are ``seconds`` of the host's: for the patience of a test."""
    return seconds * HURRY if isinstance(asyncio.get_running_loop(), HurriedLoop) else seconds


def hurried(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that runs in such a loop. Its fixtures are plain ones: an async one would bring a loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def and_leave_nothing() -> None:
            await test(*args, **kwargs)
            for _ in range(5):  # what was cancelled needs a few turns of the loop to end
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"asyncio tasks left behind: {left}"

        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            runner.run(and_leave_nothing())

    return run


def loop() -> HurriedLoop:
    """That of the running test."""
    running = asyncio.get_running_loop()
    assert isinstance(running, HurriedLoop)
    return running

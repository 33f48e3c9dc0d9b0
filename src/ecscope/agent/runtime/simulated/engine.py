"""What all of a simulated engine shares: calls and their limits, its clock, and the streams of notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.runtime import RuntimeNotice

NS = 1_000_000_000

CALLS: dict[str, tuple[Operation, str]] = {
    "connect": (errors.CONNECT, "version_s"),
    "ping": (errors.PING, "ping_s"),
    "volume_plugins": (errors.LIST_PLUGINS, "list_plugins_s"),
    "notices": (errors.EVENTS, "events_s"),
    "inspect_image": (errors.INSPECT_IMAGE, "inspect_s"),
    "resolve_digest": (errors.MANIFEST, "manifest_s"),
    "pull_image": (errors.PULL, "pull_s"),
    "tag_image": (errors.TAG, "tag_s"),
    "load_image": (errors.LOAD_IMAGE, "load_image_s"),
    "create_network": (errors.CREATE_NETWORK, "network_s"),
    "remove_network": (errors.REMOVE_NETWORK, "network_s"),
    "subnets": (errors.INSPECT_NETWORK, "network_s"),
    "remove_image": (errors.REMOVE_IMAGE, "remove_image_s"),
    "create_container": (errors.CREATE, ""),
    "start_container": (errors.START, ""),
    "stop_container": (errors.STOP, "stop_extra_s"),
    "inspect_container": (errors.INSPECT, "inspect_s"),
    "remove_container": (errors.REMOVE, "remove_container_s"),
    "list_task_containers": (errors.LIST, "list_s"),
    "stats": (errors.STATS, "stats_s"),
    "create_volume": (errors.CREATE_VOLUME, "volume_s"),
    "volume_exists": (errors.INSPECT_VOLUME, "volume_s"),
    "remove_volume": (errors.REMOVE_VOLUME, "volume_s"),
}


class SimulatedEngine:
    """See the module docstring. Belongs to one event loop, and outlives each client of it."""

    def __init__(self, *, timeouts: Timeouts | None = None, epoch_ns: int | None = None) -> None:
        """``epoch_ns`` is the wall-clock time at the first call; ``None``: that of the machine."""
        self.timeouts = timeouts or Timeouts()
        self._epoch_ns = epoch_ns if epoch_ns is not None else time.time_ns()
        self._loop_started_s: float | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._streams: set[asyncio.Queue[RuntimeNotice | RuntimeFailure]] = set()
        self._pauses: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def call(self, name: str, subject: str = "", *, limit_s: float = 0.0) -> AsyncIterator[None]:
        """Around what one call of ``Runtime`` does to ``subject``: an image, a container or a volume.

        Args:
            limit_s: 0.0: the one that calls of that name have.

        Raises ``RuntimeFailure`` where it takes longer.
        """
        operation, limit_s = CALLS[name][0], limit_s or self.limit_s(name)
        self.now_ns()
        try:
            async with asyncio.timeout(limit_s):
                await self.wait(0.0, operation)
                yield
        except TimeoutError as error:
            raise errors.timed_out(operation, limit_s) from error

    def limit_s(self, name: str) -> float:
        """Of calls of that name, where none comes with them."""
        return float(getattr(self.timeouts, CALLS[name][1]))

    async def wait(self, seconds: float, operation: Operation) -> None:
        """Let time pass; even no time lets others run, as a real call does."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, set_done, done)
        try:
            await self.until(done, operation)
        finally:
            timer.cancel()

    async def until(self, done: asyncio.Future[None], operation: Operation) -> None:
        """Wait for ``done``, or for the engine to go away."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda _: set_done(waiter))
        self._waiting.add(waiter)
        try:
            await waiter
        except _Gone:
            raise gone(operation) from None
        finally:
            self._waiting.discard(waiter)

    async def pause(self, seconds: float) -> None:
        """Between two samples. No call is under way meanwhile."""
        pause: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(seconds, set_done, pause)
        self._pauses.add(pause)
        try:
            await pause
        except _Gone:
            raise errors.connection_lost(errors.STATS, "stats") from None
        finally:
            timer.cancel()
            self._pauses.discard(pause)

    def break_off(self, why: str) -> None:
        """End all calls and streams that are under way."""
        for waiter in list(self._waiting):
            if not waiter.done():
                waiter.set_exception(_Gone(why))
        for stream in self._streams:
            stream.put_nowait(errors.unreachable(errors.EVENTS, f"the event stream ended: {why}"))
        for pause in list(self._pauses):
            if not pause.done():
                pause.set_exception(_Gone(why))

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[AsyncIterator[RuntimeNotice]]:
        """The event stream, open while the context lasts."""
        queue: asyncio.Queue[RuntimeNotice | RuntimeFailure] = asyncio.Queue()
        async with self.call("notices"):
            self._streams.add(queue)
        try:
            yield _from(queue)
        finally:
            self._streams.discard(queue)

    def notify(self, notice: RuntimeNotice) -> None:
        """Send a notice to all listeners."""
        for stream in self._streams:
            stream.put_nowait(notice)

    def now_ns(self) -> int:
        """The wall-clock time, which goes with the loop's."""
        now_s = asyncio.get_running_loop().time()
        if self._loop_started_s is None:
            self._loop_started_s = now_s
        return self._epoch_ns + round((now_s - self._loop_started_s) * NS)

    def now_text(self) -> str:
        """The same as Docker writes it."""
        return time_text(self.now_ns())


def time_text(ns: int) -> str:
    """Nanoseconds since the epoch, as Docker writes a time."""
    seconds, rest_ns = divmod(ns, NS)
    fraction = f".{rest_ns:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def gone(operation: Operation) -> RuntimeFailure:
    """The engine does not answer."""
    return errors.cannot_connect(operation, "simulated://")


def refused(operation: Operation, status: int, message: str) -> RuntimeFailure:
    """An answer with an error, as Docker gives it."""
    return errors.refused(operation, status, msgspec.json.encode({"message": message}))


def set_done(future: asyncio.Future[None]) -> None:
    """Unless it has a result or was cancelled."""
    if not future.done():
        future.set_result(None)


class _Gone(Exception):
    """The engine went away while a call was under way."""


async def _from(queue: asyncio.Queue[RuntimeNotice | RuntimeFailure]) -> AsyncIterator[RuntimeNotice]:
    while True:
        notice = await queue.get()
        if isinstance(notice, RuntimeFailure):
            raise notice
        yield notice

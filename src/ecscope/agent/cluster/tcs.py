"""Keeps the connection to the telemetry service, as ``cluster.connection`` does: sends what is due.

Decides nothing: what is due is ``wire.tcs.agent_session``'s to say. Nothing is kept for later while it is away:
the measurements themselves are, in their rings.

Source: agent-protocol.md §5.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

import aiohttp

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.cluster.connection import CUT, NOT_READ, Connection, Dialling, Service, end_of
from ecscope.agent.cluster.websocket import End, Websocket, WebsocketTimes, close
from ecscope.agent.core.state import AgentState
from ecscope.model.instance_status import InstanceStatus
from ecscope.model.status import HealthStatus
from ecscope.wire.acs.messages import shortened
from ecscope.wire.acs.reconnect import Reconnect, ReconnectTimes
from ecscope.wire.tcs.agent_session import Close, Due, Reports, SessionTimes, TcsSession
from ecscope.wire.tcs.messages import (
    AgentMessage,
    BadFrame,
    MetricsReading,
    agent_frame,
    health_messages,
    instance_status_message,
    metrics_messages,
    task_healths,
)

_log = logging.getLogger("ecscope.tcs")

_SERVICE = Service(
    name="the telemetry service",
    log=_log,
    meanwhile="metrics and container health do not reach ECS meanwhile",
    largest_frame_bytes=1024 * 1024,
)


class Metrics(Protocol):
    """Where the measurements are: ``agent.stats``."""

    def reading(self) -> MetricsReading:
        """What was measured since the reading that ``reported`` last marked."""

    def reported(self) -> None:
        """The last reading has been sent."""


class Address(Protocol):
    """The address to dial: ``wire.tcs.messages.connect_url`` with what the agent knows of itself."""

    def __call__(self, endpoint: str, *, cluster: str, container_instance: str) -> str:
        """Raises ``UnusableEndpoint``."""


class ConnectionTimes(WebsocketTimes, frozen=True, kw_only=True):
    """Seconds. Source: agent-protocol.md §4.1, §5.1."""

    session: SessionTimes = SessionTimes()


RECONNECT_TIMES = ReconnectTimes(first_s=1.0, cap_s=60.0, factor=2.0, jitter=0.2)


Until = Callable[[Callable[[AgentState], bool]], Awaitable[AgentState]]
"""Gives the first published state that is as wanted."""

_HEALTH_APART_S = 0.5
"""From one report on changed health to the next."""


class TcsConnection(Connection):
    """See the module docstring. All callables are called in the loop and must not block."""

    def __init__(
        self,
        dialling: Dialling,
        *,
        endpoint: Callable[[], Awaitable[str]],
        address: Address,
        state: Callable[[], AgentState],
        metrics: Metrics,
        status: Callable[[], InstanceStatus],
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        until: Until | None = None,
        times: ConnectionTimes | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        """Nothing is opened before ``run``.

        Args:
            endpoint: ``telemetryEndpoint`` of DiscoverPollEndpoint; raises ``AwsCallFailed``.
            state: the published state, of a registered instance.
            status: what the last check of the instance found.
            new_id: for messages.
            until: waits for a published state of some kind; then health is also reported as soon as it changes.
                ``None``: with the metrics only, as the official agent does.
        """
        times = times or ConnectionTimes()
        super().__init__(
            _SERVICE,
            dialling,
            times=times,
            reconnect=reconnect or Reconnect(chance=dialling.chance, times=RECONNECT_TIMES),
        )
        self._endpoint = endpoint
        self._address = address
        self._state = state
        self._metrics = metrics
        self._status = status
        self._new_id = new_id
        self._now = now
        self._until = until
        self._session_times = times.session
        self._reports: Reports | None = None
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until ``stop``. Cancelling is safe. May be called again afterwards."""
        self._reports = self._reports or Reports(at_s=asyncio.get_running_loop().time())
        self._running = asyncio.create_task(super().run(), name="TCS connections")
        try:
            await asyncio.wait((self._running,))
        finally:
            running, self._running = self._running, None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled():
            running.result()

    def stop(self) -> None:
        """The instance is not registered any more: close the connection, and open no other one."""
        if self._running is not None:
            self._running.cancel()

    async def _url(self) -> str:
        instance = self._state().instance
        return self._address(await self._endpoint(), cluster=instance.cluster, container_instance=instance.arn)

    async def _converse(self, websocket: Websocket, url: str) -> End:
        if self._until is None:
            return await self._exchange(websocket, url)
        reporting = asyncio.create_task(self._report_health(self._until, websocket, url), name="health reports")
        try:
            return await self._exchange(websocket, url)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    async def _report_health(self, until: Until, websocket: Websocket, url: str) -> None:
        """As soon as it changes. What hinders it ends the connection too, which ``_exchange`` sees."""
        reported: frozenset[tuple[str, HealthStatus]] = frozenset()
        while True:
            state = await until(lambda state: _healths(state) != reported)  # noqa: B023 - awaited before it changes
            reported = _healths(state)
            try:
                await self._publish_health(websocket, url)
            except (AwsCallFailed, TimeoutError, aiohttp.ClientError, OSError) as error:
                _log.debug("health was not reported: %s", error)
                return
            await self._dialling.sleep(_HEALTH_APART_S)

    async def _exchange(self, websocket: Websocket, url: str) -> End:
        assert self._reports is not None, "it runs"
        clock = asyncio.get_running_loop().time
        session = TcsSession(
            reports=self._reports,
            opened_at_s=self._opened_at_s,
            random=self._dialling.chance,
            times=self._session_times,
        )
        while True:
            due = session.due(clock(), self._status())
            if isinstance(due, Close):
                await close(websocket, due.code, due.text, within_s=self._times.close_s)
                return End(due.text, due.is_clean)
            try:
                for each in due:
                    await self._publish(each, websocket, url, session)
            except AwsCallFailed as failure:
                return End(str(failure), is_clean=False)
            except TimeoutError:
                return End(NOT_READ, is_clean=False)
            except (aiohttp.ClientError, OSError):
                return await self._why_it_ended(websocket)
            except Exception as fault:  # a fault of ours in a report must not cost the agent
                return End(f"{type(fault).__name__} in a report (please report this)", is_clean=False)
            try:
                async with asyncio.timeout_at(session.next_at_s):
                    frame = await websocket.receive()
            except TimeoutError:
                continue
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return end_of(frame.type, frame.data, frame.extra)
            self._take(session, frame.data, clock())
            self._note_sign_of_life()

    async def _why_it_ended(self, websocket: Websocket) -> End:
        """Nothing can be sent any more; what was received before that may say why."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.close_s):
                while (frame := await websocket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                return end_of(frame.type, frame.data, frame.extra)
        return End(CUT, is_clean=True)

    def _take(self, session: TcsSession, text: str, now_s: float) -> None:
        try:
            message = session.received(text, now_s)
        except BadFrame as error:
            self._say(f"a message of the telemetry service was dropped: {shortened(str(error))}")
            return
        if message.is_complaint:
            self._say(f"the telemetry service complains: {message.kind.value}: {shortened(message.text)}")

    async def _publish(self, due: Due, websocket: Websocket, url: str, session: TcsSession) -> None:
        at, state = self._now(), self._state()
        cluster, arn = state.instance.cluster, state.instance.arn
        if due is Due.METRICS:
            reading = self._metrics.reading()
            await self._send(
                websocket,
                url,
                metrics_messages(reading, cluster=cluster, container_instance=arn, message_id=self._new_id(), at=at),
            )
            self._metrics.reported()
            await self._publish_health(websocket, url)
        else:
            status = self._status()
            message = instance_status_message(
                status, cluster=cluster, container_instance=arn, request_id=self._new_id(), at=at
            )
            await self._send(websocket, url, (message,))
            session.reported(status)

    async def _publish_health(self, websocket: Websocket, url: str) -> None:
        at, state = self._now(), self._state()
        messages = health_messages(
            task_healths(state.tasks.values(), at=at),
            cluster=state.instance.cluster,
            container_instance=state.instance.arn,
            message_id=self._new_id(),
            at=at,
        )
        await self._send(websocket, url, messages)

    async def _send(self, websocket: Websocket, url: str, messages: Iterable[AgentMessage]) -> None:
        for message in messages:
            frame = await self._dialling.signer.sign_frame(url, agent_frame(message))
            async with asyncio.timeout(self._times.write_s):
                await websocket.send_str(frame)


def _healths(state: AgentState) -> frozenset[tuple[str, HealthStatus]]:
    return frozenset(
        (container.docker_id, container.health.status)
        for task in state.tasks.values()
        for container in task.containers
        if container.definition.health_check_is_docker and container.is_running
    )

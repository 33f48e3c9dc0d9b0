"""The server end of telemetry: acknowledges what agents report, and turns what the core wants to know into events.

Rules are in ``wire.tcs_server_session``; here is only the way between it and the sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from aiohttp import web

from ecscope.control.agent_socket import DEREGISTERED_CODE, REPLACED_CODE, AgentSocket
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import AnyEvent, ContainerHealth, HealthReported, InstanceStatusReported
from ecscope.control.core.records import InstanceStatusDetail
from ecscope.control.core.state import ControlState
from ecscope.control.upgrade import Permit, PermitFrame, refusal
from ecscope.model.arn import TaskArn
from ecscope.model.status import HealthStatus
from ecscope.wire.tcs.server_session import (
    HEARTBEAT_S,
    Headers,
    HealthReceived,
    Note,
    Output,
    Reply,
    StatusReceived,
    TcsServerSession,
    moment,
)

_log = logging.getLogger("ecscope.control.tcs")

_PING_S = 60.0
"""Telemetry has no acknowledgement of heartbeats: a dead agent is found by websocket pings."""
_TYPES = {"ContainerRuntime": "CONTAINER_RUNTIME"}
"""What agents call a kind of health → what the API calls it. Source: agent-protocol.md §5.3."""
_HEALTH = {status.value: status for status in HealthStatus}


class TcsServer:
    """See the module docstring."""

    def __init__(
        self,
        *,
        state: Callable[[], ControlState],
        post: Callable[[AnyEvent], None],
        permit: Permit,
        permit_frame: PermitFrame,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """``post`` must not block; ``new_id`` gives 32 hex digits of chance."""
        self._state = state
        self._post = post
        self._permit = permit
        self._permit_frame = permit_frame
        self._now = now
        self._new_id = new_id
        self._heartbeat_s = heartbeat_s
        self._sockets: dict[str, list[AgentSocket]] = {}
        """Instance ARN → its open connections, the newest last."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from the upgrade to its end."""
        arn = request.query.get("containerInstance", "")
        cluster = request.query.get("cluster", "")
        refused = refusal(self._state(), self._permit, request, right="StartTelemetrySession", cluster=cluster, arn=arn)
        if refused is not None:
            return refused
        socket = AgentSocket(request, ping_s=_PING_S)
        await socket.accept()
        self._disconnect(arn, REPLACED_CODE, "another connection was opened for the container instance")
        self._sockets.setdefault(arn, []).append(socket)
        try:
            await self._live(arn, socket, request)
        finally:
            self._sockets[arn].remove(socket)
            if not self._sockets[arn]:
                del self._sockets[arn]
        return socket.response

    def disconnect(self, instance_arn: str, reason: str) -> None:
        """Begin to close the connections of an instance that is not registered any more."""
        self._disconnect(instance_arn, DEREGISTERED_CODE, reason)

    def close(self) -> None:
        """Begin to close all connections."""
        for sockets in self._sockets.values():
            for socket in sockets:
                socket.close(1001, "the control plane ends")

    def _disconnect(self, instance_arn: str, code: int, reason: str) -> None:
        for socket in self._sockets.get(instance_arn, []):
            socket.close(code, reason)

    async def _live(self, arn: str, socket: AgentSocket, request: web.Request) -> None:
        def fault_of(headers: Headers, content: str) -> str:
            try:
                self._permit_frame(request, headers, content)
            except ApiError as error:
                return f"{error.code}: {error.message}"
            return ""

        now_s = asyncio.get_running_loop().time()
        session = TcsServerSession(now=now_s, fault_of=fault_of, heartbeat_s=self._heartbeat_s)

        def receive(text: str | None) -> None:
            self._carry_out(arn, socket, session.receive_binary() if text is None else session.receive(text))

        def tick(now_s: float) -> None:
            self._carry_out(arn, socket, session.tick(now_s))

        await socket.run(receive=receive, tick=tick, next_deadline=lambda: session.next_deadline)

    def _carry_out(self, arn: str, socket: AgentSocket, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case Reply(text=text):
                    socket.send(lambda text=text: [text])  # type: ignore[misc]  # bound now, not later
                case HealthReceived():
                    self._post(
                        HealthReported(
                            id=self._new_id(),
                            at=self._now(),
                            instance_arn=arn,
                            containers=tuple(
                                ContainerHealth(
                                    task_arn=TaskArn(task_arn),
                                    container_name=name,
                                    health=_HEALTH.get(status, HealthStatus.UNKNOWN),
                                )
                                for task_arn, name, status in output.containers
                            ),
                        )
                    )
                case StatusReceived():
                    self._post(
                        InstanceStatusReported(
                            id=self._new_id(),
                            at=self._now(),
                            instance_arn=arn,
                            details=tuple(
                                InstanceStatusDetail(
                                    type=_TYPES.get(entry.type, entry.type),
                                    status=entry.status,
                                    status_reason=entry.status_reason or "",
                                    last_updated_at=moment(entry.last_updated),
                                    last_status_change_at=moment(entry.last_status_change),
                                )
                                for entry in output.entries
                            ),
                        )
                    )
                case Note():
                    _log.warning("%s: %s", arn, output.text)

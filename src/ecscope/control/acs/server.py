"""The server end of ACS: accepts agents, turns what they say into events, and effects into frames for them.

The newest connection of an instance is the one that is spoken to. Rules are in ``wire.acs_server_session`` and in the
core; here is only the way between them and the sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from aiohttp import web

from ecscope.control.acs.frames import ForAgent, frames
from ecscope.control.agent_socket import DEREGISTERED_CODE, REPLACED_CODE, AgentSocket
from ecscope.control.core.effects import Disconnect
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    AnyEvent,
    MessageAcknowledged,
    StopVerificationAsked,
)
from ecscope.control.core.state import ControlState
from ecscope.control.upgrade import Permit, refusal
from ecscope.model.arn import TaskArn
from ecscope.wire.acs.server_session import (
    Acknowledged,
    AcsServerSession,
    Close,
    Note,
    Output,
    Reply,
    ServerTimes,
    StopAsked,
)

_log = logging.getLogger("ecscope.control.acs")


class _Connection:
    """One agent's."""

    def __init__(self, connection_id: str, instance_arn: str, socket: AgentSocket) -> None:
        self.id = connection_id
        self.instance_arn = instance_arn
        self.socket = socket


class AcsServer:
    """See the module docstring."""

    def __init__(
        self,
        *,
        state: Callable[[], ControlState],
        post: Callable[[AnyEvent], None],
        permit: Permit,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        times: ServerTimes | None = None,
    ) -> None:
        """``post`` must not block; ``new_id`` gives 32 hex digits of chance."""
        self._state = state
        self._post = post
        self._permit = permit
        self._now = now
        self._new_id = new_id
        self._times = times
        self._connections: dict[str, list[_Connection]] = {}
        """Instance ARN → its open connections, the newest last."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from the upgrade to its end."""
        arn = request.query.get("containerInstanceArn", "")
        cluster = request.query.get("clusterArn", "")
        refused = refusal(self._state(), self._permit, request, right="Poll", cluster=cluster, arn=arn)
        if refused is not None:
            return refused
        socket = AgentSocket(request)
        await socket.accept()
        connection = _Connection(self._new_id(), arn, socket)
        self._connections.setdefault(arn, []).append(connection)
        self._post(
            AgentConnected(
                id=self._new_id(),
                at=self._now(),
                instance_arn=arn,
                connection_id=connection.id,
                version_info={
                    name: request.query[name]
                    for name in ("agentVersion", "agentHash", "dockerVersion")
                    if name in request.query
                },
                wants_credentials=request.query.get("sendCredentials") == "true",
            )
        )
        try:
            await self._live(connection)
        finally:
            self._connections[arn].remove(connection)
            if not self._connections[arn]:
                del self._connections[arn]
            self._post(
                AgentDisconnected(id=self._new_id(), at=self._now(), instance_arn=arn, connection_id=connection.id)
            )
        return socket.response

    def act(self, effect: ForAgent | Disconnect) -> None:
        """Begin to carry it out; never blocks. A disconnected agent gets it when it connects."""
        connections = self._connections.get(effect.instance_arn, [])
        if isinstance(effect, Disconnect):
            for connection in connections:
                if effect.connection_id in ("", connection.id):
                    _log.info("closing the connection of %s: %s", effect.instance_arn, effect.reason)
                    code = REPLACED_CODE if effect.connection_id else DEREGISTERED_CODE
                    connection.socket.close(code, effect.reason)
        elif connections and not connections[-1].socket.send(lambda: self._frames(effect)):
            _log.warning("%s takes nothing any more: its connection was cut", effect.instance_arn)

    def close(self) -> None:
        """Begin to close all connections; agents dial again until they are answered."""
        for connections in self._connections.values():
            for connection in connections:
                connection.socket.close(1001, "the control plane ends")

    async def _live(self, connection: _Connection) -> None:
        session = AcsServerSession(now=asyncio.get_running_loop().time(), new_id=self._new_id, times=self._times)

        def receive(text: str | None) -> None:
            self._carry_out(connection, session.receive_binary() if text is None else session.receive(text))

        def tick(now_s: float) -> None:
            self._carry_out(connection, session.tick(now_s))

        await connection.socket.run(receive=receive, tick=tick, next_deadline=lambda: session.next_deadline)

    def _carry_out(self, connection: _Connection, outputs: Iterable[Output]) -> None:
        arn = connection.instance_arn
        for output in outputs:
            match output:
                case Reply(text=text):
                    connection.socket.send(lambda text=text: [text])  # type: ignore[misc]  # bound now, not later
                case Acknowledged():
                    self._post(
                        MessageAcknowledged(
                            id=self._new_id(), at=self._now(), instance_arn=arn, message_id=output.message_id
                        )
                    )
                case StopAsked():
                    self._post(
                        StopVerificationAsked(
                            id=self._new_id(),
                            at=self._now(),
                            instance_arn=arn,
                            message_id=output.message_id,
                            task_arns=tuple(map(TaskArn, output.task_arns)),
                        )
                    )
                case Note():
                    _log.warning("%s: %s", arn, output.text)
                case Close():
                    _log.warning("closing the connection of %s: %s", arn, output.reason)
                    connection.socket.close(output.code, output.reason)

    def _frames(self, effect: ForAgent) -> Iterable[str]:
        at_ms = int(self._now().timestamp() * 1000)
        try:
            return list(frames(self._state(), effect, at_ms=at_ms, new_id=self._new_id))
        except Exception:
            # A bug costs this message; the connection goes on.
            _log.exception("%s for %s cannot be made", type(effect).__name__, effect.instance_arn)
            return []

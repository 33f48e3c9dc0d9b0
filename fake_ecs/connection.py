"""One open websocket of an agent, seen from the back end."""

from __future__ import annotations

import asyncio
import socket
import struct

from aiohttp import web

from fake_ecs.journal import Connect


class Connection:
    """See the module docstring."""

    def __init__(self, websocket: web.WebSocketResponse, request: web.Request, connect: Connect) -> None:
        self.websocket = websocket
        self.request = request
        self.connect = connect
        self.heartbeats: asyncio.Task[None] | None = None

    def abort(self, *, reset: bool = False) -> None:
        """End it without a close frame; ``reset``: the peer gets a reset in place of an end of file."""
        transport = self.request.transport
        if transport is None:
            return
        if reset:
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

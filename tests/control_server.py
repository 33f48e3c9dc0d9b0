"""The API's front over a state in memory, on a socket and in a thread of its own, so that blocking clients can use it.

``with ControlServer() as server: server.client().create_cluster()``. Each answer is held to botocore's model.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import boto3
from aiohttp import web
from botocore.config import Config

from ecscope.clock import Clock
from ecscope.control.core.events import AnyEvent
from ecscope.control.core.state import ControlState
from ecscope.control.server.http import ApiServer, Front, Limits
from ecscope.control.server.model import ServiceModel
from ecscope.control.server.principals import Principals
from ecscope.control.server.signatures import AccessKey
from tests.control_signing import signed_headers
from tests.control_world import MemoryWriter

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MODEL = ServiceModel()


class Answer:
    """A raw answer."""

    def __init__(self, status: int, headers: Mapping[str, str], sent: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.sent = sent

    @property
    def body(self) -> Any:
        return json.loads(self.sent)

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.body["__type"])


class ControlServer:
    """See the module docstring."""

    def __init__(
        self,
        *,
        state: ControlState | None = None,
        iam_file: Path | None = None,
        clock: Clock | None = None,
        writer: MemoryWriter | None = None,
        routes: Mapping[str, Handler] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``routes`` are served for GET, beside the API."""
        self._limits = limits or Limits()
        self.writer = writer or MemoryWriter(state)
        self._clock = clock
        self._iam_file = iam_file
        self._routes = routes or {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="control server")
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="ecscope-control-")
        account = self.writer.state.settings.account
        self.principals = Principals(account=account, data_dir=Path(self._folder.name), iam_file=self._iam_file)
        self.front = ApiServer(
            writer=self.writer,
            principals=self.principals,
            clock=self._clock,
            model=MODEL,
            checks_output=True,
            request_s=self._limits.request_s,
        )
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        asyncio.run_coroutine_threadsafe(self._served.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._folder.cleanup()

    async def _start(self) -> None:
        app = self.front.application()
        for path, handler in self._routes.items():
            app.router.add_get(path, handler)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._served = Front(app, last_answers_s=0.5, limits=self._limits)
        await self._served.start(listener)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> ControlState:
        return self.writer.state

    def post(self, event: AnyEvent) -> None:
        """Let the writer take an event, in the server's thread."""
        self.call(lambda: self.writer.post(event))

    def call(self, function: Callable[[], T]) -> T:
        async def inside() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(10)

    def client(self, key: AccessKey | None = None, *, region: str = "us-east-1") -> Any:
        """A boto3 client of the administrator, or of the one with this key."""
        key = key or self.principals.administrator
        return boto3.client(
            "ecs",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token or None,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def send(self, action: str, body: bytes, *, key: AccessKey | None = None) -> Answer:
        """A well signed request with whatever body."""
        headers = signed_headers(key or self.principals.administrator, url=f"{self.url}/", body=body, action=action)
        return self.request("POST", "/", headers, body)

    def request(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"") -> Answer:
        """Exactly these headers, and no redirect, retry or check."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        names = {name.lower() for name, _ in headers}
        self._connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers:
            self._connection.putheader(name, value)
        if "content-length" not in names:
            self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body)
        response = self._connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        if response.will_close:
            self._connection.close()
            self._connection = None
        return answer

"""A back end of ECS for tests: the API, both websockets, and every way in which they can fail. No control plane.

It does what a test tells it, checks what it gets, and forgets nothing. ``async with Backend() as backend`` starts it
on 127.0.0.1; ``backend.environment()`` points an agent to it. As a process of its own: ``fake_ecs/process.py``.

Source: agent-protocol.md.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientConnectionError, WSMsgType, web

from fake_ecs.aws_error import AwsError
from fake_ecs.certificate import Certificate
from fake_ecs.connection import Connection
from fake_ecs.faults import Fault, Faults, LateAnswer, LostAnswer, NoAnswer, WrongAnswer
from fake_ecs.journal import Call, Close, Connect, Frame
from fake_ecs.operations import ECR_TARGET, TARGET, Operations
from fake_ecs.principals import Principal, an_instance_role
from fake_ecs.pushing import Pushing
from fake_ecs.signatures import signed_frame, verify

JSON_TYPE = "application/x-amz-json-1.1"
TELEMETRY_ACKS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}
FROM_AGENT = {
    "AckRequest", "NackRequest", "HeartbeatAckRequest", "IAMRoleCredentialsAckRequest", "TaskStopVerificationMessage",
}  # fmt: skip


class Backend(Pushing):
    """See the module docstring."""

    def __init__(
        self,
        *,
        port: int = 0,
        certificate: Certificate | None = None,
        clusters: Iterable[str] = ("default",),
        principals: Iterable[Principal] | None = None,
        region: str = "us-west-2",
        heartbeat_s: float | None = 30.0,
        seq_num: int | None = None,
        manifest_on_connect: bool = False,
        record: Path | None = None,
    ) -> None:
        super().__init__(
            operations=Operations(base_url=lambda: self.url, region=region, clusters=set(clusters)), seq_num=seq_num
        )
        self.port = port
        """0 until it runs, unless given; the same after ``away`` and ``back``."""
        self.region = region
        self.principals = {p.access_key_id: p for p in principals or [an_instance_role()]}
        self.clock_skew_s = 0.0
        """How far this back end's clock is ahead of the machine's: signatures are judged by it."""
        self.heartbeat_s = heartbeat_s
        """Between two heartbeats, on both channels; ``None``: none come by themselves."""
        self.manifest_on_connect = manifest_on_connect
        """Whether each ACS connection gets a manifest of the tasks that were pushed and are to run."""
        self.acks_telemetry = True
        self.faults = Faults()
        self.problems: list[str] = []
        """What was wrong with what came in, and what ECS would not say aloud. Empty at the end of a good test."""
        self._certificate = certificate
        self._record = record
        self._release = asyncio.Event()
        self._listener: asyncio.Server | None = None

    # Life

    async def __aenter__(self) -> Self:
        if self._record is not None:
            self.journal.record_to(self._record)
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", self._api)
        app.router.add_get("/acs/ws", self._acs)
        app.router.add_get("/tcs/ws", self._tcs)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._reserved = _reserved_port(self.port)
        self.port = self._reserved.getsockname()[1]
        await self.back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release.set()
        await self.away()
        await self._runner.cleanup()
        self._reserved.close()
        self.journal.close()

    @property
    def url(self) -> str:
        """What an agent is given as ``ECS_BACKEND_HOST``."""
        return f"https://localhost:{self.port}" if self._certificate else f"http://127.0.0.1:{self.port}"

    def environment(self, *, cluster: str = "default") -> dict[str, str]:
        """The variables that lead an agent here."""
        principal = next(iter(self.principals.values()))
        variables = {
            "ECS_BACKEND_HOST": self.url,
            "ECS_CLUSTER": cluster,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": principal.access_key_id,
            "AWS_SECRET_ACCESS_KEY": principal.secret_access_key,
        }
        if principal.session_token:
            variables["AWS_SESSION_TOKEN"] = principal.session_token
        return variables

    @property
    def principal(self) -> Principal:
        """The first one: that of ``environment``."""
        return next(iter(self.principals.values()))

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_skew_s)

    # Faults

    async def away(self) -> None:
        """Refuse connections, and end those that there are without a word, until ``back``."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        server = self._runner.server
        for handler in list(server.connections) if server else []:
            if handler.transport is not None:
                handler.transport.abort()
        await asyncio.sleep(0)

    async def back(self) -> None:
        """Listen (again), on the same port."""
        if self._listener is None:
            assert self._runner.server is not None
            self._listener = await asyncio.get_running_loop().create_server(
                self._runner.server,
                "127.0.0.1",
                self.port,
                backlog=1024,
                reuse_port=True,
                ssl=self._certificate.server_context() if self._certificate else None,
            )

    def fail(
        self,
        operation: str,
        *,
        status: int = 400,
        code: str = "ServerException",
        message: str = "made up by a test",
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        times: int | None = None,
    ) -> None:
        """Answer calls of ``operation`` (``*``: of any; ``ACS``, ``TCS``: upgrades) with an error.

        ``body`` goes before ``code`` and ``message``; ``times`` ``None``: until ``heal``.
        """
        wrong = AwsError(code, message).body() if body is None else body
        self.faults.order(operation, WrongAnswer(times=times, status=status, body=wrong, content_type=content_type))

    def hang(self, operation: str, *, times: int | None = None) -> None:
        """Take the request and never answer; ECS has not taken the call."""
        self.faults.order(operation, NoAnswer(times=times))

    def drop(self, operation: str, *, taken: bool = True, times: int | None = 1) -> None:
        """Cut the connection in place of the answer. ``taken``: ECS has the call, and the agent cannot know."""
        self.faults.order(operation, LostAnswer(times=times, taken=taken))

    def delay(self, operation: str, delay_s: float, *, times: int | None = None) -> None:
        """Answer late; ECS has the call at once."""
        self.faults.order(operation, LateAnswer(times=times, delay_s=delay_s))

    def refuse_upgrade(
        self,
        channel: str,
        *,
        code: str = "InactiveInstanceException",
        message: str = "The specified container instance is inactive.",
        framed: bool = False,
        status: int = 400,
        times: int | None = None,
    ) -> None:
        """Refuse websockets with an exception, in one of the two forms (agent-protocol.md §4.1)."""
        told = {"type": code, "message": {"message": message}} if framed else {code: message}
        self.fail(channel.upper(), status=status, body=json.dumps(told).encode(), times=times)

    def heal(self, operation: str | None = None) -> None:
        """Take back all orders, or those for one operation; what hangs is dropped."""
        self.faults.clear(operation)
        self._release.set()
        self._release = asyncio.Event()

    def deny(self, *actions: str) -> None:
        """Take actions such as ``ecs:Poll`` from the first principal; none: all of them."""
        self.principal.denied |= set(actions) or {"*"}

    def allow(self) -> None:
        """Give back what ``deny`` took."""
        self.principal.denied.clear()

    def make_cluster(self, name: str) -> None:
        """One more that instances may join."""
        self.operations.clusters.add(name)

    def deregister(self, instance_arn: str | None = None) -> None:
        """Somebody deregistered the instance: upgrades are refused from now on, and registering it again too."""
        arn = instance_arn or self.instance_arn
        self.operations.deregister(arn)

    async def close(self, code: int = 1000, *, reason: str = "", channel: str = "acs") -> None:
        """Close the websocket in good form; 1006 is no code that can be sent: the connection is cut."""
        connection = self._newest(channel)
        if code == 1006:
            connection.abort()
        else:
            await connection.websocket.close(code=code, message=reason.encode(), drain=True)

    async def cut(self, *, channel: str = "acs", reset: bool = False) -> None:
        """End the connection in the middle of a frame."""
        connection = self._newest(channel)
        payload = json.dumps({"type": "PayloadMessage", "message": {"padding": "x" * 4000}}).encode()
        transport = connection.request.transport
        if transport is not None:
            transport.write(b"\x81\x7e" + struct.pack("!H", len(payload)) + payload[:1500])
            await asyncio.sleep(0.02)  # a reset at once would take the half frame with it
        connection.abort(reset=reset)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        headers, body = _headers(request), await request.read()
        target = request.headers.get("X-Amz-Target", "")
        action = target.rpartition(".")[2]
        try:
            decoded = json.loads(body)
        except ValueError:
            decoded = {}
        decoded = decoded if isinstance(decoded, dict) else {}
        call = Call(**self.journal.next(), action=action, headers=headers, body=decoded)
        self.journal.add(call)
        fault = self.faults.next(action)
        if isinstance(fault, WrongAnswer | NoAnswer) or (isinstance(fault, LostAnswer) and not fault.taken):
            return await self._badly(request, call, fault)
        try:
            reply = self._take(request, call, target, body)
        except AwsError as error:
            self.journal.answered(call, error.status, json.loads(error.body()))
            return web.Response(
                status=error.status,
                body=error.body(),
                headers={**self._dated(), "x-amzn-ErrorType": error.code},
                content_type=JSON_TYPE,
            )
        self.journal.taken(call)
        if isinstance(fault, LostAnswer):
            return await self._badly(request, call, fault)
        if isinstance(fault, LateAnswer):
            with suppress(TimeoutError):
                async with asyncio.timeout(fault.delay_s):
                    await self._release.wait()
        self.journal.answered(call, 200, reply)
        return web.Response(body=json.dumps(reply).encode(), headers=self._dated(), content_type=JSON_TYPE)

    def _take(self, request: web.Request, call: Call, target: str, body: bytes) -> Any:
        service = "ecr" if target.startswith(ECR_TARGET) else "ecs"
        principal = self._verified(request, call.headers, body, service)
        call.principal = principal.arn
        principal.authorize(f"{service}:{call.action}", self.operations.resource(call.action, call.body))
        if not target.startswith((TARGET, ECR_TARGET)):
            raise AwsError("UnknownOperationException", "")
        if request.content_type != JSON_TYPE:
            self.problems.append(f"{call.action} has the content type {request.content_type}")
        self.problems += self.operations.problems(call.action, call.body)
        return self.operations.answer(call.action, call.body)

    def _verified(
        self, request: web.Request, headers: Sequence[tuple[str, str]], body: bytes, service: str, method: str = ""
    ) -> Principal:
        return verify(
            self.principals,
            method=method or request.method,
            url=f"{request.scheme}://{request.host}{request.raw_path}",
            headers=headers,
            body=body,
            service=service,
            region=self.region,
            now=self.now(),
        )

    async def _badly(self, request: web.Request, call: Call | None, fault: Fault) -> web.StreamResponse:
        if isinstance(fault, WrongAnswer):
            if call is not None:
                self.journal.answered(call, fault.status, fault.body.decode(errors="replace")[:1000])
            return web.Response(
                status=fault.status, body=fault.body, headers=self._dated(), content_type=fault.content_type
            )
        if isinstance(fault, NoAnswer):
            await self._release.wait()
        if call is not None:
            self.journal.answered(call, None, None)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _dated(self) -> dict[str, str]:
        return {"Date": self.now().strftime("%a, %d %b %Y %H:%M:%S GMT"), "x-amzn-RequestId": str(uuid.uuid4())}

    async def _acs(self, request: web.Request) -> web.StreamResponse:
        return await self._websocket(request, "acs", request.query.get("containerInstanceArn", ""), "ecs:Poll")

    async def _tcs(self, request: web.Request) -> web.StreamResponse:
        arn = request.query.get("containerInstance", "")
        return await self._websocket(request, "tcs", arn, "ecs:StartTelemetrySession")

    async def _websocket(self, request: web.Request, channel: str, arn: str, action: str) -> web.StreamResponse:
        headers = _headers(request)
        connect = Connect(
            **self.journal.next(),
            kind=f"{channel}-connect",
            path=request.path,
            query=dict(request.query),
            headers=headers,
            instance_arn=arn,
        )
        fault = self.faults.next(channel.upper())
        if isinstance(fault, WrongAnswer | NoAnswer | LostAnswer):
            connect.status = fault.status if isinstance(fault, WrongAnswer) else 0
            self.journal.add(connect)
            return await self._badly(request, None, fault)
        try:
            principal = self._verified(request, headers, b"", "ecs")
            connect.principal = principal.arn
            principal.authorize(action, arn or "*")
            self.operations.require_active(arn)
        except AwsError as error:
            if not arn:
                self.problems.append(f"{channel.upper()}: an upgrade that names no container instance")
            connect.status = error.status
            self.journal.add(connect)
            return web.json_response({error.code: error.message}, status=error.status, headers=self._dated())
        if isinstance(fault, LateAnswer):
            await asyncio.sleep(fault.delay_s)
        websocket = web.WebSocketResponse(max_msg_size=0, compress=False, timeout=2.0)
        await websocket.prepare(request)
        connection = Connection(websocket, request, connect)
        for older in [other for other in self._open[channel] if other.connect.instance_arn == arn]:
            older.abort()  # only the newest connection of an instance stays
        self._open[channel].append(connection)
        self.journal.add(connect)
        if self.heartbeat_s is not None:
            connection.heartbeats = asyncio.create_task(self._heartbeats(connection, channel, self.heartbeat_s))
        try:
            if channel == "acs":
                await self._greet(connection)
            await self._listen(connection, channel)
        finally:
            if connection.heartbeats is not None:
                connection.heartbeats.cancel()
            self._open[channel].remove(connection)
            code = websocket.close_code or 1006
            self.journal.add(Close(**self.journal.next(), kind=f"{channel}-close", code=code, instance_arn=arn))
        return websocket

    async def _greet(self, connection: Connection) -> None:
        """What a new connection gets: credentials if it wants them, the manifest, and all that was not acknowledged."""
        if connection.connect.query.get("sendCredentials") == "true":
            for message in list(self.credentials.values()):
                await self._send(
                    connection, "acs", json.dumps({"type": "IAMRoleCredentialsMessage", "message": message})
                )
        if self.manifest_on_connect:
            await self.push_manifest(
                *(arn for arn, task in self.tasks.items() if task.get("desiredStatus") == "RUNNING")
            )
        for message in list(self.unacked.values()):
            await self._send_payload(connection, message)

    async def _listen(self, connection: Connection, channel: str) -> None:
        async for received in connection.websocket:
            if received.type is not WSMsgType.TEXT:
                self.problems.append(f"{channel.upper()}: a frame that is no text: {received.type}")
                continue
            frame = self._understood(connection, channel, received.data)
            self.journal.add(frame)
            if channel == "acs" and frame.type == "AckRequest":
                if self.unacked.pop(str(frame.message.get("messageId")), None) is not None:
                    self._check_ack(frame)
            elif channel == "tcs" and self.acks_telemetry and frame.type in TELEMETRY_ACKS:
                ack = json.dumps({"type": TELEMETRY_ACKS[frame.type], "message": {"message": ""}})
                await self._send(connection, channel, ack)

    def _understood(self, connection: Connection, channel: str, text: str) -> Frame:
        """The frame as a value; what is wrong with it goes to ``problems``."""
        frame = Frame(
            **self.journal.next(), kind=f"{channel}-in", text=text, instance_arn=connection.connect.instance_arn
        )
        envelope = text
        try:
            if channel == "tcs":
                headers, envelope = signed_frame(text)
                frame.signed_headers = [name for name, _ in headers]
                self._check_frame(connection, headers, envelope)
            decoded = json.loads(envelope)
            frame.type, frame.message = decoded["type"], decoded["message"]
        except (ValueError, LookupError, TypeError) as error:
            self.problems.append(f"{channel.upper()}: a frame that is no message ({error}): {text[:200]!r}")
            return frame
        except AwsError as error:
            self.problems.append(f"TCS: a frame whose signature is refused: {error}")
            return frame
        if frame.type not in (FROM_AGENT if channel == "acs" else TELEMETRY_ACKS):
            self.problems.append(f"{channel.upper()}: a type that no agent sends: {frame.type}")
        return frame

    def _check_frame(self, connection: Connection, headers: list[tuple[str, str]], envelope: str) -> None:
        if not headers:
            raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
        names = [name for name, _ in headers]
        if names != sorted(names):
            self.problems.append(f"TCS: the headers of a frame are not sorted: {', '.join(names)}")
        if dict(headers).get("Host") != connection.request.host:
            self.problems.append(f"TCS: a frame for another host: {dict(headers).get('Host')}")
        self._verified(connection.request, headers, envelope.encode(), "ecs", method="GET")

    def _check_ack(self, frame: Frame) -> None:
        expected = self.address()
        got = (frame.message.get("cluster"), frame.message.get("containerInstance"))
        if got != (expected["clusterArn"], expected["containerInstanceArn"]):
            self.problems.append(f"ACS: an acknowledgement from another place: {got}")

    async def _heartbeats(self, connection: Connection, channel: str, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            with suppress(ConnectionError, ClientConnectionError):
                await self._beat(connection, channel, str(uuid.uuid4()))


def _headers(request: web.Request) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in request.raw_headers]


def _reserved_port(port: int) -> socket.socket:
    """A socket that holds the port and does not listen: while the back end is away nobody else can take it."""
    if port:  # the holder shares the port, so a listener of somebody else's must be looked for
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", port))
    return held

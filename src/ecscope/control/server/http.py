"""The ECS API over HTTP: AWS JSON 1.1 at ``POST /``, and its callers' authentication, also for the agents' sockets.

What is asked for is asked of the writer. A refusal is an answer, and so is a bug of ours: a request never ends without
one. Other services of AWS share the port, the users and their rights: a request is for the service that its signature
is scoped to.

Source: control-plane.md §1.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ecscope.clock import Clock, SystemClock
from ecscope.control.api.actions import ACTIONS
from ecscope.control.api.authorization import permit
from ecscope.control.core.errors import ApiError, unsupported
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.iam import Rights
from ecscope.control.core.records import Json
from ecscope.control.core.role_sessions import session_of_key
from ecscope.control.core.step import Step
from ecscope.control.server.interface import Writer
from ecscope.control.server.model import ServiceModel
from ecscope.control.server.principals import Principal, Principals
from ecscope.control.server.signatures import (
    SERVICE,
    AccessKey,
    Signed,
    named_service,
    service_of,
    verify,
    verify_s3,
)
from ecscope.peers import Peers
from ecscope.timed_connection import TIMEOUT_S, TimedConnection

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/x-amz-json-1.1"
MAX_BODY_BYTES = 4 * 2**20
"""Far above the largest input that ECS takes (a task definition of 64 KiB), and little enough to hold."""
_SERVER_FAULT = ApiError("ServerException", "Service Unavailable. Please try again later.")
"""As ECS says it; the log has the reason, under the request's ID."""
_NO_STORE = "no-store"
_UNREADABLE = (HttpProcessingError, web.RequestPayloadError)
"""The client sent something that is not HTTP, or a body that ends too soon."""
BACKLOG = 1024
READY = "ready"
"""What ``/health`` says when all is there."""
_IS_SIGNED = web.RequestKey("is_signed", bool)
_sockets = logging.getLogger(f"{__name__}.sockets")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may take of the time of a connection."""

    request_s: float = TIMEOUT_S
    """For a whole request, the silence before the first one, and a client that reads nothing of an answer."""
    idle_s: float = 60.0
    """Between two requests: clients of AWS keep connections, and poll with pauses of many seconds."""


class _ClientLeft(Exception):
    """The client has gone."""


class _IsOurFault(logging.Filter):
    """A client's mistake is answered, not logged with a traceback, which may show a key. Leaving is not a mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], (*_UNREADABLE, ConnectionError))


_sockets.addFilter(_IsOurFault())


class Caller(msgspec.Struct, frozen=True):
    """Whose signature a request has."""

    principal: Principal
    context: Mapping[str, tuple[str, ...]]
    """Condition keys about the caller."""

    @property
    def rights(self) -> Rights | None:
        """``None``: everything."""
        if self.principal.is_unrestricted:
            return None
        return Rights(principal_arn=self.principal.arn, policies=self.principal.policies, context=self.context)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request to one service. Nothing of it is verified yet."""

    id: str
    """32 hex digits."""
    target: str
    """``X-Amz-Target``; ``""``: it has none."""
    body: bytes
    http: web.Request


class Service(Protocol):
    """A service of AWS that answers at the API's port."""

    async def answer(self, call: Call) -> Json | web.StreamResponse:
        """Check signature and rights, do it, and give what the client gets: output, or a response that is its own.

        Raises ``ApiError``.
        """

    def is_fault(self, code: str) -> bool:
        """Whether an error is the server's fault (HTTP 500), and not the client's."""


class ApiServer:
    """The API's front. The caller serves ``application()``; more routes, and more services, may be added to it."""

    def __init__(
        self,
        *,
        writer: Writer,
        principals: Principals,
        clock: Clock | None = None,
        model: ServiceModel | None = None,
        checks_output: bool = False,
        request_s: float = TIMEOUT_S,
        health: Callable[[], str] = lambda: READY,
    ) -> None:
        """``checks_output``: hold each answer to the model, and call one that differs a bug. For tests.

        ``request_s``: how long the body of a request may take. ``health``: ``READY``, or what is awaited.
        """
        self._request_s = request_s
        self._health = health
        self._writer = writer
        self._principals = principals
        self._clock = clock or SystemClock()
        self._checks_output = checks_output
        self.model = model or ServiceModel()
        self._services: dict[str, Service] = {SERVICE: self}
        self._others: Handler | None = None

    def add(self, signing_name: str, service: Service) -> None:
        """Let requests that are signed for a service be answered by it."""
        self._services[signing_name] = service

    def leave_others_to(self, handler: Handler) -> None:
        """Let requests that are signed for a service that was not added, at whatever path, be answered by it."""
        self._others = handler

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[self._see_to_the_client, self._route, self._answer_what_is_not_here],
        )
        app.router.add_post("/", self._serve)
        app.router.add_get("/health", self._show_health)
        return app

    async def _show_health(self, request: web.Request) -> web.Response:
        """For scripts and load balancers, without a signature: 200 once all is there, else 503, and nothing more."""
        status = self._health()
        return web.Response(
            status=HTTPStatus.OK if status == READY else HTTPStatus.SERVICE_UNAVAILABLE,
            body=msgspec.json.encode({"status": status}),
            headers={"Cache-Control": _NO_STORE},
            content_type="application/json",
        )

    # --- for the agents' sockets too ---------------------------------------------------------------------

    def authenticate(self, request: web.Request, body: bytes = b"", *, service: str = SERVICE) -> Caller:
        """Whose signature this is, if it is for this service. Raises ``ApiError``."""
        path, _, query = request.raw_path.partition("?")
        caller = self.authenticate_parts(
            request.method,
            path=path,
            query=query,
            headers=sent_headers(request),
            body=body,
            source_ip=request.remote or "",
            service=service,
        )
        request[_IS_SIGNED] = True
        return caller

    def authenticate_s3(self, request: web.Request, *, bucket_of_host: str) -> tuple[Caller, Signed]:
        """The same for S3, before the body is read: it must be as the signature says. Raises ``ApiError``."""
        self._principals.refresh()
        path, _, query = request.raw_path.partition("?")
        signed = verify_s3(
            self._find_key,
            method=request.method,
            path=path,
            query=query,
            headers=sent_headers(request),
            bucket_of_host=bucket_of_host,
            now=self._clock.now(),
        )
        request[_IS_SIGNED] = True
        return self._caller(signed, request.remote or ""), signed

    def authenticate_parts(
        self,
        method: str,
        *,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        body: bytes,
        source_ip: str = "",
        service: str = SERVICE,
    ) -> Caller:
        """The same for what is not an HTTP request by itself: a telemetry frame. Raises ``ApiError``."""
        self._principals.refresh()
        signed = verify(
            self._find_key,
            method=method,
            path=path,
            query=query,
            headers=headers,
            body=body,
            now=self._clock.now(),
            service=service,
        )
        return self._caller(signed, source_ip)

    def _caller(self, signed: Signed, source_ip: str) -> Caller:
        principal = self._principal(signed.access_key_id)
        assert principal is not None, "its key was found"
        # The region is the one whose records there are; any may be signed for.
        settings = self._writer.state.settings
        context = principal.context(account=settings.account, region=settings.region, source_ip=source_ip)
        return Caller(principal, context)

    def authorize(self, caller: Caller, action: str, body: Json) -> None:
        """Whether the caller may do ``action`` (``RunTask``, ``Poll``) with this input. Raises ``ApiError``."""
        request = self._event(uuid4().hex, caller, action, body)
        if request.rights is not None:
            permit(Step(self._writer.state, request), action, body, request.rights)

    def permit(self, request: web.Request, right: str, about: Json) -> None:
        """Whether an upgrade is signed, by a caller who has a permission such as ``Poll``. Raises ``ApiError``."""
        self.authorize(self.authenticate(request), right, about)

    def permit_frame(self, request: web.Request, headers: Sequence[tuple[str, str]], content: str) -> None:
        """Whether a frame on the connection of ``request`` is signed by its own header block. Raises ``ApiError``."""
        path, _, query = request.raw_path.partition("?")
        body = content.encode("utf-8", "replace")
        self.authenticate_parts(request.method, path=path, query=query, headers=[*headers], body=body)

    def _find_key(self, access_key_id: str) -> AccessKey | None:
        principal = self._principal(access_key_id)
        return principal.key if principal is not None else None

    def _principal(self, access_key_id: str) -> Principal | None:
        principal = self._principals.of_key(access_key_id)
        if principal is None:
            session = session_of_key(self._writer.state, access_key_id)
            principal = self._principals.of_session(session) if session is not None else None
        return principal

    # --- the API ----------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        request_id = uuid4()
        started = time.perf_counter()
        target = request.headers.get("X-Amz-Target", "")
        headers: dict[str, str] = {}
        # One that is scoped to no known service is refused by ECS, in AWS's words.
        service = self._services.get(named_service(request.headers.get("Authorization", "")), self)
        try:
            call = Call(id=request_id.hex, target=target, body=await self._body(request), http=request)
            answer = await service.answer(call)
            if isinstance(answer, web.StreamResponse):
                return answer
            status, body = HTTPStatus.OK, msgspec.json.encode(answer)
        except ApiError as error:
            status, headers, body = self._refusal(error, service)
        except _UNREADABLE:
            status, headers, body = self._refusal(ApiError("SerializationException", "The body could not be read."))
        except web.HTTPRequestEntityTooLarge:
            _, headers, body = self._refusal(
                ApiError("RequestEntityTooLargeException", f"A request has {MAX_BODY_BYTES} bytes at most.")
            )
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        except _ClientLeft:
            logger.debug("%s: the client left before it was answered", request_id)
            return web.Response()
        except Exception:  # a bug: the client gets an answer, the log the reason
            logger.exception("request %s (%s) met a bug of ecscope; please report it", request_id, target[:120])
            status, headers, body = self._refusal(_SERVER_FAULT)
        logger.debug(
            "%s %s %s from %s: %d %s in %.1f ms",
            request_id,
            request.method,
            target.rpartition(".")[2][:60],
            request.remote,
            status,
            headers.get("X-Amzn-ErrorType", ""),
            (time.perf_counter() - started) * 1000,
        )
        return web.Response(
            status=status, body=body, headers=headers | _common(str(request_id)), content_type=CONTENT_TYPE
        )

    async def answer(self, call: Call) -> Json:
        """What ECS answers. Raises ``ApiError``."""
        action = self.model.action(call.target)
        caller = self.authenticate(call.http, call.body)
        checked = self.model.read(action, call.body)
        self.authorize(caller, action, checked.body)
        if checked.refusal is not None:
            raise checked.refusal
        if action not in ACTIONS:
            raise unsupported(f"{action} is not available on one machine: ecscope does not implement it.")
        answer = await self._writer.ask(self._event(call.id, caller, action, checked.body))
        if self._checks_output:
            self.model.check_output(action, answer)
        return answer

    def is_fault(self, code: str) -> bool:
        """Whether an error of ECS is the server's fault."""
        return self.model.is_fault(code)

    async def _body(self, request: web.Request) -> bytes:
        """All of it. Raises ``_ClientLeft``, also for a client that was cut off because it took too long."""
        try:
            async with asyncio.timeout(self._request_s):
                return await request.read()
        except TimeoutError:
            assert isinstance(request.protocol, TimedConnection)
            request.protocol.force_close()
            raise _ClientLeft from None
        except OSError as error:
            raise _ClientLeft from error

    def _event(self, event_id: str, caller: Caller, action: str, body: Json) -> ApiRequest:
        return ApiRequest(
            id=event_id,
            at=self._clock.now(),
            action=action,
            principal_arn=caller.principal.arn,
            body=body,
            rights=caller.rights,
        )

    def _refusal(self, error: ApiError, service: Service | None = None) -> tuple[HTTPStatus, dict[str, str], bytes]:
        # The layer of AWS that refuses an action spells the member with a capital, the service itself does not.
        member = "Message" if error.code == "AccessDeniedException" else "message"
        body = {"__type": error.code, member: error.message, **error.members}
        is_fault = (service or self).is_fault(error.code)
        status = HTTPStatus.INTERNAL_SERVER_ERROR if is_fault else HTTPStatus.BAD_REQUEST
        if error.code == "ServiceUnavailableException":
            status = HTTPStatus.SERVICE_UNAVAILABLE
        return status, {"X-Amzn-ErrorType": error.code}, msgspec.json.encode(body)

    @web.middleware
    async def _see_to_the_client(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """An unsigned client gets one answer and its connection is closed; a client that has left gets none."""
        if isinstance(request.protocol, TimedConnection):
            request.protocol.asked()
        try:
            answer = await handler(request)
        except ConnectionError as left:
            logger.debug("a client of %s left: %s", request.path[:120], left)
            return web.Response()
        if _IS_SIGNED not in request:
            answer.force_close()
        return answer

    @web.middleware
    async def _route(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What is signed for a service that nobody here has, which may be at any path, is for ``leave_others_to``."""
        service = service_of(request.headers.get("Authorization", ""), request.raw_path.partition("?")[2])
        if service and service not in self._services and self._others is not None:
            return await self._others(request)
        return await handler(request)

    @web.middleware
    async def _answer_what_is_not_here(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as missing:
            is_api = request.path == "/"
            said = "The ECS API is at POST / of this port." if is_api else f"Nothing is at {request.path[:120]} here."
            _, headers, body = self._refusal(ApiError("UnknownOperationException", said))
            headers |= {"Allow": missing.headers["Allow"]} if "Allow" in missing.headers else {}
            return web.Response(
                status=missing.status, body=body, headers=headers | _common(str(uuid4())), content_type=CONTENT_TYPE
            )


class Front:
    """Serves an application on a listening socket. Between ``start`` and ``stop`` it answers."""

    def __init__(
        self,
        application: web.Application,
        *,
        last_answers_s: float,
        limits: Limits | None = None,
        bridges: Collection[str] = (),
    ) -> None:
        """See the class.

        Args:
            last_answers_s: how long requests that are under way may take when it stops.
            bridges: interfaces whose containers are answered, beside this host.
        """
        self._peers = Peers(logger, bridges=bridges)
        self._runner = web.AppRunner(application, access_log=None, logger=_sockets, shutdown_timeout=last_answers_s)
        self._limits = limits or Limits()
        self._listening: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept what connects to ``listener``, which belongs to this from now on."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._accept, sock=listener, backlog=BACKLOG)

    async def stop(self) -> None:
        """Answer what is under way, then close all connections. May be repeated."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        assert self._runner.server is not None
        return TimedConnection(
            self._runner.server,
            timeout_s=self._limits.request_s,
            idle_s=self._limits.idle_s,
            admit=self._peers.admit,
            settings={"logger": _sockets, "auto_decompress": False},  # signatures are of what was sent
        )


def sent_headers(request: web.Request) -> list[tuple[str, str]]:
    """As they were sent, in that order."""
    return [(_text(name), _text(value)) for name, value in request.raw_headers]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _common(request_id: str) -> dict[str, str]:
    return {"x-amzn-RequestId": request_id, "Cache-Control": _NO_STORE}

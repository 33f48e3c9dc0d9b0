"""The ECS API over HTTP: AWS JSON 1.1 at ``POST /``, and who may call, for the agents' sockets too.

What is asked for is asked of the writer. A refusal is an answer, and so is a bug of ours: a request never ends without
one.

Source: control-plane.md §1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from uuid import uuid4

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ecscope.clock import Clock, SystemClock
from ecscope.control.api.actions import ACTIONS
from ecscope.control.api.authorization import questions
from ecscope.control.core.errors import ApiError, unsupported
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.records import Json
from ecscope.control.core.role_sessions import session_of_key
from ecscope.control.core.step import Step
from ecscope.control.server.interface import Writer
from ecscope.control.server.model import ServiceModel
from ecscope.control.server.principals import Principal, Principals
from ecscope.control.server.signatures import AccessKey, verify

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/x-amz-json-1.1"
MAX_BODY_BYTES = 4 * 2**20
"""Far above the largest input that ECS takes (a task definition of 64 KiB), and little enough to hold."""
_SERVER_FAULT = ApiError("ServerException", "Service Unavailable. Please try again later.")
"""As ECS says it; the log has the reason, under the request's ID."""
_NO_STORE = "no-store"
_UNREADABLE = (HttpProcessingError, web.RequestPayloadError)
"""What a client sent is no HTTP, or a body that ends too soon."""
_sockets = logging.getLogger(f"{__name__}.sockets")


class _IsOurFault(logging.Filter):
    """A client's mistake is answered; a traceback helps nobody, and what was sent may be a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], _UNREADABLE)


_sockets.addFilter(_IsOurFault())


class Caller(msgspec.Struct, frozen=True):
    """Whose signature a request has."""

    principal: Principal
    context: Mapping[str, tuple[str, ...]]
    """Condition keys about the caller."""


class ApiServer:
    """The API's front. ``application()`` is served by whoever holds the port; more routes may be added to it."""

    def __init__(
        self,
        *,
        writer: Writer,
        principals: Principals,
        clock: Clock | None = None,
        model: ServiceModel | None = None,
        checks_output: bool = False,
    ) -> None:
        """``checks_output``: hold each answer to the model, and call one that differs a bug. For tests."""
        self._writer = writer
        self._principals = principals
        self._clock = clock or SystemClock()
        self._checks_output = checks_output
        self.model = model or ServiceModel()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._tell_what_is_not_here])
        app.router.add_post("/", self._serve)
        return app

    # --- for the agents' sockets too ---------------------------------------------------------------------

    def authenticate(self, request: web.Request, body: bytes = b"") -> Caller:
        """Whose signature this is. Raises ``ApiError``."""
        path, _, query = request.raw_path.partition("?")
        headers = [(_text(name), _text(value)) for name, value in request.raw_headers]
        return self.authenticate_parts(
            request.method, path=path, query=query, headers=headers, body=body, source_ip=request.remote or ""
        )

    def authenticate_parts(
        self, method: str, *, path: str, query: str, headers: list[tuple[str, str]], body: bytes, source_ip: str = ""
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
        )
        principal = self._principal(signed.access_key_id)
        assert principal is not None, "its key was found"
        account = self._writer.state.settings.account
        return Caller(principal, principal.context(account=account, region=signed.region, source_ip=source_ip))

    def authorize(self, caller: Caller, action: str, body: Json) -> None:
        """Whether the caller may do ``action`` (``RunTask``, ``Poll``) with this input. Raises ``ApiError``."""
        if not caller.principal.is_unrestricted:
            step = Step(self._writer.state, self._event(uuid4().hex, caller, action, body))
            for request in questions(step, action, body, caller.context):
                caller.principal.authorize(request)

    def permit(self, request: web.Request, right: str, about: Json) -> None:
        """Whether an upgrade is signed, and by somebody who has a right such as ``Poll``. Raises ``ApiError``."""
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

    async def _serve(self, request: web.Request) -> web.Response:
        request_id = uuid4()
        started = time.perf_counter()
        target = request.headers.get("X-Amz-Target", "")
        headers: dict[str, str] = {}
        try:
            status, body = HTTPStatus.OK, msgspec.json.encode(await self._answer(request, target, request_id.hex))
        except ApiError as error:
            status, headers, body = self._refusal(error)
        except _UNREADABLE:
            status, headers, body = self._refusal(ApiError("SerializationException", "The body could not be read."))
        except web.HTTPRequestEntityTooLarge:
            _, headers, body = self._refusal(
                ApiError("RequestEntityTooLargeException", f"A request has {MAX_BODY_BYTES} bytes at most.")
            )
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
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

    async def _answer(self, request: web.Request, target: str, event_id: str) -> Json:
        sent = await request.read()
        action = self.model.action(target)
        caller = self.authenticate(request, sent)
        checked = self.model.read(action, sent)
        self.authorize(caller, action, checked.body)
        if checked.refusal is not None:
            raise checked.refusal
        if action not in ACTIONS:
            raise unsupported(f"{action} is not to be had on one machine: ecscope does not implement it.")
        answer = await self._writer.ask(self._event(event_id, caller, action, checked.body))
        if self._checks_output:
            self.model.check_output(action, answer)
        return answer

    def _event(self, event_id: str, caller: Caller, action: str, body: Json) -> ApiRequest:
        return ApiRequest(
            id=event_id,
            at=self._clock.now(),
            action=action,
            principal_arn=caller.principal.arn,
            body=body,
        )

    def _refusal(self, error: ApiError) -> tuple[HTTPStatus, dict[str, str], bytes]:
        # The layer of AWS that refuses an action spells the member with a capital, the service itself does not.
        member = "Message" if error.code == "AccessDeniedException" else "message"
        body = {"__type": error.code, member: error.message, **error.members}
        status = HTTPStatus.INTERNAL_SERVER_ERROR if self.model.is_fault(error.code) else HTTPStatus.BAD_REQUEST
        return status, {"X-Amzn-ErrorType": error.code}, msgspec.json.encode(body)

    @web.middleware
    async def _tell_what_is_not_here(
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


def runner(application: web.Application, *, shutdown_timeout_s: float) -> web.AppRunner:
    """Of the application, with what else was added to it."""
    return web.AppRunner(
        application,
        access_log=None,
        logger=_sockets,
        shutdown_timeout=shutdown_timeout_s,
        auto_decompress=False,  # signatures are of what was sent
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _common(request_id: str) -> dict[str, str]:
    return {"x-amzn-RequestId": request_id, "Cache-Control": _NO_STORE}

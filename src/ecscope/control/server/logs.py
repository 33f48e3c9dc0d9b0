"""CloudWatch Logs at the API's port: the order of checks, and live tails. Model and store are opened when first asked.

Every action that is not available here refuses itself by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from ecscope.clock import Clock
from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json
from ecscope.control.core.state import Settings
from ecscope.control.server.event_stream import CONTENT_TYPE, event, exception
from ecscope.control.server.http import ApiServer, Call, Caller
from ecscope.control.server.model import LOGS, ServiceModel

if TYPE_CHECKING:
    from ecscope.control.logs.actions import Logs
    from ecscope.control.logs.store import LogStore

SIGNING_NAME = "logs"
_FAULTS = frozenset({"ServiceUnavailableException", "ServerException"})
_MOST_TAILS = 15


class LogsApi:
    """See the module docstring. ``close`` ends it."""

    def __init__(
        self,
        *,
        front: ApiServer,
        settings: Callable[[], Settings],
        folder: Path,
        limit_bytes: int,
        clock: Clock,
        say: Callable[[str], None],
        checks_output: bool = False,
    ) -> None:
        """``say`` gets sentences for the user, about a full disk and the like."""
        self._front = front
        self._settings = settings
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._say = say
        self._checks_output = checks_output
        self._model: ServiceModel | None = None
        self._store: LogStore | None = None
        self._opening = asyncio.Lock()
        self._tails = 0
        self._closing = asyncio.Event()

    def end_connections(self) -> None:
        """Let live tails end. May be repeated."""
        self._closing.set()

    async def close(self) -> None:
        """What was answered is durable. May be repeated."""
        self._closing.set()
        if self._store is not None:
            await self._store.close()
            self._store = None

    def is_fault(self, code: str) -> bool:
        return code in _FAULTS

    async def answer(self, call: Call) -> Json | web.StreamResponse:
        """Raises ``ApiError``."""
        from ecscope.control.logs.actions import ACTIONS, LIVE_TAIL, PUT, put_log_events  # noqa: PLC0415  # when asked

        if self._model is None:
            self._model = ServiceModel(LOGS)
        action = self._model.action(call.target)
        caller = self._front.authenticate(call.http, call.body, service=SIGNING_NAME)
        logs = await self._logs()
        if action not in ACTIONS and action not in {PUT, LIVE_TAIL}:
            self._authorize(logs, caller, action, {})
            raise ApiError(
                "InvalidOperationException",
                f"{action} is not available on one machine: ecscope does not implement it.",
            )
        checked = self._model.read(action, _as_text(call.body))
        self._authorize(logs, caller, action, checked.body)
        if checked.refusal is not None:
            raise checked.refusal
        if action == LIVE_TAIL:
            return await self._tail(logs, call, checked.body)
        if action == PUT:
            accepted = await put_log_events(logs, checked.body)
            if accepted.block is not None and _has_left(call.http):
                logs.store.was_not_answered(accepted.block)
            answer = accepted.answer
        else:
            answer = await ACTIONS[action](logs, checked.body)
        if self._checks_output:
            self._model.check_output(action, answer)
        return answer

    async def _logs(self) -> Logs:
        from ecscope.control.logs.actions import Logs, Place  # noqa: PLC0415  # when first asked

        settings = self._settings()
        return Logs(
            await self._opened(),
            Place(region=settings.region, account=settings.account),
            int(self._clock.now().timestamp() * 1000),
        )

    async def _opened(self) -> LogStore:
        from ecscope.control.logs.store import LogStore, unavailable  # noqa: PLC0415  # when first asked

        async with self._opening:
            if self._store is None:
                store = LogStore(self._folder, limit_bytes=self._limit_bytes, say=self._say)
                try:
                    await store.open()
                except OSError as error:
                    self._say(f"the log store in {self._folder} cannot be opened: {error}")
                    await store.close()
                    raise unavailable() from error
                self._store = store
            return self._store

    def _authorize(self, logs: Logs, caller: Caller, action: str, body: Json) -> None:
        from ecscope.control.logs.authorization import question  # noqa: PLC0415  # when first asked

        rights = caller.rights
        if rights is not None:
            now = self._clock.now()
            context = {
                **rights.context,
                "aws:currenttime": (now.isoformat(),),
                "aws:epochtime": (str(int(now.timestamp())),),
            }
            rights.authorize(question(logs.place, logs.store.catalog, action, body, context))

    async def _tail(self, logs: Logs, call: Call, body: Json) -> web.StreamResponse:
        from ecscope.control.logs import live_tail  # noqa: PLC0415  # when first asked

        wanted = live_tail.wanted_of(logs, body)
        if self._tails >= _MOST_TAILS:
            raise ApiError("LimitExceededException", f"There are {_MOST_TAILS} Live Tail sessions, which is the limit.")
        session = live_tail.Session(wanted)
        store = logs.store
        unlisten = store.listen(lambda written: session.take(written, store.catalog))
        self._tails += 1
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": call.id})
        try:
            await response.prepare(call.http)
            start = {
                "requestId": call.id,
                "sessionId": call.id,
                "logGroupIdentifiers": body["logGroupIdentifiers"],
                "logStreamNames": body.get("logStreamNames", []),
                "logStreamNamePrefixes": body.get("logStreamNamePrefixes", []),
                "logEventFilterPattern": body.get("logEventFilterPattern", ""),
            }
            await response.write(event("initial-response", b"{}"))
            await response.write(event("sessionStart", msgspec.json.encode(start)))
            loop = asyncio.get_running_loop()
            ends_at_s = loop.time() + live_tail.LONGEST_S
            while not self._closing.is_set() and loop.time() < ends_at_s:
                await response.write(event("sessionUpdate", msgspec.json.encode(session.update())))
                try:
                    async with asyncio.timeout(live_tail.EVERY_S):
                        await self._closing.wait()
                except TimeoutError:
                    pass
            if not self._closing.is_set():
                timed_out = {"message": "The Live Tail session has timed out after 3 hours."}
                await response.write(exception("SessionTimeoutException", msgspec.json.encode(timed_out)))
            await response.write_eof()
        finally:
            self._tails -= 1
            unlisten()
        return response


def _as_text(sent: bytes) -> bytes:
    """Bytes that are no UTF-8 are replaced: Docker's driver sends a container's binary lines as they are.

    Source: seen with awslogs of Docker 20.10, whose SDK does not escape them.
    """
    try:
        sent.decode()
    except UnicodeDecodeError:
        return sent.decode("utf-8", "replace").encode()
    return sent


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()

"""From a request to its answer, and the store of finished answers.

A finished answer (head and body) is kept by the raw request target as long as the state is the
same object and the ``Date`` second is the same. Failures are not kept: the number of targets that do not
exist is unbounded.

Source: introspection-api.md §2, §4, §7-§10.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import go_json, targets
from ecscope.agent.servers.introspection import answers, v1
from ecscope.agent.servers.introspection import license as licence
from ecscope.agent.servers.introspection.answers import Answer

KEPT_BYTES = 8 << 20
"""Bound on the finished answers kept, with their keys."""

_ENTRY_BYTES = 200
"""About what Python needs for an entry beside its contents."""

_COMMANDS = ("/v1/metadata", "/v1/tasks", "/license")
_PROFILING_COMMANDS = (
    "/debug/pprof/",
    "/debug/pprof/cmdline",
    "/debug/pprof/profile",
    "/debug/pprof/symbol",
    "/debug/pprof/trace",
)


class Routes:
    """All answers of the introspection API.

    ``state`` gives the published state: another object whenever anything changed.
    ``runtime_stats`` is ``ECS_ENABLE_RUNTIME_STATS``; ``hide_version`` leaves ``Version`` out.
    """

    def __init__(
        self,
        state: Callable[[], AgentState],
        *,
        license_dir: Path,
        runtime_stats: bool = False,
        hide_version: bool = False,
        clock: Callable[[], float] = time.time,
        log: logging.Logger | None = None,
    ) -> None:
        self._state = state
        self._license_dir = license_dir
        self._hide_version = hide_version
        self._clock = clock
        self._log = log or logging.getLogger("ecscope.introspection")
        self._views = v1.TaskViews()
        commands = (*_COMMANDS, *_PROFILING_COMMANDS) if runtime_stats else _COMMANDS
        self._has_profiling = runtime_stats
        self._commands = Answer(
            body=go_json.encode({"AvailableCommands": commands}), sniffed=answers.SNIFFED_TEXT, is_lasting=True
        )
        self._finished: dict[bytes, bytes] = {}
        self._finished_bytes = 0
        self._finished_for: AgentState | None = None
        self._second = -1
        self.date = b""
        """The current ``Date`` line, as of the last answer."""
        self.is_debugging = False
        """Requests are to be logged; looked up once a second, so that it costs nothing when off."""

    # --- finished answers ---

    def finished(self, target: bytes) -> bytes:
        """The whole answer to ``GET target`` on HTTP/1.1 when the connection stays open; ``b""``: it does not."""
        state = self._state()
        if int(self._clock()) != self._second or state is not self._finished_for:
            self._start_over(state)
        raw = self._finished.get(target)
        if raw is None:
            answer = self.answer(b"GET", target)
            if answer is None:
                return b""
            raw, stays_open = answers.render(answer, date=self.date, is_head=False, is_http11=True, keep_alive=True)
            if not stays_open:
                return b""
            size = len(target) + len(raw) + _ENTRY_BYTES
            if answer.is_lasting and self._finished_bytes + size <= KEPT_BYTES:
                self._finished[target] = raw
                self._finished_bytes += size
        return raw

    def tick(self) -> None:
        """Bring ``date`` up to date."""
        second = int(self._clock())
        if second != self._second:
            self._start_over(self._finished_for)

    def _start_over(self, state: AgentState | None) -> None:
        self._finished.clear()
        self._finished_bytes = 0
        self._finished_for = state
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self.date = answers.date_line(second)
            self.is_debugging = self._log.isEnabledFor(logging.DEBUG)

    # --- answers ---

    def answer(self, method: bytes, target: bytes) -> Answer | None:
        """The answer to one request, in any method; ``None``: the target is unreadable. Never raises."""
        try:
            return self._answer(method, target)
        except targets.BadTarget:
            return None
        except Exception:  # a bug must cost one answer, not the server
            self._log.exception("a handler crashed; the client got an empty 500")
            return answers.CRASHED

    def _answer(self, method: bytes, target: bytes) -> Answer:
        if target == b"*":
            return answers.ASTERISK_OPTIONS if method == b"OPTIONS" else answers.BAD_TARGET
        path, query = targets.split(target)
        if method != b"CONNECT" and (cleaned := targets.clean(path)) != path:
            return _redirect(method, cleaned, query)
        # Go's mux compares segments after decoding; an escaped slash stays part of its segment.
        match targets.unescape(path) if path.lower().count(b"%2f") == 0 else path:
            case b"/v1/metadata":
                return self._metadata()
            case b"/v1/tasks":
                return self._tasks(query)
            case b"/license":
                return self._license()
            case b"/debug/pprof" if self._has_profiling:
                return _redirect(method, b"/debug/pprof/", query)
            case _:
                return self._commands

    def _metadata(self) -> Answer:
        try:
            body = go_json.encode(v1.metadata(self._state().instance, hide_version=self._hide_version))
        except go_json.NotEncodable as error:
            self._log.error("cannot encode the agent's metadata: %s", error)
            return self._failed(500, "introspection/agent", b"{}")
        return answers.ok_json(body)

    def _tasks(self, query: bytes) -> Answer:
        try:
            return answers.ok_json(self._look_up(query))
        except v1.LookupFailed as failed:
            field = {failed.field: failed.key} if failed.field else {}
            self._log.error("cannot look up a task: %s", failed.reason, extra=field)
            return self._failed(failed.status, "introspection/tasks", v1.EMPTY_TASK)
        except go_json.NotEncodable as error:
            self._log.error("cannot encode tasks: %s", error)
            return self._failed(500, "introspection/tasks", b"{}")

    def _look_up(self, query: bytes) -> bytes:
        """All tasks, or the one that is asked for. Source: introspection-api.md §6.1."""
        given = targets.first_values(query) if query else {}
        docker_id, arn = given.get(b"dockerid"), given.get(b"taskarn")
        state = self._state()
        if docker_id is not None and arn is not None:
            raise v1.LookupFailed(400, "both dockerid and taskarn are given; ask for one of them")
        if docker_id is not None:
            return self._views.by_docker_id(state, _text(docker_id))
        if arn is not None:
            return self._views.by_arn(state, _text(arn))
        return self._views.list_all(state)

    def _license(self) -> Answer:
        try:
            return Answer(headers=answers.PLAIN, body=licence.text(self._license_dir))
        except OSError as error:
            self._log.error("cannot read the licence texts: %s", error)
            return self._failed(500, "introspection/license", b"", headers=answers.PLAIN)

    def _failed(self, status: int, request_type: str, body: bytes, *, headers: bytes = answers.JSON) -> Answer:
        form = "JSON" if headers is answers.JSON else "plaintext"
        shown = body.decode() or "<empty>"
        self._log.error("answered %d to a request of type %s with %s: %s", status, request_type, form, shown)
        return Answer(status=status, headers=headers, body=body)

    def log_request(self, method: bytes, remote: object) -> None:
        """One debug line. Quirk: the path is not logged. Source: introspection-api.md §10."""
        self._log.debug("request: method %s from %s", method.decode("ascii", "replace"), remote)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _redirect(method: bytes, path: bytes, query: bytes) -> Answer:
    """To the path as it should be written. Source: introspection-api.md §2."""
    location = targets.escape(path) + (b"?" + query if query else b"")
    headers = b"Location: " + location + b"\r\n"
    if method in (b"GET", b"HEAD"):
        headers = answers.HTML + headers
    body = b""
    if method == b"GET":
        body = b'<a href="' + _html(location) + b'">' + answers.REASONS[301] + b"</a>.\n\n"
    return Answer(status=301, headers=headers, body=body, is_lasting=True)


def _html(text: bytes) -> bytes:
    for plain, escaped in (
        (b"&", b"&amp;"),
        (b"<", b"&lt;"),
        (b">", b"&gt;"),
        (b'"', b"&#34;"),
        (b"'", b"&#39;"),
    ):
        text = text.replace(plain, escaped)
    return text

"""From a request of a container to its answer. Pure.

Source: task-metadata-api.md §2, §3.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers import targets
from ecscope.agent.servers.taskmetadata import audit
from ecscope.agent.servers.taskmetadata.credentials import Outcome, outcome
from ecscope.agent.servers.taskmetadata.rate_limit import RateLimit

_TEXT = "text/plain; charset=utf-8"
_NOT_FOUND = b"404 page not found\n"
_TOO_MANY = b"You have reached maximum request limit."


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. Any method is answered alike."""

    target: str
    """As it was sent."""
    address: str
    """The client's, as TCP knows it."""
    port: int
    user_agent: str = ""
    forwarded_for: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``repr`` does not show the body, which may be credentials."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    audit_line: str = ""
    """``""``: none is written."""

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, headers={self.headers!r}, audit_line={self.audit_line!r})"


class Routes:
    """All answers of the server for containers."""

    def __init__(self, *, steady: int, burst: int) -> None:
        """Requests per second of one client for one path, see ``RateLimit``."""
        self._steady = steady
        self._limit = RateLimit(steady, burst)

    def answer(self, request: Request, state: AgentState, *, at: datetime, now_s: float) -> Answer:
        """``now_s``: of a clock that never jumps. Raises ``targets.BadTarget``."""
        raw_path, query = targets.split(request.target.encode("utf-8", "surrogateescape"))
        decoded = targets.unescape(raw_path)
        cleaned = targets.clean(decoded)
        if cleaned != decoded:
            location = targets.escape(cleaned.replace(b"%", b"%25")) + (b"?" + query if query else b"")
            return Answer(status=301, headers={"Location": location.decode()})
        path = decoded.decode("utf-8", "replace")
        headers = {
            "X-Rate-Limit-Duration": "1",
            "X-Rate-Limit-Limit": f"{self._steady}.00",
            "X-Rate-Limit-Request-Forwarded-For": request.forwarded_for,
            "X-Rate-Limit-Request-Remote-Addr": f"{request.address}:{request.port}",
        }
        if not self._limit.allows(request.address, path, now_s=now_s):
            found = Outcome(status=429, body=_TOO_MANY)
            shown = _without_ids(state, path)
            return self._answered(request, found, {"Content-Type": _TEXT, **headers}, state=state, at=at, path=shown)
        found_credentials = _credentials(state, path, query)
        if found_credentials is None:
            headers = {"Content-Type": _TEXT, "X-Content-Type-Options": "nosniff", **headers}
            return Answer(status=404, headers=headers, body=_NOT_FOUND)
        headers = {"Content-Type": "application/json", **headers}
        return self._answered(request, found_credentials, headers, state=state, at=at, path=path)

    @staticmethod
    def _answered(
        request: Request, found: Outcome, headers: dict[str, str], *, state: AgentState, at: datetime, path: str
    ) -> Answer:
        audit_line = audit.line(
            at=at,
            status=found.status,
            remote=f"{request.address}:{request.port}",
            path=path,
            user_agent=request.user_agent,
            task_arn=found.task_arn,
            role_type=found.role_type,
            cluster=state.instance.cluster,
            instance_arn=state.instance.arn,
        )
        return Answer(status=found.status, headers=headers, body=found.body, audit_line=audit_line)


def _without_ids(state: AgentState, path: str) -> str:
    """What is audited of a path that was mistyped, and has the secret in another place."""
    for task in state.tasks.values():
        for known in (task.credentials_id, task.execution_credentials_id):
            if known:
                path = path.replace(known, "…")
    return path


def _credentials(state: AgentState, path: str, query: bytes) -> Outcome | None:
    """``None``: the path is of nothing that is served."""
    if path == "/v1/credentials":
        given = targets.first_values(query).get(b"id", b"")
        return outcome(state, given.decode("utf-8", "replace"), version=1)
    prefix = "/v2/credentials/"
    if path.startswith(prefix):
        return outcome(state, path.removeprefix(prefix), version=2)
    return None

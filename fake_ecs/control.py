"""The back end as a process: its methods, called over a port of their own that stays when the back end is away.

``POST /<method>`` with ``{"args": […], "kwargs": {…}}`` answers ``{"result": …}``, or 504 with what a wait was for.
``POST /set`` with ``{"kwargs": {"clock_skew_s": 300}}`` sets attributes.
"""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fake_ecs.journal import Call, Close, Connect, Frame
from fake_ecs.server import Backend

METHODS = frozenset(
    {
        # what came in
        "call", "registered", "connected", "closed", "state_change", "reported", "running", "message", "acked",
        "credentials_acked", "stop_candidates", "calls_of", "state_changes", "sent_at_s",
        "lines",
        # what goes out
        "push_tasks", "push_each", "push_message", "push_raw", "push_manifest", "confirm_stop", "push_credentials",
        "heartbeat", "push_garbage", "push_huge",
        # faults
        "away", "back", "fail", "hang", "drop", "delay", "refuse_upgrade", "heal", "deny", "allow", "deregister",
        "make_cluster",
        "close", "cut",
    }
)  # fmt: skip
READABLE = frozenset({"calls", "acs_in", "tcs_in", "connects", "problems", "unacked", "instance_arn", "seq_num"})
SETTABLE = frozenset({"clock_skew_s", "heartbeat_s", "seq_num", "manifest_on_connect", "acks_telemetry"})


def control_app(backend: Backend) -> web.Application:
    """To be served in the loop of ``backend``."""

    async def asked(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = json.loads(await request.read() or "{}")
        try:
            result = await _done(backend, name, body.get("args", []), body.get("kwargs", {}))
        except TimeoutError as error:
            return web.json_response({"error": str(error)}, status=504)
        except Exception:
            return web.json_response({"error": traceback.format_exc()}, status=500)
        return web.json_response({"result": _plain(result)})

    app = web.Application(client_max_size=2**28)
    app.router.add_post("/{name}", asked)
    return app


async def _done(backend: Backend, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if name == "set":
        for key, value in kwargs.items():
            if key not in SETTABLE:
                raise LookupError(key)
            setattr(backend, key, value)
        return None
    if name in READABLE:
        return getattr(backend, name)
    if name not in METHODS:
        raise LookupError(f"no method {name}; there are {', '.join(sorted(METHODS | READABLE))}")
    result = getattr(backend, name)(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _plain(value: Any) -> Any:
    match value:
        case Call() | Frame() | Connect() | Close():
            return {"n": value.n, "at_s": value.at_s, **value.line()}
        case Mapping():
            return {str(key): _plain(found) for key, found in value.items()}
        case list() | tuple() | set():
            return [_plain(found) for found in value]
        case _:
            return value

"""Whether a websocket of an agent is accepted: who signed for it, may they, and is the instance registered.

Source: agent-protocol.md §4.1, §4.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState
from ecscope.control.core.statuses import InstanceStatus

Permit = Callable[[web.Request, str, Json], None]
"""Takes the request, a right such as ``Poll``, and what it is about (``cluster``, ``containerInstance``). Raises
``ApiError`` unless the signer of the request has that permission."""

PermitFrame = Callable[[web.Request, Sequence[tuple[str, str]], str], None]
"""Takes the request of a connection, and header block and JSON of a frame. Raises ``ApiError`` unless it is signed."""


def refusal(
    state: ControlState, permit: Permit, request: web.Request, *, right: str, cluster: str, arn: str
) -> web.Response | None:
    """``None``: it is accepted."""
    try:
        permit(request, right, {"cluster": cluster, "containerInstance": arn})
    except ApiError as error:
        return _refused(error.code, error.message)
    instance = state.instances.get(arn)
    if instance is None:
        # Not inactive: on that word an agent would stay away for an hour. Source: agent-protocol.md §4.10, §6
        return _refused("InvalidInstanceException", "The specified container instance is not registered here.")
    if instance.status == InstanceStatus.INACTIVE:
        return _refused("InactiveInstanceException", "The specified container instance is not registered or inactive.")
    return None


def _refused(code: str, message: str) -> web.Response:
    """In the form that agents look into. Source: agent-protocol.md §4.1."""
    return web.json_response({code: message}, status=400)

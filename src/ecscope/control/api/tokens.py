"""Client tokens: a repeated request gets the same answer, and has no second effect.

Source: control-plane.md §6.1; RunTask of the ECS API (2014-11-13).
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json, Token
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import TOKEN_KEPT


def resources_of(step: Step, action: str, body: Json) -> tuple[str, ...] | None:
    """What this very request made before; ``None``: it has no token, or it is new.

    Raises ``ConflictException`` when the token came with another request.
    """
    token = step.tokens.get(_key(action, body))
    if token is None or step.at - token.at >= TOKEN_KEPT:
        return None
    if token.digest != _digest(body):
        message = (
            f"The {action} request could not be processed due to conflicts. The provided clientToken is already in"
            f" use with a different {action} request. The resourceIds are the existing task ARNs which are already"
            " associated with the clientToken."
        )
        raise ApiError("ConflictException", message, {"resourceIds": list(token.resource_arns)})
    return token.resource_arns


def remember(step: Step, action: str, body: Json, resource_arns: tuple[str, ...]) -> None:
    """What the request made; nothing when it has no token."""
    if body.get("clientToken"):
        token = Token(digest=_digest(body), resource_arns=resource_arns, at=step.at)
        step.tokens.put(_key(action, body), token)


def _key(action: str, body: Json) -> str:
    return f"{action}/{body.get('clientToken') or ''}"


def _digest(body: Json) -> str:
    rest = {name: value for name, value in body.items() if name != "clientToken"}
    return sha256(msgspec.json.encode(rest, order="sorted")).hexdigest()

"""Lists in pages: ``maxResults`` and ``nextToken``.

A token says where the next page begins and to which request it belongs, so that it goes on where the last page
ended also when the list has changed in between.

Source: control-plane.md §3.1, §3.6.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from ecscope.control.core.errors import ApiError, invalid
from ecscope.control.core.records import Json

T = TypeVar("T")

_MOST = 100
_SIZES: Mapping[str, tuple[int, int]] = {
    "DescribeCapacityProviders": (10, 10),
    "ListAccountSettings": (10, 10),
    "ListServiceDeployments": (20, 100),
    "ListServices": (10, 100),
    "ListServicesByNamespace": (10, 100),
}
"""Action → how many entries a page has by default, and at most; 100 and 100 for all others."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    request: str
    offset: int
    last: str
    """Key of the last entry that was given."""


def page(
    action: str, body: Json, member: str, items: Iterable[T], *, key: Callable[[T], str], show: Callable[[T], Any]
) -> dict[str, Any]:
    """The answer with the page that ``body`` asks for. Raises ``InvalidParameterException``.

    Args:
        member: of the answer, such as ``taskArns``.
        items: the whole list, always in the same order.
        key: unique for each item.
        show: makes an item what the client sees; called for those of the page only.
    """
    size, most = _SIZES.get(action, (_MOST, _MOST))
    given: int | None = body.get("maxResults")
    if given is not None:
        if not 1 <= given <= most:
            raise invalid(f"maxResults must be from 1 to {most}.")
        size = given
    everything = list(items)
    request = _request(action, body)
    token: str | None = body.get("nextToken")
    start = _start(token, request, [key(item) for item in everything]) if token else 0
    end = start + size
    answer: dict[str, Any] = {member: [show(item) for item in everything[start:end]]}
    if end < len(everything):
        place = _Place(request=request, offset=end, last=key(everything[end - 1]))
        answer["nextToken"] = urlsafe_b64encode(msgspec.json.encode(place)).decode()
    return answer


def _request(action: str, body: Json) -> str:
    """What must not change from page to page, in short."""
    rest = {name: value for name, value in body.items() if name not in ("nextToken", "maxResults")}
    return sha256(msgspec.json.encode([action, rest], order="sorted")).hexdigest()[:16]


def _start(token: str, request: str, keys: list[str]) -> int:
    try:
        place = msgspec.json.decode(urlsafe_b64decode(token.encode()), type=_Place)
    except (ValueError, RecursionError):  # ValueError: not base64, not JSON, not UTF-8, of another shape
        raise _not_ours() from None
    if place.request != request or place.offset < 1:
        raise _not_ours()
    if place.last in keys:
        return keys.index(place.last) + 1
    return min(place.offset, len(keys))


def _not_ours() -> ApiError:
    return invalid("Invalid token: nextToken must come from the answer to the same request.")

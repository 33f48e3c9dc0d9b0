"""Lists in pages: ``maxResults`` and ``nextToken``.

A token says where the next page begins and to which request it belongs, so that it continues where the last page
ended also when the list has changed in between.

Source: control-plane.md §3.1, §3.6.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain, islice
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
    following: str
    """Key of the entry after it: who stops each task of a page before the next one takes ``last`` off the list."""


def page(
    action: str, body: Json, member: str, items: Iterable[T], *, key: Callable[[T], str], show: Callable[[T], Any]
) -> dict[str, object]:
    """The answer with the page that ``body`` asks for. Raises ``InvalidParameterException``.

    Args:
        member: of the answer, such as ``taskArns``.
        items: the whole list, always in the same order; read only as far as the page goes. ``None`` is skipped.
        key: unique for each item.
        show: makes an item what the client sees; called for those of the page only.
    """
    size, most = _SIZES.get(action, (_MOST, _MOST))
    given: int | None = body.get("maxResults")
    if given is not None:
        if not 1 <= given <= most:
            raise invalid(f"maxResults must be from 1 to {most}.")
        size = given
    request = _request(action, body)
    token: str | None = body.get("nextToken")
    rest = iter(items)
    start = 0
    if token:
        start, rest = _after(_place(token, request), rest, key)
    shown = list(islice(rest, size))
    answer: dict[str, object] = {member: [show(item) for item in shown]}
    if (following := next(rest, None)) is not None:
        place = _Place(request=request, offset=start + size, last=key(shown[-1]), following=key(following))
        answer["nextToken"] = urlsafe_b64encode(msgspec.json.encode(place)).decode()
    return answer


def _request(action: str, body: Json) -> str:
    """What must not change from page to page, in short."""
    rest = {name: value for name, value in body.items() if name not in ("nextToken", "maxResults")}
    return sha256(msgspec.json.encode([action, rest], order="sorted")).hexdigest()[:16]


def _place(token: str, request: str) -> _Place:
    try:
        place = msgspec.json.decode(urlsafe_b64decode(token.encode()), type=_Place)
    except (ValueError, RecursionError):  # ValueError: not base64, not JSON, not UTF-8, of another shape
        raise _not_ours() from None
    if place.request != request or place.offset < 1:
        raise _not_ours()
    return place


def _after(place: _Place, items: Iterator[T], key: Callable[[T], str]) -> tuple[int, Iterator[T]]:
    """How many are skipped, and what follows; by number only when both entries at the seam are gone."""
    skipped: list[T] = []
    for item in items:
        found = key(item)
        if found == place.following:
            return len(skipped), chain((item,), items)
        skipped.append(item)
        if found == place.last:
            return len(skipped), items
    return min(place.offset, len(skipped)), iter(skipped[place.offset :])


def _not_ours() -> ApiError:
    return invalid("Invalid token: nextToken must come from the answer to the same request.")

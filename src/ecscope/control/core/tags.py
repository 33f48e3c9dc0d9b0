"""What may be a tag, and how many a record may have.

Source: TagResource of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ecscope.control.core.errors import invalid
from ecscope.control.core.records import Json

MOST = 50
_LONGEST_KEY = 128
_LONGEST_VALUE = 256
_RESERVED = "aws:"


def tags_of(given: Iterable[Json], *, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """``before`` with the tags of a request, as the API writes them. Raises ``InvalidParameterException``."""
    tags = dict(before or {})
    seen: set[str] = set()
    for tag in given:
        key: str = tag.get("key", "")
        value: str = tag.get("value", "")
        if not 1 <= len(key) <= _LONGEST_KEY:
            raise invalid(f"A tag's key must have from 1 to {_LONGEST_KEY} characters.")
        if len(value) > _LONGEST_VALUE:
            raise invalid(f"The value of tag '{key}' must have at most {_LONGEST_VALUE} characters.")
        if key.lower().startswith(_RESERVED):
            raise invalid(f"The key of tag '{key}' must not begin with {_RESERVED}, which is for AWS alone.")
        if key in seen:
            raise invalid(f"Duplicate tag keys found: '{key}' is given twice.")
        seen.add(key)
        tags[key] = value
    if sum(not key.lower().startswith(_RESERVED) for key in tags) > MOST:
        raise invalid(f"A resource can have at most {MOST} tags.")
    return tags

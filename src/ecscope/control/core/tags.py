"""Valid tags, and how many a record may have.

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
    """``before`` with the tags of a request, as the API writes them. Raises ``InvalidParameterException``.

    No two keys may differ in case only, in one request or beside those before: to a policy they are one key, and it
    could not say which of the two values it means. Source: IAM User Guide, "Controlling access to AWS resources using
    tags".
    """
    tags = dict(before or {})
    spelled = {key.lower(): key for key in tags}
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
        if key not in tags and (other := spelled.get(key.lower())) is not None:
            raise invalid(f"Duplicate tag keys found: '{key}' and '{other}' differ in case only.")
        seen.add(key)
        spelled[key.lower()] = key
        tags[key] = value
    if sum(not key.lower().startswith(_RESERVED) for key in tags) > MOST:
        raise invalid(f"A resource can have at most {MOST} tags.")
    return tags


def not_respelled(given: Iterable[Json], before: Mapping[str, str]) -> list[Json]:
    """The tags of a request without those whose key ``before`` has in another case.

    For an agent, which sends its tags at each start: if it were refused for one, its instance would be lost.
    """
    spelled = {key.lower() for key in before}
    return [tag for tag in given if tag.get("key") in before or tag.get("key", "").lower() not in spelled]

"""What each action of the Logs API asks IAM about. Pure.

AWS writes ``:log-stream:`` behind a group's ARN for most actions, so that policies on ``…:log-group:NAME:*`` match, and
nothing for those on tags.

Source: Service Authorization Reference, "Amazon CloudWatch Logs"; denials seen in public reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecscope.control.core.iam import Request
from ecscope.control.core.records import Json
from ecscope.control.logs.actions import Place
from ecscope.control.logs.catalog import Catalog

_OF_STREAM = frozenset({"DeleteLogStream", "GetLogEvents", "PutLogEvents"})
_BY_ARN = frozenset({"ListTagsForResource", "TagResource", "UntagResource"})
_OF_NONE = frozenset({"ListLogGroups"})
"""Actions without resources, asked about ``*``."""


def question(
    place: Place, catalog: Catalog, action: str, body: Json, context: Mapping[str, tuple[str, ...]]
) -> Request:
    """What IAM is asked: all of the resources must be allowed. ``body`` may break the model's rules."""
    arns = dict(_resources(place, catalog, action, body))
    return Request(
        action=f"logs:{action}",
        resources=tuple(arns) or ("*",),
        context={**context, **_requested_tags(body)},
        resource_contexts={arn: keys for arn, keys in arns.items() if keys},
    )


def _resources(
    place: Place, catalog: Catalog, action: str, body: Json
) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]]]]:
    if action in _BY_ARN:
        arn = str(body.get("resourceArn") or "*")
        group = catalog.groups.get(arn.removesuffix(":*").rpartition(":log-group:")[2])
        yield arn.removesuffix(":*"), _tags(group.tags) if group is not None else {}
        return
    if action in _OF_NONE:
        return
    identifiers = body.get("logGroupIdentifiers") if action == "StartLiveTail" else None
    for identifier in identifiers or [body.get("logGroupName") or body.get("logGroupIdentifier") or ""]:
        name = identifier.removesuffix(":*").rpartition(":log-group:")[2]
        arn = identifier.removesuffix(":*") if identifier.startswith("arn:") else place.group_arn(name)
        stream = body.get("logStreamName") or "" if action in _OF_STREAM else ""
        known = catalog.groups.get(name)
        yield f"{arn}:log-stream:{stream}", _tags(known.tags) if known is not None else {}


def _tags(tags: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, value in tags.items():
        name = f"aws:resourcetag/{key.lower()}"
        found[name] = (*found.get(name, ()), value)
    return found


def _requested_tags(body: Json) -> Mapping[str, tuple[str, ...]]:
    tags = body.get("tags")
    keys = tuple(tags or ()) or tuple(body.get("tagKeys", ()))
    found: dict[str, tuple[str, ...]] = {"aws:tagkeys": keys} if keys else {}
    for key, value in tags.items() if isinstance(tags, dict) else ():
        name = f"aws:requesttag/{key.lower()}"
        found[name] = (*found.get(name, ()), value)
    return found

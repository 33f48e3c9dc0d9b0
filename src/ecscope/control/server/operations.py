"""Which operation a request asks for: by its target, its ``Action``, or its method and path in botocore's model.

Loaded when first needed: the models are large.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

UNKNOWN = "UnknownOperation"
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "apigateway": ("apigateway", "apigatewayv2"),
    "aps": ("amp",),
    "bedrock": ("bedrock", "bedrock-runtime", "bedrock-agent", "bedrock-agent-runtime"),
    "elasticfilesystem": ("efs",),
    "email": ("sesv2",),
    "es": ("es", "opensearch"),
    "iotdata": ("iot-data",),
    "mobiletargeting": ("pinpoint",),
    "ses": ("sesv2",),
}
"""Service as it is signed for → folders of its models, where they have another name."""
_READS = re.compile(
    "(Get|List|Describe|Head|BatchGet|Search|Scan|Query|Lookup|Check|Validate|Test|Estimate|Preview|Simulate|"
    "Decrypt|Encrypt|ReEncrypt|Sign|Verify|GenerateMac|GenerateDataKey|GenerateRandom|Invoke|SubmitJob)"
)
"""What changes nothing, or has an effect that must not come again when a journal is carried out again."""


class _Route(msgspec.Struct, frozen=True):
    method: str
    path: re.Pattern[str]
    query: frozenset[str]
    """Parameters that must be there."""
    literal: int
    """So many characters are the same in all its paths: the more, the closer it fits."""
    operation: str


def of_target(target: str) -> str:
    """``secretsmanager.GetSecretValue`` → ``GetSecretValue``; ``""``: none."""
    return target.rpartition(".")[2]


def of_path(service: str, method: str, path: str, query: Mapping[str, str]) -> str:
    """Of a service that has a path for each; ``UnknownOperation`` where nothing fits."""
    if smithy := re.fullmatch(r"/service/[^/]+/operation/(\w+)", path):
        return smithy[1]
    fitting = [
        route
        for route in _routes(service)
        if route.method == method and route.query <= query.keys() and route.path.fullmatch(path)
    ]
    best = max(fitting, key=lambda route: (len(route.query), route.literal), default=None)
    return best.operation if best is not None else UNKNOWN


def may_change(operation: str, method: str) -> bool:
    """Whether a request belongs in the journal. ``operation``: ``""`` where only the method says what it does."""
    if method in {"GET", "HEAD", "OPTIONS"}:
        return False
    return _READS.match(operation) is None


@lru_cache(maxsize=32)
def _routes(service: str) -> tuple[_Route, ...]:
    routes: list[_Route] = []
    for folder in _FOLDERS.get(service, (service,)):
        try:
            model: Mapping[str, Any] = Loader().load_service_model(folder, "service-2")
        except (DataNotFoundError, UnknownServiceError):
            continue
        for name, operation in model["operations"].items():
            http = operation["http"]
            path, _, query = http["requestUri"].partition("?")
            routes.append(
                _Route(
                    method=http["method"],
                    path=re.compile("".join(_part(part) for part in re.split(r"(\{[^}]+\})", path)) + "/?"),
                    query=frozenset(pair.partition("=")[0] for pair in query.split("&") if pair),
                    literal=len(re.sub(r"\{[^}]+\}", "", path)),
                    operation=name,
                )
            )
    return tuple(routes)


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith("+}") else "[^/]+"

"""A verdict with its evidence. The JSON of ``Answer`` is a contract: `ecscope why --json`.

Codes are those of docs/causes.md. Never rename one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

UNKNOWN = "unknown"
"""The code of a verdict that the evidence does not prove."""


class Certainty(Enum):
    """How sure it is."""

    PROVEN = "proven"
    """The evidence leaves no other cause."""
    LIKELY = "likely"
    """The evidence fits, and a witness that could prove it is missing."""
    UNKNOWN = "unknown"


class Culprit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Who or what it was; a field that does not apply is left out."""

    container: str = ""
    image: str = ""
    path: str = ""
    port: int = 0
    pid: int = 0
    process: str = ""
    action: str = ""
    role: str = ""
    task: str = ""
    resource: str = ""
    driver: str = ""
    instance: str = ""
    by: str = ""
    """Who asked for it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The cause."""

    code: str
    sentence: str
    """One sentence without a full stop that names the culprit."""
    certainty: Certainty
    culprit: Culprit = Culprit()
    since: str = ""
    """RFC 3339; ``""``: the moment is not known."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of what the verdict rests on."""

    at: str
    """RFC 3339; ``""``: it holds now."""
    source: str
    """Where it was seen: ``agent history``, ``agent state``, ``container log``, ``host``, ``ECS``."""
    text: str
    data: Mapping[str, str | int | float | bool | None] = {}


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that looks alike, and why it was not that."""

    code: str
    why_not: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found: the verdict, and what goes with it."""

    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    considered: tuple[Considered, ...] = ()
    actions: tuple[str, ...] = ()
    """What to do, as commands where there is one."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer."""

    subject: Mapping[str, str]
    """``task`` (ARN), ``container`` if only that was asked about, and ``family``; or ``service`` (ARN), and
    ``deployment`` if only that; or ``agent`` (its data directory). Always ``status``."""
    verdict: Verdict
    evidence: tuple[Evidence, ...]
    considered: tuple[Considered, ...]
    actions: tuple[str, ...]

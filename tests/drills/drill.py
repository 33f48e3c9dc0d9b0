"""One drill: something that is broken in one known way, on real containers, registries and control planes.

A folder per drill with ``drill.json``: how it is broken, what is done to it, and the code and the culprit that
``ecscope why`` must name. Neither the agent nor the rules see the drill's name. Where it is carried out is its stage.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Step = list[str]


@dataclass(frozen=True, kw_only=True)
class Drill:
    """See the module docstring."""

    name: str
    how: str
    do: list[Step]
    code: str
    container: str = ""
    """The culprit; ``""``: it is no container."""
    culprit: Mapping[str, str] = field(default_factory=dict)
    """Further fields of the culprit. Names of other tasks stand for their ARNs."""
    certainty: str = ""
    """``""``: proven or likely."""
    ask: str = ""
    """The container that is asked about; ``""``: the task; ``task NAME``, ``service``, ``deployment``, ``agent``: that;
    ``newest``: nothing is named.
    """
    stage: str = "up"
    """A name in ``stages.STAGES``."""
    containers: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    """Further members of the task definition."""
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Definitions of other tasks, by the names that steps use."""
    environment: dict[str, str] = field(default_factory=dict)
    """Of the agent, where the stage starts one for this drill."""

    @property
    def alias(self) -> str:
        """What the agent and ECS see in place of its name."""
        return f"{zlib.crc32(self.name.encode()):08x}"

    @property
    def definition(self) -> dict[str, Any]:
        """The task definition without its family."""
        return {"containerDefinitions": self.containers, "volumes": self.volumes, **self.members}


def drills() -> list[Drill]:
    """All, by name."""
    return [
        Drill(name=path.parent.name, **json.loads(path.read_text())) for path in sorted(FOLDER.glob("*/drill.json"))
    ]


@dataclass(frozen=True)
class Result:
    """What came of a drill."""

    drill: Drill
    code: str = ""
    certainty: str = ""
    sentence: str = ""
    error: str = ""
    """What of the verdict is not as expected, with the whole answer; ``""``: nothing."""


def result_of(drill: Drill, answer: Mapping[str, Any], names: Mapping[str, str]) -> Result:
    """``names``: the ARNs of the other tasks, by their names in the drill."""
    verdict = answer["verdict"]
    error = _wrong(drill, verdict, names)
    return Result(
        drill=drill,
        code=verdict["code"],
        certainty=verdict["certainty"],
        sentence=verdict["sentence"],
        error=f"{error}\n{json.dumps(answer, indent=1)}" if error else "",
    )


def _wrong(drill: Drill, verdict: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """What of the verdict is not as expected; ``""``: nothing."""
    if verdict["code"] != drill.code:
        return f"{drill.name}: {drill.code} expected, got {verdict['code']}: {verdict['sentence']}"
    wanted = {**({"container": drill.container} if drill.container else {}), **drill.culprit}
    for key, value in wanted.items():
        if str(verdict["culprit"].get(key)) != names.get(value, value):
            return f"{drill.name}: culprit {key} {value} expected, got {verdict['culprit']}"
    if drill.certainty and verdict["certainty"] != drill.certainty:
        return f"{drill.name}: {drill.certainty} expected, got {verdict['certainty']}"
    if verdict["certainty"] == "unknown":
        return f"{drill.name}: not known"
    return ""

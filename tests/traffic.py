"""What the official agent and its server said to each other, as recorded: the judge of every wire test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "fixtures" / "official-agent" / "traffic"

SEQUENCE = "sequence-start-to-stop"
OUTCOMES = "outcomes-state-changes"
RESTART = "restart-with-saved-state"
ALL = (SEQUENCE, OUTCOMES, RESTART)


def records(name: str, *kinds: str) -> list[dict[str, Any]]:
    """The records of one recording in their order; of these kinds only, where some are named."""
    found = map(json.loads, (FOLDER / f"{name}.jsonl").read_text().splitlines())
    return [record for record in found if not kinds or record["kind"] in kinds]


def frame(record: dict[str, Any]) -> str:
    """The text of a recorded frame."""
    return json.dumps({"type": record["type"], "message": record["message"]})

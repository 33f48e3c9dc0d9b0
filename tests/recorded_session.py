"""A session with a control plane of an earlier version: what happened, and what was answered, sent and saved.

Each line of a ``.jsonl.gz`` file is an event with its outcome: the answer or the refusal, and what
agents were sent. Decisions are functions of state and event: the same events must come to the same today.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from ecscope.control.acs.frames import frames
from ecscope.control.api.actions import ACTIONS
from ecscope.control.core.effects import AnyEffect, Disconnect, ReportOvercommitment, ReportUnlimitedStorage, WakeAt
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import AnyEvent, ApiRequest
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Decision
from ecscope.control.decide import decide, read

RECORDED = Path(__file__).parent / "fixtures" / "control" / "29933ea"
"""The requests and the saved file are of that commit, some 800 events; every action of the API is among them.

The answers of ``session`` are of 2026-12-01: awsvpc, Fargate and log drivers had come, which that commit refused,
and tasks without a health check counted as healthy at once (20 answers).
"""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event and what came of it."""

    event: AnyEvent
    answer: str = ""
    """As JSON; ``""``: the event asked for none, or was refused."""
    refusal: tuple[str, str] | None = None
    """Code and message."""
    sent: tuple[str, ...] = ()
    """Frames for agents, and the other effects but for moments to wake at."""


_decode = msgspec.json.Decoder(Line).decode


def recorded(name: str) -> Iterator[Line]:
    """The lines of a file."""
    for text in gzip.decompress((RECORDED / f"{name}.jsonl.gz").read_bytes()).splitlines():
        yield _decode(text)


def happened(state: ControlState, event: AnyEvent) -> tuple[ControlState, Line, Decision | None]:
    """The next state, the line that would be recorded, and the decision; ``None``: it was only read, or refused."""
    try:
        if isinstance(event, ApiRequest) and ACTIONS[event.action].is_reader:
            return state, Line(event, answer=_text(read(state, event))), None
        decision = decide(state, event)
    except ApiError as error:
        return state, Line(event, refusal=(error.code, error.message)), None
    answer = "" if decision.answer is None else _text(decision.answer)
    sent = tuple(text for effect in decision.effects for text in _texts(decision.state, event, effect))
    return decision.state, Line(event, answer=answer, sent=sent), decision


def _text(answer: object) -> str:
    return msgspec.json.encode(answer).decode()


def _texts(state: ControlState, event: AnyEvent, effect: AnyEffect) -> Iterator[str]:
    if isinstance(effect, WakeAt | ReportOvercommitment | ReportUnlimitedStorage):
        return
    if isinstance(effect, Disconnect):
        yield msgspec.json.encode(effect).decode()
        return
    ids = count()
    at_ms = int(event.at.timestamp() * 1000)
    yield from frames(state, effect, at_ms=at_ms, new_id=lambda: f"{event.id}-{next(ids)}")

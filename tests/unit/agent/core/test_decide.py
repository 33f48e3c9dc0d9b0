"""The door: the same input gives the same output, and an endless loop is cut off."""

from __future__ import annotations

import pytest

from ecscope.agent.core import decide as module
from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import (
    Timer,
    TimerKind,
)
from ecscope.agent.core.decide import decide
from ecscope.model import history
from tests.builders import a_scan, a_volume, an_arn
from tests.unit.agent.core.scenes import (
    a_task,
    a_world,
    running,
    told,
)


def test_a_timer_of_an_unknown_task_changes_nothing() -> None:
    world = running(a_task())
    before = world.state
    other = an_arn(7)
    for event in (
        ev.TimerFired(**world.head(), timer=Timer(kind=kind, task_arn=other))  # type: ignore[arg-type]
        for kind in TimerKind
        if kind is not TimerKind.IMAGE_CLEANUP
    ):
        world.send(event)
        assert world.state is before
        assert told(world, history.NoChange)[-1] == f"{other} is not known (any more)"


# --- the door itself ---


def test_the_same_input_gives_the_same_output() -> None:
    world = a_world()
    event = a_scan(a_task(volumes=(a_volume(),)))
    assert decide(world.state, event) == decide(world.state, event)


def test_an_endless_loop_would_be_cut_off_with_the_event_that_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUNDS", 1)
    event = a_scan(a_task(), id="event-9")
    with pytest.raises(AssertionError, match=r"rules do not come to rest after TaskFilesScanned.*event-9"):
        decide(a_world().state, event)

"""What is posted carries an ID of its own and the moment of its stamp, and reaches the engine as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from ecscope.agent.core.events import AnyEvent, CleanupRequested
from ecscope.agent.inbox import Inbox

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_each_stamp_is_new() -> None:
    taken: list[AnyEvent] = []
    numbers, seconds = count(1), count()
    inbox = Inbox(taken.append, new_id=lambda: f"e{next(numbers)}", now=lambda: AT + timedelta(seconds=next(seconds)))
    first = CleanupRequested(**inbox.stamp())
    inbox.post(CleanupRequested(**inbox.stamp()))
    inbox.post(first)
    assert taken == [CleanupRequested(id="e2", at=AT + timedelta(seconds=1)), CleanupRequested(id="e1", at=AT)]

"""The system clock gives aware moments in UTC."""

from datetime import UTC, datetime

from ecscope.clock import Clock, SystemClock


def test_the_moment_is_now_and_aware() -> None:
    clock: Clock = SystemClock()
    before = datetime.now(UTC)
    moment = clock.now()
    assert before <= moment <= datetime.now(UTC)
    assert moment.tzinfo is UTC

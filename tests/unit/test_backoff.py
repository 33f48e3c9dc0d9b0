"""Waits grow as their policy says, and the loop around them stops where it should."""

from __future__ import annotations

import itertools

import pytest

from ecscope.backoff import Backoff, Retry

POLICY = Backoff(tries=5, first_s=1.1, cap_s=5.0, factor=2.0, jitter=0.2)


def never() -> float:
    return 0.0


def most() -> float:
    return 1.0


class Flaky:
    """Fails as often as it is told."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.tries = 0
        self.error = error or ValueError("not yet")

    async def __call__(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


class Sleeper:
    """Notes how long it was to sleep."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def is_value_error(error: Exception) -> bool:
    return isinstance(error, ValueError)


def test_waits_grow_up_to_the_cap() -> None:
    assert list(POLICY.waits(never)) == pytest.approx([1.1, 2.2, 4.4, 5.0])


def test_jitter_only_lengthens() -> None:
    assert list(POLICY.waits(most)) == pytest.approx([1.32, 2.64, 5.28, 6.0])
    assert all(1.1 <= next(POLICY.waits()) <= 1.32 for _ in range(100))


def test_one_try_waits_never() -> None:
    assert list(Backoff(tries=1, first_s=1.0, cap_s=1.0).waits(never)) == []


def test_no_number_of_tries_means_for_ever() -> None:
    waits = Backoff(tries=None, first_s=2.0, cap_s=200.0, factor=1.5).waits(never)
    assert list(itertools.islice(waits, 30))[-1] == 200.0


async def test_the_first_success_is_the_result() -> None:
    sleep, attempt = Sleeper(), Flaky(2)
    result = await Retry(sleep=sleep, random=never).run(POLICY, attempt, is_worth_retrying=is_value_error)
    assert result == "done"
    assert attempt.tries == 3
    assert sleep.waits == pytest.approx([1.1, 2.2])


async def test_the_last_failure_is_raised() -> None:
    sleep, attempt = Sleeper(), Flaky(99)
    with pytest.raises(ValueError, match="not yet"):
        await Retry(sleep=sleep, random=never).run(POLICY, attempt, is_worth_retrying=is_value_error)
    assert attempt.tries == 5
    assert len(sleep.waits) == 4


async def test_what_is_not_worth_it_is_raised_at_once() -> None:
    sleep, attempt = Sleeper(), Flaky(99, KeyError("gone"))
    with pytest.raises(KeyError):
        await Retry(sleep=sleep, random=never).run(POLICY, attempt, is_worth_retrying=is_value_error)
    assert (attempt.tries, sleep.waits) == (1, [])

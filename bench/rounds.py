"""Who is measured when: alternating, and each time another one first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def rotated(contenders: Sequence[T], rounds: int) -> Iterator[list[T]]:
    """The order of each round."""
    for number in range(rounds):
        first = number % len(contenders)
        yield [*contenders[first:], *contenders[:first]]

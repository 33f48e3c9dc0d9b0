"""Everybody who waits gets the newest value, and only that; nobody who is slow or gone is in the way."""

from __future__ import annotations

import asyncio

from ecscope.agent.broadcaster import Broadcaster


class Value:
    def __init__(self, number: int) -> None:
        self.number = number


VALUES = [Value(number) for number in range(4)]


async def test_a_slow_listener_gets_only_the_newest_and_a_fast_one_each() -> None:
    values = Broadcaster(VALUES[0])
    fast: list[int] = []

    async def follow() -> None:
        seen = values.newest
        while seen is not VALUES[-1]:
            seen = await values.changed(seen)
            fast.append(seen.number)

    following = asyncio.create_task(follow())
    for value in VALUES[1:]:
        await asyncio.sleep(0)
        values.publish(value)
    assert await values.changed(VALUES[0]) is VALUES[-1]
    await following
    assert fast == [1, 2, 3]


async def test_what_is_published_again_is_no_news() -> None:
    values = Broadcaster(VALUES[0])
    waiting = asyncio.create_task(values.changed(VALUES[0]))
    await asyncio.sleep(0)
    values.publish(VALUES[0])
    await asyncio.sleep(0)
    assert not waiting.done()
    values.publish(VALUES[1])
    assert await waiting is VALUES[1]


async def test_who_has_given_up_does_not_cost_the_others() -> None:
    values = Broadcaster(VALUES[0])
    gone, waiting = (asyncio.create_task(values.changed(VALUES[0])) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    values.publish(VALUES[1])
    assert await waiting is VALUES[1]
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()


async def test_until_gives_the_present_value_or_a_later_one() -> None:
    values = Broadcaster(VALUES[1])
    assert await values.until(lambda value: value.number == 1) is VALUES[1]
    waiting = asyncio.create_task(values.until(lambda value: value.number == 3))
    for value in VALUES[2:]:
        await asyncio.sleep(0)
        values.publish(value)
    assert await waiting is VALUES[3]

"""Unit tests of how often a client may ask."""

from __future__ import annotations

from ecscope.agent.servers.taskmetadata import rate_limit
from ecscope.agent.servers.taskmetadata.rate_limit import RateLimit


def burst(limit: RateLimit, count: int, *, client: str = "a", path: str = "/", now_s: float = 0.0) -> int:
    return sum(limit.allows(client, path, now_s=now_s) for _ in range(count))


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    limit = RateLimit(4, 6)
    assert burst(limit, 10) == 6
    assert burst(limit, 10, now_s=0.5) == 2
    assert burst(limit, 10, now_s=60.0) == 6


def test_each_client_and_each_path_has_its_own() -> None:
    limit = RateLimit(1, 1)
    assert [burst(limit, 2), burst(limit, 2, client="b"), burst(limit, 2, path="/b")] == [1, 1, 1]


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    limit = RateLimit(1, 1)
    asked = rate_limit.MOST_BUCKETS + 1
    assert [limit.allows("a", f"/{number}", now_s=0.0) for number in range(asked)] == [True] * asked
    assert limit.allows("a", "/0", now_s=0.0)
    assert not limit.allows("a", "/2", now_s=0.0)

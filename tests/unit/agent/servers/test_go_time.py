"""Unit tests of times as Go writes them."""

from __future__ import annotations

from ecscope.agent.servers.go_time import timestamp
from tests.tables import each_row


@each_row(
    "docker, go",
    [
        ("", ""),
        ("0001-01-01T00:00:00Z", ""),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00.000000000Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00.500000000Z", "2026-03-01T10:00:00.5Z"),
        ("2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123456789Z"),
        ("2026-03-01T10:00:00.1234567891Z", "2026-03-01T10:00:00.123456789Z"),
        ("2026-03-01T00:30:00.25+01:00", "2026-02-28T23:30:00.25Z"),
        ("2026-03-01T23:30:00-01:30", "2026-03-02T01:00:00Z"),
        ("0001-01-01T00:00:00+01:00", ""),
        ("yesterday", ""),
        ("2026-03-01T10:00:00", ""),
        ("2026-13-01T10:00:00+01:00", ""),
    ],
)
def test_times_are_written_as_go_writes_them(docker: str, go: str) -> None:
    assert timestamp(docker) == go

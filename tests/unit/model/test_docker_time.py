"""Docker's times are read to the microsecond, and what is no time is no error."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ecscope.model.docker_time import parse_docker_time
from tests.tables import each_row


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-17T12:00:01Z", datetime(2024, 5, 17, 12, 0, 1, tzinfo=UTC)),
        ("2024-05-17T12:00:01.5Z", datetime(2024, 5, 17, 12, 0, 1, 500_000, tzinfo=UTC)),
        ("2024-05-17T12:00:01.123456789Z", datetime(2024, 5, 17, 12, 0, 1, 123_456, tzinfo=UTC)),
        ("2024-05-17T14:00:01+02:00", datetime(2024, 5, 17, 12, 0, 1, tzinfo=UTC)),
        ("2024-05-17T08:30:01.000001-03:30", datetime(2024, 5, 17, 12, 0, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_in_utc(text: str, moment: datetime) -> None:
    parsed = parse_docker_time(text)
    assert parsed == moment
    assert parsed is not None
    assert parsed.tzinfo is UTC


@each_row(
    "text",
    [
        "",
        "yesterday",
        "2024-05-17",
        "2024-05-17T12:00:01",  # no zone
        "2024-05-17 12:00:01Z",
        "2024-13-17T12:00:01Z",  # no such month
        "2024-05-17T12:00:61Z",
        "2024-05-17T12:00:01.1234567890Z",  # ten digits
        "2024-05-17T12:00:01Z\n",
        "٢٠٢٤-05-17T12:00:01Z",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_docker_time(text) is None


@pytest.mark.parametrize("text", ["2024-05-17T12:00:01+24:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_cannot_be_calculated_with_is_none(text: str) -> None:
    assert parse_docker_time(text) is None

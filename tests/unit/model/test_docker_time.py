"""Docker's times are read to the microsecond, in UTC, and what is no time is no error."""

from datetime import UTC, datetime

import pytest

from ecscope.model.docker_time import parse_docker_time

READ = {
    "2026-11-23T14:47:17.713892454Z": datetime(2026, 11, 23, 14, 47, 17, 713892, UTC),
    "2026-11-23T14:47:17Z": datetime(2026, 11, 23, 14, 47, 17, tzinfo=UTC),
    "2026-11-23T14:47:17.5Z": datetime(2026, 11, 23, 14, 47, 17, 500000, UTC),
    "2026-11-23T16:47:17.000001+02:00": datetime(2026, 11, 23, 14, 47, 17, 1, UTC),
    "2026-11-23T09:17:17-05:30": datetime(2026, 11, 23, 14, 47, 17, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("text", READ)
def test_times(text: str) -> None:
    moment = parse_docker_time(text)
    assert moment == READ[text]
    assert moment is not None
    assert moment.utcoffset() == READ[text].utcoffset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-23",
        "2026-11-23 14:47:17Z",
        "2026-11-23T14:47:17",
        "2026-13-23T14:47:17Z",
        "2026-11-31T14:47:17Z",
        "2026-11-23T25:47:17Z",
        "2026-11-23T14:47:17.1234567890Z",
        "٢٠٢٦-11-23T14:47:17Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert parse_docker_time(text) is None


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00", "2026-11-23T14:47:17+99:00"]
)
def test_a_moment_that_utc_cannot_say(text: str) -> None:
    assert parse_docker_time(text) is None

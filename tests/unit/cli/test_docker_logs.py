"""Docker's answers become the lines that were written, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.agent.runtime.docker.endpoint import parse_endpoint
from ecscope.cli.docker_logs import DockerLogs, DockerProblem, Frames, Line, LoggedContainer, nanoseconds
from tests.examples import examples
from tests.unit.cli.answering import Answers, serving

STAMP = b"2026-12-01T05:00:00.123456789Z "
AT_NS = 1_796_101_200_123_456_789
LONG = b"x" * 16384


def frame(output: int, content: bytes) -> bytes:
    stamped = STAMP + content
    return bytes((output, 0, 0, 0)) + len(stamped).to_bytes(4, "big") + stamped


FRAMED = (
    frame(1, b"one\n") + frame(2, b"\xff\x00 binary\r\n") + frame(1, LONG) + frame(2, b"between\n") + frame(1, b"end\n")
    + frame(1, b"no end")
)  # fmt: skip
LINES = [b"one", b"\xff\x00 binary", b"between", LONG + b"end", b"no end"]


@settings(max_examples=examples(30))
@given(st.lists(st.integers(0, len(FRAMED)), max_size=20).map(sorted))
def test_frames_come_in_any_pieces(cuts: list[int]) -> None:
    frames = Frames(has_tty=False)
    found: list[Line] = []
    for start, end in zip([0, *cuts], [*cuts, len(FRAMED)], strict=True):
        found += frames.feed(FRAMED[start:end])
    found += frames.finish()
    assert [line.text for line in found] == LINES
    assert {line.at_ns for line in found} == {AT_NS}


def test_a_terminal_has_no_frames() -> None:
    frames = Frames(has_tty=True)
    found = [*frames.feed(STAMP + b"a\r\n" + STAMP[:9]), *frames.feed(STAMP[9:] + b"b"), *frames.finish()]
    assert found == [Line(AT_NS, b"a"), Line(AT_NS, b"b")]


@pytest.mark.parametrize(
    ("stamp", "at_ns"),
    [
        ("2026-12-01T05:00:00Z", 1_796_101_200 * 10**9),
        ("2026-12-01T05:00:00.5Z", 1_796_101_200_500_000_000),
        ("yesterday", None),
    ],
)
def test_moments_are_nanoseconds(stamp: str, at_ns: int | None) -> None:
    assert nanoseconds(stamp) == at_ns


def test_what_docker_says_of_a_container() -> None:
    answers = Answers({"/containers/nine/json": (
        200,
        b'{"Id": "9", "State": {"Running": true}, "Config": {"Tty": true},'
        b' "HostConfig": {"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g"}}}}',
    )})  # fmt: skip
    answers.by_target["/containers/none/json"] = (404, b'{"message": "No such container: none"}')
    answers.by_target["/containers/bad/json"] = (500, b'{"message": "it is broken"}')
    with serving(answers):
        docker = DockerLogs(parse_endpoint(answers.endpoint.replace("http", "tcp")))
        assert docker.inspect("nine") == LoggedContainer(
            id="9", is_running=True, has_tty=True, driver="awslogs", options={"awslogs-group": "g"}
        )
        assert docker.inspect("none") is None
        with pytest.raises(DockerProblem, match="it is broken"):
            docker.inspect("bad")
    with pytest.raises(DockerProblem, match=r"Docker does not answer at tcp://127\.0\.0\.1:"):
        docker.inspect("nine")

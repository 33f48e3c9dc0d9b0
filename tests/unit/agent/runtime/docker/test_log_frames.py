"""Frames of a container's log, whole and cut off."""

from ecscope.agent.runtime.docker.log_frames import frames


def frame(output: int, content: bytes) -> bytes:
    return bytes([output, 0, 0, 0]) + len(content).to_bytes(4) + content


def test_whole_frames_and_what_is_left() -> None:
    raw = frame(1, b"one\n") + frame(2, b"") + frame(2, b"x" * 300)
    whole = [(1, b"one\n"), (2, b""), (2, b"x" * 300)]
    assert frames(raw) == (whole, b"")
    assert frames(raw + frame(1, b"two")[:-1]) == (whole, frame(1, b"two")[:-1])
    assert frames(raw + b"\1\0\0") == (whole, b"\1\0\0")
    assert frames(b"") == ([], b"")

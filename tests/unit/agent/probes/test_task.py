"""Docker's log stream as text, and the kernel's kills by container."""

from __future__ import annotations

from pathlib import Path

from ecscope.agent.probes.task import TAIL_BYTES, kernel_kills, text_of_log

DOCKER_ID = "ab" * 32


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4) + text


def test_frames_of_both_streams_and_a_terminal_without_frames() -> None:
    assert text_of_log(frame(1, b"out\n") + frame(2, b"err\n")) == "out\nerr\n"
    assert text_of_log(b"plain\n") == "plain\n"
    assert text_of_log(b"") == ""
    assert text_of_log(frame(1, b"\xff\xfe\n")) == "��\n"
    assert text_of_log(frame(1, b"whole\n") + frame(1, b"cut off")[:10]) == "whole\ncu"


def test_a_long_log_is_cut_at_its_beginning() -> None:
    assert text_of_log(frame(1, b"x" * 2 * TAIL_BYTES + b"end"))[-4:] == "xend"
    assert len(text_of_log(frame(1, b"x" * 2 * TAIL_BYTES))) == TAIL_BYTES


def test_kills_name_their_container(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text(
        "6,1,1,-;eth0: link up\n"
        f"4,2,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/ecs/t/{DOCKER_ID},task=java,pid=7\n"
        "3,3,3,-;Out of memory: Killed process 9 (sh)\n"
    )
    found = kernel_kills(log)
    assert found is not None
    assert [docker_id for docker_id, _ in found] == [DOCKER_ID]
    assert found[0][1].startswith("oom-kill:")
    assert kernel_kills(tmp_path / "missing") is None

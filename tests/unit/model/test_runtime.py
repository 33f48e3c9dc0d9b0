"""What a runtime tells has the words that Docker uses, and survives being logged."""

from __future__ import annotations

import msgspec

from ecscope.model.arn import DockerId
from ecscope.model.runtime import EngineInfo, PullProgress, RuntimeAction, RuntimeNotice
from tests.tables import each_row


def test_the_events_that_matter_are_those_of_the_table() -> None:
    """engine.md §12; ``destroy`` is ours, to notice a removal at once."""
    assert {a.value for a in RuntimeAction} == {"create", "start", "stop", "die", "oom", "destroy", "health_status"}


@each_row("action", list(RuntimeAction))
def test_a_notice_is_the_same_after_it_was_logged(action: RuntimeAction) -> None:
    notice = RuntimeNotice(docker_id=DockerId("a" * 64), action=action, time_ns=1, exit_code=0, signal=9)
    assert msgspec.json.decode(msgspec.json.encode(notice), type=RuntimeNotice) == notice


def test_an_engine_is_cgroup_v1_with_cgroupfs_unless_it_says_otherwise() -> None:
    info = EngineInfo(version="20.10", api_version="1.41", cpus=2, memory_bytes=1)
    assert (info.cgroup_version, info.cgroup_driver, info.storage_root) == ("1", "cgroupfs", "")


def test_progress_is_the_same_after_it_was_logged() -> None:
    progress = PullProgress(layers_total=3, layers_done=1, bytes_total=100, bytes_done=33)
    assert msgspec.json.decode(msgspec.json.encode(progress), type=PullProgress) == progress

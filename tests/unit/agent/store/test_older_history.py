"""Entries of free text are read as typed happenings where these say the same, and kept as written where not.

That all of a real file is read so: ``test_migrations_from_0_1_0.py``.
"""

from __future__ import annotations

import pytest

from ecscope.agent.store.older_history import happening_of
from ecscope.model import history
from ecscope.model.history import AnyHappening, Detail
from ecscope.model.status import ContainerStatus


@pytest.mark.parametrize(
    ("kind", "text", "detail", "happening"),
    [
        (
            "ContainerStatusChanged", "RUNNING → STOPPED: exited",
            {"from": "RUNNING", "to": "STOPPED", "dockerId": "abc", "exitCode": 139, "signal": 11, "oomKilled": False},
            history.ContainerStatusChanged(
                before=ContainerStatus.RUNNING, to=ContainerStatus.STOPPED, why="exited", docker_id="abc",
                exit_code=139, signal=11,
            ),
        ),
        (
            "ContainerError", "resolving the image digest failed: CannotPullImageManifestError: no: really\nnot",
            {"errorName": "CannotPullImageManifestError"},
            history.ContainerError(
                doing="resolving the image digest", error_name="CannotPullImageManifestError",
                message="no: really\nnot",
            ),
        ),
        (
            "CleanupFailed", "could not remove volume data: VolumeError: in use", {},
            history.CleanupFailed(what="volume data", error="VolumeError: in use"),
        ),
        ("CleanupFailed", "device is busy", {}, history.CleanupFailed(what="", error="device is busy")),
        (
            "OrphanContainerFound", "container c belongs to t, whose record could not be read; removing it",
            {"dockerId": "d", "taskARN": "t"},
            history.OrphanContainerFound(docker_id="d", docker_name="c", task_arn="t", is_removed=True),
        ),
    ],
)  # fmt: skip
def test_what_the_details_lack_is_read_from_the_sentence(
    kind: str, text: str, detail: dict[str, Detail], happening: AnyHappening
) -> None:
    assert happening_of(kind, text, detail) == happening


@pytest.mark.parametrize(
    ("kind", "text", "detail"),
    [
        ("ContainerStatusChanged", "not restarted: too soon", {"exitCode": 1, "restartCount": 0}),
        ("TaskStatusChanged", "The task is RUNNING.", {"from": "NONE", "to": "RUNNING", "desired": "RUNNING"}),
        ("TaskStatusChanged", "NONE → RUNNING", {"from": "NONE", "to": "SOMETHING", "desired": "RUNNING"}),
        ("ContainerOutOfMemory", "the kernel killed a process: out of memory", {"exitCode": 137}),
    ],
)
def test_an_entry_that_says_more_than_its_kind_is_shown_as_it_was_written(
    kind: str, text: str, detail: dict[str, Detail]
) -> None:
    what = happening_of(kind, text, detail)
    assert isinstance(what, history.WrittenByOlderVersion)
    assert (what.kind, what.sentence, what.detail) == (kind, text, detail)


def test_a_kind_that_nobody_wrote_is_no_entry() -> None:
    with pytest.raises(ValueError, match="'Nothing' is not a kind of history entry"):
        happening_of("Nothing", "", {})

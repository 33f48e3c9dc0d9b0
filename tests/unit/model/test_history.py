"""Happenings survive being stored; their names, which are stored, stay; sentences say what the fields say."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from ecscope.model import history
from ecscope.model.history import AnyHappening, HistoryEntry, rfc3339_of
from ecscope.model.status import ContainerStatus
from tests.builders import an_entry
from tests.tables import each_row

STORED = """
TaskAccepted TaskRefused TaskStopRequested TaskWaitsForHostResources TaskHostResourcesHeld TaskStatusChanged
TaskDesiredStatusChanged TaskCleanedUp ContainerStatusChanged ContainerDied ContainerNotRestarted
ContainerRestarted ContainerStopping ContainerHealthChanged ContainerError ContainerWaitsForDependency
ContainerOutOfMemory ContainerVanished ContainerStartedFromOutside ImagePullStarted ImagePullProgress ImagePulled
ImagePullFailed ImageRemoved TaskResourceCreated TaskResourceFailed VolumeCreated VolumeFailed CgroupFailed
CleanupFailed RuntimeConnected RuntimeDisconnected OrphanContainerFound InstanceRegistered InstanceNotRegistered
PayloadReceived ManifestReceived CredentialsReceived AttachmentReceived AttachmentAttached AttachmentEnded
StateChangeQueued StateChangeAccepted StateChangeRefused RecordSetAside StateOfOtherInstanceDropped AgentStarted
AgentStopped NoChange WrittenByOlderVersion
"""


def test_no_kind_is_renamed_because_its_name_is_stored() -> None:
    assert set(history.KINDS) >= set(STORED.split())


def some_value(hint: Any, name: str) -> Any:
    """A value that a field of this type can have, and that is not its default."""
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        return some_value(get_args(hint)[0], name)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[-1]
    return {str: f"<{name}>", int: 7, bool: True}.get(hint, {"fact": 1})


def an_example(kind: type[history.Happening]) -> Any:
    hints = get_type_hints(kind)
    return kind(**{name: some_value(hints[name], name) for name in kind.__struct_fields__})


@each_row("kind", history.KINDS.values())
def test_one_of_each_kind_is_the_same_after_it_was_stored(kind: type[history.Happening]) -> None:
    entry = an_entry(an_example(kind))
    assert msgspec.json.decode(msgspec.json.encode(entry), type=HistoryEntry) == entry
    assert msgspec.json.decode(msgspec.json.encode(entry.what), type=AnyHappening) == entry.what


@each_row("kind", history.KINDS.values())
def test_sentence_and_detail_together_say_all_that_is_known(kind: type[history.Happening]) -> None:
    example = an_example(kind)
    said = example.sentence + str(dict(example.detail))
    for name in kind.__struct_fields__:
        value = getattr(example, name)
        word = value.value if isinstance(value, Enum) else str(value)
        assert word in said or name in ("written_kind", "facts"), f"nobody is told {name}"
    assert "\n" not in example.sentence
    assert not example.sentence.endswith(".")


def test_a_death_says_code_signal_and_moment_to_the_nanosecond() -> None:
    died = history.ContainerDied(exit_code=137, signal=9, time_ns=1715947200123456789, stop_requested=False)
    assert died.sentence == (
        "its process ended with 137 after signal 9 was sent through Docker at 2024-05-17T12:00:00.123456789Z"
    )
    unseen = history.ContainerDied(exit_code=None, signal=None, time_ns=0, stop_requested=False)
    assert unseen.sentence == "its process ended with an unknown exit code"


def test_an_end_always_says_whether_there_was_a_code_and_no_end_does() -> None:
    end = history.ContainerStatusChanged(before=ContainerStatus.CREATED, to=ContainerStatus.STOPPED, why="x")
    assert end.detail == {"from": "CREATED", "to": "STOPPED", "why": "x", "exitCode": None, "oomKilled": False}
    start = msgspec.structs.replace(end, to=ContainerStatus.RUNNING)
    assert start.detail == {"from": "CREATED", "to": "RUNNING", "why": "x"}
    pull = msgspec.structs.replace(end, to=ContainerStatus.PULLED, image="a:1")
    assert pull.detail == {
        "from": "CREATED", "to": "PULLED", "why": "x", "image": "a:1", "imageId": "", "fromLocalImage": False,
    }  # fmt: skip


def test_nanoseconds_are_written_as_docker_writes_them() -> None:
    assert rfc3339_of(1_000_000_001) == "1970-01-01T00:00:01.000000001Z"
    moment = datetime.fromisoformat(rfc3339_of(1715947200_000000000)).astimezone(UTC)
    assert moment.timestamp() == 1715947200

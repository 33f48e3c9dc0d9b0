"""History entries of versions that wrote free text beside a few details: read as typed happenings.

What such an entry lacks as a field is read from its sentence. An entry is only taken as a happening of its kind when
that says again what was written, word by word; else it stays what it was (``WrittenByOlderVersion``). Pure.

Written until 0.1.0 of commit 29933ea; a state file of then is in ``tests/fixtures/state``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ecscope.model.history import KINDS, AnyHappening, Detail, WrittenByOlderVersion

_IN_THE_SENTENCE: Mapping[str, str] = {
    "TaskRefused": r"(?P<reason>.*)",
    "TaskWaitsForHostResources": r"(?P<why>.*)",
    "TaskDesiredStatusChanged": r"desired status is now STOPPED: (?P<why>.*)",
    "ContainerStatusChanged": r"\w+ → \w+: (?P<why>.*)",
    "ContainerHealthChanged": r"(?P<from>\w+) → (?P<to>\w+)",
    "ContainerError": r"(?P<doing>[a-z ]+?) failed: (?P<errorName>\w+): (?P<message>.*)",
    "ContainerVanished": r"(?P<why>.*)",
    "ImagePullFailed": r"(?P<errorName>\w+): (?P<message>.*)",
    "VolumeCreated": r"volume (?P<volume>.*) is ready",
    "VolumeFailed": r"(?P<reason>.*)",
    "CgroupFailed": r"(?P<reason>.*)",
    "CleanupFailed": r"(could not remove (?P<what>the container|(volume|image|orphan) .*?): )?(?P<error>.*)",
    "OrphanContainerFound": r"container (?P<dockerName>\S+) .*?((?P<isRemoved>removing it)|left alone)",
    "InstanceNotRegistered": r"(?P<message>.*)",
    "ManifestReceived": r"ECS lists (?P<running>\d+) .*",
    "AttachmentEnded": r"\S+?: (?P<why>ECS .*|it .*)",
    "StateChangeRefused": r"ECS refuses the state change \w+, so it is not sent again: (?P<failure>.*)",
    "RecordSetAside": r"a saved \w+ record cannot be read: (?P<reason>.*)",
    "AgentStarted": r"(?P<version>.*), (?P<savedTasks>\d+) saved tasks",
}
"""Kind → where in its current sentence fields stand that were not among the details, under their stored names."""

_REWORDED = (
    (r"ECS is to be told (\w+)", r"state change to report to ECS: \1"),
    (r"ECS was told (\w+)", r"ECS accepted the state change \1"),
    (
        r"ECS refuses to be told (\w+), so it is not told again: (.*)",
        r"ECS refuses the state change \1, so it is not sent again: \2",
    ),
    (r"(.*), which is no task of this agent; left alone", r"\1, which is not a task of this agent; left alone"),
)
"""Sentences of older versions, as patterns, and what they have become."""


def happening_of(kind: str, text: str, detail: Mapping[str, Detail]) -> AnyHappening:
    """What an entry of an older version says. Raises ``ValueError`` for a kind that no version ever wrote."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of history entry")
    text = in_current_words(text)
    found = re.fullmatch(_IN_THE_SENTENCE.get(kind, ".*"), text, re.DOTALL)
    said = {name: value or "" for name, value in found.groupdict().items()} if found is not None else {}
    fields: dict[str, object] = {"type": kind, **detail, **said}
    if kind == "InstanceNotRegistered":
        fields["facts"] = {name: value for name, value in detail.items() if name != "kind"}
    if kind == "OrphanContainerFound":
        fields["isRemoved"] = bool(said.get("isRemoved"))
    try:
        happening: AnyHappening = msgspec.convert(fields, AnyHappening, strict=False)
    except msgspec.ValidationError:
        happening = WrittenByOlderVersion(written_kind=kind, text=text, facts=detail)
    if happening.sentence != text or not detail.items() <= happening.detail.items():
        return WrittenByOlderVersion(written_kind=kind, text=text, facts=detail)
    return happening


def in_current_words(text: str) -> str:
    """A sentence that an older version wrote, as this one writes it."""
    for pattern, replacement in _REWORDED:
        if (found := re.fullmatch(pattern, text, re.DOTALL)) is not None:
            return found.expand(replacement)
    return text

"""Every obstacle has a sentence of its own, and each call that can be under way is named."""

from __future__ import annotations

import msgspec

from ecscope.model.status import ContainerStatus
from ecscope.model.waiting import Waiting, WaitingReason, sentence_of
from tests.builders import AT


def test_each_obstacle_has_a_sentence_that_says_what_it_is_about() -> None:
    # a dependency and a resource say by their own names what they are
    sentences = {sentence_of(reason, "<what>") for reason in set(WaitingReason) - {WaitingReason.RESOURCE}}
    assert len(sentences) == len(WaitingReason) - 1
    silent = {WaitingReason.DOCKER, WaitingReason.TASK, WaitingReason.CREDENTIALS}
    assert all("<what>" in sentence_of(reason, "<what>") for reason in set(WaitingReason) - silent)


def test_each_call_is_named() -> None:
    calls = [sentence_of(WaitingReason.CALL, status.value) for status in ContainerStatus]
    assert calls[ContainerStatus.PULLED.rank] == "its image is being pulled"
    assert calls[ContainerStatus.STOPPED.rank] == "Docker is stopping it"
    assert len(set(calls)) == len(calls)


def test_it_is_the_same_after_it_was_saved() -> None:
    waiting = Waiting(reason=WaitingReason.DEPENDENCY, on="db HEALTHY", since=AT)
    assert msgspec.json.decode(msgspec.json.encode(waiting), type=Waiting) == waiting
    assert waiting.sentence == "waits for db HEALTHY"

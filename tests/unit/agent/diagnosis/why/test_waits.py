"""A wait is told down to whom or what it waits for, and a call that has just begun is no hung Docker."""

from __future__ import annotations

import msgspec

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.story import DockerSeen, Neighbour, Observed, story_of
from ecscope.agent.diagnosis.why.verdict import Answer
from ecscope.model import history as h
from ecscope.model.status import ContainerStatus
from ecscope.model.waiting import Waiting, WaitingReason
from tests.builders import a_container, a_task
from tests.unit.agent.diagnosis.why.stories import ARN, T0, at, entry

HOLDER = Neighbour(arn="a/holder", family="db:1", memory_mib=900, cpu_units=512, ports=(80,))


def of_task(on: str, *neighbours: Neighbour) -> Answer:
    task = a_task(a_container(), waiting=Waiting(reason=WaitingReason.HOST_RESOURCES, on=on, since=T0))
    return answer(msgspec.structs.replace(story_of(ARN, task, []), neighbours=neighbours))


def of_call(status: ContainerStatus, seconds: float, docker: DockerSeen | None = None, *entries: h.Happening) -> str:
    task = a_task(a_container(waiting=Waiting(reason=WaitingReason.CALL, on=status.value, since=T0)))
    told = [entry(n, what) for n, what in enumerate(entries)]
    story = msgspec.structs.replace(story_of(ARN, task, told), observed=Observed(at=at(seconds), docker=docker))
    return answer(story).verdict.code


def test_who_holds_what_is_lacking() -> None:
    small = Neighbour(arn="a/small", family="x:1", memory_mib=10, ports=(81,))
    for on, code in (
        ("512 MiB of memory, 100 free", "pending.memory"),
        ("512 CPU units, 100 free", "pending.cpu"),
        ("TCP port 80, held by another task", "pending.port"),
    ):
        found = of_task(on, small, HOLDER).verdict
        assert (found.code, found.culprit.task) == (code, "a/holder")
    assert of_task("512 MiB of memory, 100 free").verdict.culprit.task == ""


def test_a_reserved_port_has_no_holder() -> None:
    found = of_task("TCP port 22, reserved on this instance", msgspec.structs.replace(HOLDER, ports=(22,)))
    assert (found.verdict.code, found.verdict.culprit.task, found.verdict.culprit.port) == ("pending.port", "", 22)


def test_a_holder_that_is_stopping() -> None:
    stopping = msgspec.structs.replace(HOLDER, is_stopping=True)
    assert of_task("512 MiB of memory, 100 free", stopping).verdict.code == "pending.previous_stopping"


def test_docker_hangs_only_if_it_does() -> None:
    silent = DockerSeen(endpoint="unix:///d.sock", failure="no answer", hangs=True)
    answers = DockerSeen(endpoint="unix:///d.sock")
    assert of_call(ContainerStatus.CREATED, 1) == "pending.call"
    assert of_call(ContainerStatus.CREATED, 1, answers) == "pending.call"
    assert of_call(ContainerStatus.CREATED, 60, answers) == "pending.docker_hung"
    assert of_call(ContainerStatus.RUNNING, 1, silent) == "pending.docker_hung"
    assert of_call(ContainerStatus.PULLED, 60, answers) == "pending.pull"


def test_a_pull_is_stalled_after_a_minute_without_a_byte() -> None:
    def slow(bytes_done: int) -> h.Happening:
        return h.ImagePullSlow(image="web:1", waited_s=5, layers_total=2, bytes_done=bytes_done, bytes_total=9)

    assert of_call(ContainerStatus.PULLED, 70, None, slow(3), slow(3)) == "image.pull_stalled"
    assert of_call(ContainerStatus.PULLED, 50, None, slow(3), slow(3)) == "pending.pull"
    assert of_call(ContainerStatus.PULLED, 60.5, None, slow(3), slow(4)) == "pending.pull"

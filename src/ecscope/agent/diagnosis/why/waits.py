"""Why a task is still pending: the reason that the agent keeps for it, down to whom or what it waits for."""

from __future__ import annotations

from ecscope.agent.diagnosis.why.story import ContainerFacts, Story
from ecscope.agent.diagnosis.why.times import text_of
from ecscope.agent.diagnosis.why.verdict import UNKNOWN, Certainty, Culprit, Evidence, Finding, Verdict
from ecscope.model.status import ContainerStatus
from ecscope.model.waiting import Waiting, WaitingReason

STATE = "agent state"


def pending(story: Story) -> Finding | None:
    """``None``: it waits for nothing."""
    if story.waiting is not None and story.waiting.reason not in (WaitingReason.CONTAINERS, WaitingReason.TASK):
        return _of_task(story, story.waiting)
    waiting = [one for one in story.containers if one.waiting is not None and one.status is not ContainerStatus.STOPPED]
    root = _root(waiting)
    if root is None or root.waiting is None:
        return None
    return _finding(_code(root, root.waiting), f"container {root.name} {root.waiting.sentence}", root.waiting, root)


def _root(waiting: list[ContainerFacts]) -> ContainerFacts | None:
    """What waits for nothing else that waits: not the one that waits for another container."""
    others = [one for one in waiting if one.waiting is not None and one.waiting.reason is not WaitingReason.DEPENDENCY]
    return next(iter(others), None) or next(iter(waiting), None)


def _of_task(story: Story, waiting: Waiting) -> Finding:
    match waiting.reason:
        case WaitingReason.HOST_RESOURCES:
            on = waiting.on.lower()
            code = "pending.port" if "port" in on else "pending.memory" if "mem" in on or "mib" in on else "pending.cpu"
        case WaitingReason.QUEUE:
            code = "pending.queue_head"
        case WaitingReason.DOCKER:
            code = "agent.docker_down"
        case _:
            code = "pending.resource"
    return _finding(code, f"the task {waiting.sentence}", waiting, None)


def _code(one: ContainerFacts, waiting: Waiting) -> str:
    match waiting.reason:
        case WaitingReason.DEPENDENCY:
            return "pending.dependency"
        case WaitingReason.RESOURCE | WaitingReason.CREDENTIALS:
            return "pending.resource"
        case WaitingReason.DOCKER:
            return "agent.docker_down"
        case WaitingReason.CALL if waiting.on == ContainerStatus.MANIFEST_PULLED.value:
            return "pending.manifest"
        case WaitingReason.CALL if waiting.on == ContainerStatus.PULLED.value:
            return "pending.pull"
        case WaitingReason.CALL:
            return "pending.docker_hung"
        case WaitingReason.IMAGE_REMOVAL:
            return "pending.pull_queue"
        case _:
            return UNKNOWN


def _finding(code: str, sentence: str, waiting: Waiting, one: ContainerFacts | None) -> Finding:
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=f"{sentence}, since {text_of(waiting.since)}",
            certainty=Certainty.PROVEN if code != UNKNOWN else Certainty.UNKNOWN,
            culprit=Culprit(
                container=one.name if one else "",
                image=one.image if one and code in ("pending.pull", "pending.manifest") else "",
                resource=waiting.on if code == "pending.resource" else "",
                task=waiting.on if code == "pending.queue_head" else "",
            ),
            since=text_of(waiting.since),
        ),
        evidence=(
            Evidence(
                at=text_of(waiting.since),
                source=STATE,
                text=f"{'container ' + one.name if one else 'the task'} {waiting.sentence}",
                data={"reason": waiting.reason.value, "on": waiting.on},
            ),
        ),
        actions=(f"ecscope task {waiting.on}",) if code == "pending.queue_head" else (),
    )

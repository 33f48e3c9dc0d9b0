"""Why a task is still pending: the reason that the agent keeps for it, down to whom or what it waits for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from ecscope.agent.diagnosis.why.story import HISTORY, ContainerFacts, DockerSeen, Neighbour, Story
from ecscope.agent.diagnosis.why.times import duration, text_of
from ecscope.agent.diagnosis.why.verdict import UNKNOWN, Certainty, Culprit, Evidence, Finding, Verdict
from ecscope.model import history as h
from ecscope.model.status import ContainerStatus
from ecscope.model.waiting import Waiting, WaitingReason

STATE = "agent state"
STALLED_S = 60.0
"""Without a byte for so long, a pull is stalled."""
HUNG_S = 30.0
"""Docker creates, starts and stops in seconds; where it answers all else, a call that takes longer hangs."""
_PORTS = re.compile(r"(?:tcp|udp) port (?P<ports>[\d, ]+), (?P<whose>[^;]+)", re.I)
_SHOWN = 4


def pending(story: Story, now: datetime) -> Finding | None:
    """``None``: it waits for nothing."""
    if story.waiting is not None and story.waiting.reason not in (WaitingReason.CONTAINERS, WaitingReason.TASK):
        return _of_task(story, story.waiting)
    waiting = [one for one in story.containers if one.waiting is not None and one.status is not ContainerStatus.STOPPED]
    root = _root(waiting)
    if root is None or root.waiting is None:
        return None
    match root.waiting.reason:
        case WaitingReason.CALL:
            return _of_call(story, root, root.waiting, now)
        case WaitingReason.DOCKER:
            return _docker(story, root.waiting)
        case WaitingReason.DEPENDENCY:
            code = "pending.dependency"
        case WaitingReason.RESOURCE | WaitingReason.CREDENTIALS:
            code = "pending.resource"
        case WaitingReason.IMAGE_REMOVAL:
            code = "pending.pull_queue"
        case _:
            code = UNKNOWN
    return _finding(code, f"container {root.name} {root.waiting.sentence}", root.waiting, root)


def _root(waiting: list[ContainerFacts]) -> ContainerFacts | None:
    """What waits for nothing else that waits: not the one that waits for another container."""
    others = [one for one in waiting if one.waiting is not None and one.waiting.reason is not WaitingReason.DEPENDENCY]
    return next(iter(others), None) or next(iter(waiting), None)


# --- the queue in front of CPU, memory and ports -------------------------------------------------


def _of_task(story: Story, waiting: Waiting) -> Finding:
    match waiting.reason:
        case WaitingReason.HOST_RESOURCES:
            return _of_host_resources(story, waiting)
        case WaitingReason.QUEUE:
            return _of_queue(story, waiting)
        case WaitingReason.DOCKER:
            return _docker(story, waiting)
        case _:
            return _finding("pending.resource", f"the task {waiting.sentence}", waiting, None)


def _of_host_resources(story: Story, waiting: Waiting) -> Finding:
    holders: Sequence[Neighbour]
    port = 0
    if (found := _PORTS.search(waiting.on)) is not None:
        ports = {int(one) for one in found["ports"].split(",")}
        code, port = "pending.port", min(ports)
        holders = [one for one in story.neighbours if ports & set(one.ports)]
        if "reserved" in found["whose"]:
            sentence = f"the task waits for port {port}, which this instance reserves: it will never be free"
            return _finding(code, sentence, waiting, None, port=port, actions=("use another hostPort",))
    elif "memory" in waiting.on:
        code = "pending.memory"
        holders = sorted((one for one in story.neighbours if one.memory_mib), key=lambda one: -one.memory_mib)
    else:
        code = "pending.cpu"
        holders = sorted((one for one in story.neighbours if one.cpu_units), key=lambda one: -one.cpu_units)
    stopping = next((one for one in holders if one.is_stopping), None)
    if stopping is not None:
        code, holders = "pending.previous_stopping", [stopping]
    held = [f"{_name(one)} holds {_share(one, code)}" for one in holders[:_SHOWN]]
    who = f": {_name(holders[0])} {'holds' if len(holders) == 1 else 'holds most of'} it" if holders else ""
    if stopping is not None:
        who = f": {_name(stopping)}, which is stopping, still holds it"
    evidence = [Evidence(at="", source=STATE, text=text) for text in held]
    culprit = holders[0] if holders else None
    actions = (
        (f"ecscope task {culprit.arn.rpartition('/')[2]}", "stop what holds it, or ask for less")
        if culprit
        else ("the instance is too small for this task: ask for less",)
    )
    return _finding(
        code,
        f"the task {waiting.sentence}{who}",
        waiting,
        None,
        port=port,
        task=culprit.arn if culprit else "",
        more=evidence,
        actions=actions,
    )


def _share(one: Neighbour, code: str) -> str:
    if code == "pending.port":
        return f"port {', '.join(map(str, one.ports))}"
    return f"{one.memory_mib} MiB and {one.cpu_units} CPU units"


def _name(one: Neighbour) -> str:
    return f"task {one.arn.rpartition('/')[2]} ({one.family})"


def _of_queue(story: Story, waiting: Waiting) -> Finding:
    """Behind another task: what that one waits for is said with it."""
    head = story.head
    root = _of_task(head, head.waiting) if head is not None and head.waiting is not None else None
    why = f", which waits itself: {root.verdict.sentence.removeprefix('the task ')}" if root is not None else ""
    return _finding(
        "pending.queue_head",
        f"the task {waiting.sentence}{why}",
        waiting,
        None,
        task=waiting.on,
        more=root.evidence if root is not None else (),
        actions=(f"ecscope why {waiting.on.rpartition('/')[2]}",),
    )


# --- calls of Docker -----------------------------------------------------------------------------


def _docker(story: Story, waiting: Waiting) -> Finding:
    docker = story.observed.docker
    code = "agent.docker_hung" if docker is not None and docker.hangs else "agent.docker_down"
    return _finding(
        code,
        f"the task waits until Docker is connected{_how(docker)}",
        waiting,
        None,
        more=_seen(docker),
        path=docker.endpoint.removeprefix("unix://") if docker is not None else "",
        actions=("systemctl status docker", "ecscope why agent"),
    )


def _how(docker: DockerSeen | None) -> str:
    if docker is None or not docker.failure:
        return ""
    return f": {docker.endpoint} takes connections and does not answer" if docker.hangs else f": {docker.failure}"


def _seen(docker: DockerSeen | None) -> list[Evidence]:
    if docker is None:
        return []
    return [Evidence(at="", source="host", text=f"{docker.endpoint}: {docker.failure or 'answers'}")]


def _of_call(story: Story, one: ContainerFacts, waiting: Waiting, now: datetime) -> Finding:
    docker, age_s = story.observed.docker, (now - waiting.since).total_seconds()
    pulls = waiting.on in (ContainerStatus.MANIFEST_PULLED.value, ContainerStatus.PULLED.value)
    if pulls and (docker is None or not docker.hangs):
        return _of_pull(one, waiting, now)
    hangs = (docker is not None and bool(docker.failure)) or age_s >= HUNG_S
    sentence = f"container {one.name}: {waiting.sentence}"
    if not hangs:
        return _finding("pending.call", sentence, waiting, one)
    return _finding(
        "pending.docker_hung",
        f"{sentence}, for {duration(age_s)}, and Docker does not answer",
        waiting,
        one,
        more=_seen(docker),
        actions=("systemctl restart docker", "journalctl -u docker"),
    )


def _of_pull(one: ContainerFacts, waiting: Waiting, now: datetime) -> Finding:
    if waiting.on == ContainerStatus.MANIFEST_PULLED.value:
        return _finding("pending.manifest", f"container {one.name}: {waiting.sentence}", waiting, one)
    steps = [entry for entry in one.timeline if isinstance(entry.what, h.ImagePullProgress | h.ImagePullSlow)]
    last = steps[-1].what if steps else None
    how_far = ""
    if isinstance(last, h.ImagePullProgress | h.ImagePullSlow) and last.layers_total:
        moved = [
            entry
            for entry in steps
            if isinstance(entry.what, h.ImagePullProgress | h.ImagePullSlow)
            and (entry.what.bytes_done, entry.what.layers_done) == (last.bytes_done, last.layers_done)
        ]
        still_s = (now - moved[0].at).total_seconds()
        how_far = f": {last.layers_done} of {last.layers_total} layers, {last.bytes_done / 1e6:.1f} MB"
        if still_s >= STALLED_S:
            return _finding(
                "image.pull_stalled",
                f"the registry of {one.image} has sent nothing for {duration(still_s)}{how_far}",
                waiting,
                one,
                actions=("check the network to the registry",),
            )
    elif isinstance(last, h.ImagePullSlow) and (now - waiting.since).total_seconds() >= STALLED_S:
        silent_s = (now - waiting.since).total_seconds()
        return _finding(
            "image.pull_stalled",
            f"the registry of {one.image} has sent nothing of it for {duration(silent_s)}",
            waiting,
            one,
            certainty=Certainty.LIKELY,
            more=[Evidence(at=text_of(entry.at), source=HISTORY, text=entry.text) for entry in steps[-2:]],
            actions=("check the network to the registry",),
        )
    return _finding("pending.pull", f"container {one.name}: {one.image} is being pulled{how_far}", waiting, one)


def _finding(
    code: str,
    sentence: str,
    waiting: Waiting,
    one: ContainerFacts | None,
    *,
    task: str = "",
    port: int = 0,
    path: str = "",
    certainty: Certainty = Certainty.PROVEN,
    more: Sequence[Evidence] = (),
    actions: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=f"{sentence}, since {text_of(waiting.since)}",
            certainty=certainty if code != UNKNOWN else Certainty.UNKNOWN,
            culprit=Culprit(
                container=one.name if one else "",
                image=one.image if one and code in ("pending.pull", "pending.manifest", "image.pull_stalled") else "",
                resource=waiting.on if code == "pending.resource" else "",
                task=task,
                port=port,
                path=path,
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
            *more,
        ),
        actions=actions,
    )

"""Why an agent itself does not work: its process, its Docker, its way to ECS. Pure.

What holds now comes before what is over: an agent that was killed an hour ago and lacks Docker now, lacks Docker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from ecscope.agent.diagnosis.why.story import HISTORY, DockerSeen
from ecscope.agent.diagnosis.why.times import duration, text_of
from ecscope.agent.diagnosis.why.verdict import UNKNOWN, Answer, Certainty, Culprit, Evidence, Finding, Verdict
from ecscope.model import history as h
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.history import Detail, HistoryEntry

ASKED_NOW = "ECS"
_START = timedelta(minutes=1)
"""What is read before an agent says that it has started is of the same start."""
_LIVES = (h.AgentStarted, h.AgentStopped)


class CallSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A call to ECS that failed just now."""

    kind: ObstacleKind
    message: str
    facts: Mapping[str, Detail] = {}
    """Under the names that ``InstanceNotRegistered`` has: ``awsCode``, ``action``, ``role``, …"""


class AgentStory(msgspec.Struct, frozen=True, kw_only=True):
    """One agent."""

    data_dir: str
    pid: int | None = None
    """``None``: none runs with this data directory."""
    entries: tuple[HistoryEntry, ...] = ()
    """Of the agent, not of a task; oldest first."""
    docker: DockerSeen | None = None
    """``None``: it was not asked."""
    call: CallSeen | None = None
    """``None``: ECS answers, or was not asked."""


def answer(story: AgentStory) -> Answer:
    """The first thing that is wrong with it."""
    finding = None
    for rule in (_does_not_run, _docker, _not_registered, _call, _damaged, _was_killed):
        if (finding := rule(story)) is not None:
            break
    finding = finding or _runs(story)
    status = "not running" if story.pid is None else f"runs as process {story.pid}"
    return Answer(
        subject={"agent": story.data_dir, "status": status},
        verdict=finding.verdict,
        evidence=finding.evidence,
        considered=finding.considered,
        actions=finding.actions,
    )


def is_sound(story: AgentStory) -> bool:
    """Nothing is wrong with it now; it may have been killed before."""
    return all(rule(story) is None for rule in (_does_not_run, _docker, _not_registered, _call))


def _lives(story: AgentStory) -> list[HistoryEntry]:
    return [entry for entry in story.entries if isinstance(entry.what, _LIVES)]


def _does_not_run(story: AgentStory) -> Finding | None:
    lives = _lives(story)
    if story.pid is not None or not lives:
        return None
    last = lives[-1]
    if isinstance(last.what, h.AgentStopped):
        sentence = f"no agent runs: it was stopped as asked at {text_of(last.at)}"
        return _finding("agent.stopped", sentence, last.at, [_seen(last)], "start it again")
    seen_last = story.entries[-1]
    sentence = f"no agent runs: the last one was killed, or crashed, after {text_of(seen_last.at)}"
    return _finding(
        "agent.killed",
        sentence,
        seen_last.at,
        [_seen(last), _seen(seen_last)],
        "start it again; it takes the tasks over that still run",
        "journalctl -u ecscope, and `dmesg` for a kill",
    )


def _docker(story: AgentStory) -> Finding | None:
    seen = story.docker
    if seen is None or not seen.failure:
        return None
    code = "agent.docker_hung" if seen.hangs else "agent.docker_down"
    lost = [entry for entry in story.entries if isinstance(entry.what, h.RuntimeConnected | h.RuntimeDisconnected)]
    since = lost[-1].at if lost and isinstance(lost[-1].what, h.RuntimeDisconnected) else None
    evidence = [Evidence(at="", source="host", text=f"{seen.endpoint}: {seen.failure}"), *map(_seen, lost[-3:])]
    how = "takes connections, and does not answer" if seen.hangs else f"cannot be reached: {seen.failure}"
    return _finding(
        code,
        f"Docker at {seen.endpoint} {how}; nothing can be started or stopped",
        since,
        evidence,
        *(
            ("systemctl restart docker", "journalctl -u docker: what it did last")
            if seen.hangs
            else ("systemctl status docker", "or set DOCKER_HOST to where it is")
        ),
        path=seen.endpoint.removeprefix("unix://"),
    )


def _not_registered(story: AgentStory) -> Finding | None:
    about = [
        entry
        for entry in story.entries
        if isinstance(entry.what, h.InstanceRegistered | h.InstanceNotRegistered | h.AgentStarted)
    ]
    if not about or not isinstance(about[-1].what, h.InstanceNotRegistered):
        return None
    what = about[-1].what
    kind = next((one for one in ObstacleKind if one.value == what.obstacle), None)
    if kind is None:
        return None
    return of_obstacle(kind, what.message, what.facts, at=about[-1].at, source=HISTORY)


def _call(story: AgentStory) -> Finding | None:
    if story.call is None:
        return None
    return of_obstacle(story.call.kind, story.call.message, story.call.facts, at=None, source=ASKED_NOW)


_CODES: Mapping[ObstacleKind, tuple[str, str, tuple[str, ...]]] = {
    ObstacleKind.NO_CREDENTIALS: (
        "link.no_credentials",
        "the agent finds no AWS credentials",
        ("attach an IAM role for container instances, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",),
    ),
    ObstacleKind.ACCESS_DENIED: (
        "link.role_denied",
        "AWS denies {action} to {role}",
        (
            'add to the role\'s policy: {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}',
            "or attach the policy AmazonEC2ContainerServiceforEC2Role",
        ),
    ),
    ObstacleKind.INVALID_CREDENTIALS: (
        "link.credentials_invalid",
        "AWS does not accept the agent's credentials",
        ("renew the key or token; `ecscope doctor` shows where the agent finds it",),
    ),
    ObstacleKind.CLOCK_SKEW: (
        "link.clock",
        "the clock of this host is wrong{skew}, so AWS refuses what the agent signs",
        ("timedatectl", "systemctl restart chronyd"),
    ),
    ObstacleKind.ENDPOINT_UNREACHABLE: (
        "link.unreachable",
        "ECS cannot be reached at {endpoint}",
        ("ecscope doctor",),
    ),
    ObstacleKind.CERTIFICATE_REFUSED: (
        "link.unreachable",
        "the certificate of {endpoint} is refused",
        ("ecscope doctor", "a proxy in between? name its authority with SSL_CERT_FILE"),
    ),
    ObstacleKind.CLUSTER_NOT_FOUND: (
        "link.cluster_missing",
        "the agent's cluster does not exist",
        ("aws ecs create-cluster, or correct ECS_CLUSTER and the region",),
    ),
    ObstacleKind.DEREGISTERED: (
        "link.deregistered",
        "the container instance was deregistered",
        ("stop the agent, remove its data directory, and start it to register anew",),
    ),
    ObstacleKind.THROTTLED: ("link.throttled", "AWS is throttling the agent's calls", ()),
    ObstacleKind.SERVER_ERROR: ("link.server_error", "ECS answers with an error of its own", ()),
    ObstacleKind.REGISTRATION_REFUSED: (
        "link.registration_refused",
        "ECS refuses to register this instance",
        ("correct what the message names, then start the agent again",),
    ),
    ObstacleKind.DOCKER_UNAVAILABLE: ("agent.docker_down", "Docker cannot be used", ("systemctl status docker",)),
    ObstacleKind.INSTANCE_METADATA_UNAVAILABLE: (
        "link.instance_metadata",
        "the EC2 instance metadata service does not answer",
        ("ECS_EXTERNAL=true where this is no EC2 instance",),
    ),
}


def of_obstacle(
    kind: ObstacleKind, message: str, facts: Mapping[str, Detail], *, at: datetime | None, source: str
) -> Finding | None:
    """What keeps an agent from ECS, as a verdict; ``None``: nothing does."""
    if kind not in _CODES:
        return None
    code, template, actions = _CODES[kind]
    if kind is ObstacleKind.INVALID_CREDENTIALS and "expired" in f"{facts.get('awsCode', '')} {message}".lower():
        code, template = "link.credentials_expired", "the agent's AWS credentials have expired"
    skew_s = facts.get("skewSeconds")
    names = {
        "action": str(facts.get("action") or f"ecs:{facts.get('operation') or 'the call'}"),
        "role": str(facts.get("role") or "the role of this instance"),
        "endpoint": str(facts.get("endpoint") or "its endpoint"),
        "skew": f": {duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
        if isinstance(skew_s, int | float)
        else "",
    }
    evidence = [Evidence(at=text_of(at), source=source, text=message, data={"kind": kind.value, **facts})]
    is_denied = code == "link.role_denied"
    return _finding(
        code,
        template.format_map(names),
        at,
        evidence,
        *(action.format_map(names) for action in actions),
        action=names["action"] if is_denied else "",
        role=names["role"] if is_denied and facts.get("role") else "",
        path=names["endpoint"] if code == "link.unreachable" else "",
    )


def _damaged(story: AgentStory) -> Finding | None:
    """Records that this agent could not read when it started."""
    lives = _lives(story)
    begun = lives[-1].at if lives else None
    aside = [
        entry
        for entry in story.entries
        if isinstance(entry.what, h.RecordSetAside) and (begun is None or (begun - entry.at) <= _START)
    ]
    if not aside:
        return None
    what = aside[0].what
    assert isinstance(what, h.RecordSetAside)
    return _finding(
        "agent.state_damaged",
        f"{len(aside)} saved record{'' if len(aside) == 1 else 's'} could not be read, first the {what.record}"
        f" {what.key}: {what.reason}; kept as {what.set_aside_as}",
        aside[0].at,
        [_seen(entry) for entry in aside[:5]],
        "the agent goes on without them; look for a full or failing disk",
        path=what.set_aside_as,
    )


def _was_killed(story: AgentStory) -> Finding | None:
    """The life before this one has no end."""
    lives = _lives(story)
    if len(lives) < 2 or not all(isinstance(one.what, h.AgentStarted) for one in lives[-2:]):
        return None
    begun = lives[-1]
    before = [entry for entry in story.entries if entry.at < begun.at][-1]
    assert isinstance(begun.what, h.AgentStarted)
    gap_s = (begun.at - before.at).total_seconds()
    kept = begun.what.saved_tasks
    return _finding(
        "agent.killed",
        f"the agent was killed, or crashed: nobody watched for {duration(gap_s)}, from {text_of(before.at)} to"
        f" {text_of(begun.at)}; the next one took {kept} task{'' if kept == 1 else 's'} over, and works",
        before.at,
        [_seen(lives[-2]), _seen(before), _seen(begun)],
        "journalctl -u ecscope, and `dmesg` for a kill, at that time",
    )


def _runs(story: AgentStory) -> Finding:
    lives = _lives(story)
    sentence = "the agent runs, and nothing is wrong with it" if lives else "no agent has kept a history here"
    return Finding(verdict=Verdict(code=UNKNOWN, sentence=sentence, certainty=Certainty.UNKNOWN))


def _seen(entry: HistoryEntry) -> Evidence:
    return Evidence(at=text_of(entry.at), source=HISTORY, text=f"{entry.kind}: {entry.text}")


def _finding(
    code: str,
    sentence: str,
    since: datetime | None,
    evidence: Sequence[Evidence],
    *actions: str,
    action: str = "",
    role: str = "",
    path: str = "",
) -> Finding:
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=sentence,
            certainty=Certainty.PROVEN,
            culprit=Culprit(action=action, role=role, path=path),
            since=text_of(since),
        ),
        evidence=tuple(evidence),
        actions=actions,
    )

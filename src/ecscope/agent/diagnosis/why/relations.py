"""Causes that lie in another container, in its health check or in its restarts."""

from __future__ import annotations

import re
from datetime import timedelta

from ecscope.agent.diagnosis.why import exits, failures
from ecscope.agent.diagnosis.why.story import HISTORY, ContainerFacts, Story
from ecscope.agent.diagnosis.why.times import duration, text_of
from ecscope.agent.diagnosis.why.verdict import Certainty, Culprit, Evidence, Finding, Verdict
from ecscope.model import history
from ecscope.model.status import HealthStatus
from ecscope.model.waiting import WaitingReason

_ORDERING = re.compile(
    r"container ordering dependency \[(?P<upstream>[^(\]]+).*?for target \[(?P<target>[^(\]]+).*?"
    r"(?P<how>has timed out|did not exit successfully|will never start|does not exist)",
    re.S,
)
_NO_COMMAND = re.compile(
    r"OCI runtime exec failed.*(?:executable file not found|no such file)|exec: [^\n]*not found", re.S
)
"""What the engine says of a check that it cannot run; the check's own words may contain "not found" for any reason."""
_LOOP = 3
_LOOP_WITHIN = timedelta(minutes=30)
_PROBES = 5
_FLAPS = 6
_FLAPS_WITHIN = timedelta(hours=1)


def dependency(story: Story, container: ContainerFacts) -> Finding | None:
    """``None``: no dependency of it has failed. Else the root, where the upstream container has one of its own."""
    found = _ORDERING.search(container.reason)
    if found is None:
        return None
    upstream = story.container(found["upstream"])
    evidence = Evidence(at=text_of(container.ended_at), source=HISTORY, text=container.reason)
    if upstream is None:
        return None
    condition = dict(container.depends_on).get(upstream.name, "")
    match found["how"]:
        case "will never start" if (root := failures.never_ran(story, upstream)) is not None:
            return _with(root, evidence)
        case "will never start" if upstream.reason and (root := dependency(story, upstream)) is not None:
            return _with(root, evidence)
        case "did not exit successfully":
            ended = exits.ended(story, upstream)
            sentence = (
                f"container {container.name} waits until {upstream.name} has succeeded, and that one ended with"
                f" {exits.decoded(upstream)}"
            )
            return Finding(
                verdict=Verdict(
                    code="dependency.exited",
                    sentence=sentence,
                    certainty=Certainty.PROVEN,
                    culprit=Culprit(container=upstream.name, image=upstream.image),
                    since=text_of(upstream.ended_at),
                ),
                evidence=(evidence, *(ended.evidence if ended else ())),
                actions=ended.actions if ended else (),
            )
        case "has timed out":
            if condition == "HEALTHY" or (not condition and upstream.probes):
                return _never_healthy(container, upstream, evidence)
            return Finding(
                verdict=Verdict(
                    code="dependency.start_timeout",
                    sentence=f"container {container.name} waited longer for {upstream.name} {condition} than the"
                    f" startTimeout of {upstream.name} allows",
                    certainty=Certainty.PROVEN,
                    culprit=Culprit(container=upstream.name, image=upstream.image),
                    since=text_of(container.ended_at),
                ),
                evidence=(evidence,),
                actions=(f"raise startTimeout of container {upstream.name}, or find why it takes so long",),
            )
        case _:
            ended = exits.ended(story, upstream)
            if upstream.health is HealthStatus.UNHEALTHY or (condition == "HEALTHY" and upstream.probes):
                return _never_healthy(container, upstream, evidence)
            return _with(ended, evidence) if ended else None


def waits_for_the_dead(story: Story) -> Finding | None:
    """A container waits for the health of one that has ended by itself; ``None``: none does."""
    for container in story.containers:
        if container.waiting is None or container.waiting.reason is not WaitingReason.DEPENDENCY:
            continue
        name, _, condition = container.waiting.on.partition(" ")
        upstream = story.container(name)
        if condition not in ("HEALTHY", "SUCCESS") or upstream is None or upstream.exit_code is None:
            continue
        ended = exits.ended(story, upstream)
        return Finding(
            verdict=Verdict(
                code="dependency.exited",
                sentence=f"container {container.name} waits for {name} to be {condition}, and {name} ended with"
                f" {exits.decoded(upstream)}",
                certainty=Certainty.PROVEN,
                culprit=Culprit(container=name, image=upstream.image),
                since=text_of(upstream.ended_at),
            ),
            evidence=ended.evidence if ended else (),
            considered=ended.considered if ended else (),
            actions=ended.actions if ended else (),
        )
    return None


def _never_healthy(container: ContainerFacts, upstream: ContainerFacts, evidence: Evidence) -> Finding:
    probes = _probe_evidence(upstream)
    last = probes[-1].text if probes else "no check has come to a result"
    return Finding(
        verdict=Verdict(
            code="dependency.never_healthy",
            sentence=f"container {container.name} waits until {upstream.name} is healthy, which it never was: {last}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=upstream.name, image=upstream.image),
            since=text_of(container.ended_at),
        ),
        evidence=(evidence, *probes),
        actions=(f"run the health check by hand: docker exec {upstream.docker_id[:12] or upstream.name} …",),
    )


def unhealthy(story: Story, container: ContainerFacts) -> Finding | None:
    """``None``: its last health check is not a failure."""
    probes = [entry for entry in container.probes if isinstance(entry.what, history.ContainerHealthChanged)]
    if not probes or container.health is HealthStatus.HEALTHY:
        return None
    if container.exit_code is not None and not container.ended_by_agent:
        return None  # Docker calls it unhealthy because it ended
    what = probes[-1].what
    assert isinstance(what, history.ContainerHealthChanged)
    if what.to is not HealthStatus.UNHEALTHY:
        return None
    output = what.output.strip()
    line = output.splitlines()[-1][:200] if output else "it printed nothing"
    if output.startswith("Health check exceeded timeout"):
        code, why = "health.timeout", "the check did not end in its time"
    elif what.exit_code in (126, 127) or _NO_COMMAND.search(output):
        code, why = "health.command_missing", f"the command of the check is not in the image: {line}"
    else:
        ended = "" if what.exit_code is None else f" with {what.exit_code}"
        code, why = "health.command_failed", f"the check ended{ended}: {line}"
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=f"container {container.name} is unhealthy: {why}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(probes[-1].at),
        ),
        evidence=_probe_evidence(container),
        actions=(f"run the health check by hand: docker exec {container.docker_id[:12] or container.name} …",),
    )


def flapping(story: Story, container: ContainerFacts) -> Finding | None:
    """A health check whose result keeps changing; ``None``: it does not."""
    flips = [
        entry
        for entry in container.probes
        if isinstance(entry.what, history.ContainerHealthChanged)
        and {entry.what.before, entry.what.to} == {HealthStatus.HEALTHY, HealthStatus.UNHEALTHY}
    ]
    recent = [entry for entry in flips if flips[-1].at - entry.at <= _FLAPS_WITHIN]
    if len(recent) < _FLAPS:
        return None
    return Finding(
        verdict=Verdict(
            code="health.flapping",
            sentence=f"the health of container {container.name} changed {len(recent)} times in"
            f" {duration((recent[-1].at - recent[0].at).total_seconds())}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(recent[0].at),
        ),
        evidence=_probe_evidence(container),
        actions=("give the check more time or retries, or find what slows the container down: `docker stats`",),
    )


def restarting(story: Story, container: ContainerFacts) -> Finding | None:
    """A container that its restart policy starts again and again; ``None``: it does not."""
    entries = [entry for entry in container.restarts if isinstance(entry.what, history.ContainerRestarted)]
    recent = [entry for entry in entries if entries[-1].at - entry.at <= _LOOP_WITHIN]
    if len(recent) < _LOOP:
        return None
    codes = {entry.what.exit_code for entry in recent if isinstance(entry.what, history.ContainerRestarted)}
    span = (recent[-1].at - recent[0].at).total_seconds()
    same = f"each time with {codes.pop()}" if len(codes) == 1 else "with different codes"
    return Finding(
        verdict=Verdict(
            code="restart.loop",
            sentence=f"container {container.name} was restarted {len(recent)} times in {duration(span)}: ends {same}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(recent[0].at),
        ),
        evidence=tuple(Evidence(at=text_of(e.at), source=HISTORY, text=e.text) for e in recent[-5:]),
        actions=(f"docker logs {container.docker_id[:12]}",) if container.docker_id else (),
    )


def restarted(story: Story, container: ContainerFacts) -> Finding | None:
    """One that its policy has started again once or twice: its task does not show it. ``None``: it has not."""
    entries = [entry for entry in container.restarts if isinstance(entry.what, history.ContainerRestarted)]
    if not entries:
        return None
    last = entries[-1].what
    assert isinstance(last, history.ContainerRestarted)
    times = "once" if len(entries) == 1 else f"{len(entries)} times"
    return Finding(
        verdict=Verdict(
            code="restart.hidden",
            sentence=f"the task runs, and container {container.name} was restarted in place {times}: it ended with"
            f" {last.exit_code}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(entries[-1].at),
        ),
        evidence=tuple(Evidence(at=text_of(e.at), source=HISTORY, text=e.text) for e in entries[-5:]),
        actions=(f"docker logs {container.docker_id[:12]}",) if container.docker_id else (),
    )


def gave_up(story: Story, container: ContainerFacts) -> Finding | None:
    """A container whose restart policy let it stay ended; ``None``: it has none, or it was restarted."""
    if container.gave_up is None:
        return None
    ended = exits.ended(story, container)
    why = container.gave_up.why
    return Finding(
        verdict=Verdict(
            code="restart.gave_up",
            sentence=f"container {container.name} ended with {exits.decoded(container)} and is not restarted: {why}",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=container.name, image=container.image),
            since=text_of(container.ended_at),
        ),
        evidence=ended.evidence if ended else (),
        actions=ended.actions if ended else (),
    )


def _probe_evidence(container: ContainerFacts) -> tuple[Evidence, ...]:
    found = []
    for entry in container.probes[-_PROBES:]:
        if isinstance(entry.what, history.ContainerHealthChanged):
            output = entry.what.output.strip().splitlines()
            code = "" if entry.what.exit_code is None else f" (exit code {entry.what.exit_code})"
            text = f"health of {container.name}: {entry.text}{code}" + (f": {output[-1][:200]}" if output else "")
            found.append(Evidence(at=text_of(entry.at), source=HISTORY, text=text))
    return tuple(found)


def _with(root: Finding, evidence: Evidence) -> Finding:
    return Finding(
        verdict=root.verdict,
        evidence=(*root.evidence, evidence),
        considered=root.considered,
        actions=root.actions,
    )

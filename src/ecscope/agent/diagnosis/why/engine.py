"""The door of the diagnosis: a story in, one answer out. Pure.

The root is looked for, not the symptom: what happened first, and of what depends on something else, that.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from ecscope.agent.diagnosis.why import exits, failures, relations, stops, waits
from ecscope.agent.diagnosis.why.story import HISTORY, ContainerFacts, Story
from ecscope.agent.diagnosis.why.times import text_of
from ecscope.agent.diagnosis.why.verdict import UNKNOWN, Answer, Certainty, Culprit, Evidence, Finding, Verdict
from ecscope.model.status import TaskStatus

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LATER = datetime.max.replace(tzinfo=UTC)


def answer(story: Story, container: str = "") -> Answer:
    """``container``: only that one; ``""``: the task."""
    finding = _finding(story, container)
    if story.gaps:
        finding = _in_a_gap(story, finding)
    subject = {"task": story.arn, "family": f"{story.family}:{story.version}", "status": story.known.value}
    if container:
        subject["container"] = container
    return Answer(
        subject=subject,
        verdict=finding.verdict,
        evidence=finding.evidence,
        considered=finding.considered,
        actions=finding.actions,
    )


def _finding(story: Story, name: str) -> Finding:
    if name:
        one = story.container(name)
        found = _of_container(story, one) if one is not None else None
        return found or _nothing_known(story)
    if story.refused and not story.containers_ran:
        return _refused(story)
    if story.is_stopped or story.desired.value == "STOPPED":
        return _why_stopped(story) or _nothing_known(story)
    return (
        relations.waits_for_the_dead(story)
        or _why_odd(story)
        or waits.pending(story, _now(story))
        or _restarted(story)
        or _runs(story)
    )


def _now(story: Story) -> datetime:
    """When it was asked; for a story that was not asked about yet, its last moment."""
    moments = [entry.at for one in story.containers for entry in one.timeline]
    return story.observed.at or max(moments, default=_LONG_AGO)


def _restarted(story: Story) -> Finding | None:
    return next((found for one in story.containers if (found := relations.restarted(story, one)) is not None), None)


def _of_container(story: Story, one: ContainerFacts) -> Finding | None:
    for rule in (relations.dependency, failures.never_ran, relations.gave_up, exits.ended):
        if (found := rule(story, one)) is not None:
            return found
    return relations.restarting(story, one) or relations.unhealthy(story, one)


def _why_stopped(story: Story) -> Finding | None:
    if (found := failures.resource(story)) is not None:
        return found
    first = _first_to_fail(story)
    asked = stops.requested(story)
    if asked is not None and (first is None or not _before(first.ended_at, story.requested_at)):
        return _unhealthy_root(story, asked)
    if first is None:
        return None
    return _sidecar(story, first) or _of_container(story, first)


def _first_to_fail(story: Story) -> ContainerFacts | None:
    """The container that ended or failed first, without the agent's asking, and whose end ends the task."""
    candidates = [
        one
        for one in story.containers
        if (one.error is not None or one.reason or one.exit_code is not None or one.was_removed)
        and not one.ended_by_agent
        and one.is_essential is not False
    ]
    if not candidates:  # what is not essential ends no task, but may keep another from starting
        candidates = [one for one in story.containers if one.error is not None and not one.ended_by_agent]
    return min(candidates, key=lambda one: one.ended_at or _LATER, default=None)


def _before(one: datetime | None, other: datetime | None) -> bool:
    """Whether ``one`` came first; what has no moment did not."""
    return one is not None and (other is None or one < other)


def _unhealthy_root(story: Story, asked: Finding) -> Finding:
    """A service that replaces an unhealthy task is the symptom; the failed check is the root."""
    if asked.verdict.code != "stop.unhealthy":
        return asked
    for one in story.containers:
        if (found := relations.unhealthy(story, one)) is not None:
            return Finding(verdict=found.verdict, evidence=(*found.evidence, *asked.evidence), actions=found.actions)
    return asked


_PLAIN_ENDS = ("exit.error", "exit.no_output", "exit.zero_essential")
"""Ends that say less than that it was the wrong container that ended."""


def _sidecar(story: Story, first: ContainerFacts) -> Finding | None:
    """An essential container that is not the main one, the first of the definition, ended while the main one ran."""
    position = story.containers.index(first)
    main = story.containers[0]
    if position == 0 or not first.is_essential or not main.ended_by_agent or main.started_at is None:
        return None
    if first.exit_code is None:
        return None
    ended = exits.ended(story, first)
    if ended is not None and ended.verdict.code not in _PLAIN_ENDS:
        verdict = ended.verdict
        sentence = f"{verdict.sentence}; it is essential, so the agent stopped {main.name} too"
        return msgspec.structs.replace(ended, verdict=msgspec.structs.replace(verdict, sentence=sentence))
    return Finding(
        verdict=Verdict(
            code="exit.sidecar_first",
            sentence=f"essential container {first.name} ended first, with {exits.decoded(first)}, so the agent stopped"
            f" {main.name} too",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=first.name, image=first.image),
            since=text_of(first.ended_at),
        ),
        evidence=(
            *(ended.evidence if ended else ()),
            Evidence(
                at=text_of(main.stop_asked_at),
                source=HISTORY,
                text=f"the agent stopped container {main.name}, which ended with {exits.decoded(main)}",
            ),
        ),
        considered=ended.considered if ended else (),
        actions=(
            f"set essential of container {first.name} to false, or find why it ends",
            *(ended.actions if ended else ()),
        ),
    )


def _why_odd(story: Story) -> Finding | None:
    """Something is wrong with a task that goes on."""
    for one in story.containers:
        if one.name in story.observed.paused:
            return _paused(one)
        found = relations.restarting(story, one) or relations.flapping(story, one) or relations.unhealthy(story, one)
        if found is not None:
            return found
    for one in story.containers:
        has_failed = (
            one.is_essential is False and one.exit_code and not one.ended_by_agent and one.finished_at is not None
        )
        if has_failed and (found := _of_container(story, one)) is not None:
            return _with_the_task_running(one, found)
    return _not_told(story)


def _not_told(story: Story) -> Finding | None:
    """It runs, and ECS will not hear of it."""
    if story.not_told is None or story.known is not TaskStatus.RUNNING:
        return None
    refused = story.not_told
    return Finding(
        verdict=Verdict(
            code="pending.not_told",
            sentence=f"the task runs, and ECS does not show it: {refused.text}",
            certainty=Certainty.PROVEN,
            since=text_of(refused.at),
        ),
        evidence=(Evidence(at=text_of(refused.at), source=HISTORY, text=refused.text),),
        actions=("ecscope why agent",),
    )


def _paused(one: ContainerFacts) -> Finding:
    return Finding(
        verdict=Verdict(
            code="run.paused",
            sentence=f"somebody paused container {one.name}: none of its processes runs",
            certainty=Certainty.PROVEN,
            culprit=Culprit(container=one.name, image=one.image),
        ),
        evidence=(Evidence(at="", source="Docker", text=f"container {one.name} is paused"),),
        actions=(f"docker unpause {one.docker_id[:12] or one.name}",),
    )


def _with_the_task_running(one: ContainerFacts, found: Finding) -> Finding:
    verdict = found.verdict
    sentence = f"the task goes on without {one.name}, which is not essential: {verdict.sentence}"
    return msgspec.structs.replace(found, verdict=msgspec.structs.replace(verdict, sentence=sentence))


def _refused(story: Story) -> Finding:
    return Finding(
        verdict=Verdict(
            code="task.refused",
            sentence=f"the agent never took the task: {story.refused}",
            certainty=Certainty.PROVEN,
            since=text_of(story.stopped_at),
        ),
        evidence=(Evidence(at=text_of(story.stopped_at), source=HISTORY, text=story.refused),),
    )


def _runs(story: Story) -> Finding:
    return Finding(
        verdict=Verdict(
            code=UNKNOWN,
            sentence=f"the task is {story.known.value}, and nothing is wrong with it",
            certainty=Certainty.UNKNOWN,
        )
    )


def _nothing_known(story: Story) -> Finding:
    known = story.reason or "no evidence of the cause was kept"
    evidence = tuple(
        Evidence(at=text_of(entry.at), source=HISTORY, text=f"{entry.container_name or 'task'}: {entry.text}")
        for one in story.containers
        for entry in one.timeline[-3:]
    )
    return Finding(
        verdict=Verdict(
            code=UNKNOWN,
            sentence=f"the task is {story.known.value}; the evidence does not prove why: {known}",
            certainty=Certainty.UNKNOWN,
            since=text_of(story.stopped_at),
        ),
        evidence=evidence,
    )


def _in_a_gap(story: Story, finding: Finding) -> Finding:
    """What happened while no agent watched is proven by nobody who saw it."""
    for begun, ended in story.gaps:
        lost = Evidence(
            at=text_of(begun),
            source=HISTORY,
            text=f"no agent watched until {text_of(ended)}: what happened then was not seen",
        )
        inside = text_of(begun) <= finding.verdict.since <= text_of(ended) if finding.verdict.since else False
        if not inside:
            continue
        verdict = finding.verdict
        if verdict.certainty is Certainty.PROVEN and verdict.code.startswith(("exit.", "stop.")):
            verdict = Verdict(
                code=verdict.code,
                sentence=verdict.sentence,
                certainty=Certainty.LIKELY,
                culprit=verdict.culprit,
                since=verdict.since,
            )
        return Finding(
            verdict=verdict,
            evidence=(*finding.evidence, lost),
            considered=finding.considered,
            actions=finding.actions,
        )
    return finding

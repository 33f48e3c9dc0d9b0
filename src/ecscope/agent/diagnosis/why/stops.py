"""Who asked a task to stop, and why: the control plane's words where it was asked, else what the agent received."""

from __future__ import annotations

from ecscope.agent.diagnosis.why.exits import decoded
from ecscope.agent.diagnosis.why.story import HISTORY, StoppedBy, Story
from ecscope.agent.diagnosis.why.times import text_of
from ecscope.agent.diagnosis.why.verdict import Certainty, Culprit, Evidence, Finding, Verdict

REQUESTED = "stop.requested"
"""ECS asked, and who that was is not known here."""


def requested(story: Story) -> Finding | None:
    """``None``: nobody asked the task to stop."""
    if not story.requested_by:
        return None
    code, who, certainty = _who(story)
    ends = [f"{one.name} {decoded(one)}" for one in story.containers if one.exit_code is not None]
    evidence = [
        Evidence(at=text_of(story.requested_at), source=HISTORY, text=f"stop requested by {story.requested_by}"),
        *(
            Evidence(
                at=text_of(one.finished_at),
                source=HISTORY,
                text=f"container {one.name} ended with {decoded(one)}",
                data={"container": one.name, "exitCode": one.exit_code},
            )
            for one in story.containers
            if one.exit_code is not None
        ),
    ]
    said = story.observed.stopped_by
    if said is not None:
        evidence.insert(0, Evidence(at="", source="ECS", text=f"{said.stop_code}: {said.reason}"))
    sentence = f"the task was stopped {who}" + (f"; {', '.join(ends)}" if ends else "")
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=sentence,
            certainty=certainty,
            culprit=Culprit(by=(said.by or said.deployment or said.reason) if said else story.requested_by),
            since=text_of(story.requested_at),
        ),
        evidence=tuple(evidence),
    )


# Of ECS's reasons of stopped tasks. Source: Amazon ECS Developer Guide, "Stopped tasks error messages".
_BY_REASON: tuple[tuple[str, str, str], ...] = (
    ("failed container health checks", "stop.unhealthy", "by its service: a container is unhealthy"),
    ("failed elb health checks", "health.target_failed", "by its service: the target group calls it unhealthy"),
    ("circuit breaker", "stop.rollback", "by the deployment circuit breaker of its service"),
    ("deployment", "stop.deployment", "by a deployment of its service"),
    ("draining", "stop.draining", "because its container instance is draining"),
    ("deregistration forced", "stop.instance_deregistered", "because its container instance was deregistered by force"),
    ("terminated", "stop.instance_gone", "because its host was terminated"),
    ("service deleted", "stop.service_deleted", "because its service was deleted"),
)
_BY_CODE = {
    "UserInitiated": ("stop.user", "by a user"),
    "ServiceSchedulerInitiated": ("stop.deployment", "by its service"),
    "SpotInterruption": ("stop.spot", "because EC2 takes the spot instance back"),
    "TerminationNotice": ("stop.instance_gone", "because its host ends"),
    "InfrastructureHealth": ("stop.infrastructure", "because of the health of the infrastructure"),
}


def _who(story: Story) -> tuple[str, str, Certainty]:
    if "task file" in story.requested_by:
        return "stop.task_file", f"because of the {story.requested_by.removeprefix('removal of ')}", Certainty.PROVEN
    said = story.observed.stopped_by
    if said is None:
        return REQUESTED, f"as ECS asked ({story.requested_by}); who asked ECS is not known here", Certainty.LIKELY
    lower = said.reason.lower()
    if said.stop_code == "UserInitiated":
        reason = f" ({said.reason})" if said.reason else ""
        return "stop.user", f"by {said.by or 'a user'}{reason}", Certainty.PROVEN
    if "scaling activity" in lower:
        return _by_scheduler(said)
    for words, code, who in _BY_REASON:
        if words in lower:
            return code, f"{who} ({said.reason})", Certainty.PROVEN
    code, who = _BY_CODE.get(said.stop_code, (REQUESTED, "as ECS asked"))
    return code, f"{who} ({said.reason})" if said.reason else who, Certainty.LIKELY


def _by_scheduler(said: StoppedBy) -> tuple[str, str, Certainty]:
    """ECS words scale-in, a new deployment and draining alike: what the service and the instance are now tells them
    apart.
    """
    if said.service_status in ("DRAINING", "INACTIVE"):
        return "stop.service_deleted", f"because its service was deleted ({said.reason})", Certainty.PROVEN
    if said.rollout_state == "FAILED":
        who = f"because its deployment {said.deployment} failed and was rolled back ({said.reason})"
        return "stop.rollback", who, Certainty.PROVEN
    if said.instance_status == "DRAINING":
        return (
            "stop.draining",
            f"because its container instance is DRAINING ({said.reason})",
            Certainty.PROVEN if said.primary == said.deployment and said.desired_count else Certainty.LIKELY,
        )
    if said.primary and said.deployment and said.primary != said.deployment:
        change = f"{said.deployment} gave way to {said.primary}"
        return "stop.deployment", f"by a deployment of its service: {change}", Certainty.PROVEN
    count = f": its desired count is {said.desired_count}" if said.desired_count is not None else ""
    certainty = Certainty.PROVEN if said.primary else Certainty.LIKELY
    return "stop.scale_in", f"by its service, which runs fewer tasks now{count}", certainty

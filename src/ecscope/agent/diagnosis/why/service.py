"""Why a service, or one of its deployments, does not get where it is to be. Pure.

A service fails by its tasks, so the root is theirs: what n of them share is one answer. Where it has none, its newest
complaint says what keeps it from starting any.

Source: control-plane.md §8.4; the service event messages of the developer guide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from ecscope.agent.diagnosis.why.story import Neighbour
from ecscope.agent.diagnosis.why.times import text_of
from ecscope.agent.diagnosis.why.verdict import (
    UNKNOWN,
    Answer,
    Certainty,
    Considered,
    Culprit,
    Evidence,
    Finding,
    Verdict,
)
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task

_SHOWN = 5


class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a service said."""

    at: datetime = msgspec.field(name="createdAt")
    message: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of its deployments."""

    id: str = ""
    status: str = ""
    """``PRIMARY``, ``ACTIVE``, ``INACTIVE``."""
    task_definition: str = ""
    desired_count: int = 0
    running_count: int = 0
    failed_tasks: int = 0
    rollout_state: str = ""
    rollout_state_reason: str = ""


class DeploymentConfiguration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Between how many tasks a deployment may move, in per cent of the desired count."""

    minimum_healthy_percent: int = 100
    maximum_percent: int = 200


class Service(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """As DescribeServices shows it; what is not needed is left out."""

    service_arn: str = ""
    service_name: str = ""
    status: str = ""
    desired_count: int = 0
    running_count: int = 0
    pending_count: int = 0
    events: tuple[ServiceEvent, ...] = ()
    """Newest first."""
    deployments: tuple[Deployment, ...] = ()
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()


class Replaced(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task of the service, as DescribeTasks shows it."""

    arn: str = msgspec.field(name="taskArn", default="")
    last_status: str = ""
    started_by: str = ""
    """The deployment."""
    stop_code: str = ""
    stopped_reason: str = ""
    stopped_at: datetime | None = None


class ServiceStory(msgspec.Struct, frozen=True, kw_only=True):
    """A service, its tasks, and what is known of each here."""

    service: Service
    deployment: str = ""
    """The ID of the only one that is asked about; ``""``: the service."""
    tasks: tuple[Replaced, ...] = ()
    answers: dict[str, Answer] = {}
    """By task ARN: why each stopped or waits, where this host knows it."""
    neighbours: tuple[Neighbour, ...] = ()
    """All tasks of this instance that hold something."""
    wanted_ports: tuple[int, ...] = ()
    """Of the host, by its task definition."""


def answer(story: ServiceStory) -> Answer:
    """Where its tasks fail, what they share; else what keeps it from starting any."""
    finding = None
    for rule in (_deleted, _asked_for_none, _tasks_fail, _pending, _complaint):
        if (finding := rule(story)) is not None:
            break
    finding = finding or _nothing(story)
    service = story.service
    subject = {
        "service": service.service_arn or service.service_name,
        "status": f"{service.status}: {service.running_count} of {service.desired_count} tasks run",
    }
    if story.deployment:
        subject["deployment"] = story.deployment
    return Answer(
        subject=subject,
        verdict=finding.verdict,
        evidence=finding.evidence,
        considered=finding.considered,
        actions=finding.actions,
    )


def _deleted(story: ServiceStory) -> Finding | None:
    if story.service.status not in ("INACTIVE", "DRAINING"):
        return None
    return _finding("stop.service_deleted", f"service {story.service.service_name} was deleted", story)


def _asked_for_none(story: ServiceStory) -> Finding | None:
    service = story.service
    if service.desired_count or service.running_count or story.deployment:
        return None
    return _finding(
        "deploy.desired_zero",
        f"service {service.service_name} runs no task because its desired count is 0",
        story,
        actions=(f"aws ecs update-service --service {service.service_name} --desired-count 1",),
    )


def _own(story: ServiceStory) -> list[Replaced]:
    """The tasks that are asked about, newest end first. Of a service: those of its newest deployment, if any failed."""
    deployment = story.deployment
    found = [one for one in story.tasks if not deployment or one.started_by == deployment]
    return sorted(found, key=lambda one: (one.stopped_at is not None, one.stopped_at or _EPOCH), reverse=True)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_WANTED_STOPS = ("stop.", "exit.terminated_on_stop", "exit.killed_after_stop_timeout")
_NOT_WANTED = ("stop.removed_by_hand", "stop.docker_or_host_restart")


def is_failure(given: Answer) -> bool:
    """Not a stop that somebody asked for."""
    code = given.verdict.code
    return code in _NOT_WANTED or not code.startswith(_WANTED_STOPS)


def _tasks_fail(story: ServiceStory) -> Finding | None:
    """``None``: it runs as many tasks as it is to, or none of those that stopped has failed."""
    service = story.service
    primary = next((one for one in service.deployments if one.status == "PRIMARY"), None)
    is_asked_of_one = bool(story.deployment)
    has_failed = any(one.rollout_state == "FAILED" or one.failed_tasks for one in service.deployments)
    if service.running_count >= service.desired_count and not is_asked_of_one and not has_failed:
        return None
    stopped = [one for one in _own(story) if one.last_status == "STOPPED"]
    failed = [one for one in stopped if one.arn in story.answers and is_failure(story.answers[one.arn])]
    if not failed:
        return None
    newest = story.answers[failed[0].arn]
    alike = [one for one in failed if _is_alike(story.answers[one.arn], newest)]
    causes = Counter(story.answers[one.arn].verdict.code for one in failed)
    others = ", ".join(f"{code} {count}×" for code, count in causes.items() if code != newest.verdict.code)
    verdict = newest.verdict
    count = (
        f"{len(alike)} of {len(stopped)} stopped tasks of service {service.service_name} ended alike"
        if len(alike) > 1
        else f"a task of service {service.service_name} failed"
    )
    evidence = [
        Evidence(
            at=text_of(one.stopped_at),
            source="ECS",
            text=f"task {one.arn.rpartition('/')[2]} stopped: {one.stop_code}: {one.stopped_reason}",
        )
        for one in alike[:_SHOWN]
    ]
    evidence += [_event(one) for one in service.events[:2]]
    if primary is not None and primary.rollout_state:
        text = f"deployment {primary.id}: {primary.rollout_state}: {primary.rollout_state_reason}"
        evidence.append(Evidence(at="", source="ECS", text=text, data={"failedTasks": primary.failed_tasks}))
    return Finding(
        verdict=msgspec.structs.replace(
            verdict,
            sentence=f"{count}: {verdict.sentence}",
            culprit=msgspec.structs.replace(verdict.culprit, task=verdict.culprit.task or failed[0].arn),
        ),
        evidence=(*newest.evidence, *evidence),
        considered=(
            *newest.considered,
            *((Considered(code="deploy.tasks_fail", why_not=f"not one cause for all: {others}"),) if others else ()),
        ),
        actions=newest.actions,
    )


def _is_alike(one: Answer, other: Answer) -> bool:
    return (one.verdict.code, one.verdict.culprit.container) == (other.verdict.code, other.verdict.culprit.container)


def _pending(story: ServiceStory) -> Finding | None:
    """A task is there, and does not come to run."""
    for one in _own(story):
        if one.last_status in ("RUNNING", "STOPPED", "DEPROVISIONING") or one.arn not in story.answers:
            continue
        given = story.answers[one.arn]
        if given.verdict.code == UNKNOWN:
            continue
        return Finding(
            verdict=msgspec.structs.replace(
                given.verdict,
                sentence=f"a task of service {story.service.service_name} is {one.last_status}:"
                f" {given.verdict.sentence}",
            ),
            evidence=given.evidence,
            considered=given.considered,
            actions=given.actions,
        )
    return None


def of_family(given: Answer, task: Task, tasks: Sequence[Task]) -> Answer:
    """The answer about the newest failed task of a revision, with how many of its stopped tasks ended alike."""
    stopped = [
        one
        for one in tasks
        if (one.family, one.version) == (task.family, task.version)
        and one.known is TaskStatus.STOPPED
        and not one.stop_requested_by
    ]
    alike = [one for one in stopped if _ends(one) == _ends(task)]
    if len(alike) < 2 or task not in stopped:
        return given
    verdict = given.verdict
    sentence = (
        f"{len(alike)} of {len(stopped)} failed tasks of {task.family}:{task.version} ended alike: {verdict.sentence}"
    )
    return msgspec.structs.replace(given, verdict=msgspec.structs.replace(verdict, sentence=sentence))


def _ends(task: Task) -> tuple[object, ...]:
    """Of each container its exit code, and its error by name."""
    return tuple(
        (one.name, one.exit_code, one.error.name if one.error is not None else "")
        for one in task.containers
        if not one.is_agents_own
    )


# --- what keeps it from starting any -------------------------------------------------------------

_PLACEMENT: tuple[tuple[str, str, str], ...] = (
    ("no container instances were found", "placement.no_instance", "there is no container instance in its cluster"),
    ('error "agent"', "placement.agent", "the agent of the container instance is not connected"),
    ("does not have an active agent", "placement.agent", "the agent of the container instance is not connected"),
    ("port required by your task", "placement.ports", "a host port is taken"),
    ("is already using a port", "placement.ports", "a host port is taken"),
    ("insufficient memory", "placement.memory", "no instance has the memory that its task asks for"),
    ("insufficient cpu", "placement.cpu", "no instance has the CPU units that its task asks for"),
    ("missing an attribute", "placement.attribute", "no instance has an attribute that its task wants"),
    ("constraint", "placement.constraint", "no instance meets the placement constraints"),
    ("distinctinstance", "placement.constraint", "no instance meets the placement constraints"),
    ("memberof", "placement.constraint", "no instance meets the placement constraints"),
    ("not active", "placement.no_instance", "the container instance is not ACTIVE"),
    ("inactive", "placement.inactive_definition", "its task definition is INACTIVE"),
    ("resource:ports", "placement.ports", "a host port is taken"),
    ("resource:memory", "placement.memory", "no instance has the memory that its task asks for"),
    ("resource:cpu", "placement.cpu", "no instance has the CPU units that its task asks for"),
    ("capacity is unavailable", "placement.agent", "the agent that runs tasks of Fargate is not connected"),
)
"""What the complaint about a task without a place says in lower case, the cause, and the cause in words."""
_OVER = ("has reached a steady state", "has started")


def _complaint(story: ServiceStory) -> Finding | None:
    """The newest event that is a complaint; ``None``: since then it has started tasks, or is steady."""
    service = story.service
    for event in service.events:
        lower = event.message.lower()
        if any(words in lower for words in _OVER):
            return None
        if "unable to place a task" in lower:
            return _unplaced(story, event, lower)
        if "unable to stop or start tasks" in lower:
            return _no_room(story, event)
        if "tasks under protection" in lower:
            return _said(story, event, "deploy.protected", "protected tasks keep it from scaling in")
        if "throttled" in lower:
            return _said(story, event, "deploy.throttled", "its operations are being throttled")
        if "deployment failed" in lower or "rolling back" in lower:
            return _said(story, event, "deploy.breaker", "the circuit breaker ended its deployment")
    return None


def _unplaced(story: ServiceStory, event: ServiceEvent, lower: str) -> Finding | None:
    code, why = next(((code, why) for words, code, why in _PLACEMENT if words in lower), (UNKNOWN, event.message))
    if code != "placement.ports":
        return _said(story, event, code, f"it cannot place a task: {why}")
    holder, port = _holder(story)
    if holder is None:
        return _said(story, event, code, f"it cannot place a task: {why}")
    task = holder.arn.rpartition("/")[2]
    return _said(
        story,
        event,
        code,
        f"it cannot place a task: host port {port} is held by task {task} ({holder.family})",
        culprit=Culprit(task=holder.arn, port=port, instance=_instance(event)),
        actions=(f"aws ecs stop-task --task {task}", "or use hostPort 0, for any free port"),
    )


def _instance(event: ServiceEvent) -> str:
    """The container instance that came closest, by its ID."""
    _, found, rest = event.message.partition("(container-instance ")
    return rest.partition(")")[0] if found else ""


def _holder(story: ServiceStory) -> tuple[Neighbour | None, int]:
    """Who has a port that the service's tasks want."""
    with_ports = [one for one in story.neighbours if one.ports]
    for one in with_ports:
        if wanted := sorted(set(one.ports) & set(story.wanted_ports)):
            return one, wanted[0]
    return None, 0


def _no_room(story: ServiceStory, event: ServiceEvent) -> Finding:
    service, rule = story.service, story.service.deployment_configuration
    least = -(-service.desired_count * rule.minimum_healthy_percent // 100)
    most = service.desired_count * rule.maximum_percent // 100
    return _said(
        story,
        event,
        "deploy.no_room",
        f"it may run no fewer than {least} ({rule.minimum_healthy_percent} % of {service.desired_count}) and no more"
        f" than {most} tasks ({rule.maximum_percent} %), so it can neither stop nor start one",
        actions=(
            f"aws ecs update-service --service {service.service_name} --deployment-configuration"
            " minimumHealthyPercent=0,maximumPercent=200",
        ),
    )


def _said(
    story: ServiceStory,
    event: ServiceEvent,
    code: str,
    why: str,
    *,
    culprit: Culprit | None = None,
    actions: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        verdict=Verdict(
            code=code,
            sentence=f"service {story.service.service_name}: {why}",
            certainty=Certainty.UNKNOWN if code == UNKNOWN else Certainty.PROVEN,
            culprit=culprit or Culprit(instance=_instance(event)),
            since=text_of(event.at),
        ),
        evidence=(_event(event),),
        actions=actions or (("ecscope why agent",) if code == "placement.agent" else ()),
    )


def _nothing(story: ServiceStory) -> Finding:
    service = story.service
    state = f"{service.running_count} of {service.desired_count} tasks run"
    return Finding(
        verdict=Verdict(
            code=UNKNOWN,
            sentence=f"service {service.service_name}: {state}"
            + (", and nothing is wrong with it" if service.running_count >= service.desired_count else ""),
            certainty=Certainty.UNKNOWN,
        ),
        evidence=tuple(_event(one) for one in service.events[:_SHOWN]),
    )


def _finding(code: str, sentence: str, story: ServiceStory, *, actions: tuple[str, ...] = ()) -> Finding:
    return Finding(
        verdict=Verdict(code=code, sentence=sentence, certainty=Certainty.PROVEN),
        evidence=tuple(_event(one) for one in story.service.events[:_SHOWN]),
        actions=actions,
    )


def _event(event: ServiceEvent) -> Evidence:
    return Evidence(at=text_of(event.at), source="ECS", text=event.message)

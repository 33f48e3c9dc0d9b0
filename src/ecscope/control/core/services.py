"""Services get what they want: their number of tasks, of the newest deployment, healthy, and no others.

``settle`` runs after every event, over the services that the event may concern, until nothing more changes.

Source: control-plane.md §8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from ecscope.control.core import breaker
from ecscope.control.core.deployments import (
    completed,
    ended,
    graced_until,
    has_check,
    healthy_at,
    is_healthy,
    primary,
    tasks_of,
    with_primary,
    without_drained,
)
from ecscope.control.core.effects import WakeAt
from ecscope.control.core.events import TaskExplained, TimePassed
from ecscope.control.core.placement import complaint
from ecscope.control.core.records import Service, Task
from ecscope.control.core.rollout import Plan, daemon_plan, replica_plan
from ecscope.control.core.service_events import (
    BLOCKED,
    SAID_AGAIN_AFTER,
    complain,
    content,
    protected,
    say_explained,
    say_started,
    say_steady,
    say_stopped,
    say_unhealthy,
    unplaced,
)
from ecscope.control.core.service_tasks import places, stop_for_others, stop_unhealthy, wanted
from ecscope.control.core.statuses import InstanceStatus, LaunchType, RolloutState, ServiceStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import start
from ecscope.model.status import HealthStatus

_FARGATE = LaunchType.FARGATE
_ROUNDS = 100
"""A service is looked at again so often in one decision; then it waits for a second."""


def explained(step: Step, event: TaskExplained) -> None:
    """Let the service of a task that failed say why, if both are still there."""
    task = step.tasks.get(event.task_arn)
    service = step.services.get(task.service_arn) if task is not None else None
    if task is not None and service is not None and service.status == ServiceStatus.ACTIVE:
        said = say_explained(step, service, task, code=event.code, sentence=event.sentence)
        step.services.put(service.arn, said)


def settle(step: Step) -> None:
    """Take the next steps for every service that the event may affect."""
    due = dict.fromkeys((*step.touched_services, *_concerned(step)))
    if not due:
        _wake(step)
        return
    step.touched_services.clear()
    step.touched_services.update(dict.fromkeys(sorted(due, key=lambda arn: not _is_daemon(step, arn))))
    rounds: Counter[str] = Counter()
    while step.touched_services:
        arn = next(iter(step.touched_services))
        del step.touched_services[arn]
        service = step.services.get(arn)
        if service is None:
            continue
        rounds[arn] += 1
        if rounds[arn] == 1:
            service = breaker.counted(step, service)
        if rounds[arn] <= _ROUNDS:
            service = _settled(step, service)
        else:
            service = msgspec.structs.replace(service, look_at=step.at + timedelta(seconds=1))
        _keep(step, service)
    _wake(step)


def _is_daemon(step: Step, service_arn: str) -> bool:
    """A daemon's task is the first on an instance, and the last."""
    service = step.services.get(service_arn)
    return service is not None and service.is_daemon


def postpone(step: Step) -> None:
    """Do nothing, but look at the services with changed tasks when time passes next, in whichever process that is."""
    for arn in step.touched_services:
        service = step.services.get(arn)
        if service is not None and (service.look_at is None or service.look_at > step.at):
            step.services.put(arn, msgspec.structs.replace(service, look_at=step.at))
    step.touched_services.clear()


def _concerned(step: Step) -> list[str]:
    """Beside those with a changed task: by time, by what became of instances, and by room that became free."""
    is_time = isinstance(step.event, TimePassed)
    shaken, reached = set[str](), set[str]()
    for arn in step.instances.changed:
        now, was = step.instances.get(arn), step.instances.before.get(arn)
        if now is None:
            continue
        if was is not None and (was.status, was.attributes) != (now.status, now.attributes):
            shaken.add(now.cluster)
        elif was is None or (was.is_connected, was.resources) != (now.is_connected, now.resources):
            reached.add(now.cluster)
    ended_now = [now for was, now in step.changed_tasks() if was and now and now.is_stopped and not was.is_stopped]
    if not (is_time or shaken or reached or ended_now):
        return []
    freed = {task.cluster for task in ended_now}
    emptied = {task.cluster for task in ended_now if _is_draining(step, task.instance_arn)}
    return [
        service.arn
        for service in step.services
        if (is_time and service.look_at is not None and service.look_at <= step.at)
        or _is_among(service, shaken)
        or (_is_among(service, reached) and (service.steady_said_at is None or service.is_daemon))
        or (_is_among(service, freed) and service.last_problem)
        or (service.cluster in emptied and service.is_daemon)
    ]


def _is_among(service: Service, clusters: set[str]) -> bool:
    """Whether it may use what changed in these clusters: Fargate, and addresses, belong to no cluster."""
    if service.cluster in clusters or not clusters:
        return service.cluster in clusters
    settings = service.deployments[0].settings if service.deployments else {}
    return "networkConfiguration" in settings


def _is_draining(step: Step, instance_arn: str) -> bool:
    instance = step.instances.get(instance_arn)
    return instance is not None and instance.status == InstanceStatus.DRAINING


def _keep(step: Step, service: Service) -> None:
    if service.status == ServiceStatus.INACTIVE and service.look_at is not None and service.look_at <= step.at:
        step.services.drop(service.arn)
    elif service != step.services.get(service.arn):
        step.services.put(service.arn, service)
        step.touched_services[service.arn] = None  # one change may allow the next


def _wake(step: Step) -> None:
    """Ask for the next moment at which a service is due. Time has one alarm, so each time it rings, all are asked."""
    if isinstance(step.event, TimePassed):
        moments = [service.look_at for service in step.services]
    else:
        changed = (step.services.get(arn) for arn in step.services.changed)
        moments = [service.look_at for service in changed if service is not None]
    due = [at for at in moments if at is not None]
    if due:
        step.act(WakeAt(at=min(due)))


def _settled(step: Step, service: Service) -> Service:
    match service.status:
        case ServiceStatus.ACTIVE:
            return _pursued(step, service)
        case ServiceStatus.DRAINING:
            return _drained(step, service)
        case _:
            return service


def _drained(step: Step, service: Service) -> Service:
    """The service with all its tasks being stopped; INACTIVE once they are."""
    tasks = tasks_of(step, service)
    going = tuple(task for task in tasks if not task.is_to_stop)
    for task in going:
        stop_for_others(step, service, task)
    service = without_drained(step, say_stopped(step, service, going), tasks)
    if tasks_of(step, service):
        return msgspec.structs.replace(service, look_at=None)
    kept_until = step.at + timedelta(seconds=step.settings.stopped_kept_s)
    return msgspec.structs.replace(ended(step, service), status=ServiceStatus.INACTIVE, look_at=kept_until)


def _pursued(step: Step, service: Service) -> Service:
    """The service one pass nearer to what it wants."""
    tasks = tasks_of(step, service)
    service = without_drained(step, service, tasks)
    service = breaker.calmed(step, service, tasks)
    service = breaker.tripped(step, service)
    homes = places(step, service, tasks) if service.is_daemon else ()
    if service.is_daemon and service.desired_count != len(homes):
        service = msgspec.structs.replace(service, desired_count=len(homes))
    if primary(service).desired_count != service.desired_count:
        service = with_primary(service, desired_count=service.desired_count)

    plan = _planned(step, service, tasks, homes, has_room=True)
    started, problem = _started(step, service, plan)
    if problem:
        plan = _planned(step, service, tasks, homes, has_room=False)
    for task in plan.stops:
        stop_for_others(step, service, task)
    for task in plan.ailing:
        stop_unhealthy(step, task)
        service = say_unhealthy(step, service, task)
    service = say_started(step, service, started)
    service = say_stopped(step, service, (*plan.stops, *plan.ailing))

    tasks = tasks_of(step, service)
    service = _with_problem(step, service, plan, problem)
    service = _with_progress(step, service, tasks, plan)
    return msgspec.structs.replace(service, look_at=_next_look(step, service, tasks, plan))


def _planned(step: Step, service: Service, tasks: Iterable[Task], homes: tuple[str, ...], *, has_room: bool) -> Plan:
    deployment = primary(service)
    may_start = deployment.rollout_state != RolloutState.FAILED and (
        deployment.next_start_at is None or deployment.next_start_at <= step.at
    )
    if service.is_daemon:
        return daemon_plan(step, service, tasks, homes, may_start=may_start)
    return replica_plan(step, service, tasks, may_start=may_start, has_room=has_room)


def _started(step: Step, service: Service, plan: Plan) -> tuple[tuple[Task, ...], str]:
    """The tasks that found a place, and a complaint when one did not; a replica's next one would not either."""
    started, problem, deployment = list[Task](), "", primary(service)
    for instance_arn in plan.starts:
        task = wanted(step, service, instance_arn)
        if task is None:
            return tuple(started), unplaced(f"{deployment.definition_arn} does not exist any more.")
        found = start(step, task)
        if isinstance(found, Task):
            started.append(found)
            continue
        problem = problem or unplaced(complaint(step, task, found), is_on_fargate=task.launch_type == _FARGATE)
        if not instance_arn:
            break
    return tuple(started), problem


def _with_problem(step: Step, service: Service, plan: Plan, problem: str) -> Service:
    if problem:
        return complain(step, service, problem)
    if plan.is_blocked:
        return complain(step, service, BLOCKED)
    if plan.protected:
        return complain(step, service, protected(len(plan.protected)))
    is_waiting = primary(service).starts_failed or plan.missing > len(plan.starts)
    return service if is_waiting else content(service)


def _with_progress(step: Step, service: Service, tasks: tuple[Task, ...], plan: Plan) -> Service:
    """The service with its deployment COMPLETED and a steady-state event, if it has reached its steady state."""
    deployment = primary(service)
    is_there = (
        not plan.missing  # what drains runs, and yet is not where it is wanted
        and len(service.deployments) == 1
        and len(tasks) == service.desired_count
        and all(task.deployment_id == deployment.id and is_healthy(step, task) for task in tasks)
    )
    if not is_there:
        return msgspec.structs.replace(service, steady_said_at=None)
    if deployment.rollout_state == RolloutState.IN_PROGRESS:
        service = completed(step, service)
    if deployment.starts_failed or deployment.rollout_state == RolloutState.FAILED:
        return service
    return say_steady(step, content(service))


def _next_look(step: Step, service: Service, tasks: tuple[Task, ...], plan: Plan) -> datetime | None:
    deployment = primary(service)
    moments: list[datetime | None] = [breaker.calm_at(step, service, tasks)]
    if plan.missing and deployment.rollout_state != RolloutState.FAILED:
        moments.append(deployment.next_start_at)
    if service.steady_said_at is not None:
        moments.append(service.steady_said_at + SAID_AGAIN_AFTER)
    for task in tasks:
        moments.append(healthy_at(step, task))
        if task.health is HealthStatus.UNHEALTHY and has_check(task):
            moments.append(graced_until(service, task))
    moments += [task.protected_until for task in plan.protected]
    return min((at for at in moments if at is not None and at > step.at), default=None)

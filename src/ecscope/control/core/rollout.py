"""What a service should do next: which tasks to start and to stop, within its limits. Decides, and does nothing.

Terms: a *current* task belongs to the PRIMARY deployment and may stay; an *outgoing* one is to be replaced: of an
older deployment, on an instance that drains, or where it does not belong; an *ailing* one failed its health checks.

Source: control-plane.md §8.2.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ecscope.control.core.deployments import is_healthy, is_protected, is_unhealthy, limits, primary
from ecscope.control.core.records import Instance, Service, Task
from ecscope.control.core.scale_in import first_to_go
from ecscope.control.core.statuses import InstanceStatus, RolloutState
from ecscope.control.core.step import Step


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The next moves."""

    starts: tuple[str, ...] = ()
    """One for each task: the instance it belongs on, ``""``: wherever there is a place."""
    stops: tuple[Task, ...] = ()
    """Because of scaling, or because others take their place."""
    ailing: tuple[Task, ...] = ()
    """To stop because of their health."""
    missing: int = 0
    """Tasks that it lacks, ``starts`` among them."""
    protected: tuple[Task, ...] = ()
    """Would be stopped if they were not protected."""
    is_blocked: bool = False
    """Its limits allow nothing, and will not as long as nothing happens."""


class _Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """A service's tasks, each oldest first."""

    current: tuple[Task, ...]
    outgoing: tuple[Task, ...]
    ailing: tuple[Task, ...]
    stopping: tuple[Task, ...]
    """Told to stop, and not STOPPED yet."""


class _Stopping:
    """Picks tasks to stop, one after the other, and keeps enough healthy ones."""

    def __init__(self, step: Step, service: Service, found: _Sorted, lower: int) -> None:
        self._step = step
        self.lower = lower
        kept = (*found.current, *found.outgoing, *found.ailing)
        self.healthy = {task.arn for task in kept if is_healthy(step, task)}
        self.stops: list[Task] = []
        self.protected: list[Task] = []

    def stop(self, task: Task) -> None:
        self.healthy.discard(task.arn)
        self.stops.append(task)

    def stop_if_allowed(self, task: Task) -> None:
        """A task that has never run may always go; a running one as long as enough healthy ones stay."""
        if is_protected(self._step, task):
            self.protected.append(task)
        elif not task.is_running or len(self.healthy - {task.arn}) >= self.lower:
            self.stop(task)


def replica_plan(step: Step, service: Service, tasks: Iterable[Task], *, may_start: bool, has_room: bool) -> Plan:
    """For a number of tasks that are alike.

    Args:
        tasks: that are not STOPPED, oldest first.
        may_start: no back-off, and the deployment has not failed.
        has_room: no start has just failed for lack of room.
    """
    desired = service.desired_count
    found = _sorted(step, service, tasks)
    allowed = limits(service, desired)
    missing = desired - len(found.current)
    room = max(0, allowed.upper - sum(map(len, (found.current, found.outgoing, found.ailing)))
               - sum(_is_there(step, task) for task in found.stopping))  # fmt: skip
    starts = max(0, min(missing, room)) if may_start and has_room else 0

    stopping = _Stopping(step, service, found, allowed.lower)
    if missing < 0:
        free = [task for task in found.current if not is_protected(step, task)]
        for task in first_to_go(step, service, free, -missing):
            stopping.stop(task)
        if len(free) < -missing:
            stopping.protected += [task for task in found.current if task not in free]
    for task in _replaceable(step, service, found):
        stopping.stop_if_allowed(task)
    is_cramped = missing > 0 and (room == 0 or not has_room)
    if is_cramped and may_start and not stopping.stops and not found.stopping:
        for task in _idle_to_stop(step, service, found, at_least=allowed.lower)[:missing]:
            stopping.stop(task)
    ailing = _ailing_to_stop(step, service, found, desired, is_cramped=is_cramped)
    stops = tuple(stopping.stops)
    waiting = found.stopping or any(not is_healthy(step, task) for task in (*found.current, *found.outgoing))
    return Plan(
        starts=("",) * starts,
        stops=stops,
        ailing=ailing,
        missing=max(0, missing),
        protected=tuple(stopping.protected),
        is_blocked=bool(
            missing > 0 and room == 0 and may_start and not (stops or ailing or waiting or stopping.protected)
        ),
    )


def daemon_plan(
    step: Step, service: Service, tasks: Iterable[Task], places: tuple[str, ...], *, may_start: bool
) -> Plan:
    """For one task on each instance of ``places``, ARNs: of those that match and do not drain, or not yet.

    The next task of an instance starts when its last one is STOPPED.
    """
    found = _sorted(step, service, tasks, places)
    at_home: dict[str, Task] = {}
    surplus: list[Task] = []
    for task in found.current:
        if task.instance_arn in places and task.instance_arn not in at_home:
            at_home[task.instance_arn] = task
        else:
            surplus.append(task)
    occupied = {task.instance_arn for task in (*found.current, *found.outgoing, *found.ailing)}
    occupied |= {task.instance_arn for task in found.stopping if _is_there(step, task)}
    free = tuple(place for place in places if place not in occupied)

    stopping = _Stopping(step, service, found, limits(service, len(places)).lower)
    for task in (*surplus, *(task for task in found.outgoing if task.instance_arn not in places)):
        stopping.stop(task)
    for task in _replaceable(step, service, found):
        if task.instance_arn in places:
            stopping.stop_if_allowed(task)
    return Plan(
        starts=free if may_start else (),
        stops=tuple(stopping.stops),
        ailing=found.ailing[:1] if not found.stopping else (),
        missing=len(places) - len(at_home),
        protected=tuple(stopping.protected),
    )


def _sorted(step: Step, service: Service, tasks: Iterable[Task], homes: tuple[str, ...] = ()) -> _Sorted:
    current, outgoing, ailing, stopping = [], [], [], []
    deployment_id = primary(service).id
    for task in tasks:
        instance = step.instances.get(task.instance_arn)
        if task.is_to_stop:
            stopping.append(task)
        elif is_unhealthy(step, service, task):
            ailing.append(task)
        elif task.deployment_id != deployment_id or not (task.is_on_fargate or _may_stay(instance, homes)):
            outgoing.append(task)
        else:
            current.append(task)
    return _Sorted(current=tuple(current), outgoing=tuple(outgoing), ailing=tuple(ailing), stopping=tuple(stopping))


def _may_stay(instance: Instance | None, homes: tuple[str, ...]) -> bool:
    return instance is not None and (instance.status == InstanceStatus.ACTIVE or instance.arn in homes)


def _is_there(step: Step, task: Task) -> bool:
    """Whether a stopping task still counts: while its agent is disconnected, its end is not known."""
    instance = step.instances.get(task.instance_arn)
    return instance is not None and instance.is_connected


def _replaceable(step: Step, service: Service, found: _Sorted) -> list[Task]:
    """Outgoing tasks in the order in which they are stopped. If the deployment failed, older ones keep serving."""
    has_failed = primary(service).rollout_state == RolloutState.FAILED
    deployment_id = primary(service).id
    going = [task for task in found.outgoing if not has_failed or task.deployment_id == deployment_id]
    return sorted(going, key=lambda task: (task.is_running, is_healthy(step, task)))


def _idle_to_stop(step: Step, service: Service, found: _Sorted, *, at_least: int) -> list[Task]:
    """Outgoing tasks that run and do not serve, as long as enough others run: they may never turn healthy, and nothing
    could start beside them."""
    idle = [
        task
        for task in _replaceable(step, service, found)
        if not is_protected(step, task) and not is_healthy(step, task)
    ]
    running = sum(task.is_running for task in (*found.current, *found.outgoing))
    return idle[: max(0, running - at_least)]


def _ailing_to_stop(
    step: Step, service: Service, found: _Sorted, desired: int, *, is_cramped: bool
) -> tuple[Task, ...]:
    """All of them when enough others serve; one by one when others do not fit beside them."""
    serving = sum(is_healthy(step, task) for task in found.current)
    if serving >= desired:
        return found.ailing
    is_between = found.stopping or serving < len(found.current)
    return found.ailing[:1] if is_cramped and not is_between else ()

"""Which of a service's tasks go first when there are too many.

What does not serve goes before what does, and the balance over zones and instances is kept; a ``binpack`` strategy
empties the instance that has the most left, and a ``spread`` one evens out its field.

Source: UpdateService of the ECS API (2014-11-13); task placement strategies of the developer guide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ecscope.control.core.deployments import is_healthy
from ecscope.control.core.placement import SERVICE_STRATEGY
from ecscope.control.core.records import Instance, Service, Task
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.step import Step


def first_to_go(step: Step, service: Service, tasks: Sequence[Task], count: int) -> tuple[Task, ...]:
    """``count`` of the tasks, or all when there are fewer. ``tasks`` are oldest first; of equals the newest goes."""
    staying, going = list(tasks), list[Task]()
    while staying and len(going) < count:
        task = _next(step, service, staying)
        staying.remove(task)
        going.append(task)
    return tuple(going)


def _next(step: Step, service: Service, tasks: Sequence[Task]) -> Task:
    ranks = _ranks(step, service, tasks)
    return max(enumerate(tasks), key=lambda pair: (*(rank(pair[1]) for rank in ranks), pair[0]))[1]


def _ranks(step: Step, service: Service, tasks: Sequence[Task]) -> list[Callable[[Task], int]]:
    """The higher a task ranks, the sooner it goes; the first rank that differs decides."""

    def idleness(task: Task) -> int:
        if not task.is_running:
            return 2
        return 0 if is_healthy(step, task) else 1

    strategy = service.members.placement_strategy or SERVICE_STRATEGY
    return [idleness, *(_rank(step, rule, tasks) for rule in strategy if rule.type != "random")]


def _rank(step: Step, rule: PlacementStrategy, tasks: Sequence[Task]) -> Callable[[Task], int]:
    field = rule.field
    if rule.type == "binpack":
        return lambda task: _left(step, task, field)
    crowd = Counter(_value(step.instances.get(task.instance_arn), field) for task in tasks)
    return lambda task: crowd[_value(step.instances.get(task.instance_arn), field)]


def _value(instance: Instance | None, field: str) -> str:
    """What tasks are spread over."""
    if instance is None:
        return ""
    if field.startswith("attribute:"):
        return instance.attributes.get(field.removeprefix("attribute:")) or ""
    return instance.arn


def _left(step: Step, task: Task, field: str) -> int:
    """What its instance has left, of CPU or memory."""
    instance, taken = step.instances.get(task.instance_arn), step.taken.get(task.instance_arn)
    if instance is None or taken is None:
        return 0
    if field.lower() == "cpu":
        return instance.resources.cpu_units - taken.cpu_units
    return instance.resources.memory_mib - taken.memory_mib

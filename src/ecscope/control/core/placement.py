"""Where a task can run, and where it runs: the filter over a cluster's instances, then the strategies.

Source: control-plane.md §6.2, §7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ecscope.control.core.constraints import Predicate, QueryError, parsed
from ecscope.control.core.errors import Failure
from ecscope.control.core.records import Instance
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.statuses import InstanceStatus, LaunchType
from ecscope.control.core.step import Step
from ecscope.control.core.task_definitions import LARGE_TASK_LIMITS, TASK_LIMITS, attributes_for_a_role
from ecscope.control.core.wanted import Wanted
from ecscope.model.resources import HostResources, lacks
from ecscope.taskdefinition.definition import PlacementConstraint

CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
"""Of a task on Fargate that finds no agent."""
EXTERNAL = "ecs.capability.external"
"""The attribute of instances outside AWS; they run tasks of launch type EXTERNAL and no other."""
MEMBER_OF = "MemberOf placement constraint unsatisfied."
DISTINCT_INSTANCE = "DistinctInstance placement constraint unsatisfied."
SERVICE_STRATEGY = (
    PlacementStrategy(type="spread", field="attribute:ecs.availability-zone"),
    PlacementStrategy(type="spread", field="instanceId"),
)
"""Of a service that names none."""

_NOTHING = HostResources()
_ACTIVE, _DRAINING, _INACTIVE = InstanceStatus.ACTIVE, InstanceStatus.DRAINING, InstanceStatus.INACTIVE
_FARGATE, _EXTERNAL = LaunchType.FARGATE, LaunchType.EXTERNAL
"""Asked of every instance for every task; a name is found faster than a member of an enum."""
_SIZE_OF_AN_INSTANCE = (TASK_LIMITS, LARGE_TASK_LIMITS)
_STAGES = (
    _INACTIVE,
    "AGENT",
    "RESOURCE:CPU",
    "RESOURCE:MEMORY",
    "RESOURCE:PORTS",
    "ATTRIBUTE",
    MEMBER_OF,
    DISTINCT_INSTANCE,
)
"""In the order of the checks: who fails later came closer."""
_COMPLAINTS = {
    "AGENT": "does not have an active agent",
    "RESOURCE:CPU": "has insufficient CPU units available",
    "RESOURCE:MEMORY": "has insufficient memory available",
    "RESOURCE:PORTS": "is already using a port required by your task",
    "ATTRIBUTE": "is missing an attribute required by your task",
}


def choose(step: Step, wanted: Wanted) -> Instance | tuple[Failure, ...]:
    """The instance for a task, or why each one that was tried cannot be it; no failure: there is none to try."""
    obstacle = _filter(step, wanted)
    candidates: list[Instance] = []
    failures: list[Failure] = []
    for instance in _tried(step, wanted):
        if reason := obstacle(instance):
            detail = _missing_attributes(step, wanted, instance) if reason == "ATTRIBUTE" else ""
            failures.append(Failure(arn=instance.arn, reason=reason, detail=detail))
        else:
            candidates.append(instance)
    if wanted.instance_arn and not candidates and not failures:
        return (Failure(arn=wanted.instance_arn, reason="MISSING"),)
    if not candidates:
        return _of_fargate(failures) if wanted.launch_type == _FARGATE else tuple(failures)
    for strategy in wanted.strategy or (SERVICE_STRATEGY if wanted.service_arn else ()):
        candidates = _narrowed(step, wanted, candidates, strategy)
    if len(candidates) == 1:
        return candidates[0]
    return candidates[int(step.new_id(), 16) % len(candidates)]


def pool(step: Step, cluster: str, launch_type: LaunchType) -> list[Instance]:
    """The instances that a task of this launch type in a cluster may be placed on, connected or not.

    Those of Fargate belong to no cluster, so a task of any cluster may be on any instance.
    """
    return [instance for instance in step.instances if _is_in_pool(instance, cluster, launch_type)]


def _is_in_pool(instance: Instance, cluster: str, launch_type: LaunchType) -> bool:
    if launch_type == _FARGATE:
        return instance.status != _INACTIVE and EXTERNAL not in instance.attributes
    return (
        instance.cluster == cluster
        and instance.status == _ACTIVE
        and (EXTERNAL in instance.attributes) is (launch_type == _EXTERNAL)
    )


def _of_fargate(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """One, without a container instance, which users know nothing of: what keeps the one that comes closest."""
    closest = _closest(failures) if failures else Failure(reason="AGENT")
    if closest.reason == "AGENT":
        return (Failure(reason=CAPACITY, detail="The agent that runs tasks of Fargate is not connected."),)
    detail = closest.detail.replace("The container instance lacks", "The engine that runs tasks of Fargate lacks")
    return (Failure(reason=closest.reason, detail=detail),)


def is_fit(step: Step, wanted: Wanted, instance: Instance) -> bool:
    """Whether this task could run on the instance if it were empty and connected: the rule for daemon services."""
    return _is_in_pool(instance, wanted.cluster, wanted.launch_type) and not (
        _lacking(_required(step, wanted), instance)
        or any(not predicate(step, instance) for predicate in _predicates(wanted))
    )


def complaint(step: Step, wanted: Wanted, failures: Sequence[Failure]) -> str:
    """The reason in a service's event: what keeps the instance that comes closest. Source: control-plane.md §8.4."""
    if not failures:
        return "No Container Instances were found in your cluster."
    closest = _closest(failures)
    if wanted.launch_type == _FARGATE:
        return f"{closest.reason}. {closest.detail}".removesuffix(".").strip() + "."
    name = closest.arn.rsplit("/", 1)[-1]
    what = _COMPLAINTS.get(closest.reason, f'encountered error "{closest.reason}"')
    return f"The closest matching (container-instance {name}) {what}."


def _closest(failures: Sequence[Failure]) -> Failure:
    return max(failures, key=lambda failure: _STAGES.index(failure.reason) if failure.reason in _STAGES else -1)


def _tried(step: Step, wanted: Wanted) -> Iterable[Instance]:
    if not wanted.instance_arn:
        return pool(step, wanted.cluster, wanted.launch_type)
    instance = step.instances.get(wanted.instance_arn)
    return (instance,) if instance is not None and instance.cluster == wanted.cluster else ()


# --- the filter -----------------------------------------------------------------------------------


def _filter(step: Step, wanted: Wanted) -> Callable[[Instance], str]:
    """A function that returns why an instance cannot take the task; ``""``: it can."""
    needs = wanted.needs()
    required = _required(step, wanted)
    predicates = _predicates(wanted)
    is_on_fargate = wanted.launch_type == _FARGATE
    is_distinct = any(constraint.type == "distinctInstance" for constraint in _constraints(wanted))

    def obstacle(instance: Instance) -> str:
        if instance.status != _ACTIVE and not (is_on_fargate and instance.status == _DRAINING):
            return _INACTIVE
        if not instance.is_connected:
            return "AGENT"
        if lacking := lacks(needs, host=instance.resources, taken=step.taken.get(instance.arn, _NOTHING)):
            return f"RESOURCE:{lacking[0].kind}"
        if _lacking(required, instance):
            return "ATTRIBUTE"
        if not all(predicate(step, instance) for predicate in predicates):
            return MEMBER_OF
        if is_distinct and _tasks_of_group(step, wanted, instance):
            return DISTINCT_INSTANCE
        return ""

    return obstacle


class _Requirement(msgspec.Struct, frozen=True):
    """An attribute that an instance must have."""

    name: str
    value: str = ""
    """``""``: any."""
    is_assumed: bool = False
    """An instance without the attribute has this value."""

    def __str__(self) -> str:
        return f"{self.name} = {self.value}" if self.value else self.name


def _required(step: Step, wanted: Wanted) -> tuple[_Requirement, ...]:
    """What the definition asks for, what a role of the request does, and the platform, in the words of the attributes.

    Difference: an instance that does not report its platform is assumed to fit. On EC2 the identity document has
    it; elsewhere agents report their architecture only when they are external. Source: agent-protocol.md §3.2.
    What limits the size of a task of Fargate is not asked for: it is not placed by size.
    """
    platform = wanted.definition.members.runtime_platform
    architecture = "" if step.settings.runs_any_architecture else platform.cpu_architecture
    left_out = _SIZE_OF_AN_INSTANCE if wanted.launch_type == _FARGATE else ()
    role = attributes_for_a_role(wanted.definition.members) if wanted.overrides.get("taskRoleArn") else ()
    return (
        *(
            _Requirement(attribute.name, attribute.value or "")
            for attribute in wanted.definition.requires_attributes
            if attribute.name not in left_out
        ),
        *map(_Requirement, role),
        *(
            _Requirement(name, spelling.get(value, value), is_assumed=True)
            for value, name, spelling in (
                (architecture, "ecs.cpu-architecture", {"X86_64": "x86_64", "ARM64": "arm64"}),
                (platform.operating_system_family, "ecs.os-family", {}),
            )
            if value
        ),
    )


def _lacking(required: Iterable[_Requirement], instance: Instance) -> list[_Requirement]:
    has = instance.attributes
    return [
        one
        for one in required
        if (has[one.name] != one.value if one.name in has and one.value else one.name not in has and not one.is_assumed)
    ]


def _missing_attributes(step: Step, wanted: Wanted, instance: Instance) -> str:
    """ECS does not say which; here each failure does."""
    return f"The container instance lacks {', '.join(map(str, _lacking(_required(step, wanted), instance)))}."


def _constraints(wanted: Wanted) -> tuple[PlacementConstraint, ...]:
    return (*wanted.definition.members.placement_constraints, *wanted.constraints)


def _predicates(wanted: Wanted) -> list[Predicate]:
    return [_predicate(constraint.expression) for constraint in _constraints(wanted) if constraint.type == "memberOf"]


def _predicate(expression: str) -> Predicate:
    try:
        return parsed(expression)
    except QueryError:  # refused where it is given today; an old record may still have one
        return lambda _step, _instance: False


# --- strategies -----------------------------------------------------------------------------------


def _tasks_of_group(step: Step, wanted: Wanted, instance: Instance) -> int:
    counts = step.groups_on.get(instance.arn)
    return counts.get(wanted.group, 0) if counts else 0


def _narrowed(step: Step, wanted: Wanted, candidates: list[Instance], strategy: PlacementStrategy) -> list[Instance]:
    """Those that the strategy likes best. Source: control-plane.md §7.2."""
    field = strategy.field.lower()
    match strategy.type:
        case "binpack" if field == "cpu":
            ranks = [i.resources.cpu_units - step.taken.get(i.arn, _NOTHING).cpu_units for i in candidates]
        case "binpack":
            ranks = [i.resources.memory_mib - step.taken.get(i.arn, _NOTHING).memory_mib for i in candidates]
        case "spread" if field.startswith("attribute:"):
            name = strategy.field.split(":", 1)[1]
            counts: Counter[str | None] = Counter()
            for instance in step.instances:
                if instance.cluster == wanted.cluster:
                    counts[instance.attributes.get(name)] += _tasks_of_group(step, wanted, instance)
            ranks = [counts[instance.attributes.get(name)] for instance in candidates]
        case "spread":
            ranks = [_tasks_of_group(step, wanted, instance) for instance in candidates]
        case _:  # random: any of the rest
            return candidates
    best = min(ranks)
    return [instance for instance, rank in zip(candidates, ranks, strict=True) if rank == best]

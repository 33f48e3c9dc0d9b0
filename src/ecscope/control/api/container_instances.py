"""Container instances as users see them, drain them and take them out of a cluster.

Source: control-plane.md §3.1, §4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.api.placement import expression_of
from ecscope.control.core import tasks
from ecscope.control.core.constraints import parsed
from ecscope.control.core.effects import Disconnect
from ecscope.control.core.errors import ApiError, Failure, invalid, missing
from ecscope.control.core.records import Cluster, Instance, Json
from ecscope.control.core.statuses import InstanceStatus, StopCode
from ecscope.control.core.step import Step

_MOST_DESCRIBED = 100
_MOST_CHANGED = 10
_STATES = (InstanceStatus.ACTIVE, InstanceStatus.DRAINING)


def list_container_instances(step: Step, body: Json) -> Json:
    """ACTIVE and DRAINING ones, unless a status is asked for."""
    cluster = lookup.cluster(step, body.get("cluster"))
    statuses = (body["status"],) if body.get("status") else _STATES
    found = [
        instance for instance in step.instances if instance.cluster == cluster.name and instance.status in statuses
    ]
    if expression := body.get("filter"):
        is_meant = parsed(expression_of(expression))
        found = [instance for instance in found if is_meant(step, instance)]
    return page(
        "ListContainerInstances",
        body,
        "containerInstanceArns",
        found,
        key=lambda instance: instance.arn,
        show=lambda instance: instance.arn,
    )


def describe_container_instances(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    instances, failures = _each(step, cluster, body["containerInstances"], most=_MOST_DESCRIBED)
    return _answer(step, instances, failures, body.get("include", ()))


def deregister_container_instance(step: Step, body: Json) -> Json:
    """By force its tasks end in the books, while their containers run on. Source: control-plane.md §4."""
    cluster = lookup.cluster(step, body.get("cluster"))
    instance = _instance(step, cluster, body["containerInstance"])
    if instance.status == InstanceStatus.INACTIVE:
        return {"containerInstance": shapes.instance(step, instance)}
    here = sorted(step.tasks_on.get(instance.arn, ()))
    if here and not body.get("force"):
        raise invalid("Found running tasks on the instance.")
    instance = step.instances.put(
        instance.arn,
        msgspec.structs.replace(
            instance,
            status=InstanceStatus.INACTIVE,
            connection_id="",
            connectivity_at=step.at,
            version=instance.version + 1,
        ),
    )
    for arn in here:
        reason = f"Container instance {instance.arn} deregistered"
        tasks.lose(step, step.tasks[arn], code=StopCode.TERMINATION_NOTICE, reason=reason)
    step.act(Disconnect(instance_arn=instance.arn, connection_id="", reason="the container instance was deregistered"))
    return {"containerInstance": shapes.instance(step, instance)}


def update_container_instances_state(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    status = body["status"]
    if status not in _STATES:
        raise invalid(f"Container instance status should be one of [{', '.join(_STATES)}]")
    instances, failures = _each(step, cluster, body["containerInstances"], most=_MOST_CHANGED)
    changed: list[Instance] = []
    for instance in instances:
        if instance.status == InstanceStatus.INACTIVE:
            failures.append(Failure(arn=instance.arn, reason=InstanceStatus.INACTIVE))
        elif instance.status == status:
            changed.append(instance)
        else:
            news = msgspec.structs.replace(instance, status=status, version=instance.version + 1)
            changed.append(step.instances.put(instance.arn, news))
    return _answer(step, changed, failures, ("TAGS",))


def update_container_agent(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    _instance(step, cluster, body["containerInstance"])
    raise ApiError(
        "NoUpdateAvailableException",
        "There is no update available for this container agent. Update it where it was started, and restart it.",
    )


ACTIONS: Mapping[str, Action] = {
    "ListContainerInstances": Action(list_container_instances, is_reader=True),
    "DescribeContainerInstances": Action(describe_container_instances, is_reader=True),
    "DeregisterContainerInstance": Action(deregister_container_instance),
    "UpdateContainerInstancesState": Action(update_container_instances_state),
    "UpdateContainerAgent": Action(update_container_agent, is_reader=True),
}


def _instance(step: Step, cluster: Cluster, reference: str) -> Instance:
    instance = lookup.find_instance(step, cluster, reference)
    if instance is None:
        raise invalid("The referenced container instance was not found.")
    return instance


def _each(
    step: Step, cluster: Cluster, references: Sequence[str], *, most: int
) -> tuple[list[Instance], list[Failure]]:
    if not references:
        raise invalid("Container Instances cannot be empty.")
    if len(references) > most:
        raise invalid(f"Container Instances cannot have more than {most} elements.")
    instances: list[Instance] = []
    failures: list[Failure] = []
    for reference in dict.fromkeys(references):
        instance = lookup.find_instance(step, cluster, reference)
        if instance is None:
            failures.append(missing(lookup.arn_in(cluster, "container-instance", reference)))
        else:
            instances.append(instance)
    return instances, failures


def _answer(
    step: Step, instances: Iterable[Instance], failures: Iterable[Failure], include: Iterable[str]
) -> dict[str, object]:
    words = tuple(include)
    return {
        "containerInstances": [shapes.instance(step, instance, words) for instance in instances],
        "failures": shapes.failures(failures),
    }

"""Tasks as users run, stop and look at them.

Source: control-plane.md §3.1, §3.5, §6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ecscope.control.api import lookup, shapes, tokens
from ecscope.control.api.action import Action
from ecscope.control.api.overrides import overrides_of
from ecscope.control.api.pages import page
from ecscope.control.api.placement import Launch, constraints_of, launch_of, network_of, strategy_of
from ecscope.control.core import tasks
from ecscope.control.core.capacity import next_provider
from ecscope.control.core.errors import Failure, invalid, missing, unsupported
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.placement import EXTERNAL, pool
from ecscope.control.core.records import Cluster, Json, Task, TaskDefinition
from ecscope.control.core.statuses import DesiredStatus, LaunchType, StopCode
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of
from ecscope.control.core.wanted import Wanted
from ecscope.model.arn import TaskArn

_MOST_STARTED = 10
_MOST_DESCRIBED = 100
_LONGEST_STARTED_BY = 128
"""Which characters is not looked at: the documentation names some, and yet ECS takes ecs-deploy's ``ECS Deploy``."""
_RESERVED_GROUPS = ("service:", "family:")
STOPPED_BY_USER = "Task stopped by user"


def run_task(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    if (arns := tokens.resources_of(step, "RunTask", body)) is not None:
        return _answer(step, (step.tasks[arn] for arn in map(TaskArn, arns) if arn in step.tasks), ())
    definition = lookup.task_definition_to_run(step, body["taskDefinition"])
    count = 1 if body.get("count") is None else body["count"]
    if not 1 <= count <= _MOST_STARTED:
        raise invalid(f"Count must be from 1 to {_MOST_STARTED}.")
    launch = launch_of(body, cluster, definition)
    wanted = msgspec.structs.replace(
        _wanted(step, body, cluster, definition, launch),
        constraints=constraints_of(body.get("placementConstraints", ())),
        strategy=strategy_of(body.get("placementStrategy", ())),
    )
    if not launch.is_fargate and not pool(step, cluster.name, launch.launch_type):
        raise invalid("No Container Instances were found in your cluster.")
    started, failures = _start(step, _provided([wanted] * count, launch))
    if started:  # a request that came to nothing may be tried again
        tokens.remember(step, "RunTask", body, tuple(task.arn for task in started))
    return _answer(step, started, failures)


def start_task(step: Step, body: Json) -> Json:
    """Without the scheduler: one task on each instance that is named."""
    cluster = lookup.cluster(step, body.get("cluster"))
    references = body["containerInstances"]
    if not references:
        raise invalid("Container Instances cannot be empty.")
    if len(references) > _MOST_STARTED:
        raise invalid(f"Container Instances cannot have more than {_MOST_STARTED} elements.")
    definition = lookup.task_definition_to_run(step, body["taskDefinition"])
    wanted = _wanted(step, body, cluster, definition, Launch(launch_type=LaunchType.EC2))
    wants: list[Wanted] = []
    failures: list[Failure] = []
    for reference in references:
        instance = lookup.find_instance(step, cluster, reference)
        if instance is None:
            failures.append(missing(lookup.arn_in(cluster, "container-instance", reference)))
        else:
            launch_type = LaunchType.EXTERNAL if EXTERNAL in instance.attributes else LaunchType.EC2
            wants.append(msgspec.structs.replace(wanted, instance_arn=instance.arn, launch_type=launch_type))
    started, more = _start(step, wants)
    return _answer(step, started, [*failures, *more])


def stop_task(step: Step, body: Json) -> Json:
    """Harmless when it is to stop already."""
    cluster = lookup.cluster(step, body.get("cluster"))
    task = lookup.find_task(step, cluster, body["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    reason = body.get("reason") or STOPPED_BY_USER
    by = step.event.principal_arn if isinstance(step.event, ApiRequest) else ""
    stopped = tasks.stop(step, task, code=StopCode.USER_INITIATED, reason=reason, asked_by=by)
    return {"task": shapes.task(step, stopped)}


def describe_tasks(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    references = body["tasks"]
    if not references:
        raise invalid("Tasks cannot be empty.")
    if len(references) > _MOST_DESCRIBED:
        raise invalid(f"Tasks cannot have more than {_MOST_DESCRIBED} elements.")
    found: list[dict[str, object]] = []
    failures: list[Failure] = []
    for reference in dict.fromkeys(references):
        task = lookup.find_task(step, cluster, reference)
        if task is None:
            failures.append(missing(lookup.arn_in(cluster, "task", reference)))
        else:
            found.append(shapes.task(step, task, body.get("include", ())))
    return {"tasks": found, "failures": shapes.failures(failures)}


def list_tasks(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    return page(
        "ListTasks",
        body,
        "taskArns",
        _listed(step, cluster, body),
        key=lambda task: task.arn,
        show=lambda task: task.arn,
    )


ACTIONS: Mapping[str, Action] = {
    "RunTask": Action(run_task),
    "StartTask": Action(start_task),
    "StopTask": Action(stop_task),
    "DescribeTasks": Action(describe_tasks, is_reader=True),
    "ListTasks": Action(list_tasks, is_reader=True),
}


# --- pieces ---------------------------------------------------------------------------------------


def _provided(wants: Sequence[Wanted], launch: Launch) -> list[Wanted]:
    """Each with its capacity provider, if there is a strategy."""
    if not launch.strategy:
        return list(wants)
    given: list[Wanted] = []
    counts: Counter[str] = Counter()
    for wanted in wants:
        provider = next_provider(launch.strategy, counts)
        counts[provider] += 1
        given.append(msgspec.structs.replace(wanted, capacity_provider=provider))
    return given


def _wanted(step: Step, body: Json, cluster: Cluster, definition: TaskDefinition, launch: Launch) -> Wanted:
    """What RunTask and StartTask have in common."""
    network = network_of(body, definition, launch)
    overrides = overrides_of(body.get("overrides", {}), definition)
    if "ephemeralStorage" in overrides and not launch.is_fargate:
        raise invalid("overrides.ephemeralStorage is for tasks on Fargate.")
    if body.get("volumeConfigurations"):
        raise unsupported("volumeConfigurations is not supported: there are no EBS volumes here.")
    started_by = body.get("startedBy") or ""
    if len(started_by) > _LONGEST_STARTED_BY:
        raise invalid(f"startedBy must have at most {_LONGEST_STARTED_BY} characters.")
    group = body.get("group") or ""
    if group.startswith(_RESERVED_GROUPS):
        raise invalid("Invalid namespace for group.")
    return Wanted(
        definition=definition,
        cluster=cluster.name,
        overrides=overrides,
        launch_type=launch.launch_type,
        platform_version=launch.current_version,
        network=network,
        group=group or f"family:{definition.family}",
        started_by=started_by,
        tags=_tags(body, cluster, definition),
        execute_command_enabled=body.get("enableExecuteCommand", False),
    )


def _tags(body: Json, cluster: Cluster, definition: TaskDefinition) -> dict[str, str]:
    propagate = body.get("propagateTags") or "NONE"
    if propagate == "SERVICE":
        raise invalid("propagateTags SERVICE is for tasks that a service starts.")
    inherited = definition.tags if propagate == "TASK_DEFINITION" else {}
    tags = tags_of(body.get("tags", ()), before=inherited)
    return {"aws:ecs:clusterName": cluster.name, **tags} if body.get("enableECSManagedTags") else tags


def _start(step: Step, wants: Iterable[Wanted]) -> tuple[list[Task], list[Failure]]:
    started: list[Task] = []
    failures: list[Failure] = []
    for wanted in wants:
        outcome = tasks.start(step, wanted)
        if isinstance(outcome, Task):
            started.append(outcome)
        else:
            failures += outcome
    return started, failures


def _answer(step: Step, started: Iterable[Task], failures: Iterable[Failure]) -> Json:
    return {"tasks": [shapes.task(step, task) for task in started], "failures": shapes.failures(failures)}


def _listed(step: Step, cluster: Cluster, body: Json) -> Iterable[Task]:
    """Every filter that is given must hold."""
    if body.get("daemonName"):
        raise invalid("daemonName is not supported: there are no daemons here.")
    service_arn = lookup.service(step, cluster, body["serviceName"]).arn if body.get("serviceName") else ""
    instance_arn = ""
    if reference := body.get("containerInstance"):
        instance = lookup.find_instance(step, cluster, reference)
        instance_arn = instance.arn if instance else lookup.arn_in(cluster, "container-instance", reference)
    name, desired_status = cluster.name, body.get("desiredStatus") or DesiredStatus.RUNNING
    found = [
        t for t in step.tasks.values() if t.desired_status == desired_status and t.cluster == name
    ]  # may be 10,000
    if instance_arn:
        found = [task for task in found if task.instance_arn == instance_arn and not task.is_on_fargate]
    if service_arn:
        found = [task for task in found if task.service_arn == service_arn]
    if started_by := body.get("startedBy"):
        found = [task for task in found if task.started_by == started_by]
    if launch_type := body.get("launchType"):
        found = [task for task in found if task.launch_type == launch_type]
    if family := body.get("family"):
        found = [task for task in found if task.definition_arn.rsplit("/", 1)[-1].rsplit(":", 1)[0] == family]
    return found

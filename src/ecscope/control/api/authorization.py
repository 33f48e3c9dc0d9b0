"""What each action asks IAM about: the ARNs it touches, and the condition keys it carries.

An action that is not in the table has no resources in AWS's reference either; it is asked about ``*``.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic Container Service";
denials seen in public reports (CreateCluster names the cluster, RegisterTaskDefinition names ``*``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ecscope.control.api.lookup import DEFAULT_CLUSTER, arn_of, find_task_definition
from ecscope.control.core.iam import Request
from ecscope.control.core.records import Json
from ecscope.control.core.step import Step
from ecscope.model.arn import TaskArn, cluster_name

POLL = "Poll"
TELEMETRY = "StartTelemetrySession"
"""The rights to open ACS and TCS: no actions of the API, but of IAM. Body: ``cluster``, ``containerInstance``."""

_IN_CLUSTER = frozenset({"service", "task", "container-instance"})

RESOURCES: Mapping[str, tuple[str, str]] = {
    "CreateCluster": ("cluster", "clusterName"),
    "CreateService": ("service", "serviceName"),
    "CreateTaskSet": ("service", "service"),
    "DeleteAttributes": ("container-instance", "attributes"),
    "DeleteCapacityProvider": ("capacity-provider", "capacityProvider"),
    "DeleteCluster": ("cluster", "cluster"),
    "DeleteService": ("service", "service"),
    "DeleteTaskDefinitions": ("task-definition", "taskDefinitions"),
    "DeleteTaskSet": ("arn", "taskSet"),
    "DeregisterContainerInstance": ("cluster", "cluster"),
    "DescribeCapacityProviders": ("capacity-provider", "capacityProviders"),
    "DescribeClusters": ("cluster", "clusters"),
    "DescribeContainerInstances": ("container-instance", "containerInstances"),
    "DescribeServiceDeployments": ("arn", "serviceDeploymentArns"),
    "DescribeServiceRevisions": ("arn", "serviceRevisionArns"),
    "DescribeServices": ("service", "services"),
    "DescribeTaskSets": ("service", "service"),
    "DescribeTasks": ("task", "tasks"),
    "ExecuteCommand": ("task", "task"),
    "GetTaskProtection": ("task", "tasks"),
    "ListAttributes": ("cluster", "cluster"),
    "ListContainerInstances": ("cluster", "cluster"),
    "ListServiceDeployments": ("service", "service"),
    "ListTagsForResource": ("arn", "resourceArn"),
    "ListTasks": ("container-instance", "containerInstance"),
    POLL: ("container-instance", "containerInstance"),
    "PutAttributes": ("container-instance", "attributes"),
    "PutClusterCapacityProviders": ("cluster", "cluster"),
    "RegisterContainerInstance": ("cluster", "cluster"),
    "RunTask": ("task-definition", "taskDefinition"),
    "StartTask": ("task-definition", "taskDefinition"),
    TELEMETRY: ("container-instance", "containerInstance"),
    "StopServiceDeployment": ("arn", "serviceDeploymentArn"),
    "StopTask": ("task", "task"),
    "SubmitAttachmentStateChanges": ("cluster", "cluster"),
    "SubmitContainerStateChange": ("cluster", "cluster"),
    "SubmitTaskStateChange": ("cluster", "cluster"),
    "TagResource": ("arn", "resourceArn"),
    "UntagResource": ("arn", "resourceArn"),
    "UpdateCapacityProvider": ("capacity-provider", "name"),
    "UpdateCluster": ("cluster", "cluster"),
    "UpdateClusterSettings": ("cluster", "cluster"),
    "UpdateContainerAgent": ("container-instance", "containerInstance"),
    "UpdateContainerInstancesState": ("container-instance", "containerInstances"),
    "UpdateService": ("service", "service"),
    "UpdateServicePrimaryTaskSet": ("service", "service"),
    "UpdateTaskProtection": ("task", "tasks"),
    "UpdateTaskSet": ("arn", "taskSet"),
}
"""Action → kind of its resource, and the input member that names it, or several of it."""


CREATED: Mapping[str, tuple[str, str]] = {
    "CreateCapacityProvider": ("capacity-provider", "name"),
    "CreateCluster": ("cluster", "clusterName"),
    "CreateService": ("service", "serviceName"),
    "RegisterContainerInstance": ("container-instance", ""),
    "RegisterTaskDefinition": ("task-definition", "family"),
    "RunTask": ("task", ""),
    "StartTask": ("task", ""),
}
"""Action → kind of what it makes, and the member that names it: with tags it needs ``ecs:TagResource`` on that.

Source: ECS Developer Guide, "Grant permission to tag resources on creation".
"""

_PASSED_TO = "ecs-tasks.amazonaws.com"
_ROLES = ("taskRoleArn", "executionRoleArn")


def questions(step: Step, action: str, body: Json, caller: Mapping[str, tuple[str, ...]]) -> tuple[Request, ...]:
    """What IAM is asked before ``action`` is done: all of it must be allowed.

    Args:
        body: readable, and yet not known to keep the model's rules.
        caller: condition keys that tell who calls, and from where.
    """
    resources = _resources(step, action, body)
    context = {**caller, **_moment(step.at), **_context(step, body)}
    asked = [
        Request(
            action=f"ecs:{action}",
            resources=resources,
            context=context,
            resource_contexts={arn: tags for arn in resources if (tags := _resource_tags(step, arn))},
        )
    ]
    if action in CREATED and body.get("tags"):
        created = (_created(step, action, body),)
        tagging = {**context, "ecs:createaction": (action,)}
        asked.append(Request(action="ecs:TagResource", resources=created, context=tagging))
    roles = _roles(step, action, body)
    if roles:
        passing = {**context, "iam:passedtoservice": (_PASSED_TO,)}
        asked.append(Request(action="iam:PassRole", resources=roles, context=passing))
    return tuple(asked)


def _created(step: Step, action: str, body: Json) -> str:
    kind, member = CREATED[action]
    if kind == "task-definition":
        return arn_of(step, kind, f"{body.get(member, '')}:*")
    return _arn(step, kind, body, body.get(member, "") if member else "")


def _roles(step: Step, action: str, body: Json) -> tuple[str, ...]:
    """The roles that tasks would get: whoever starts them hands these on."""
    givers: list[Json] = []
    if action == "RegisterTaskDefinition":
        givers.append(body)
    elif action in {"RunTask", "StartTask"}:
        definition = find_task_definition(step, body.get("taskDefinition", ""))
        overrides = body.get("overrides", {})
        givers.append({**(definition.body if definition is not None else {}), **overrides})
    named = [giver[role] for giver in givers for role in _ROLES if giver.get(role)]
    prefix = f"arn:aws:iam::{step.settings.account}:role/"
    return tuple(dict.fromkeys(name if name.startswith("arn:") else prefix + name for name in named))


def _resources(step: Step, action: str, body: Json) -> tuple[str, ...]:
    kind, member = RESOURCES.get(action, ("", ""))
    if not kind:
        return ("*",)
    named = body.get(member)
    references = [_reference(each) for each in (named if isinstance(named, list) else [named])]
    return tuple(dict.fromkeys(_arn(step, kind, body, each) for each in references)) or ("*",)


def _reference(named: Any) -> str:
    """Attributes name their instance by ``targetId``."""
    return str(named.get("targetId") or "") if isinstance(named, dict) else named or ""


def _arn(step: Step, kind: str, body: Json, reference: str) -> str:
    """As exact as the state allows; what is not there keeps the name it was asked for by."""
    if kind == "task-definition":
        found = find_task_definition(step, reference)
        if found is not None:
            return found.arn
    if reference.startswith("arn:"):
        return reference
    if kind == "arn":
        return reference or "*"
    if kind == "cluster":
        return arn_of(step, kind, reference or DEFAULT_CLUSTER)
    if kind in _IN_CLUSTER:
        return arn_of(step, kind, _cluster(body), reference.rsplit("/", 1)[-1] or "*")
    return arn_of(step, kind, reference or "*")


def _cluster(body: Json) -> str:
    return cluster_name(body.get("cluster") or DEFAULT_CLUSTER)


def _context(step: Step, body: Json) -> dict[str, tuple[str, ...]]:
    context: dict[str, tuple[str, ...]] = {"ecs:cluster": (arn_of(step, "cluster", _cluster(body)),)}
    for key, kind, member in (
        ("ecs:task-definition", "task-definition", "taskDefinition"),
        ("ecs:service", "service", "service"),
        ("ecs:service", "service", "serviceName"),
        ("ecs:task", "task", "task"),
    ):
        if body.get(member):
            context[key] = (_arn(step, kind, body, body[member]),)
    if body.get("containerInstances"):
        named = [_arn(step, "container-instance", body, each) for each in body["containerInstances"]]
        context["ecs:container-instances"] = tuple(named)
    if body.get("container"):
        context["ecs:container-name"] = (body["container"],)
    if "enableExecuteCommand" in body:
        context["ecs:enable-execute-command"] = (str(body["enableExecuteCommand"]).lower(),)
    tags = {tag["key"]: tag.get("value", "") for tag in body.get("tags", ()) if tag.get("key")}
    context |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    keys = (*tags, *body.get("tagKeys", ()))
    if keys:
        context["aws:tagkeys"] = keys
    return context


def _moment(at: datetime) -> dict[str, tuple[str, ...]]:
    return {"aws:currenttime": (at.isoformat(),), "aws:epochtime": (str(int(at.timestamp())),)}


def _resource_tags(step: Step, arn: str) -> dict[str, tuple[str, ...]]:
    record = (
        step.tasks.get(TaskArn(arn))
        or step.services.get(arn)
        or step.instances.get(arn)
        or step.task_definitions.get(arn)
        or (step.clusters.get(cluster_name(arn)) if ":cluster/" in arn else None)
    )
    if record is None:
        return {}
    prefixes = ("aws:resourcetag/", "ecs:resourcetag/")
    return {f"{prefix}{key.lower()}": (value,) for key, value in record.tags.items() for prefix in prefixes}

"""What each action asks IAM about: the ARNs of what it touches, and the condition keys it carries.

It is asked about what was found, never about what was named: each reference goes through ``lookup`` as it does when the
action is done, and IAM is given the long ARN of that record, however the client named it. An unknown one is asked about
under the name it was given, since nothing can be done to it.

Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon Elastic Container Service";
denials seen in public reports (CreateCluster names the cluster, ExecuteCommand wants the cluster and the task).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ecscope.control.api import lookup
from ecscope.control.api.agent_calls import known_instance
from ecscope.control.api.execute_command import only_container
from ecscope.control.api.service_deployments import find_deployment, find_revision
from ecscope.control.core.capacity import FARGATE
from ecscope.control.core.iam import Request, Rights, allows_anywhere
from ecscope.control.core.overrides import role_of
from ecscope.control.core.records import Cluster, Instance, Json, Service, Task, TaskDefinition
from ecscope.control.core.role_sessions import role_arn
from ecscope.control.core.statuses import ClusterStatus, InstanceStatus, ServiceStatus
from ecscope.control.core.step import Step

POLL = "Poll"
TELEMETRY = "StartTelemetrySession"
AGENT_RIGHTS = frozenset({POLL, TELEMETRY})
"""The rights to open ACS and TCS: no actions of the API, but of IAM. Body: ``cluster``, ``containerInstance``."""

Keys = Mapping[str, tuple[str, ...]]
"""Condition key, in lower case → its values."""

_CLUSTER = (("cluster", "cluster"),)
_INSTANCE = (("container-instance", "containerInstance"),)
_INSTANCES = (("container-instance", "containerInstances"),)
_SERVICE = (("service", "service"),)
_TASK = (("task", "task"),)
_TASKS = (("task", "tasks"),)
_TASK_DEFINITION = (("task-definition", "taskDefinition"),)
_BY_ARN = (("arn", "resourceArn"),)

RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "CreateCapacityProvider": (("capacity-provider", "name"),),
    "CreateCluster": (("cluster", "clusterName"),),
    "CreateService": (("service", "serviceName"),),
    "CreateTaskSet": _SERVICE,
    "DeleteAccountSetting": (),
    "DeleteAttributes": (("container-instance", "attributes"),),
    "DeleteCapacityProvider": (("capacity-provider", "capacityProvider"),),
    "DeleteCluster": _CLUSTER,
    "DeleteService": _SERVICE,
    "DeleteTaskDefinitions": (("task-definition", "taskDefinitions"),),
    "DeleteTaskSet": (("arn", "taskSet"),),
    "DeregisterContainerInstance": _CLUSTER,
    "DeregisterTaskDefinition": (),
    "DescribeCapacityProviders": (("capacity-provider", "capacityProviders"),),
    "DescribeClusters": (("cluster", "clusters"),),
    "DescribeContainerInstances": _INSTANCES,
    "DescribeServiceDeployments": (("service-deployment", "serviceDeploymentArns"),),
    "DescribeServiceRevisions": (("service-revision", "serviceRevisionArns"),),
    "DescribeServices": (("service", "services"),),
    "DescribeTaskDefinition": (),
    "DescribeTaskSets": _SERVICE,
    "DescribeTasks": _TASKS,
    "DiscoverPollEndpoint": (),
    "ExecuteCommand": (*_CLUSTER, *_TASK),
    "GetTaskProtection": _TASKS,
    "ListAccountSettings": (),
    "ListAttributes": _CLUSTER,
    "ListClusters": (),
    "ListContainerInstances": _CLUSTER,
    "ListServiceDeployments": _SERVICE,
    "ListServices": (),
    "ListServicesByNamespace": (),
    "ListTagsForResource": _BY_ARN,
    "ListTaskDefinitionFamilies": (),
    "ListTaskDefinitions": (),
    "ListTasks": _INSTANCE,
    POLL: _INSTANCE,
    "PutAccountSetting": (),
    "PutAccountSettingDefault": (),
    "PutAttributes": (("container-instance", "attributes"),),
    "PutClusterCapacityProviders": _CLUSTER,
    "RegisterContainerInstance": _CLUSTER,
    "RegisterTaskDefinition": (("family", "family"),),
    "RunTask": _TASK_DEFINITION,
    "StartTask": _TASK_DEFINITION,
    TELEMETRY: _INSTANCE,
    "StopServiceDeployment": (("service-deployment", "serviceDeploymentArn"),),
    "StopTask": _TASK,
    "SubmitAttachmentStateChanges": _CLUSTER,
    "SubmitContainerStateChange": _CLUSTER,
    "SubmitTaskStateChange": _CLUSTER,
    "TagResource": _BY_ARN,
    "UntagResource": _BY_ARN,
    "UpdateCapacityProvider": (("capacity-provider", "name"),),
    "UpdateCluster": _CLUSTER,
    "UpdateClusterSettings": _CLUSTER,
    "UpdateContainerAgent": _INSTANCE,
    "UpdateContainerInstancesState": _INSTANCES,
    "UpdateService": _SERVICE,
    "UpdateServicePrimaryTaskSet": _SERVICE,
    "UpdateTaskProtection": _TASKS,
    "UpdateTaskSet": (("arn", "taskSet"),),
}
"""Action → kind of each of its resources, and the input member that names it, or several of it.

``()``: it has none in AWS's reference, and is asked about ``*``, as is an action that only AWS has.
"""

CREATED: Mapping[str, str] = {
    "CreateCapacityProvider": "capacity-provider",
    "CreateCluster": "cluster",
    "CreateService": "service",
    "RegisterContainerInstance": "container-instance",
    "RegisterTaskDefinition": "task-definition",
    "RunTask": "task",
    "StartTask": "task",
}
"""Action → kind of what it makes: with tags it needs ``ecs:TagResource`` on that.

Source: ECS Developer Guide, "Grant permission to tag resources on creation".
"""

_NONE_IS_ALL = frozenset({"DeleteAttributes", "DescribeCapacityProviders", "GetTaskProtection", "PutAttributes"})
"""Actions that apply to all resources of a kind when they name none."""

_MADE_ANEW = frozenset({"CreateCluster", "CreateService"})
"""Actions that make something under a name that a deleted one may still be shown under."""

_IN_CLUSTER = frozenset({"service", "task", "container-instance"})
_ALSO_IN_CLUSTER = frozenset({"DiscoverPollEndpoint", "ListServices", "RunTask", "StartTask"})
"""Actions whose resources do not name their cluster; without ``cluster`` it is ``default``."""

_OFF_BY_DEFAULT = frozenset({"CreateService", "RunTask", "StartTask"})
"""Actions for which ``enableExecuteCommand`` is false when it is not given; an update leaves it as it was."""

_PASSED_TO = "ecs-tasks.amazonaws.com"
_ROLES = ("taskRoleArn", "executionRoleArn")


class _Thing(msgspec.Struct, frozen=True):
    """One resource of a request."""

    arn: str
    keys: Keys = {}
    """Condition keys that only hold for this one: its tags, its cluster."""


def permit(step: Step, action: str, body: Json, rights: Rights) -> None:
    """Raises ``ApiError`` with AWS's sentence unless the caller may do ``action`` with this input."""
    if action not in CREATED and allows_anywhere(rights.policies, f"ecs:{action}"):
        return  # an agent's reports: what they touch need not be looked up; what makes something asks for more rights
    for request in questions(step, action, body, rights.context):
        rights.authorize(request)


def questions(step: Step, action: str, body: Json, caller: Keys) -> tuple[Request, ...]:
    """What IAM is asked before ``action`` is done: all of it must be allowed.

    Args:
        body: readable, and yet not known to keep the model's rules.
        caller: condition keys for the caller's identity and address.
    """
    if action in AGENT_RIGHTS and (instance := step.instances.get(body.get("containerInstance", ""))):
        body = {**body, "cluster": instance.cluster}  # which the agent's word does not change
    context = {**caller, **_moment(step.at), **_context(step, action, body)}
    asked = [_request(f"ecs:{action}", _things(step, action, body), context)]
    if action in CREATED and body.get("tags"):
        tagging = {**context, "ecs:createaction": (action,)}
        asked.append(_request("ecs:TagResource", _created(step, action, body), tagging))
    roles = _roles(step, action, body)
    if roles:
        passing = {**context, "iam:passedtoservice": (_PASSED_TO,)}
        asked.append(Request(action="iam:PassRole", resources=roles, context=passing))
    return tuple(asked)


def _request(action: str, things: Iterable[_Thing], context: Keys) -> Request:
    by_arn = {thing.arn: thing.keys for thing in things}
    return Request(
        action=action,
        resources=tuple(by_arn) or ("*",),
        context=context,
        resource_contexts={arn: keys for arn, keys in by_arn.items() if keys},
    )


# --- resources ------------------------------------------------------------------------------------------------


def _things(step: Step, action: str, body: Json) -> Iterator[_Thing]:
    for kind, member in RESOURCES.get(action, ()):
        named = body.get(member)
        listed: list[object] = named if isinstance(named, list) else [named]
        if not listed and (action in _NONE_IS_ALL or kind == "cluster"):
            listed = [None]
        for each in listed:
            reference = _reference(each)
            if action in _MADE_ANEW:
                yield from _made_anew(step, kind, body, reference)
            elif reference or action not in _NONE_IS_ALL:
                yield from _meant(step, kind, body, reference)
            else:
                yield from _all(step, kind, body)


def _reference(named: Any) -> str:
    """Attributes name their instance by ``targetId``."""
    return str(named.get("targetId") or "") if isinstance(named, dict) else named or ""


def _meant(step: Step, kind: str, body: Json, reference: str) -> Iterator[_Thing]:
    """The long ARN of the record that a reference finds; else the reference as an ARN, which matches no record."""
    match kind:
        case "cluster":
            cluster = lookup.find_cluster(step, reference)
            arn = _cluster_arn(step, reference)
            yield _Thing(arn, {"ecs:cluster": (arn,)} if cluster is None else _keys(step, cluster))
        case "service" | "task" | "container-instance":
            record = _find(step, kind, body, reference)
            arn = record.arn if record is not None else _in_cluster(step, kind, body, reference)
            yield _Thing(arn, _tags(record.tags) if record is not None else {})
        case "task-definition":
            definition = lookup.find_task_definition(step, reference)
            arn = definition.arn if definition is not None else _own_arn(step, kind, reference)
            yield _Thing(arn, _tags(definition.tags) if definition is not None else {})
        case "family":
            yield _Thing(lookup.arn_of(step, "task-definition", f"{reference}:*"))
        case "capacity-provider":
            yield _Thing(_own_arn(step, kind, lookup.find_provider(step, reference) or reference))
        case "service-deployment" | "service-revision":
            yield from _of_service(step, kind, reference)
        case _:
            tagged = lookup.find_by_arn(step, reference)
            yield _Thing(reference or "*") if tagged is None else _Thing(tagged.arn, _keys(step, tagged))


def _made_anew(step: Step, kind: str, body: Json, name: str) -> Iterator[_Thing]:
    """The record that exists under a new record's name; tags of a deleted one do not apply to the new one."""
    cluster = lookup.find_cluster(step, name if kind == "cluster" else body.get("cluster"))
    found = lookup.find_service(step, cluster, name) if kind == "service" and cluster is not None else cluster
    is_deleted = found is not None and found.status in (ClusterStatus.INACTIVE, ServiceStatus.INACTIVE)
    for thing in _meant(step, kind, body, name):
        keys = {key: values for key, values in thing.keys.items() if not (is_deleted and "resourcetag/" in key)}
        yield _Thing(thing.arn, keys)


def _keys(step: Step, record: lookup.Tagged) -> Keys:
    """Where no member names the cluster, the record does."""
    match record:
        case Cluster():
            return {"ecs:cluster": (record.arn,), **_tags(record.tags)}
        case TaskDefinition():
            return _tags(record.tags)
        case _:
            return {"ecs:cluster": (lookup.arn_of(step, "cluster", record.cluster),), **_tags(record.tags)}


def _of_service(step: Step, kind: str, reference: str) -> Iterator[_Thing]:
    """What a service deployment or revision is of is asked about as well."""
    found = find_deployment(step, reference) if kind == "service-deployment" else find_revision(step, reference)
    if found is None:
        yield _Thing(reference or "*")
        return
    service, _ = found
    of = _keys(step, service)
    yield _Thing(reference, {**of, "ecs:service": (service.arn,)})
    yield _Thing(service.arn, of)


def _all(step: Step, kind: str, body: Json) -> Iterator[_Thing]:
    """Everything of a kind that there is to act on, and what is yet to come."""
    if kind == "capacity-provider":
        yield from (_Thing(lookup.arn_of(step, kind, name)) for name in ("*", *FARGATE))
        return
    yield _Thing(_in_cluster(step, kind, body, ""))
    cluster = lookup.find_cluster(step, body.get("cluster"))
    tasks = (task for task in step.tasks.values() if not task.is_stopped)
    instances = (instance for instance in step.instances if instance.status != InstanceStatus.INACTIVE)
    records: Iterator[Task | Instance] = tasks if kind == "task" else instances
    for record in records:
        if cluster is not None and record.cluster == cluster.name:
            yield _Thing(record.arn, _tags(record.tags))


def _find(step: Step, kind: str, body: Json, reference: str) -> Task | Service | Instance | None:
    cluster = lookup.find_cluster(step, body.get("cluster"))
    if cluster is None or not reference:
        return None
    match kind:
        case "task":
            return lookup.find_task(step, cluster, reference)
        case "service":
            return lookup.find_service(step, cluster, reference)
        case _:
            return lookup.find_instance(step, cluster, reference)


def _cluster_arn(step: Step, reference: str | None) -> str:
    cluster = lookup.find_cluster(step, reference)
    return cluster.arn if cluster is not None else _own_arn(step, "cluster", reference or lookup.DEFAULT_CLUSTER)


def _in_cluster(step: Step, kind: str, body: Json, reference: str) -> str:
    """The ARN of what is not there; ``""``: of anything that may be."""
    if lookup.is_arn(reference):
        return reference
    return f"{_cluster_arn(step, body.get('cluster')).replace(':cluster/', f':{kind}/', 1)}/{reference or '*'}"


def _own_arn(step: Step, kind: str, reference: str) -> str:
    return reference if lookup.is_arn(reference) else lookup.arn_of(step, kind, reference or "*")


def _created(step: Step, action: str, body: Json) -> Iterator[_Thing]:
    kind = CREATED[action]
    if RESOURCES[action][0][0] in (kind, "family"):
        yield from _things(step, action, body)
        return
    claimed = ""
    if kind == "container-instance":
        cluster = lookup.find_cluster(step, body.get("cluster"))
        known = known_instance(step, cluster, body) if cluster is not None else None
        claimed = known.arn if known is not None else body.get("containerInstanceArn") or ""
    yield from _meant(step, kind, body, claimed)


def _roles(step: Step, action: str, body: Json) -> tuple[str, ...]:
    """The roles that tasks will have: starting a task passes them on."""
    given: tuple[Json, Json] = ({}, {})  # a definition, and what overrides it
    if action == "RegisterTaskDefinition":
        given = body, {}
    elif action in {"RunTask", "StartTask"}:
        found = lookup.find_task_definition(step, body.get("taskDefinition", ""))
        given = found.body if found is not None else {}, body.get("overrides", {})
    named = (role_of(*given, member) for member in _ROLES)
    return tuple(dict.fromkeys(role_arn(step.settings.account, role) for role in named if role))


# --- condition keys -------------------------------------------------------------------------------------------


def _context(step: Step, action: str, body: Json) -> dict[str, tuple[str, ...]]:
    context: dict[str, tuple[str, ...]] = {}
    if _has_cluster(action) or body.get("cluster"):
        context["ecs:cluster"] = (_cluster_arn(step, body.get("cluster")),)
    for key, kind, member in (
        ("ecs:task-definition", "task-definition", "taskDefinition"),
        ("ecs:service", "service", "service"),
        ("ecs:service", "service", "serviceName"),
        ("ecs:task", "task", "task"),
    ):
        if body.get(member):
            context[key] = tuple(thing.arn for thing in _meant(step, kind, body, body[member]))
    if body.get("containerInstances"):
        references: list[str] = body["containerInstances"]
        context["ecs:container-instances"] = tuple(
            thing.arn for each in references for thing in _meant(step, "container-instance", body, each)
        )
    if container := _container(step, action, body):
        context["ecs:container-name"] = (container,)
    if action.endswith(("AccountSetting", "AccountSettingDefault")) and body.get("name"):
        context["ecs:account-setting"] = (body["name"],)
    if "enableExecuteCommand" in body or action in _OFF_BY_DEFAULT:
        context["ecs:enable-execute-command"] = (str(body.get("enableExecuteCommand", False)).lower(),)
    return context | _requested_tags(body)


def _has_cluster(action: str) -> bool:
    """Whether it has the member ``cluster``, and means ``default`` without it."""
    return action in _ALSO_IN_CLUSTER or any(
        kind in _IN_CLUSTER or member == "cluster" for kind, member in RESOURCES.get(action, ())
    )


def _container(step: Step, action: str, body: Json) -> str:
    """The one that a command would run in; ``""``: none is named, and it is not the only one."""
    if action != "ExecuteCommand":
        return ""
    task = _find(step, "task", body, body.get("task") or "")
    return body.get("container") or (only_container(task) if isinstance(task, Task) else "")


def _requested_tags(body: Json) -> dict[str, tuple[str, ...]]:
    """Two keys that differ in case are one condition key, which then has two values."""
    pairs = [(tag["key"], tag.get("value", "")) for tag in body.get("tags", ()) if tag.get("key")]
    found = _by_key(pairs, ("aws:requesttag/",))
    keys = (*dict.fromkeys(key for key, _ in pairs), *body.get("tagKeys", ()))
    return {**found, "aws:tagkeys": keys} if keys else found


def _tags(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return _by_key(tags.items(), ("aws:resourcetag/", "ecs:resourcetag/"))


def _by_key(tags: Iterable[tuple[str, str]], prefixes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, value in tags:
        for prefix in prefixes:
            name = f"{prefix}{key.lower()}"
            found[name] = (*found.get(name, ()), value)
    return found


def _moment(at: datetime) -> dict[str, tuple[str, ...]]:
    return {"aws:currenttime": (at.isoformat(),), "aws:epochtime": (str(int(at.timestamp())),)}

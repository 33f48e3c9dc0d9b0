"""Tags of whatever has an ARN and can have tags.

Source: control-plane.md §3.1, §3.5; TagResource of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.core.errors import client_error, invalid, service_not_found
from ecscope.control.core.records import Cluster, Instance, Json, Service, Task, TaskDefinition
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of

_Tagged = Cluster | Instance | Service | Task | TaskDefinition


def tag_resource(step: Step, body: Json) -> Json:
    record = _tagged(step, body["resourceArn"])
    _put(step, record, tags_of(body["tags"], before=record.tags))
    return {}


def untag_resource(step: Step, body: Json) -> Json:
    record = _tagged(step, body["resourceArn"])
    gone = set(body["tagKeys"])
    reserved = sorted(key for key in gone if key.lower().startswith("aws:"))
    if reserved:
        raise invalid(f"The tag '{reserved[0]}' is AWS's own and cannot be removed.")
    _put(step, record, {key: value for key, value in record.tags.items() if key not in gone})
    return {}


def list_tags_for_resource(step: Step, body: Json) -> Json:
    return {"tags": shapes.tags(_tagged(step, body["resourceArn"]).tags)}


ACTIONS: Mapping[str, Action] = {
    "TagResource": Action(tag_resource),
    "UntagResource": Action(untag_resource),
    "ListTagsForResource": Action(list_tags_for_resource, is_reader=True),
}


def _tagged(step: Step, arn: str) -> _Tagged:
    """Raises what ECS answers for an ARN that nobody has."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":  # arn:partition:service:region:account:resource
        raise invalid("The resource must be given by its ARN.")
    kind, _, path = parts[5].partition("/")
    match kind:
        case "cluster":
            return lookup.cluster(step, arn)
        case "task-definition":
            definition = lookup.find_task_definition(step, arn)
            if definition is None:
                raise client_error("Unable to describe task definition.")
            return definition
        case "service" | "task" | "container-instance":
            return _in_a_cluster(step, kind, path, arn)
        case "capacity-provider":
            raise invalid("FARGATE and FARGATE_SPOT are AWS's own and have no tags.")
        case _:
            raise invalid(f"A resource of type '{kind}' has no tags here.")


def _in_a_cluster(step: Step, kind: str, path: str, arn: str) -> _Tagged:
    """An ARN of the old short format names no cluster: then any cluster's will do."""
    named = path.partition("/")[0] if "/" in path else ""
    found: _Tagged | None
    for cluster in step.clusters:
        if named and cluster.name != named:
            continue
        match kind:
            case "service":
                found = lookup.find_service(step, cluster, arn)
            case "task":
                found = lookup.find_task(step, cluster, arn)
            case _:
                found = lookup.find_instance(step, cluster, arn)
        if found is not None:
            return found
    if kind == "service":
        raise service_not_found()
    raise invalid(f"The referenced {kind.replace('-', ' ')} was not found.")


def _put(step: Step, record: _Tagged, tags: dict[str, str]) -> None:
    match record:
        case Cluster():
            step.clusters.put(record.name, msgspec.structs.replace(record, tags=tags))
        case Instance():
            step.instances.put(record.arn, msgspec.structs.replace(record, tags=tags))
        case Service():
            step.services.put(record.arn, msgspec.structs.replace(record, tags=tags))
        case Task():
            step.put_task(msgspec.structs.replace(record, tags=tags))
        case TaskDefinition():
            step.put_task_definition(msgspec.structs.replace(record, tags=tags))

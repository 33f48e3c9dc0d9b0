"""Tags of all resources that can have tags.

Source: control-plane.md §3.1, §3.5; TagResource of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ecscope.control.api import lookup, shapes
from ecscope.control.api.action import Action
from ecscope.control.core.errors import client_error, cluster_not_found, invalid, service_not_found
from ecscope.control.core.records import Cluster, Instance, Json, Service, Task, TaskDefinition
from ecscope.control.core.statuses import ClusterStatus
from ecscope.control.core.step import Step
from ecscope.control.core.tags import tags_of


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


def _tagged(step: Step, arn: str) -> lookup.Tagged:
    """Raises what ECS answers for an unknown ARN."""
    found = lookup.find_by_arn(step, arn)
    if found is not None and (not isinstance(found, Cluster) or found.status == ClusterStatus.ACTIVE):
        return found
    parts = arn.split(":", 5)
    if len(parts) != 6 or not lookup.is_arn(arn):
        raise invalid("The resource must be given by its ARN.")
    match kind := parts[5].partition("/")[0]:
        case "cluster":
            raise cluster_not_found()
        case "task-definition":
            raise client_error("Unable to describe task definition.")
        case "service":
            raise service_not_found()
        case "task" | "container-instance":
            raise invalid(f"The referenced {kind.replace('-', ' ')} was not found.")
        case "capacity-provider":
            raise invalid("FARGATE and FARGATE_SPOT are AWS's own and have no tags.")
        case _:
            raise invalid(f"A resource of type '{kind}' has no tags here.")


def _put(step: Step, record: lookup.Tagged, tags: dict[str, str]) -> None:
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

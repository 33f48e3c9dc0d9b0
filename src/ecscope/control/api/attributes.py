"""Custom attributes of container instances, by which tasks are placed.

Source: control-plane.md §3.1; PutAttributes of the ECS API (2014-11-13).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from ecscope.control.api import lookup
from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.core.errors import ApiError, invalid
from ecscope.control.core.records import Cluster, Instance, Json
from ecscope.control.core.statuses import InstanceStatus
from ecscope.control.core.step import Step

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_VALUE = re.compile(r"(?=\S)[A-Za-z0-9_.@:/\\ -]{1,128}(?<=\S)")
_MOST_IN_A_CALL = 10
_MOST_OF_AN_INSTANCE = 10
_RESERVED = ("ecs.", "com.amazonaws.")


def check_name(name: str) -> None:
    """Raises ``InvalidParameterException``."""
    if _NAME.fullmatch(name) is None:
        raise invalid(
            f"The attribute name {name!r} is not valid. An attribute's name must have from 1 to 128 letters, digits,"
            " hyphens, underscores, slashes and dots."
        )


def check_value(name: str, value: str | None) -> None:
    """Raises ``InvalidParameterException``. ``None`` is a valid value."""
    if value is not None and _VALUE.fullmatch(value) is None:
        raise invalid(f"The value of attribute {name} is not valid.")


def put_attributes(step: Step, body: Json) -> Json:
    """One without a target is given to every instance of the cluster."""
    cluster = lookup.cluster(step, body.get("cluster"))
    answer = []
    for attribute, targets in _each(step, cluster, body):
        name, value = attribute["name"], attribute.get("value")
        if name.startswith(_RESERVED):
            raise invalid(f"The attribute {name} cannot be set: names beginning with {_RESERVED[0]} are ECS's own.")
        check_value(name, value)
        for target in targets:
            custom = {**target.custom_attributes, name: value}
            if len(custom) > _MOST_OF_AN_INSTANCE:
                message = (
                    f"You can apply up to {_MOST_OF_AN_INSTANCE} custom attributes for each resource. You can view the"
                    " attributes of a resource with ListAttributes. You can remove existing attributes on a resource"
                    " with DeleteAttributes."
                )
                raise ApiError("AttributeLimitExceededException", message)
            _put(step, target, custom)
            answer.append(_shown(target, name, value))
    return {"attributes": answer}


def delete_attributes(step: Step, body: Json) -> Json:
    """What an instance does not have is passed over, and so is what its agent registered."""
    cluster = lookup.cluster(step, body.get("cluster"))
    answer = []
    for attribute, targets in _each(step, cluster, body):
        name = attribute["name"]
        for target in targets:
            if name in target.custom_attributes:
                _put(step, target, {key: held for key, held in target.custom_attributes.items() if key != name})
                answer.append(_shown(target, name, target.custom_attributes[name]))
    return {"attributes": answer}


def list_attributes(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    name, value = body.get("attributeName"), body.get("attributeValue")
    if value is not None and name is None:
        raise invalid("To filter by attributeValue you must also give attributeName.")
    found = [
        _shown(instance, held, held_value)
        for instance in _instances(step, cluster)
        for held, held_value in instance.attributes.items()
        if name in (None, held) and value in (None, held_value)
    ]
    return page(
        "ListAttributes",
        body,
        "attributes",
        found,
        key=lambda shown: f"{shown['targetId']} {shown['name']}",
        show=dict[str, str],
    )


ACTIONS: Mapping[str, Action] = {
    "PutAttributes": Action(put_attributes),
    "DeleteAttributes": Action(delete_attributes),
    "ListAttributes": Action(list_attributes, is_reader=True),
}


def _each(step: Step, cluster: Cluster, body: Json) -> Iterator[tuple[Json, list[Instance]]]:
    """Each attribute of the request with its targets as they are by then."""
    if len(body["attributes"]) > _MOST_IN_A_CALL:
        raise invalid(f"Attributes cannot have more than {_MOST_IN_A_CALL} elements.")
    for attribute in body["attributes"]:
        check_name(attribute["name"])
        target_id = attribute.get("targetId")
        if target_id is None:
            yield attribute, list(_instances(step, cluster))
            continue
        target = lookup.find_instance(step, cluster, target_id)
        if target is None or target.status == InstanceStatus.INACTIVE:
            message = (
                "The specified target wasn't found. You can view your available container instances with"
                " ListContainerInstances. Amazon ECS container instances are cluster-specific and Region-specific."
            )
            raise ApiError("TargetNotFoundException", message)
        yield attribute, [target]


def _instances(step: Step, cluster: Cluster) -> Iterator[Instance]:
    return (
        instance
        for instance in step.instances
        if instance.cluster == cluster.name and instance.status != InstanceStatus.INACTIVE
    )


def _put(step: Step, instance: Instance, custom: Mapping[str, str | None]) -> None:
    step.instances.put(instance.arn, msgspec.structs.replace(instance, custom_attributes=custom))


def _shown(instance: Instance, name: str, value: str | None) -> dict[str, str]:
    shown = {"name": name, "targetType": "container-instance", "targetId": instance.arn}
    return shown if value is None else {**shown, "value": value}

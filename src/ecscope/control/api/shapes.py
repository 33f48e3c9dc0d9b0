"""Records as the API shows them: one function for each shape of its model.

Source: the service model of ECS (2014-11-13); control-plane.md §3.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from ecscope.control.core.records import Cluster, Json, TaskDefinition
from ecscope.control.core.step import Step


def moment(at: datetime) -> float:
    """Seconds since the epoch, to the millisecond."""
    return round(at.timestamp(), 3)


def includes(body: Json, word: str) -> bool:
    """Whether a Describe… call asks for more, such as ``TAGS``."""
    return word in body.get("include", ())


# --- tags -----------------------------------------------------------------------------------------


def tags(record_tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in record_tags.items()]


def tags_if_asked(record_tags: Mapping[str, str], body: Json) -> list[dict[str, str]]:
    """Empty unless ``include`` has ``TAGS``."""
    return tags(record_tags) if includes(body, "TAGS") else []


# --- clusters -------------------------------------------------------------------------------------


def cluster(step: Step, record: Cluster, include: Collection[str] = ()) -> dict[str, Any]:
    """``Cluster``; ``include``: words of DescribeClusters, such as ``SETTINGS``."""
    instances = [
        instance for instance in step.instances if instance.cluster == record.name and instance.status != "INACTIVE"
    ]
    tasks = Counter(
        (task.launch_type, "running" if task.last_status == "RUNNING" else "pending")
        for instance in instances
        for task in (step.tasks[arn] for arn in step.tasks_on.get(instance.arn, ()))
        if task.last_status in ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")
    )
    services = Counter(service.status for service in step.services if service.cluster == record.name)
    shown: dict[str, Any] = {
        "clusterArn": record.arn,
        "clusterName": record.name,
        "status": record.status,
        "registeredContainerInstancesCount": len(instances),
        "runningTasksCount": sum(count for (_, status), count in tasks.items() if status == "running"),
        "pendingTasksCount": sum(count for (_, status), count in tasks.items() if status == "pending"),
        "activeServicesCount": services["ACTIVE"],
        "statistics": _statistics(tasks, services) if "STATISTICS" in include else [],
        "tags": tags(record.tags) if "TAGS" in include else [],
        "settings": named(record.settings) if "SETTINGS" in include else [],
        "capacityProviders": list(record.capacity_providers),
        "defaultCapacityProviderStrategy": [dict(entry) for entry in record.default_strategy],
    }
    if "CONFIGURATIONS" in include and record.configuration:
        shown["configuration"] = record.configuration
    if record.service_connect_defaults:
        shown["serviceConnectDefaults"] = record.service_connect_defaults
    if "ATTACHMENTS" in include:
        shown["attachments"] = []
    return shown


def named(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _statistics(tasks: Mapping[tuple[str, str], int], services: Mapping[str, int]) -> list[dict[str, str]]:
    """Numbers as text. All services count as EC2: nothing else runs here."""
    counts: Iterable[tuple[str, int]] = (
        *(
            (f"{status}{word}TasksCount", tasks.get((launch_type, status), 0))
            for status in ("running", "pending")
            for launch_type, word in (("EC2", "EC2"), ("FARGATE", "Fargate"), ("EXTERNAL", "External"))
        ),
        *(
            (f"{status.lower()}{word}ServiceCount", services.get(status, 0) if word == "EC2" else 0)
            for status in ("ACTIVE", "DRAINING")
            for word in ("EC2", "Fargate", "External")
        ),
    )
    return [{"name": name, "value": str(count)} for name, count in counts]


# --- task definitions -----------------------------------------------------------------------------


def task_definition(record: TaskDefinition) -> dict[str, Any]:
    """``TaskDefinition``."""
    shown: dict[str, Any] = {
        "taskDefinitionArn": record.arn,
        "family": record.family,
        "revision": record.revision,
        "status": record.status,
        **record.body,
        "requiresAttributes": [{"name": attribute.name} for attribute in record.requires_attributes],
        "compatibilities": list(record.compatibilities),
        "registeredAt": moment(record.registered_at),
        "registeredBy": record.registered_by,
    }
    if record.deregistered_at is not None:
        shown["deregisteredAt"] = moment(record.deregistered_at)
    if record.delete_requested_at is not None:
        shown["deleteRequestedAt"] = moment(record.delete_requested_at)
    return shown

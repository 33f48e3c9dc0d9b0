"""Records as the API shows them: one function for each shape of its model.

Source: the service model of ECS (2014-11-13); control-plane.md §3.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from ecscope.control.core.errors import Failure
from ecscope.control.core.records import Cluster, Instance, Json, Service, Task, TaskContainer, TaskDefinition
from ecscope.control.core.statuses import InstanceStatus, LastStatus, LaunchType, ServiceStatus
from ecscope.control.core.step import Step
from ecscope.model.resources import HostResources


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


def cluster(step: Step, record: Cluster, include: Collection[str] = ()) -> dict[str, object]:
    """``Cluster``; ``include``: words of DescribeClusters, such as ``SETTINGS``."""
    instances = [
        instance
        for instance in step.instances
        if instance.cluster == record.name and instance.status != InstanceStatus.INACTIVE
    ]
    tasks = Counter(
        (task.launch_type, "running" if task.is_running else "pending")
        for arns in step.tasks_on.values()
        for task in (step.tasks[arn] for arn in arns)
        if task.cluster == record.name and (task.last_status.is_pending or task.is_running)
    )
    here = [service for service in step.services if service.cluster == record.name]
    services = Counter((service.status, _launch_type(service)) for service in here)
    shown: dict[str, object] = {
        "clusterArn": record.arn,
        "clusterName": record.name,
        "status": record.status,
        "registeredContainerInstancesCount": len(instances),
        "runningTasksCount": sum(count for (_, status), count in tasks.items() if status == "running"),
        "pendingTasksCount": sum(count for (_, status), count in tasks.items() if status == "pending"),
        "activeServicesCount": sum(service.status == ServiceStatus.ACTIVE for service in here),
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


def _launch_type(service: Service) -> LaunchType:
    """Of one without a deployment, which is deleted, it no longer matters."""
    return service.deployments[0].launch_type if service.deployments else LaunchType.EC2


def named(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


_STATISTICS_NAMES = {LaunchType.EC2: "EC2", LaunchType.FARGATE: "Fargate", LaunchType.EXTERNAL: "External"}


def _statistics(
    tasks: Mapping[tuple[LaunchType, str], int], services: Mapping[tuple[ServiceStatus, LaunchType], int]
) -> list[dict[str, str]]:
    """Numbers as text."""
    counts: Iterable[tuple[str, int]] = (
        *(
            (f"{status}{word}TasksCount", tasks.get((launch_type, status), 0))
            for status in ("running", "pending")
            for launch_type, word in _STATISTICS_NAMES.items()
        ),
        *(
            (f"{status.lower()}{word}ServiceCount", services.get((status, launch_type), 0))
            for status in (ServiceStatus.ACTIVE, ServiceStatus.DRAINING)
            for launch_type, word in _STATISTICS_NAMES.items()
        ),
    )
    return [{"name": name, "value": str(count)} for name, count in counts]


# --- task definitions -----------------------------------------------------------------------------


def task_definition(record: TaskDefinition) -> dict[str, object]:
    """``TaskDefinition``."""
    shown: dict[str, object] = {
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


# --- failures -------------------------------------------------------------------------------------


def failures(those: Iterable[Failure]) -> list[dict[str, str]]:
    return [
        {name: text for name, text in (("arn", f.arn), ("reason", f.reason), ("detail", f.detail)) if text}
        for f in those
    ]


# --- container instances --------------------------------------------------------------------------


def instance(step: Step, record: Instance, include: Collection[str] = ("TAGS",)) -> dict[str, object]:
    """``ContainerInstance``; ``include``: words of DescribeContainerInstances. Source: control-plane.md §4."""
    tasks_here = (step.tasks[arn] for arn in step.tasks_on.get(record.arn, ()))
    here = [one.last_status for one in tasks_here if not one.is_on_fargate]
    taken = step.taken.get(record.arn, HostResources())
    remaining = HostResources(
        cpu_units=record.resources.cpu_units - taken.cpu_units,
        memory_mib=record.resources.memory_mib - taken.memory_mib,
        ports_tcp=record.resources.ports_tcp | taken.ports_tcp,
        ports_udp=record.resources.ports_udp | taken.ports_udp,
    )
    shown: dict[str, object] = {
        "containerInstanceArn": record.arn,
        "ec2InstanceId": record.ec2_instance_id,
        "version": record.version,
        "versionInfo": dict(record.version_info),
        "remainingResources": _resources(remaining),
        "registeredResources": _resources(record.resources),
        "status": record.status,
        "agentConnected": record.is_connected,
        "runningTasksCount": here.count(LastStatus.RUNNING),
        "pendingTasksCount": sum(status.is_pending for status in here),
        "attributes": attributes(record.attributes),
        "registeredAt": moment(record.registered_at),
        "attachments": [],
        "tags": tags(record.tags) if "TAGS" in include else [],
    }
    if "CONTAINER_INSTANCE_HEALTH" in include:
        shown["healthStatus"] = _instance_health(record)
    return shown


def attributes(values: Mapping[str, str | None]) -> list[dict[str, str]]:
    return [{"name": name} if value is None else {"name": name, "value": value} for name, value in values.items()]


def _resources(amount: HostResources) -> list[dict[str, object]]:
    """The ports are those that no task can have."""
    return [
        _resource("CPU", "INTEGER", amount.cpu_units),
        _resource("MEMORY", "INTEGER", amount.memory_mib),
        _resource("PORTS", "STRINGSET", ports=amount.ports_tcp),
        _resource("PORTS_UDP", "STRINGSET", ports=amount.ports_udp),
    ]


def _resource(name: str, kind: str, number: int = 0, ports: Collection[int] | None = None) -> dict[str, object]:
    shown = {"name": name, "type": kind, "doubleValue": 0.0, "longValue": 0, "integerValue": number}
    return shown if ports is None else {**shown, "stringSetValue": [str(port) for port in sorted(ports)]}


_HEALTH_WORST_FIRST = ("IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING", "OK")


def _instance_health(record: Instance) -> dict[str, object]:
    found = {detail.status for detail in record.health}
    details: list[dict[str, object]] = []
    for detail in record.health:
        shown: dict[str, object] = {"type": detail.type, "status": detail.status}
        if detail.status_reason:
            shown["statusReason"] = detail.status_reason
        for name, at in (("lastUpdated", detail.last_updated_at), ("lastStatusChange", detail.last_status_change_at)):
            if at is not None:
                shown[name] = moment(at)
        details.append(shown)
    return {
        "overallStatus": next((status for status in _HEALTH_WORST_FIRST if status in found), "INSUFFICIENT_DATA"),
        "details": details,
    }


# --- tasks ----------------------------------------------------------------------------------------

ARCHITECTURE = "ecs.cpu-architecture"
ZONE = "ecs.availability-zone"


def task(step: Step, record: Task, include: Collection[str] = ("TAGS",)) -> dict[str, object]:
    """``Task``; ``include``: words of DescribeTasks. Source: control-plane.md §6.3."""
    host = step.instances.get(record.instance_arn)
    has: Mapping[str, str | None] = host.attributes if host is not None else {}
    heard_at = host.connectivity_at if host is not None else None
    created_at = moment(record.created_at)
    shown: dict[str, object] = {
        "attachments": _attachments(record),
        "attributes": [{"name": ARCHITECTURE, "value": has.get(ARCHITECTURE) or "x86_64"}],
        "availabilityZone": has.get(ZONE) or step.settings.availability_zone,
        "clusterArn": f"{record.arn.split(':task/', 1)[0]}:cluster/{record.cluster}",
        "connectivity": "CONNECTED" if host is not None and host.is_connected else "DISCONNECTED",
        "connectivityAt": created_at if heard_at is None else max(moment(heard_at), created_at),
        "containers": [_container(record, container) for container in record.containers],
        "cpu": str(record.needs.cpu_units),
        "createdAt": created_at,
        "desiredStatus": record.desired_status,
        "enableExecuteCommand": record.execute_command_enabled,
        "group": record.group,
        "healthStatus": record.health.value,
        "inferenceAccelerators": [],
        "lastStatus": record.last_status,
        "launchType": record.launch_type,
        "memory": str(record.needs.memory_mib),
        "overrides": _overrides(record),
        "tags": tags(record.tags) if "TAGS" in include else [],
        "taskArn": record.arn,
        "taskDefinitionArn": record.definition_arn,
        "version": record.version,
    }
    shown |= record.platform if record.is_on_fargate else {"containerInstanceArn": record.instance_arn}
    texts = {
        "capacityProviderName": record.capacity_provider,
        "startedBy": record.started_by,
        "stopCode": record.stop_code,
        "stoppedReason": record.stopped_reason,
    }
    shown |= {name: text for name, text in texts.items() if text}
    moments = {
        "executionStoppedAt": record.execution_stopped_at,
        "pullStartedAt": record.pull_started_at,
        "pullStoppedAt": record.pull_stopped_at,
        "startedAt": record.started_at,
        "stoppedAt": record.stopped_at,
        "stoppingAt": record.stopping_at,
    }
    shown |= {name: moment(at) for name, at in moments.items() if at is not None}
    return shown


_ATTACHMENT_STATUSES = {
    LastStatus.PROVISIONING: "PRECREATED",
    LastStatus.DEPROVISIONING: "DETACHING",
    LastStatus.STOPPED: "DELETED",
}
"""Of the network interface of a task, which is ``ATTACHED`` otherwise."""


def _attachments(record: Task) -> list[dict[str, object]]:
    """The network interface of an awsvpc task; what it is like is shown once the agent has taken the task over."""
    interface = record.interface
    if interface is None:
        return []
    details = {"subnetId": record.subnet_id}
    if record.last_status != LastStatus.PROVISIONING:
        details |= {
            "networkInterfaceId": interface.eni_id,
            "macAddress": interface.mac,
            "privateDnsName": interface.private_dns_name,
            "privateIPv4Address": interface.ipv4,
        }
    return [
        {
            "id": interface.attachment_arn.rsplit("/", 1)[-1],
            "type": "ElasticNetworkInterface",
            "status": _ATTACHMENT_STATUSES.get(record.last_status, "ATTACHED"),
            "details": named(details),
        }
    ]


def _interfaces(record: Task) -> list[dict[str, object]]:
    """``NetworkInterface`` of a container."""
    interface = record.interface
    if interface is None or record.last_status == LastStatus.PROVISIONING:
        return []
    return [{"attachmentId": interface.attachment_arn.rsplit("/", 1)[-1], "privateIpv4Address": interface.ipv4}]


def _container(record: Task, container: TaskContainer) -> dict[str, object]:
    shown: dict[str, object] = {
        "containerArn": container.arn,
        "taskArn": record.arn,
        "name": container.name,
        "image": container.image,
        "lastStatus": container.last_status,
        "networkBindings": [dict(binding) for binding in container.network_bindings],
        "networkInterfaces": _interfaces(record),
        "healthStatus": container.health.value,
        "cpu": container.cpu,
    }
    texts = {
        "imageDigest": container.image_digest,
        "runtimeId": container.runtime_id,
        "reason": container.reason,
        "memory": container.memory,
        "memoryReservation": container.memory_reservation,
    }
    shown |= {name: text for name, text in texts.items() if text}
    if container.exit_code is not None:
        shown["exitCode"] = container.exit_code
    return shown


def _overrides(record: Task) -> dict[str, object]:
    """As asked for, with an entry for every container."""
    given = {entry.get("name"): entry for entry in record.overrides.get("containerOverrides", ())}
    return {
        **record.overrides,
        "containerOverrides": [
            {"name": container.name, **given.get(container.name, {})} for container in record.containers
        ],
        "inferenceAcceleratorOverrides": [],
    }

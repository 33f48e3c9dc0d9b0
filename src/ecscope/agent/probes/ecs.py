"""What ECS says of stopped tasks, services and deployments: asked with the caller's credentials, never the instance's.

Importing this imports botocore.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec

from ecscope.agent.aws.client import AwsClient, Timeouts
from ecscope.agent.aws.credentials import CredentialsProvider, chain
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.diagnosis.why.service import Replaced, Service, ServiceStory
from ecscope.agent.diagnosis.why.story import StoppedBy
from ecscope.clock import SystemClock

_LIMIT_S = 1.0
_REGION_PART, _RESOURCE_PART = 3, 5
_AT_ONCE = 10
"""Services that one DescribeServices may name."""
_TASKS = 100
T = TypeVar("T")
DEPLOYMENT = "ecs-svc/"
"""How the IDs of deployments begin."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Which ECS is asked, about which cluster, as whom."""

    region: str
    cluster: str
    environ: Mapping[str, str]
    """Where the caller's credentials are named, as for AWS's own tools."""
    endpoint: str = ""
    """``""``: the region's own."""


class _Task(msgspec.Struct, rename="camel"):
    stop_code: str = ""
    stopped_reason: str = ""
    group: str = ""
    started_by: str = ""
    container_instance_arn: str = ""


class _Answer(msgspec.Struct):
    tasks: list[_Task] = []


class _Instance(msgspec.Struct):
    status: str = ""


class _Instances(msgspec.Struct, rename="camel"):
    container_instances: list[_Instance] = []


class _Services(msgspec.Struct, rename="camel"):
    services: list[Service] = []
    service_arns: list[str] = []


class _ServiceTasks(msgspec.Struct, rename="camel"):
    tasks: list[Replaced] = []
    task_arns: list[str] = []


class _PortMapping(msgspec.Struct, rename="camel"):
    host_port: int = 0


class _Container(msgspec.Struct, rename="camel"):
    port_mappings: list[_PortMapping] = []


class _Definition(msgspec.Struct, rename="camel"):
    container_definitions: list[_Container] = []


class _Definitions(msgspec.Struct, rename="camel"):
    task_definition: _Definition = msgspec.field(default_factory=_Definition)


def cluster_of(arn: str) -> tuple[str, str]:
    """Region and cluster of a task by its ARN; both ``""``: it is not one."""
    parts = arn.split(":", _RESOURCE_PART)
    if len(parts) <= _RESOURCE_PART:
        return "", ""
    cluster = parts[_RESOURCE_PART].split("/")[1] if parts[_RESOURCE_PART].count("/") > 1 else "default"
    return parts[_REGION_PART], cluster


async def stopped_by(arn: str, where: Where) -> StoppedBy | None:
    """``None``: there is no answer, or the task is not stopped there."""
    async with _client(where) as client:
        with suppress(AwsCallFailed, msgspec.ValidationError):
            answer = await client.call("DescribeTasks", {"cluster": where.cluster, "tasks": [arn]})
            task = next((one for one in _as(answer, _Answer).tasks if one.stop_code or one.stopped_reason), None)
            if task is not None:
                return await _with_service(client, where, task)
    return None


async def _with_service(client: AwsClient, where: Where, task: _Task) -> StoppedBy:
    """With what its service and its container instance are now, where they are answered."""
    said = StoppedBy(stop_code=task.stop_code, reason=task.stopped_reason)
    kind, _, service = task.group.partition(":")
    if kind != "service" or task.stop_code != "ServiceSchedulerInitiated":
        return said
    said = msgspec.structs.replace(said, deployment=task.started_by)
    with suppress(AwsCallFailed, msgspec.ValidationError):
        for found in await _described(client, [service], where):
            primary = next((one.id for one in found.deployments if one.status == "PRIMARY"), "")
            own = next((one for one in found.deployments if one.id == task.started_by), None)
            said = msgspec.structs.replace(
                said,
                primary=primary,
                desired_count=found.desired_count,
                service_status=found.status,
                rollout_state=own.rollout_state if own is not None else "",
            )
    if task.container_instance_arn:
        body = {"cluster": where.cluster, "containerInstances": [task.container_instance_arn]}
        with suppress(AwsCallFailed, msgspec.ValidationError):
            for one in _as(await client.call("DescribeContainerInstances", body), _Instances).container_instances:
                said = msgspec.structs.replace(said, instance_status=one.status)
    return said


async def service_seen(which: str, where: Where) -> ServiceStory | None:
    """A service by name or ARN, or the one with the deployment ``ecs-svc/…``; ``None``: there is none, or no answer."""
    async with _client(where) as client:
        with suppress(AwsCallFailed, msgspec.ValidationError):
            service = await _service(client, which, where)
            if service is None:
                return None
            named = {"cluster": where.cluster, "serviceName": service.service_name}
            arns = [
                arn
                for status in ("RUNNING", "STOPPED")
                for arn in msgspec.convert(
                    await client.call("ListTasks", {**named, "desiredStatus": status}), _ServiceTasks
                ).task_arns
            ]
            tasks: list[Replaced] = []
            if arns:
                body = {"cluster": where.cluster, "tasks": arns[-_TASKS:]}
                tasks = _as(await client.call("DescribeTasks", body), _ServiceTasks).tasks
            deployment = which if which.startswith(DEPLOYMENT) else ""
            return ServiceStory(
                service=service,
                deployment=deployment,
                tasks=tuple(tasks),
                wanted_ports=await _wanted_ports(client, service),
            )
    return None


async def service_names(where: Where) -> Sequence[str]:
    """ARNs of all services of the cluster, at most a hundred; none: no answer."""
    async with _client(where) as client:
        with suppress(AwsCallFailed, msgspec.ValidationError):
            return await _service_arns(client, where)
    return ()


async def services(where: Where) -> Sequence[Service] | None:
    """Those of the cluster, at most a hundred; ``None``: no answer."""
    async with _client(where) as client:
        with suppress(AwsCallFailed, msgspec.ValidationError):
            arns = await _service_arns(client, where)
            pages = [arns[start : start + _AT_ONCE] for start in range(0, len(arns), _AT_ONCE)]
            return [service for page in pages for service in await _described(client, page, where)]
    return None


async def _service_arns(client: AwsClient, where: Where) -> list[str]:
    body = {"cluster": where.cluster, "maxResults": 100}
    return msgspec.convert(await client.call("ListServices", body), _Services).service_arns


async def _service(client: AwsClient, which: str, where: Where) -> Service | None:
    if not which.startswith(DEPLOYMENT):
        found = await _described(client, [which], where)
        return found[0] if found else None
    arns = await _service_arns(client, where)
    for start in range(0, len(arns), _AT_ONCE):
        for service in await _described(client, arns[start : start + _AT_ONCE], where):
            if any(one.id == which for one in service.deployments):
                return service
    return None


async def _described(client: AwsClient, services: list[str], where: Where) -> list[Service]:
    answer = await client.call("DescribeServices", {"cluster": where.cluster, "services": services})
    return _as(answer, _Services).services


async def _wanted_ports(client: AwsClient, service: Service) -> tuple[int, ...]:
    primary = next((one for one in service.deployments if one.status == "PRIMARY"), None)
    if primary is None:
        return ()
    answer = await client.call("DescribeTaskDefinition", {"taskDefinition": primary.task_definition})
    containers = msgspec.convert(answer, _Definitions).task_definition.container_definitions
    return tuple(sorted({port.host_port for one in containers for port in one.port_mappings} - {0}))


def _as(document: Mapping[str, Any], kind: type[T]) -> T:
    """Moments come as seconds since the epoch."""
    return msgspec.convert(document, kind, strict=False)


@asynccontextmanager
async def _client(where: Where) -> AsyncIterator[AwsClient]:
    clock = SystemClock()
    credentials = CredentialsProvider(
        chain(where.environ, external=False, clock=clock, imds_endpoint="", imds_disabled=True, rotating_profile=""),
        clock=clock,
    )
    client = AwsClient(
        region=where.region,
        credentials=credentials,
        clock=clock,
        endpoint=where.endpoint,
        timeouts=Timeouts(dial_s=_LIMIT_S, round_trip_s=_LIMIT_S),
    )
    try:
        yield client
    finally:
        await client.close()
        await credentials.close()

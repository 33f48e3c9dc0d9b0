"""The official agent's answers, and the state of an agent that has to give the same.

The state is read from the recordings of version 4; those of the other versions, which show the same tasks otherwise,
are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.core.state import AgentState
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import (
    Container,
    ContainerNetwork,
    Health,
    Mount,
    PortBinding,
    RestartPolicy,
)
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.credentials import TaskCredentials
from ecscope.model.stats import LatestStats
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.task import Task
from tests.builders import a_container, a_failure, a_task
from tests.unit.agent.servers.taskmetadata.scenes import CREDENTIALS, INSTANCE_ARN, RECORDED_ID

FOLDER = Path(__file__).parents[4] / "fixtures" / "official-agent" / "tmds"

APP = "09c339e1-3db6-45f7-95ef-a59d364eae55"
"""Endpoint ID of a container of a task with a role."""
HOST = "f5d167c4-4df0-4a8c-a246-1744a04b0768"
SIMPLE_APP, BUSYBOX = "a71c4c9b-e09d-409b-b427-781c8bef6e6a", "90fb40ca-a046-4b23-b24e-c7d9fd0b647d"
RESTARTED = "1e9fb450-05a0-4e8f-83d7-da45447af29a"

_ENDPOINTS = {"app": APP, "h": HOST, "simple-app": SIMPLE_APP, "busybox": BUSYBOX, "r": RESTARTED}


class Recording(msgspec.Struct, frozen=True):
    """One request and its answer."""

    name: str
    method: str
    target: str
    sent: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    """In order, without ``Date`` and what says how long the body is."""
    body: str


def recordings() -> list[Recording]:
    """All of them."""
    return [_read(path) for path in sorted(FOLDER.glob("*.txt"))]


def recording(name: str) -> Recording:
    """The one of that name."""
    return _read(FOLDER / f"{name}.txt")


def _read(path: Path) -> Recording:
    text = path.read_text().replace("<docker-root>", "/var/lib/docker")  # undo what the recording replaced
    head, _, body = text.partition("\n\n")
    command, status, *lines = head.splitlines()
    method = re.search(r"-X (\w+)", command)
    sent = re.search(r"--data-binary '([^']*)'", command)
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Recording(
        name=path.stem,
        method=method[1] if method else "HEAD",
        target=re.findall(r"51679([^']*)'", command)[0],
        sent=sent[1].encode() if sent else b"",
        status=int(status.split()[1]),
        headers=tuple(pair for pair in pairs if pair[0] not in ("Date", "Content-Length", "Transfer-Encoding")),
        body=body,
    )


# --- the state --------------------------------------------------------------------------------------


def a_recorded_state() -> AgentState:
    """What the official agent knew."""
    tasks = [_task(json.loads(recording(f"v4-{name}-task").body)) for name in ("app", "host", "console-simple-app")]
    restarted = _container(json.loads(recording("v4-restarted-container").body))
    arn = TaskArn(restarted.labels["com.amazonaws.ecs.task-arn"])
    tasks.append(a_task(restarted, arn=arn, known=TaskStatus.RUNNING))
    tasks[0] = msgspec.structs.replace(tasks[0], credentials_id=RECORDED_ID)
    credentials = msgspec.structs.replace(CREDENTIALS, task_arn=tasks[0].arn)
    return AgentState(
        instance=ContainerInstance(
            cluster="default", arn=INSTANCE_ARN, agent_version="v", availability_zone="us-west-2a"
        ),
        tasks={task.arn: task for task in tasks},
        credentials={RECORDED_ID: credentials},
    )


def _task(shown: Mapping[str, Any]) -> Task:
    limits = shown.get("Limits", {})
    return a_task(
        *map(_container, shown["Containers"]),
        arn=TaskArn(shown["TaskARN"]),
        family=shown["Family"],
        version=shown["Revision"],
        desired=TaskStatus(shown["DesiredStatus"]),
        known=TaskStatus(shown["KnownStatus"]),
        cpu_vcpu=float(limits.get("CPU", 0)),
        memory_mib=limits.get("Memory", 0),
        launch_type=shown["LaunchType"],
        service_name=shown.get("ServiceName", ""),
    )


def _container(shown: Mapping[str, Any]) -> Container:
    health = shown.get("Health")
    return a_container(
        shown["Name"],
        image=shown["Image"],
        cpu_units=shown["Limits"]["CPU"],
        memory_mib=shown["Limits"]["Memory"],
        arn=shown["ContainerARN"],
        health_check_is_docker=health is not None,
        restart_policy=RestartPolicy(enabled=True) if "RestartCount" in shown else None,
        endpoint_id=_ENDPOINTS.get(shown["Name"], ""),
        docker_id=DockerId(shown["DockerId"]),
        docker_name=shown["DockerName"],
        image_id=shown["ImageID"],
        bindings=tuple(
            PortBinding(
                container_port=port["ContainerPort"],
                host_port=port["HostPort"],
                protocol=port["Protocol"],
                host_ip=port["HostIp"],
            )
            for port in shown.get("Ports", ())
        ),
        labels=dict(reversed(shown["Labels"].items())),
        desired=ContainerStatus(shown["DesiredStatus"]),
        known=ContainerStatus(shown["KnownStatus"]),
        created_at=shown["CreatedAt"],
        started_at=shown["StartedAt"],
        finished_at=shown.get("FinishedAt", ""),
        health=Health(status=HealthStatus(health["status"]), since=health["statusSince"], exit_code=0)
        if health
        else Health(),
        mounts=tuple(
            Mount(name=volume["DockerName"], source=volume["Source"], destination=volume["Destination"])
            for volume in shown.get("Volumes", ())
        ),
        networks=tuple(
            ContainerNetwork(name=network["NetworkMode"], ipv4=network["IPv4Addresses"][0])
            for network in shown["Networks"]
        ),
        restart_count=shown.get("RestartCount", 0),
    )


def in_the_order_of(state: AgentState, body: str) -> AgentState:
    """The official agent's order of containers changes from answer to answer."""
    try:
        shown = json.loads(body)
    except ValueError:
        return state
    if not isinstance(shown, dict) or not isinstance(shown.get("Containers"), list):
        return state
    names = [container["Name"] for container in shown["Containers"]]
    task = state.tasks[TaskArn(shown["TaskARN"])]
    ordered = tuple(sorted(task.containers, key=lambda container: names.index(container.name)))
    return msgspec.structs.replace(
        state, tasks={**state.tasks, task.arn: msgspec.structs.replace(task, containers=ordered)}
    )


# --- what is asked elsewhere ------------------------------------------------------------------------


class RecordedSources:
    """``routes.Sources`` that answer as the ECS API and Docker did."""

    def __init__(self, state: AgentState, body: str = "") -> None:
        """``body``: the answer whose samples are to be shown."""
        self._state = state
        self.samples = _samples(body)
        self.calls: list[tuple[str, dict[str, Any], TaskCredentials | None, str]] = []
        self.failure: Exception | None = None
        self.protection: dict[str, Any] = {"protectionEnabled": False}

    async def stats(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        return {docker_id: self.samples[docker_id] for docker_id in docker_ids if docker_id in self.samples}

    async def ecs(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        self.calls.append((operation, dict(body), credentials, on_behalf))
        if self.failure is not None:
            raise self.failure
        if operation == "ListTagsForResource":
            task_id = body["resourceArn"].rpartition("/")[2]
            return {"tags": [{"key": "tag-of", "value": task_id}] if ":task/" in body["resourceArn"] else []}
        return {"protectedTasks": [{"taskArn": body["tasks"][0], **self.protection}], "failures": []}

    async def state_when(self, is_wanted: Callable[[AgentState], bool], *, within_s: float) -> AgentState:
        return self._state


def refused(**fields: Any) -> AwsCallFailed:
    """A call that ECS refused."""
    return AwsCallFailed(a_failure(**fields))


def _samples(body: str) -> dict[DockerId, LatestStats]:
    """By Docker ID, those that an answer shows: Docker's members in another order, and such as nobody is shown."""
    try:
        shown = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(shown, dict):
        return {}
    documents = [shown] if "read" in shown else [one for one in shown.values() if isinstance(one, dict)]
    return {DockerId(one["id"]): _sample(one) for one in documents if "id" in one}


def _sample(shown: dict[str, Any]) -> LatestStats:
    rates = shown.get("network_rate_stats", {})
    document = {key: value for key, value in reversed(shown.items()) if key != "network_rate_stats"}
    return LatestStats(
        document=_scrambled(document) | {"os_type": "linux"},
        rx_bytes_per_s=rates.get("rx_bytes_per_sec"),
        tx_bytes_per_s=rates.get("tx_bytes_per_sec"),
    )


def _scrambled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scrambled(item) for key, item in reversed(value.items())}
    return value

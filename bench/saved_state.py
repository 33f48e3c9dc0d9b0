"""A data directory with many saved tasks, written by the agent's own store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ecscope.agent.store.interface import Batch
from ecscope.agent.store.sqlite import SqliteStore
from ecscope.model.arn import STANDALONE_ACCOUNT, DockerId, task_arn
from ecscope.model.container import Container, ContainerDefinition, PortBinding, PortMapping
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task

IMAGE = "ecscope-sample:latest"


def write(data_dir: Path, count: int) -> None:
    """``count`` tasks of one container with one published port each, all ended just now."""
    asyncio.run(_write(data_dir, [stopped_task(number) for number in range(count)]))


async def _write(data_dir: Path, tasks: list[Task]) -> None:
    store = SqliteStore(data_dir)
    store.load()
    await store.save(Batch(tasks={task.arn: task for task in tasks}))
    await store.close()


def stopped_task(number: int) -> Task:
    """One of many: only its IDs and its port differ. STOPPED, so that no engine is asked about it."""
    now = datetime.now(UTC)
    text = now.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    identity = sha256(f"task {number}".encode()).hexdigest()
    definition = ContainerDefinition(
        name="app",
        image=IMAGE,
        command=("sh", "-c", "trap 'exit 0' TERM; sleep 86400 & wait"),
        cpu_units=2,
        memory_mib=16,
        port_mappings=(PortMapping(container_port=80),),
    )
    container = Container(
        definition=definition,
        name_suffix=identity[:20],
        known=ContainerStatus.STOPPED,
        desired=ContainerStatus.STOPPED,
        docker_name=f"ecs-bench-1-app-{identity[:20]}",
        docker_id=DockerId(sha256(identity.encode()).hexdigest()),
        image_id="sha256:" + sha256(IMAGE.encode()).hexdigest(),
        created_at=text,
        started_at=text,
        finished_at=text,
        exit_code=0,
        bindings=(PortBinding(container_port=80, host_port=32768 + number, host_ip="0.0.0.0"),),
    )
    return Task(
        arn=task_arn(region="us-west-2", account=STANDALONE_ACCOUNT, cluster="ecscope-bench", task_id=identity[:32]),
        family="bench",
        version="1",
        desired=TaskStatus.STOPPED,
        known=TaskStatus.STOPPED,
        containers=(container,),
        host_resources=HostResourcesHeld.RELEASED,
        received_at=now,
        execution_stopped_at=now,
        stopped_at=now,
    )

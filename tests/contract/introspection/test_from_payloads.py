"""Tasks that came in a payload show on 51678 what the official agent shows of the same payload.

What only Docker knows (IDs, times, chosen host ports) is taken from the recorded answer; names, images, ports that
were asked for, volumes and where they are mounted come from the payload alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ecscope.agent.servers.introspection.v1 import task_entry
from ecscope.model.container import Container, Mount
from ecscope.model.names import container_docker_name
from ecscope.model.task import Task
from ecscope.wire.acs.payload import PayloadTask
from ecscope.wire.acs.to_task import to_task
from tests.builders import AT
from tests.contract.introspection.captures import DOCKER_ROOT, FOLDER, all_captures, tasks_in

replace = msgspec.structs.replace

ROOT = DOCKER_ROOT.decode()
SUFFIX_LENGTH = 20


def recorded_payloads() -> Iterator[PayloadTask]:
    for path in sorted((FOLDER / "traffic").glob("*.jsonl")):
        for record in map(json.loads, path.read_text().splitlines()):
            if record.get("type") == "PayloadMessage":
                yield from (msgspec.convert(task, PayloadTask) for task in record["message"]["tasks"])


def console_sample(task_id: str, *, host_port: int) -> PayloadTask:
    """The sample application of the captures, whose payloads were sent before the recording began."""
    return msgspec.convert(
        {
            "arn": f"arn:aws:ecs:us-west-2:012345678910:task/default/{task_id}",
            "family": "console-sample-app-static",
            "version": "6",
            "desiredStatus": "RUNNING",
            "volumes": [{"name": "my-vol", "host": {}}],
            "containers": [
                {
                    "name": "simple-app",
                    "image": "busybox:latest",
                    "essential": True,
                    "portMappings": [{"containerPort": 80, "hostPort": host_port, "protocol": "tcp"}],
                    "mountPoints": [{"sourceVolume": "my-vol", "containerPath": "/usr/local/apache2/htdocs"}],
                },
                {
                    "name": "busybox",
                    "image": "busybox:latest",
                    "essential": False,
                    "volumesFrom": [{"sourceContainer": "simple-app"}],
                },
            ],
        },
        PayloadTask,
    )


PAYLOADS: dict[str, PayloadTask] = {
    str(payload.arn): payload
    for payload in (
        *recorded_payloads(),
        console_sample("e01d58a8151b40e8bc0122647b9ecfec", host_port=8080),
        console_sample("5f6d64ab8f2c4d47a1b9f2a3c4d5e6f7", host_port=0),
    )
}


def shown_tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, capture in all_captures().items():
        if capture.answer_body.startswith((b'{"Tasks":', b'{"Arn":"arn:')):
            body = json.loads(capture.answer_body)
            for entry in body.get("Tasks", [body]):
                if entry["Arn"] in PAYLOADS:
                    yield f"{name}-{entry['Arn'][-4:]}", entry


SHOWN = dict(shown_tasks())


def drawn_again(payload: PayloadTask, shown: dict[str, Any]) -> Iterator[str]:
    """The random ends of names in the order in which the conversion asks for them: containers, then volumes."""
    containers = {entry["Name"]: entry for entry in shown["Containers"]}
    for container in payload.containers or ():
        yield containers[container.name]["DockerName"][-SUFFIX_LENGTH:] if container.name in containers else "0"
    volumes = [volume for entry in shown["Containers"] for volume in entry.get("Volumes", [])]
    for _ in payload.volumes or ():
        yield volumes[0]["DockerName"][-SUFFIX_LENGTH:]


def mounts_of(task: Task, container: Container) -> tuple[Mount, ...]:
    """Where Docker mounts the task's volumes, worked out from what was asked for."""
    points = list(container.definition.mount_points)
    for source in container.definition.volumes_from:
        other = task.container(source.source_container)
        assert other is not None
        points += other.definition.mount_points
    names = {volume.name: volume.docker_name for volume in task.volumes}
    return tuple(
        Mount(
            name=names[point.source_volume],
            source=f"{ROOT}/volumes/{names[point.source_volume]}/_data",
            destination=point.container_path,
        )
        for point in points
    )


def lived_through(task: Task, seen: Task) -> Task:
    """The converted task with what happened to it."""

    def merged(container: Container) -> Container:
        was = seen.container(container.name)
        if was is None:
            return container
        return replace(
            was,
            definition=container.definition,
            name_suffix=container.name_suffix,
            docker_name=container_docker_name(
                family=task.family,
                version=task.version,
                container_name=container.name,
                suffix=container.name_suffix,
            ),
            mounts=mounts_of(task, container),
        )

    return replace(
        task,
        known=seen.known,
        desired=seen.desired,
        containers=tuple(merged(container) for container in task.containers),
    )


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
def test_a_task_of_a_payload_is_shown_as_the_official_agent_shows_it(shown: dict[str, Any]) -> None:
    payload = PAYLOADS[shown["Arn"]]
    suffixes = drawn_again(payload, shown)
    converted = to_task(payload, suffixes=lambda: next(suffixes), received_at=AT)
    (seen,) = tasks_in(json.dumps(shown).encode())
    answer = json.loads(msgspec.json.encode(task_entry(lived_through(converted, seen))))
    # The official agent lists containers in an order that is chance.
    assert sorted(answer.pop("Containers"), key=lambda entry: str(entry["Name"])) == sorted(
        shown["Containers"], key=lambda entry: str(entry["Name"])
    )
    assert answer == {name: value for name, value in shown.items() if name != "Containers"}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
def test_what_is_published_was_asked_for(shown: dict[str, Any]) -> None:
    task = to_task(PAYLOADS[shown["Arn"]], suffixes=lambda: "0", received_at=AT)
    for entry in shown["Containers"]:
        container = task.container(entry["Name"])
        assert container is not None
        asked = {
            (mapping.container_port, mapping.protocol): mapping.host_port
            for mapping in container.definition.port_mappings
        }
        published = {(port["ContainerPort"], port["Protocol"]): port["HostPort"] for port in entry.get("Ports", [])}
        assert published.keys() == asked.keys()
        assert all(asked[port] in (0, host_port) for port, host_port in published.items())


def test_the_recorded_tasks_are_among_what_is_shown() -> None:
    assert {shown["Family"] for shown in SHOWN.values()} >= {
        "console-sample-app-static",
        "tmds-sample",
        "exits-with-3",
        "no-such-image",
        "cannot-start",
        "nonessential-exits",
        "restarts",
        "completes",
        "depends",
        "port-conflict",
    }

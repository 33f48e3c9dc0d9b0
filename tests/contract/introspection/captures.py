"""The recorded answers of the official agent, and the states that must give the same answers.

A state is built by reading the recorded body with ``json``: field by field the other way round
than the agent does it, and without any code of the encoder.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ecscope.agent.core.state import AgentState
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import Container, Mount, PortBinding, RestartPolicy
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task
from tests.builders import a_container, a_task

FOLDER = Path(__file__).parents[2] / "fixtures" / "official-agent"
FOLDERS = (FOLDER / "introspection", FOLDER / "introspection-more")

VERSION = "Amazon ECS Agent - v1.105.1 (*a8b3e7d3)"
INSTANCE = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/adb0bf0be846406d8763ab89f65e712f"

DOCKER_ROOT = b"/" + b"d" * (12 - 1)
"""As long as the directory of the machine of the captures, for which they have a placeholder."""

STATUSES = {"PENDING": TaskStatus.CREATED, "RUNNING": TaskStatus.RUNNING, "STOPPED": TaskStatus.STOPPED}


@dataclass(frozen=True)
class Capture:
    """One file: the request that was sent, and the answer as ``curl -i`` showed it."""

    name: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status_line: bytes
    answer_headers: tuple[tuple[bytes, bytes], ...]
    answer_body: bytes

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def request(self) -> bytes:
        """What curl sent, byte for byte as far as the server looks at it."""
        given = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        if "host" not in given:
            lines.append(f"Host: {urlsplit(self.url).netloc}")
        lines += ["User-Agent: curl/8.5.0", "Accept: */*"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
            if "content-type" not in given:
                lines.append("Content-Type: application/x-www-form-urlencoded")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def read(path: Path) -> Capture:
    """Take a capture file apart."""
    command, answer = path.read_bytes().split(b"\n", 1)
    words = shlex.split(command.decode().removeprefix("$ curl "))
    method, headers, body = "GET", [], b""
    while len(words) > 1:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-I":
                method = "HEAD"
            case "-H":
                name, value = words.pop(0).split(": ", 1)
                headers.append((name, value))
            case "--data-binary":
                body = words.pop(0).encode()
            case "-i" | "--path-as-is":
                pass
            case other:
                raise ValueError(f"{path.name}: what does curl do with {other}?")
    head, answer_body = answer.split(b"\r\n\r\n", 1)
    status_line, *lines = head.split(b"\r\n")
    return Capture(
        name=path.stem,
        method=method,
        url=words[0],
        headers=tuple(headers),
        body=body,
        status_line=status_line,
        answer_headers=tuple((name, value) for name, value in (line.split(b": ", 1) for line in lines)),
        answer_body=answer_body.replace(b"<docker-root>", DOCKER_ROOT) if method != "HEAD" else b"",
    )


def all_captures() -> dict[str, Capture]:
    return {
        f"{path.parent.name}/{path.stem}": read(path) for folder in FOLDERS for path in sorted(folder.glob("*.txt"))
    }


def state_of(tasks: list[Task], *, instance_arn: str = INSTANCE) -> AgentState:
    """A state with these tasks, and with the index that the core keeps."""
    return AgentState(
        instance=ContainerInstance(cluster="default", arn=instance_arn, agent_version=VERSION),
        tasks={task.arn: task for task in tasks},
        docker_ids={
            container.docker_id: (task.arn, container.name)
            for task in tasks
            for container in task.containers
            if container.docker_id
        },
    )


def tasks_in(body: bytes) -> list[Task]:
    """The tasks that a recorded body shows."""
    shown = json.loads(body)
    return [_task(entry) for entry in shown.get("Tasks", [shown])]


def _task(entry: Mapping[str, object]) -> Task:
    containers = entry["Containers"]
    assert isinstance(containers, list)
    return a_task(
        *map(_container, containers),
        *([] if containers else [a_container("waiting")]),
        arn=TaskArn(str(entry["Arn"])),
        family=entry["Family"],
        version=entry["Version"],
        known=STATUSES[str(entry["KnownStatus"])],
        desired=STATUSES[str(entry["DesiredStatus"])],
    )


def _container(entry: Mapping[str, object]) -> Container:
    ports, volumes = entry.get("Ports", []), entry.get("Volumes", [])
    assert isinstance(ports, list)
    assert isinstance(volumes, list)
    return a_container(
        str(entry["Name"]),
        image=entry["Image"],
        docker_id=DockerId(str(entry["DockerId"])),
        docker_name=entry["DockerName"],
        image_id=entry["ImageID"],
        created_at=entry.get("CreatedAt", ""),
        started_at=entry.get("StartedAt", "0001-01-01T00:00:00Z"),
        bindings=tuple(
            PortBinding(container_port=port["ContainerPort"], host_port=port["HostPort"], protocol=port["Protocol"])
            for port in ports
        ),
        mounts=tuple(
            Mount(
                name=volume.get("DockerName", ""),
                source=volume.get("Source", ""),
                destination=volume.get("Destination", ""),
            )
            for volume in volumes
        ),
        restart_policy=RestartPolicy(enabled=True) if "RestartCount" in entry else None,
        restart_count=entry.get("RestartCount", 0),
    )

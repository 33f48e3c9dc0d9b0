"""The metadata file of a container: written before it is made, completed when it runs, removed with it.

The folder that holds it is mounted into the container, so that the file can be replaced. A file that cannot be written
is logged, and keeps no container from running.

Source: developer guide, "Amazon ECS container metadata file"; engine.md §6.3, §11.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import msgspec

from ecscope.agent.core.container_config import METADATA_FILE_NAME
from ecscope.log import TASK_ARN
from ecscope.model.container import Container, ContainerInspection
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.task import Task

_log = logging.getLogger("ecscope.executor")


class _Shown(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """Members in the order of the developer guide."""


class PortEntry(_Shown, frozen=True, kw_only=True):
    """One binding of a port."""

    container_port: int
    host_port: int
    bind_ip: str = ""
    protocol: str


class NetworkEntry(_Shown, frozen=True, kw_only=True):
    """One network of the container."""

    network_mode: str
    ipv4_addresses: tuple[str, ...] = msgspec.field(name="IPv4Addresses")


class MetadataFile(_Shown, frozen=True, kw_only=True):
    """What is in the file; until the container runs, the members without a default."""

    cluster: str
    container_instance_arn: str = msgspec.field(name="ContainerInstanceARN")
    task_arn: str = msgspec.field(name="TaskARN")
    task_definition_family: str = ""
    task_definition_revision: str = ""
    container_id: str = msgspec.field(name="ContainerID", default="")
    container_name: str
    docker_container_name: str = ""
    image_id: str = msgspec.field(name="ImageID", default="")
    image_name: str = ""
    port_mappings: tuple[PortEntry, ...] = ()
    networks: tuple[NetworkEntry, ...] = ()
    metadata_file_status: str = ""
    availability_zone: str = ""


def begun(task: Task, container: Container, instance: ContainerInstance) -> MetadataFile:
    """What is known before the container is made."""
    return MetadataFile(
        cluster=instance.cluster,
        container_instance_arn=instance.arn,
        task_arn=task.arn,
        container_name=container.name,
    )


def completed(
    task: Task, container: Container, instance: ContainerInstance, inspection: ContainerInspection
) -> MetadataFile:
    """What is known once it runs."""
    networks = tuple((network.name, network.ipv4) for network in inspection.networks)
    if task.interface is not None:
        networks = (("awsvpc", task.interface.ipv4),)
    return msgspec.structs.replace(
        begun(task, container, instance),
        task_definition_family=task.family,
        task_definition_revision=task.version,
        container_id=inspection.docker_id,
        docker_container_name=inspection.docker_name,
        image_id=inspection.image_id,
        image_name=container.definition.image,
        port_mappings=tuple(
            PortEntry(
                container_port=bound.container_port,
                host_port=bound.host_port,
                bind_ip=bound.host_ip,
                protocol=bound.protocol,
            )
            for bound in inspection.bindings
        ),
        networks=tuple(NetworkEntry(network_mode=mode, ipv4_addresses=(address,)) for mode, address in networks),
        metadata_file_status="READY",
        availability_zone=instance.availability_zone,
    )


class MetadataFiles:
    """The files of all containers. Never raises ``OSError``."""

    def __init__(self, folder: Path, *, on_host: str = "") -> None:
        """``on_host``: what Docker knows ``folder`` as; ``""``: the same."""
        self._folder = folder
        self._on_host = on_host or str(folder)

    async def begin(self, task: Task, container: Container, instance: ContainerInstance) -> str:
        """Write what is known; the host's path of the folder to mount, ``""`` where it cannot be written."""
        is_written = await self._write(task, container, begun(task, container, instance))
        return f"{self._on_host}/{_place(task, container)}" if is_written else ""

    async def complete(
        self, task: Task, container: Container, instance: ContainerInstance, inspection: ContainerInspection
    ) -> None:
        """Write all of it, in one step for who reads it."""
        await self._write(task, container, completed(task, container, instance, inspection))

    async def remove(self, task: Task, container: Container) -> None:
        """Whether or not there is one."""
        await asyncio.to_thread(_remove, self._folder / _place(task, container))

    async def _write(self, task: Task, container: Container, content: MetadataFile) -> bool:
        text = msgspec.json.format(msgspec.json.encode(content), indent=4)
        try:
            await asyncio.to_thread(_replace, self._folder / _place(task, container), text)
        except OSError as error:
            _log.warning(
                "no metadata file for container %s: %s: %s",
                container.name,
                error.filename,
                error.strerror,
                extra={TASK_ARN: task.arn},
            )
            return False
        return True


def _place(task: Task, container: Container) -> str:
    """Its name is what ECS sent, and may be no name of a file."""
    return f"{task.arn.rpartition('/')[2]}/{container.name_suffix}"


def _replace(folder: Path, text: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{METADATA_FILE_NAME}"
    fresh.write_bytes(text)
    for path, mode in ((folder, 0o755), (fresh, 0o644)):  # the container's user may be any
        path.chmod(mode)
    fresh.replace(folder / METADATA_FILE_NAME)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.parent.rmdir()  # unless another container of the task has its own in there

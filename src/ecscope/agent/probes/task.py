"""What the engine and the host show of one task now: the ends of its logs, and who holds a port that it wanted."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import socket
import struct
from collections.abc import Awaitable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from ecscope.agent.diagnosis.why.messages import port_of
from ecscope.agent.diagnosis.why.story import DockerSeen, Observed, PortHolder, RegistrySeen, Story
from ecscope.agent.probes import host
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.client import DockerClient
from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint, parse_endpoint
from ecscope.agent.runtime.docker.log_frames import HEADER, frames
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.image_reference import InvalidImageReference, parse_image_reference
from ecscope.model.names import CONTAINER_NAME_LABEL, FAMILY_LABEL, TASK_ARN_LABEL

TAIL_LINES = 200
TAIL_BYTES = 64 * 1024
_LIMIT_S = 1.0
_TTY_FIRST = b"\0\1\2"
_KILLED = re.compile(r"(?:out of memory|oom-kill|oom_reaper|Killed process)", re.I)
_DOCKER_ID = re.compile(r"[0-9a-f]{64}")
_KERNEL_LOG_BYTES = 1 << 20
_TAGS_BYTES = 1 << 18
T = TypeVar("T")


class _Port(msgspec.Struct, rename="pascal"):
    public_port: int = 0


class _Container(msgspec.Struct, rename="pascal"):
    id: str
    labels: dict[str, str] | None = None
    names: list[str] | None = None
    ports: list[_Port] | None = None


class _State(msgspec.Struct, rename="pascal"):
    started_at: str = ""
    paused: bool = False


class _Inspection(msgspec.Struct, rename="pascal"):
    state: _State


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Image(msgspec.Struct, rename="pascal"):
    repo_tags: list[str] | None = None


class _Root(msgspec.Struct, rename="pascal"):
    docker_root_dir: str = ""


async def observe(story: Story, docker_host: str) -> Observed:
    """Look at what the rules may want to know of this story; what does not answer in a second is left out."""
    booted_at, now = host.booted_at(), datetime.now(UTC)
    wanted = {port_of(one.error.message) for one in story.containers if one.error is not None} - {0}
    kernel = await asyncio.to_thread(kernel_kills)
    try:
        client = DockerClient(parse_endpoint(docker_host), version_timeout_s=_LIMIT_S)
    except InvalidEndpoint:
        return Observed(at=now, kernel_kills=kernel, booted_at=booted_at)
    asked = asyncio.create_task(registries(story))
    seen = await docker_seen(client, docker_host, now)
    try:
        ended = [one for one in story.containers if one.docker_id]
        tails = await asyncio.gather(*(_quietly(_tail(client, one.docker_id)) for one in ended))
        running = [one for one in ended if one.exit_code is None and not story.is_stopped]
        states = await asyncio.gather(*(_quietly(_state(client, one.docker_id)) for one in running))
        paused = frozenset(one.name for one, state in zip(running, states, strict=True) if state and state.paused)
        ports = await _ports(client, wanted) if wanted else {}
        images = await _quietly(_images(client)) if _is_about_images(story) else None
        free = await _quietly(_free(client)) if _is_about_room(story) else None
    finally:
        await client.close()
        of_registries = await asked
    return Observed(
        at=now,
        docker=seen,
        booted_at=booted_at,
        registries=of_registries,
        log_tails={one.name: tail for one, tail in zip(ended, tails, strict=True) if tail is not None},
        paused=paused,
        ports=ports,
        image_tags=tuple(images or ()),
        free_bytes=free,
        kernel_kills=kernel,
    )


async def docker_seen(client: DockerClient, endpoint: str, now: datetime) -> DockerSeen | None:
    """Whether the engine answers, and since when its process runs; ``None``: this user may not ask it."""
    if not await asyncio.to_thread(_may_ask, endpoint):
        return None
    started_at = await asyncio.to_thread(_listening_since, endpoint, now)
    try:
        await client.request(errors.PING, "GET", "/_ping", timeout_s=_LIMIT_S)
    except RuntimeFailure as failure:
        hangs = await asyncio.to_thread(_takes_connections, endpoint)
        return DockerSeen(endpoint=endpoint, failure=str(failure), hangs=hangs, started_at=started_at)
    return DockerSeen(endpoint=endpoint, started_at=started_at)


def _may_ask(endpoint: str) -> bool:
    found = urlsplit(endpoint)
    if found.scheme != "unix" or not Path(found.path).exists():
        return True
    return os.access(found.path, os.R_OK | os.W_OK)


def _takes_connections(endpoint: str) -> bool:
    found = urlsplit(endpoint)
    try:
        if found.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_LIMIT_S)
                probe.connect(found.path)
        else:
            socket.create_connection((found.hostname or "", found.port or 0), timeout=_LIMIT_S).close()
    except (OSError, ValueError):
        return False
    return True


def _listening_since(endpoint: str, now: datetime) -> datetime | None:
    """When the process began that listens on Docker's socket; ``None``: not known, as where systemd listens for it."""
    found = urlsplit(endpoint)
    if found.scheme != "unix":
        return None
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_LIMIT_S)
            probe.connect(found.path)
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return host.started_at(pid, now) if pid > 1 else None


async def registries(story: Story) -> Mapping[str, RegistrySeen]:
    """What registries say of repositories from which an image could not be pulled. Asked without credentials."""
    wanted = {
        one.image for one in story.containers if one.image and one.error is not None and _NOT_THERE(one.error.message)
    }
    answers = await asyncio.gather(*(asyncio.to_thread(_repository, image) for image in wanted))
    return {image: found for image, found in zip(wanted, answers, strict=True) if found is not None}


_NOT_THERE = re.compile(r"not found|unknown|denied").search


def _repository(image: str) -> RegistrySeen | None:
    """By the list of its tags; ``None``: no answer, or one that proves nothing."""
    try:
        reference = parse_image_reference(image)
    except InvalidImageReference:
        return None
    if not reference.host:
        return None  # Docker Hub answers nobody without a token
    registry, name = reference.host, reference.path
    kinds = (http.client.HTTPSConnection, http.client.HTTPConnection)
    for kind in kinds[1:] if registry.partition(":")[0] in ("127.0.0.1", "localhost") else kinds:
        connection = kind(registry, timeout=_LIMIT_S)
        try:
            connection.request("GET", f"/v2/{name}/tags/list", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_TAGS_BYTES)
        except (OSError, http.client.HTTPException, ValueError):
            continue
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND and b"NAME_UNKNOWN" in body:
            return RegistrySeen(has_repository=False)
        if answer.status == http.client.OK:
            with suppress(msgspec.DecodeError):
                return RegistrySeen(has_repository=True, tags=tuple(msgspec.json.decode(body, type=_Tags).tags or ()))
        return None
    return None


async def _quietly(work: Awaitable[T]) -> T | None:
    with suppress(RuntimeFailure, TimeoutError, msgspec.DecodeError, OSError):
        async with asyncio.timeout(_LIMIT_S):
            return await work
    return None


def _is_about_images(story: Story) -> bool:
    return any(one.error is not None and one.error.doing != "start" for one in story.containers)


def _is_about_room(story: Story) -> bool:
    return any(one.error is not None and "space" in one.error.message for one in story.containers)


async def _tail(client: DockerClient, docker_id: str) -> str:
    query = {"stdout": "1", "stderr": "1", "tail": str(TAIL_LINES)}
    path = f"/containers/{docker_id}/logs"
    answer = await client.request(errors.INSPECT, "GET", path, timeout_s=_LIMIT_S, query=query)
    return text_of_log(answer.body)


def text_of_log(raw: bytes) -> str:
    """Docker's log stream as text, at most its last ``TAIL_BYTES``. A container with a terminal has no frames."""
    if raw[:1] and raw[0] not in _TTY_FIRST:
        return raw[-TAIL_BYTES:].decode("utf-8", "replace")
    found, cut_off = frames(raw)
    return b"".join([*(content for _, content in found), cut_off[HEADER:]])[-TAIL_BYTES:].decode("utf-8", "replace")


async def _ports(client: DockerClient, wanted: Collection[int]) -> Mapping[int, tuple[PortHolder, ...]]:
    """Containers that publish them, else processes that listen there."""
    found: dict[int, tuple[PortHolder, ...]] = {}
    answer = await _quietly(client.request(errors.LIST, "GET", "/containers/json", timeout_s=_LIMIT_S))
    listed = msgspec.json.decode(answer.body, type=list[_Container]) if answer is not None else []
    for one in listed:
        for port in one.ports or ():
            if port.public_port in wanted:
                labels = one.labels or {}
                name = labels.get(CONTAINER_NAME_LABEL) or (one.names or [""])[0].lstrip("/")
                holder = PortHolder(
                    task_arn=labels.get(TASK_ARN_LABEL, ""),
                    family=labels.get(FAMILY_LABEL, ""),
                    container=name,
                    command=f"container {name}",
                    since=await _quietly(_started_at(client, one.id)),
                )
                found[port.public_port] = (holder,)
    with suppress(OSError):
        for number, holders in (await asyncio.to_thread(host.ports, wanted)).holders.items():
            of_processes = tuple(
                PortHolder(
                    pid=one.pid or 0,
                    command=one.command,
                    since=host.started_at(one.pid, datetime.now(UTC)) if one.pid else None,
                )
                for one in holders
            )
            if number not in found:
                found[number] = of_processes
            elif not found[number][0].task_arn:  # a container of somebody else: its proxy has the process ID
                found[number] = tuple(
                    msgspec.structs.replace(found[number][0], pid=one.pid) for one in of_processes[:1]
                )
    return found


async def _started_at(client: DockerClient, docker_id: str) -> datetime | None:
    return parse_docker_time((await _state(client, docker_id)).started_at)


async def _state(client: DockerClient, docker_id: str) -> _State:
    answer = await client.request(errors.INSPECT, "GET", f"/containers/{docker_id}/json", timeout_s=_LIMIT_S)
    return msgspec.json.decode(answer.body, type=_Inspection).state


async def _images(client: DockerClient) -> list[str]:
    answer = await client.request(errors.LIST, "GET", "/images/json", timeout_s=_LIMIT_S)
    listed = msgspec.json.decode(answer.body, type=list[_Image])
    return [tag for image in listed for tag in image.repo_tags or () if not tag.startswith("<none>")]


async def _free(client: DockerClient) -> int:
    answer = await client.request(errors.LIST, "GET", "/info", timeout_s=_LIMIT_S)
    root = msgspec.json.decode(answer.body, type=_Root).docker_root_dir
    return host.disk(Path(root or "/")).free_bytes


def kernel_kills(log: Path = Path("/dev/kmsg")) -> tuple[tuple[str, str], ...] | None:
    """Lines about processes killed for want of memory, by the container whose cgroup they name.

    ``None``: the log cannot be read.
    """
    try:
        fd = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    read = 0
    found = []
    try:
        while read < _KERNEL_LOG_BYTES:
            try:
                record = os.read(fd, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # overwritten while it was read: goes on with the next
                continue
            if not record:
                break
            read += len(record)
            found += _kills(record.decode("utf-8", "replace").splitlines())
    except OSError:
        return None
    finally:
        os.close(fd)
    return tuple(found)


def _kills(lines: Iterable[str]) -> list[tuple[str, str]]:
    return [
        (named[0], line.partition(";")[2] or line)
        for line in lines
        if _KILLED.search(line) and (named := _DOCKER_ID.findall(line))
    ]

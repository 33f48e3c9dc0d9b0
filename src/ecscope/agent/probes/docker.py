"""What the Docker Engine shows of itself: nothing is started, changed or pulled."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from ecscope.agent.diagnosis.doctor.facts import DockerFact, LeftoversFact, NotKnown, TaskContainer
from ecscope.agent.runtime.docker import api_version, errors
from ecscope.agent.runtime.docker.client import DockerClient
from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint, parse_endpoint
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.names import TASK_ARN_LABEL

_PINGS = 5
_OF_TASKS = "ecs-"


class _Plugins(msgspec.Struct, rename="pascal"):
    log: list[str] | None = None
    network: list[str] | None = None


class _Info(msgspec.Struct, rename="pascal"):
    """The part of `/info` that is judged."""

    cgroup_version: str = "1"
    cgroup_driver: str = ""
    driver: str = ""
    docker_root_dir: str = ""
    memory_limit: bool = True
    warnings: list[str] | None = None
    plugins: _Plugins = msgspec.field(default_factory=_Plugins)


class _Container(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str] | None = None
    labels: dict[str, str] | None = None
    state: str = ""


class _Volume(msgspec.Struct, rename="pascal"):
    name: str


class _Volumes(msgspec.Struct, rename="pascal"):
    volumes: list[_Volume] | None = None


async def engine(endpoint: str, *, limit_s: float) -> DockerFact:
    """The engine at ``endpoint`` (as in ``DOCKER_HOST``). One that does not answer is a fact as well."""
    try:
        client = DockerClient(parse_endpoint(endpoint), version_timeout_s=limit_s)
    except InvalidEndpoint as error:
        return DockerFact(endpoint=endpoint, failure=str(error))
    try:
        version = await client.negotiate(errors.CONNECT)
        info = msgspec.json.decode(await _get(client, "/info", limit_s=limit_s), type=_Info)
        networks = await _get(client, "/networks", limit_s=limit_s, query={"filters": '{"name":["bridge"]}'})
        latencies = []
        for _ in range(_PINGS):
            begun_s = time.perf_counter()
            await client.request(errors.PING, "GET", "/_ping", timeout_s=limit_s)
            latencies.append(time.perf_counter() - begun_s)
    except (RuntimeFailure, msgspec.DecodeError) as error:
        return DockerFact(endpoint=endpoint, failure=f"Docker does not answer at {endpoint}: {error}")
    finally:
        await client.close()
    newest, oldest = api_version.parsed(version.api_version), api_version.parsed(version.min_api_version)
    return DockerFact(
        endpoint=endpoint,
        version=version.version,
        api_version=version.api_version,
        min_api_version=version.min_api_version,
        is_supported=api_version.chosen(oldest=oldest, newest=newest) is not None,
        latencies_s=tuple(latencies),
        cgroup_version=info.cgroup_version,
        cgroup_driver=info.cgroup_driver,
        storage_driver=info.driver,
        root=info.docker_root_dir,
        log_drivers=tuple(info.plugins.log or ()),
        warnings=tuple(info.warnings or ()),
        has_memory_limit=info.memory_limit,
        has_bridge=b'"bridge"' in networks,
    )


async def leftovers(
    endpoint: str, known: Mapping[str, frozenset[str]] | None, *, limit_s: float
) -> LeftoversFact | NotKnown:
    """What carries a task's label or name.

    ``known``: what the agent lists, ``containers`` by Docker ID and ``volumes`` by name; ``None``: it does not answer.
    """
    if known is None:
        return NotKnown(why="the agent does not answer, so it is not known what it still needs")
    client = DockerClient(parse_endpoint(endpoint), version_timeout_s=limit_s)
    try:
        labelled = {"all": "1", "filters": msgspec.json.encode({"label": [TASK_ARN_LABEL]}).decode()}
        listed = msgspec.json.decode(
            await _get(client, "/containers/json", limit_s=limit_s, query=labelled), type=list[_Container]
        )
        volumes = msgspec.json.decode(await _get(client, "/volumes", limit_s=limit_s), type=_Volumes)
    except (RuntimeFailure, msgspec.DecodeError) as error:
        return NotKnown(why=f"Docker does not answer: {error}")
    finally:
        await client.close()
    return LeftoversFact(
        containers=tuple(
            TaskContainer(
                docker_id=one.id,
                name=(one.names or [""])[0].lstrip("/"),
                task_arn=(one.labels or {}).get(TASK_ARN_LABEL, ""),
                state=one.state,
            )
            for one in listed
        ),
        known_docker_ids=known["containers"],
        volumes=tuple(one.name for one in volumes.volumes or () if one.name.startswith(_OF_TASKS)),
        known_volumes=known["volumes"],
    )


async def _get(client: DockerClient, path: str, *, limit_s: float, query: Mapping[str, str] | None = None) -> bytes:
    answer = await client.request(errors.LIST, "GET", path, timeout_s=limit_s, query=query)
    return answer.body

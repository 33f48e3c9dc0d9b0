"""Task metadata and stats in a cluster with real containers: CPU per request, waiting times, and the rest between them.

The back end is that of the tests. Where the official agent's binary is given it is measured in turn with ours, over
containers of its own, as both want port 51679. Requests are spread over the containers, since each path has a limit.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

from bench import processes
from bench.benchmarks.cluster import Cluster
from bench.engine import COMMANDS, CPU_UNITS, IMAGE, LABEL, MEMORY_MIB, engine
from bench.figures import Figure, at_most
from bench.members import Member, members
from bench.needs import Missing
from bench.options import Options
from bench.ours import CLUSTER
from bench.rounds import rotated
from fake_ecs.payloads import a_payload_container, a_payload_task
from fake_ecs.process import BackendProcess

PORT = 51679
_SERVER = "http://169.254.170.2"
_CLIENTS = 16
_TIMES_EACH = 20
"""Requests for one path in a row of all; the limit lets 60 through at once."""
_FIRST_STATS_S = 2.0
_LIMIT_S = 30.0


def run(options: Options) -> list[Figure]:
    count, rounds, watched_s = (10, 1, 3.0) if options.quick else (200, 3, 20.0)
    with (
        engine() as found,
        BackendProcess(arguments=("--cluster", CLUSTER)) as backend,
        members(backend, docker_host=found.endpoint, official=options.official) as joined,
    ):
        cluster = _Cluster(found, backend, joined)
        taken: dict[str, dict[str, list[float]]] = {name: {} for name in joined}
        for name in [name for order in rotated(list(joined), rounds) for name in order]:
            for what, value in _measure(cluster, name, count, watched_s).items():
                taken[name].setdefault(what, []).append(value)
    return _figures(taken, count)


class _Cluster(Cluster):
    """Its tasks have a role."""

    def a_task(self, number: int) -> dict[str, Any]:
        container = a_payload_container(image=IMAGE, command=COMMANDS["sleep"], cpu=CPU_UNITS, memory=MEMORY_MIB)
        credentials = {
            "credentialsId": str(uuid.uuid4()),
            "roleArn": "arn:aws:iam::012345678910:role/bench",
            "accessKeyId": "AKIDBENCH",
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "expiration": "2099-01-01T00:00:00Z",
        }
        return a_payload_task(container, number=number, cluster=CLUSTER, roleCredentials=credentials)

    def environments(self) -> list[dict[str, str]]:
        """Of every container that runs."""
        found = [
            self.engine.request("GET", f"/containers/{each}/json") for each in self.engine.containers(label=[LABEL])
        ]
        shown = [json.loads(body) if isinstance(body, bytes) else body for body in found]
        return [dict(entry.split("=", 1) for entry in one["Config"]["Env"]) for one in shown]


def _measure(cluster: _Cluster, name: str, count: int, watched_s: float) -> dict[str, float]:
    """One round of one agent. Percent of a core, µs, ms, s."""
    member = cluster.turn_of(name)
    found: dict[str, float] = {}
    cluster.start_tasks(1)
    (path,) = _paths(cluster, "ECS_CONTAINER_METADATA_URI_V4", "/stats")
    found["first stats"] = asyncio.run(_asked([path]))[0]
    cluster.start_tasks(count - 1)
    time.sleep(watched_s / 2)  # telemetry has begun to measure all of them
    before = processes.cpu_s(member.pid)
    time.sleep(watched_s)
    rest = (processes.cpu_s(member.pid) - before) / watched_s
    found["rest"] = 100 * rest
    for what, variable, rest_of_path in (
        ("/v4/ID/task", "ECS_CONTAINER_METADATA_URI_V4", "/task"),
        ("/v4/ID/stats", "ECS_CONTAINER_METADATA_URI_V4", "/stats"),
        ("/v2/credentials/ID", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ""),
    ):
        found[what] = _cpu_us(member, _paths(cluster, variable, rest_of_path), rest)
    polled = _paths(cluster, "ECS_CONTAINER_METADATA_URI_V4", "/task")
    waits = sorted(asyncio.run(_polled(polled, round(watched_s))))
    found["p99"] = 1000 * waits[int(len(waits) * 0.99)]
    cluster.stop_tasks()
    return found


def _paths(cluster: _Cluster, variable: str, rest: str) -> list[str]:
    try:
        return [env[variable].removeprefix(_SERVER) + rest for env in cluster.environments()]
    except KeyError:
        raise Missing(f"a container has no {variable}") from None


def _cpu_us(member: Member, paths: list[str], rest: float) -> float:
    """Per request, without what the agent takes at rest."""
    before, begun = processes.cpu_s(member.pid), time.monotonic()
    asyncio.run(_asked(paths * _TIMES_EACH))
    spent = processes.cpu_s(member.pid) - before - rest * (time.monotonic() - begun)
    return 1e6 * max(spent, 0.0) / (len(paths) * _TIMES_EACH)


async def _asked(paths: list[str]) -> list[float]:
    """Seconds that each answer took, from a few clients that keep their connections."""

    async def client(own: list[str]) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        try:
            return [await _ask(reader, writer, path) for path in own]
        finally:
            writer.close()

    clients = [paths[number::_CLIENTS] for number in range(min(_CLIENTS, len(paths)))]
    async with asyncio.timeout(_LIMIT_S):
        return [seconds for taken in await asyncio.gather(*map(client, clients)) for seconds in taken]


async def _polled(paths: list[str], times: int) -> list[float]:
    """Seconds that each answer took, each path asked for once a second, the paths spread over the second."""

    async def container(path: str, offset_s: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        loop = asyncio.get_running_loop()
        taken = []
        try:
            for number in range(times):
                await asyncio.sleep(begun_s + number + offset_s - loop.time())
                taken.append(await _ask(reader, writer, path))
        finally:
            writer.close()
        return taken

    begun_s = asyncio.get_running_loop().time()
    waits = await asyncio.gather(*(container(path, number / len(paths)) for number, path in enumerate(paths)))
    return [seconds for taken in waits for seconds in taken]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> float:
    begun = time.perf_counter()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 169.254.170.2\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if " 200 " not in head.splitlines()[0]:
        raise Missing(f"{path} was answered with {head.splitlines()[0]}")
    if "transfer-encoding: chunked" in head:
        while (await reader.readuntil(b"\r\n")) != b"0\r\n":
            await reader.readuntil(b"\r\n")
        await reader.readuntil(b"\r\n")
    else:
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
    return time.perf_counter() - begun


def _figures(taken: dict[str, dict[str, list[float]]], count: int) -> list[Figure]:
    ours, official = taken["ours"], taken.get("official")
    figures = []
    for what, unit, target in (
        ("rest", "%", at_most(2.0)),
        ("first stats", "s", at_most(_FIRST_STATS_S)),
        ("/v4/ID/task", "µs", None),
        ("/v4/ID/stats", "µs", None),
        ("/v2/credentials/ID", "µs", None),
        ("p99", "ms", at_most(20.0)),
    ):
        name = {
            "rest": f"{count} containers, telemetry connected, nobody asks: CPU of a core",
            "first stats": "the first stats of a container: to the answer",
            "p99": f"{count} containers, each polls its task every second: p99",
        }.get(what, f"{count} containers, {what}: CPU/request")
        figures.append(Figure(name=name, unit=unit, samples=ours[what], target=target))
        if official is not None:
            ratio = at_most(1.0) if unit == "µs" else None
            figures.append(
                Figure(name=f"{name} : official", unit=unit, samples=ours[what], against=official[what], target=ratio)
            )
    return figures

"""The Docker Engine of a run: bare calls by a plain client, and everything of ours removed from it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dockerengine
import sampleimage
from bench.needs import Missing
from bench.ours import CLUSTER

IMAGE = sampleimage.REFERENCE
PAUSE_IMAGE = "ecscope-pause:1"
"""Which `ecscope up` has imported while it runs."""
LABEL = f"com.amazonaws.ecs.cluster={CLUSTER}"
COMMANDS = {"sleep": ["sh", "-c", "trap 'exit 0' TERM; sleep 86400 & wait"], "true": ["true"]}
CPU_UNITS, MEMORY_MIB = 2, 16
_POLL_S = 0.05
REST_S = 1.0
"""Between two measurements."""


@contextmanager
def engine() -> Iterator[dockerengine.Engine]:
    """One that answers and has the sample image; nothing of ours is in it before and after. Raises ``Missing``."""
    try:
        found = dockerengine.configured()
        if not found.answers():
            raise Missing(
                f"no Docker Engine answers on {found.endpoint}; run it as scripts/with-engine python -m bench"
            )
        sampleimage.ensure(found)
    except dockerengine.Unavailable as error:
        raise Missing(str(error)) from error
    try:
        clean(found)
        yield found
    finally:
        clean(found)


def rest() -> None:
    """Let the machine come to rest after a measurement."""
    time.sleep(REST_S)


def clean(found: dockerengine.Engine) -> None:
    """Remove every container of the benchmark's cluster, from any run."""
    left = found.containers(label=[LABEL])
    if left:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(found.remove_container, left))


def task_definition(number: int, kind: str) -> dict[str, object]:
    """Content of a task file; ``kind`` is a key of ``COMMANDS``."""
    return {
        "family": f"bench-{kind}-{number}",
        "revision": 1,
        "containerDefinitions": [
            {
                "name": "app",
                "image": IMAGE,
                "cpu": CPU_UNITS,
                "memory": MEMORY_MIB,
                "essential": True,
                "command": COMMANDS[kind],
            }
        ],
    }


def run_bare(found: dockerengine.Engine, count: int, kind: str = "sleep", *, network: str = "") -> float:
    """Seconds for create, start and inspect of ``count`` containers at once, each on a connection of its own.

    The connections are made beforehand, as the agent's are. With ``true`` the end of the last container counts too.
    With ``network`` each shares the network namespace of a pause container there, which is run before it.
    """
    clients = [dockerengine._UnixConnection(found.socket_path, 300) for _ in range(count)]
    for client in clients:
        client.connect()
    stamp = time.time_ns()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(_one_ping, clients))
        begun = time.perf_counter()
        list(
            pool.map(
                lambda place: _one_bare(place[1], f"ecs-bench-bare-{stamp}-{place[0]}", kind, network),
                enumerate(clients),
            )
        )
        while kind == "true" and _running(found):
            time.sleep(_POLL_S)
        taken_s = time.perf_counter() - begun
    for client in clients:
        client.close()
    return taken_s


def _running(found: dockerengine.Engine) -> list[object]:
    filters = json.dumps({"label": [LABEL]})
    running: list[object] = json.loads(found.request("GET", "/containers/json", filters=filters))
    return running


def _one_ping(client: http.client.HTTPConnection) -> None:
    _call(client, "GET", "/_ping")


def _one_bare(client: http.client.HTTPConnection, name: str, kind: str, network: str) -> None:
    mode = "bridge"
    if network:
        pause = {"Image": PAUSE_IMAGE, "HostConfig": {"NetworkMode": network, "ReadonlyRootfs": True}}
        mode = f"container:{_run(client, f'{name}-pause', pause)}"
    host_config = {"Memory": MEMORY_MIB << 20, "CpuShares": CPU_UNITS, "NetworkMode": mode}
    _run(client, name, {"Image": IMAGE, "Cmd": COMMANDS[kind], "HostConfig": host_config})


def _run(client: http.client.HTTPConnection, name: str, body: Mapping[str, object]) -> str:
    """ID of a container that has been created, started and inspected."""
    body = {**body, "Labels": dict([LABEL.split("=", 1)])}
    made = str(json.loads(_call(client, "POST", f"/containers/create?name={name}", json.dumps(body)))["Id"])
    _call(client, "POST", f"/containers/{made}/start")
    _call(client, "GET", f"/containers/{made}/json")
    return made


def _call(client: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
    client.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = client.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise Missing(f"the engine refuses {method} {path}: {content[:200].decode(errors='replace')}")
    return content


def statuses(tasks: Sequence[dict[str, object]]) -> dict[str, str]:
    """ARN → known status."""
    return {str(task["Arn"]): str(task["KnownStatus"]) for task in tasks}

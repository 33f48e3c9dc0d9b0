"""Many light agents in one process, for the control plane alone: no engine, no state, only what the protocol asks.

Each registers, holds its ACS connection, acknowledges payloads and reports the tasks in them RUNNING, over a connection
of its own. When the connection ends it dials again. Each line on stdin is answered with one of JSON: see ``Told``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import quote, urlencode

from bench.child import Child, child
from bench.control_plane import REGION, ControlPlane
from bench.needs import Missing
from bench.ours import CLUSTER
from bench.signed_calls import CallFailed, Key, SignedCalls

CPU_UNITS, MEMORY_MIB = 4096, 7482
"""Of each: what moto gives each of its own."""
_AGAIN_S = 0.2
_CONNECT_S = 20.0


class Told(NamedTuple):
    """What the agents did."""

    connected: int
    acknowledged: int
    """Payloads."""
    running: int
    """Tasks that the control plane took as RUNNING."""
    last_running_at: float
    """When it took the last one (``perf_counter``, which all processes of a machine share)."""


class SimulatedAgents:
    """The process, seen from the one that started it."""

    def __init__(self, process: Child) -> None:
        self._process = process
        self.pid = process.pid

    def ask(self) -> Told:
        """Raises ``Missing`` when it has ended."""
        return Told(**self._process.ask())


@contextmanager
def simulated_agents(plane: ControlPlane, count: int) -> Iterator[SimulatedAgents]:
    """``count`` agents, registered and connected; ended afterwards. Raises ``Missing``."""
    with child(
        "bench.simulated_agents",
        str(plane.port),
        str(count),
        environment={**os.environ, "BENCH_KEY": json.dumps(plane.key("ecsInstanceRole"))},
        log=plane.folder / "agents.log",
    ) as process:
        agents = SimulatedAgents(process)
        end = time.monotonic() + _CONNECT_S
        while (connected := agents.ask().connected) < count:
            if time.monotonic() > end:
                raise Missing(f"of {count} simulated agents {connected} are connected: {process.last_words()}")
            time.sleep(0.1)
        yield agents


def main(arguments: list[str]) -> int:
    # Loaded here, so that who starts it loads nothing of this.
    from aiohttp import ClientError, ClientSession, ClientTimeout, ClientWebSocketResponse  # noqa: PLC0415
    from yarl import URL  # noqa: PLC0415

    from ecscope.control.server.signatures import AccessKey  # noqa: PLC0415
    from ecscope.wire.acs.messages import (  # noqa: PLC0415
        HeartbeatAckRequest,
        HeartbeatMessage,
        PayloadMessage,
        ack,
        decode_from_server,
        encode,
    )
    from tests.control_signing import signed_headers  # noqa: PLC0415

    port, count = int(arguments[0]), int(arguments[1])
    key = Key(*json.loads(os.environ["BENCH_KEY"]))
    access_key = AccessKey(
        access_key_id=key.access_key_id, secret_access_key=key.secret_access_key, session_token=key.session_token
    )
    connected: set[str] = set()
    counts = {"acknowledged": 0, "running": 0}
    last_running_at = 0.0

    async def live(session: ClientSession, number: int) -> None:
        calls = SignedCalls(port, key, region=REGION)
        arn = await _register(calls, number)
        told: asyncio.Queue[PayloadMessage] = asyncio.Queue()
        reporting = asyncio.create_task(report(calls, arn, told))
        asked = {
            "agentHash": "0" * 8,
            "agentVersion": "1.105.1",
            "clusterArn": CLUSTER,
            "containerInstanceArn": arn,
            "dockerVersion": "DockerVersion: 20.10.24",
            "protocolVersion": "2",
            "sendCredentials": "true",
            "seqNum": "1",
        }
        url = f"http://127.0.0.1:{port}/acs/ws?{urlencode(asked, quote_via=quote)}"
        while not reporting.done():
            try:
                headers = dict(signed_headers(access_key, method="GET", url=url, region=REGION))
                async with session.ws_connect(URL(url, encoded=True), headers=headers) as socket:
                    connected.add(arn)
                    await listen(socket, arn, told)
            except (OSError, ClientError) as error:
                print(f"agent {number}: {error}", file=sys.stderr, flush=True)
            finally:
                connected.discard(arn)
            await asyncio.sleep(_AGAIN_S)
        reporting.result()

    async def listen(socket: ClientWebSocketResponse, arn: str, told: asyncio.Queue[PayloadMessage]) -> None:
        async for frame in socket:
            match decode_from_server(frame.data):
                case PayloadMessage(message_id=str(message_id)) as payload:
                    await socket.send_str(ack(message_id=message_id, cluster_arn=CLUSTER, container_instance_arn=arn))
                    counts["acknowledged"] += 1
                    told.put_nowait(payload)
                case HeartbeatMessage(message_id=message_id):
                    await socket.send_str(encode(HeartbeatAckRequest(message_id=message_id)))
                case _:
                    pass

    async def report(calls: SignedCalls, arn: str, told: asyncio.Queue[PayloadMessage]) -> None:
        nonlocal last_running_at
        reported: set[str] = set()
        while True:
            payload = await told.get()
            for task in payload.tasks or ():
                if task.arn is None or task.arn in reported:
                    continue  # told again, after the control plane came back
                reported.add(task.arn)
                change = {
                    "cluster": CLUSTER,
                    "task": task.arn,
                    "status": "RUNNING",
                    "pullStartedAt": time.time(),
                    "pullStoppedAt": time.time(),
                    "containers": [
                        {"containerName": container.name, "runtimeId": task.arn[-32:] * 2, "status": "RUNNING"}
                        for container in task.containers or ()
                    ],
                }
                while True:
                    try:
                        await calls.call("SubmitTaskStateChange", **change)
                        break
                    except (OSError, EOFError):
                        await asyncio.sleep(_AGAIN_S)
                counts["running"] += 1
                last_running_at = time.perf_counter()

    def answer() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            os._exit(0)
        told = Told(connected=len(connected), last_running_at=last_running_at, **counts)
        print(json.dumps(told._asdict()), flush=True)

    async def live_all() -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), answer)
        async with ClientSession(timeout=ClientTimeout(total=None)) as session:
            await asyncio.gather(*(live(session, number) for number in range(count)))

    asyncio.run(live_all())
    return 0


async def _register(calls: SignedCalls, number: int) -> str:
    """The ARN. Waits for a control plane that is not there yet."""
    capabilities = [f"com.amazonaws.ecs.capability.docker-remote-api.1.{minor}" for minor in range(17, 45)]
    capabilities += ["com.amazonaws.ecs.capability.logging-driver.json-file", "ecs.capability.container-health-check"]
    capabilities += ["ecs.capability.container-ordering", "ecs.capability.secrets.asm.environment-variables"]
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": CPU_UNITS},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": MEMORY_MIB},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "2376", "51678", "51679"]},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]
    document = {"instanceId": f"i-{number:017x}", "region": REGION, "availabilityZone": f"{REGION}{'abc'[number % 3]}"}
    document |= {"accountId": "000000000000", "instanceType": "m5.large", "architecture": "x86_64"}
    while True:
        try:
            answer = await calls.call(
                "RegisterContainerInstance",
                cluster=CLUSTER,
                clientToken=f"bench-{number}",
                totalResources=resources,
                attributes=[{"name": name} for name in capabilities],
                instanceIdentityDocument=json.dumps(document),
                versionInfo={"agentVersion": "1.105.1", "agentHash": "0" * 8, "dockerVersion": "20.10.24"},
            )
            return str(answer["containerInstance"]["containerInstanceArn"])
        except CallFailed:
            raise
        except (OSError, EOFError):
            await asyncio.sleep(_AGAIN_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

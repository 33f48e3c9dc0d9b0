"""All facts of `ecscope doctor`, side by side, each within its share of the time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ecscope.agent.config.load import LoadedConfig
from ecscope.agent.diagnosis.doctor.facts import AgentFact, DockerFact, Facts, NotKnown, SettingsFact
from ecscope.agent.probes import docker, host
from ecscope.agent.probes.aws import Aws
from ecscope.clock import Clock

PORTS = (51677, 51678, 51679, 51680)
SHARE_S = 1.5
_CALL_S = 1.2
T = TypeVar("T")


async def gather(
    loaded: LoadedConfig,
    environ: Mapping[str, str],
    *,
    settings: SettingsFact,
    agent: AgentFact,
    container_instance_arn: str,
    known: Mapping[str, frozenset[str]] | None,
    ecscope_version: str,
    agent_version: str,
    clock: Clock,
    share_s: float = SHARE_S,
) -> Facts:
    """Look at everything.

    Args:
        environ: of the agent.
        known: what the agent lists, see ``docker.leftovers``.
        share_s: how long each probe may take; what takes longer is not known.
    """
    config = loaded.config
    data_dir = Path(config.data_dir)
    aws = Aws(config, environ, clock=clock, limit_s=min(_CALL_S, share_s))

    async def of_docker() -> tuple[Any, Any, Any]:
        engine = await docker.engine(config.docker_host, limit_s=min(_CALL_S, share_s))
        if engine.failure:
            nothing = NotKnown(why="Docker does not answer")
            return engine, nothing, nothing
        left = await docker.leftovers(config.docker_host, known, limit_s=min(_CALL_S, share_s))
        return engine, left, await _in_thread(lambda: host.disk(Path(engine.root or "/")))

    jobs: dict[str, Awaitable[Any]] = {
        "docker": _within(share_s, of_docker()),
        "data_disk": _within(share_s, _in_thread(lambda: host.disk(data_dir))),
        "data_directory": _within(
            share_s, _in_thread(lambda: host.data_directory(data_dir, is_kept=config.checkpoint))
        ),
        "ports": _within(share_s, _in_thread(lambda: host.ports(PORTS))),
        "limits": _within(share_s, _in_thread(lambda: host.limits(agent.pid))),
        "firewall": _within(share_s, _in_thread(host.firewall)),
        "kernel_log": _within(share_s, _in_thread(host.kernel_log)),
        "versions": _within(share_s, _in_thread(lambda: host.versions(ecscope_version, agent_version))),
    }
    if settings.joins_cluster:
        jobs |= {
            "credentials": _within(share_s, aws.credentials()),
            "call": _within(share_s, aws.call(container_instance_arn)),
            "names": _within(share_s, aws.names()),
            "proxy": _within(share_s, aws.proxy()),
            "clock": _within(share_s, aws.clock()),
            "instance_metadata": _within(share_s, aws.instance_metadata()),
        }
    try:
        found = dict(zip(jobs, await asyncio.gather(*jobs.values()), strict=True))
    finally:
        await aws.close()
    seen = found.pop("docker")
    found |= (
        {"docker": DockerFact(endpoint=config.docker_host, failure=seen.why), "leftovers": seen, "docker_disk": seen}
        if isinstance(seen, NotKnown)
        else dict(zip(("docker", "leftovers", "docker_disk"), seen, strict=True))
    )
    alone = NotKnown(why="this agent joins no cluster, so AWS is not asked")
    for name in ("credentials", "call", "names", "proxy", "clock", "instance_metadata"):
        found.setdefault(name, alone)
    return Facts(settings=settings, agent=agent, **found)


async def _within(share_s: float, probe: Awaitable[T]) -> T | NotKnown:
    try:
        async with asyncio.timeout(share_s):
            return await probe
    except TimeoutError:
        return NotKnown(why=f"no answer within {share_s:g} s")
    except (OSError, ValueError) as error:
        return NotKnown(why=f"{getattr(error, 'strerror', None) or error}")


async def _in_thread(look: Callable[[], T]) -> T:
    """As ``asyncio.to_thread``, but a look that hangs (a dead NFS server) does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def deliver(value: Any, error: Exception | None) -> None:
        if not result.done():
            result.set_exception(error) if error is not None else result.set_result(value)

    def run() -> None:
        value: Any = None
        failed: Exception | None = None
        try:
            value = look()
        except Exception as error:  # the caller gets it
            failed = error
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, value, failed)

    threading.Thread(target=run, daemon=True).start()
    return await result

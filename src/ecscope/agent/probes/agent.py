"""Whether an agent's Docker and its ECS answer now, asked as the agent would.

Importing this imports botocore.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from ecscope.agent.config.settings import Config
from ecscope.agent.diagnosis.doctor.facts import NotKnown
from ecscope.agent.diagnosis.why.agent import CallSeen
from ecscope.agent.diagnosis.why.story import DockerSeen
from ecscope.agent.probes.aws import Aws
from ecscope.agent.probes.task import docker_seen
from ecscope.agent.runtime.docker.client import DockerClient
from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint, parse_endpoint
from ecscope.clock import SystemClock

_LIMIT_S = 1.0


async def seen(
    config: Config, environ: Mapping[str, str], *, asks_ecs: bool
) -> tuple[DockerSeen | None, CallSeen | None]:
    """``None``: for Docker, its address is none; for ECS, it answers, or was not asked."""
    docker, call = await asyncio.gather(
        _docker(config.docker_host), _call(config, environ) if asks_ecs else asyncio.sleep(0)
    )
    return docker, call


async def _docker(endpoint: str) -> DockerSeen | None:
    try:
        client = DockerClient(parse_endpoint(endpoint), version_timeout_s=_LIMIT_S)
    except InvalidEndpoint:
        return None
    try:
        return await docker_seen(client, endpoint, datetime.now(UTC))
    finally:
        await client.close()


async def _call(config: Config, environ: Mapping[str, str]) -> CallSeen | None:
    aws = Aws(config, environ, clock=SystemClock(), limit_s=_LIMIT_S)
    try:
        fact = await aws.call("")
    finally:
        await aws.close()
    if isinstance(fact, NotKnown) or fact.failure is None:
        return None
    return CallSeen(kind=fact.failure, message=fact.message, facts=fact.details)

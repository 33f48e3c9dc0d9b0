"""Whether a Docker Engine answers, asked before an agent is started that could only wait for it."""

from __future__ import annotations

import asyncio

from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.interface import RuntimeFailure

_ANSWER_S = 5.0


async def docker_problem(endpoint: str) -> str:
    """Why the engine at ``endpoint`` cannot be used; ``""``: it can."""
    try:
        runtime = DockerRuntime(endpoint)
    except InvalidEndpoint as error:
        return str(error)
    try:
        async with asyncio.timeout(_ANSWER_S):
            await runtime.ping()
    except RuntimeFailure as failure:
        return failure.error.message.rstrip(".")
    except TimeoutError:
        return f"no answer within {_ANSWER_S:.0f} s"
    finally:
        await runtime.close()
    return ""

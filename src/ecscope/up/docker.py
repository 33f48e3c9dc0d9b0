"""The user's Docker: whether the engine answers, before an agent is started that could only wait; their logins."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.interface import Runtime, RuntimeFailure

_ANSWER_S = 5.0
_CONFIG = "config.json"


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


async def missing_images(runtime: Runtime, images: Collection[str]) -> frozenset[str]:
    """Those that the engine does not have; none where it does not answer."""
    try:
        return frozenset([image for image in images if await runtime.inspect_image(image) is None])
    except RuntimeFailure:
        return frozenset()


def config_of_user(environment: Mapping[str, str]) -> Path:
    """Where the user who started this keeps the logins of the ``docker`` command; with sudo, who used that."""
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder, _CONFIG).absolute()
    home = Path.home()
    sudo_uid = environment.get("SUDO_UID", "")
    if os.geteuid() == 0 and sudo_uid.isdigit():
        with suppress(KeyError, OverflowError):
            home = Path(pwd.getpwuid(int(sudo_uid)).pw_dir)
    return home / ".docker" / _CONFIG

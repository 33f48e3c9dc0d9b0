"""Asks the EC2 instance metadata service for what the configuration may take from it.

Source: agent-protocol.md §2.1; configuration.md §1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ecscope.agent.aws.imds import InstanceMetadata, MetadataUnavailable
from ecscope.agent.config.settings import Config
from ecscope.agent.config.sources import InstanceData

_log = logging.getLogger("ecscope.agent")

PATIENCE_S = 20.0
"""Used where only the service knows the region."""
HASTE_S = 2.0
"""Where the region is known: this may be no EC2 instance at all."""
SAID_AFTER_S = 2.5
"""Until the log says what is waited for: no port of the agent answers yet."""


async def ask_instance(config: Config, *, metadata: InstanceMetadata | None = None) -> InstanceData:
    """What the service says; empty where it says nothing. Never raises, and ends in time."""
    metadata = metadata or InstanceMetadata(endpoint=config.imds_endpoint)
    limit_s = HASTE_S if config.region else PATIENCE_S
    saying = asyncio.get_running_loop().call_later(SAID_AFTER_S, _say_that_it_is_awaited)
    try:
        region, user_data, instance_id = await asyncio.gather(
            _ask(metadata.region, limit_s), _ask(metadata.user_data, limit_s), _ask(metadata.instance_id, limit_s)
        )
    finally:
        saying.cancel()
        await metadata.close()
    return InstanceData(region=region, user_data=user_data, instance_id=instance_id)


async def _ask(question: Callable[[], Awaitable[str]], limit_s: float) -> str:
    try:
        async with asyncio.timeout(limit_s):
            return await question()
    except MetadataUnavailable as error:
        _log.debug("the instance metadata service did not return: %s", error)
    except TimeoutError:
        _log.debug("the instance metadata service did not answer within %g s", limit_s)
    return ""


def _say_that_it_is_awaited() -> None:
    _log.warning(
        "waiting for the EC2 instance metadata service, which knows the region; for at most %g s. If this is not an EC2"
        " instance, set AWS_DEFAULT_REGION, and ECS_EXTERNAL=true or AWS_EC2_METADATA_DISABLED=true",
        PATIENCE_S,
    )

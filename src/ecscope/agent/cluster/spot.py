"""Watches for the end of a spot instance, and has the instance drained when it comes.

ECS then starts the tasks of services elsewhere while these still run.

Source: agent-protocol.md §3.9 (``ECS_ENABLE_SPOT_INSTANCE_DRAINING``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from ecscope.agent.aws.imds import MetadataUnavailable

_log = logging.getLogger("ecscope.ecs")

ASK_EVERY_S = 1.0
_ENDINGS = ("terminate", "stop", "hibernate")


class InstanceAction(Protocol):
    """What EC2 is about to do."""

    @property
    def action(self) -> str:
        """``terminate``, ``stop``, ``hibernate``, …"""


class SpotWatch:
    """See the module docstring."""

    def __init__(
        self,
        *,
        instance_action: Callable[[], Awaitable[InstanceAction | None]],
        drain: Callable[[], Awaitable[bool]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``instance_action`` asks the metadata service; ``drain`` returns whether ECS accepted it."""
        self._instance_action = instance_action
        self._drain = drain
        self._sleep = sleep

    async def run(self) -> None:
        """For ever, also after the instance is draining. Cancelling is safe."""
        is_draining = False
        said = ""
        while True:
            try:
                coming = await self._instance_action()
            except MetadataUnavailable as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("cannot ask whether this spot instance is to end: %s", error)
            else:
                said = ""
                if coming is not None and coming.action in _ENDINGS and not is_draining:
                    _log.warning("EC2 is about to %s this spot instance: setting it to DRAINING", coming.action)
                    is_draining = await self._drain()
            await self._sleep(ASK_EVERY_S)

"""Checks the container instance: does the container runtime answer?

A check is asked for, with each heartbeat of ECS, and made a moment later. Nothing is decided
on its result: it is reported to ECS, and shown.

Source: agent-protocol.md §5.3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from ecscope.agent.runtime.interface import Runtime, RuntimeFailure
from ecscope.model.instance_status import InstanceHealth, InstanceStatus

_log = logging.getLogger("ecscope.docker")

PING_LIMIT_S = 2.0


class InstanceHealthCheck:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(self, *, runtime: Runtime, now: Callable[[], datetime], ping_limit_s: float = PING_LIMIT_S) -> None:
        self._runtime = runtime
        self._now = now
        self._ping_limit_s = ping_limit_s
        self._asked = asyncio.Event()
        at = now()
        self._status = InstanceStatus(
            health=InstanceHealth.INITIALIZING, checked_at=at, previously_checked_at=at, changed_at=at
        )

    @property
    def status(self) -> InstanceStatus:
        """What the last check found; before the first one, ``INITIALIZING``."""
        return self._status

    def ask(self) -> None:
        """Have a check made. Asking again while one is under way gives one more, however often."""
        self._asked.set()

    async def run(self) -> None:
        """Make the requested checks, one at a time, until cancelled. Cancelling is safe."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.check()

    async def check(self) -> InstanceStatus:
        """One check. May be cancelled; nothing is noted then."""
        try:
            async with asyncio.timeout(self._ping_limit_s):
                await self._runtime.ping()
            health, reason = InstanceHealth.OK, ""
        except TimeoutError:
            health, reason = InstanceHealth.IMPAIRED, f"no answer within {self._ping_limit_s:g} s"
        except RuntimeFailure as failure:
            health, reason = InstanceHealth.IMPAIRED, failure.error.message
        last, at = self._status, self._now()
        self._status = InstanceStatus(
            health=health,
            checked_at=at,
            previously_checked_at=last.checked_at,
            changed_at=last.changed_at if health is last.health else at,
        )
        if health is not last.health and (reason or last.health is InstanceHealth.IMPAIRED):
            if reason:
                _log.warning("the container runtime does not answer: %s", reason)
            else:
                _log.info("the container runtime answers again")
        return self._status

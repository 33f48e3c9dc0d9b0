"""What the server for containers asks while it answers: the collector's samples, and the ECS API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from ecscope.agent.aws.interface import EcsForTasks
from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.core.state import AgentState
from ecscope.model.arn import DockerId
from ecscope.model.credentials import TaskCredentials
from ecscope.model.stats import LatestStats


class Stats(Protocol):
    """``stats.collector``."""

    async def latest(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        """See ``routes.Sources.stats``."""


class AgentSources:
    """``routes.Sources`` of a whole agent."""

    def __init__(self, *, stats: Stats, api: EcsForTasks, states: Broadcaster[AgentState]) -> None:
        self._stats = stats
        self._api = api
        self._states = states

    async def stats(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        """See ``routes.Sources``."""
        return await self._stats.latest(docker_ids)

    async def ecs(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        """See ``routes.Sources``."""
        return await self._api.call_for_task(operation, body, credentials=credentials, on_behalf=on_behalf)

    async def state_when(self, is_wanted: Callable[[AgentState], bool], *, within_s: float) -> AgentState:
        """See ``routes.Sources``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._states.until(is_wanted)
        return self._states.newest

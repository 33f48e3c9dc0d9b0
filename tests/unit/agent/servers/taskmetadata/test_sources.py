"""Unit tests of what the server for containers asks while it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.servers.taskmetadata.sources import AgentSources
from ecscope.model.arn import DockerId
from ecscope.model.credentials import TaskCredentials
from ecscope.model.stats import LatestStats
from tests.builders import some_credentials
from tests.unit.agent.servers.taskmetadata.scenes import STATE, a_state


class Others:
    """The collector and the ECS API."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def latest(self, docker_ids: Iterable[DockerId]) -> Mapping[DockerId, LatestStats | None]:
        return dict.fromkeys(docker_ids)

    async def call_for_task(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        credentials: TaskCredentials | None = None,
        on_behalf: str = "",
    ) -> Mapping[str, Any]:
        self.calls.append((operation, body, credentials, on_behalf))
        return {"tags": []}


async def test_each_question_goes_to_who_knows() -> None:
    others, states = Others(), Broadcaster(STATE)
    sources = AgentSources(stats=others, api=others, states=states)
    assert await sources.stats([DockerId("d")]) == {"d": None}
    role = some_credentials()
    assert await sources.ecs("GetTaskProtection", {"a": 1}, credentials=role, on_behalf="app") == {"tags": []}
    assert others.calls == [("GetTaskProtection", {"a": 1}, role, "app")]


async def test_a_state_is_awaited_for_a_while_only() -> None:
    states = Broadcaster(STATE)
    sources = AgentSources(stats=Others(), api=Others(), states=states)
    other = a_state()
    assert await sources.state_when(lambda state: state is other, within_s=0.01) is STATE
    waiting = asyncio.create_task(sources.state_when(lambda state: state is other, within_s=10))
    await asyncio.sleep(0)
    states.publish(other)
    assert await waiting is other

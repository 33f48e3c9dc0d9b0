"""The writer saves before it tells or does anything, and neither a bug nor a full disk stops it for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps
from itertools import count
from typing import Any

import pytest

from ecscope.backoff import Backoff
from ecscope.control.api.actions import ACTIONS, Action
from ecscope.control.core.effects import AnyEffect, Disconnect, WakeAt
from ecscope.control.core.errors import ApiError, invalid
from ecscope.control.core.events import AgentDisconnected, ApiRequest, HealthReported, TimePassed
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from ecscope.control.store.interface import Prepared, StoreError
from ecscope.control.writer import Writer
from tests.control_builders import AT, a_cluster, a_request
from tests.control_store import MemoryStore
from tests.loop_clock import Clock

RETRY = Backoff(tries=None, first_s=0.1, cap_s=2.0, factor=2.0)


class SlowDisk(MemoryStore):
    """A store with knobs."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.saves: list[int] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def save(self, changes: Sequence[Prepared]) -> None:
        await self.go_on.wait()
        if self.is_full:
            raise StoreError("there is no room left", is_full=True)
        self.saves.append(len(changes))
        await super().save(changes)


def put(step: Step, body: Json) -> Json:
    """Makes a cluster, and ends a connection, so that there is an effect."""
    if body["name"] in step.clusters:
        raise invalid("it is there")
    step.clusters.put(body["name"], a_cluster(body["name"]))
    step.act(Disconnect(instance_arn=body["name"], connection_id="", reason="seen"))
    return {"put": body["name"]}


def look(step: Step, body: Json) -> Json:
    return {"names": sorted(step.clusters.rows)}


def fail(step: Step, body: Json) -> Json:
    raise KeyError("a bug")


def wake(step: Step, body: Json) -> Json:
    step.act(WakeAt(at=step.at + timedelta(seconds=body["after_s"])))
    return {}


def spoil(step: Step, body: Json) -> Json:
    """Makes a record that no JSON can hold."""
    step.clusters.put("bad", a_cluster("bad", configuration={"x": object()}))
    return {}


def in_jumping_time(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Waits of the test cost nothing."""

    @wraps(test)
    async def run(**fixtures: Any) -> None:
        async def body() -> None:
            await test(**fixtures)

        with Clock(asyncio.get_running_loop()) as clock:
            await clock.run(body())

    return run


@pytest.fixture(autouse=True)
def actions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ACTIONS, dict)
    for name, function in {"Put": put, "Fail": fail, "Wake": wake, "Spoil": spoil}.items():
        monkeypatch.setitem(ACTIONS, name, Action(function))
    monkeypatch.setitem(ACTIONS, "Look", Action(look, is_reader=True))
    monkeypatch.setitem(ACTIONS, "FailToLook", Action(fail, is_reader=True))


class Running:
    """A writer that runs, and what came of it."""

    def __init__(self, store: SlowDisk) -> None:
        self.store = store
        self.done: list[AnyEffect] = []
        self.act: Callable[[AnyEffect], None] = self.done.append
        numbers = count(1)
        self.writer = Writer(
            state=ControlState(),
            store=store,
            act=lambda effect: self.act(effect),  # noqa: PLW0108  # which one is a knob
            now=lambda: AT,
            new_id=lambda: f"{next(numbers):032x}",
            save_retry=RETRY,
        )

    async def put(self, name: str) -> Json:
        return await self.writer.ask(a_request("Put", name=name))

    @property
    def names(self) -> list[str]:
        return list(self.writer.state.clusters)


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    control = Running(SlowDisk())
    life = asyncio.create_task(control.writer.run())
    try:
        yield control
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


async def test_the_answer_comes_after_the_save() -> None:
    async with running() as control:
        control.store.go_on.clear()
        asking = asyncio.create_task(control.put("a"))
        await asyncio.sleep(0.02)
        assert not asking.done()
        assert control.names == []
        assert control.done == []
        control.store.go_on.set()
        assert await asking == {"put": "a"}
        assert control.names == ["a"]
        assert len(control.done) == 1
        assert [cluster.name for cluster in control.store.load().clusters] == ["a"]


@in_jumping_time  # a batch is also ended by time
async def test_what_waits_is_saved_together() -> None:
    async with running() as control:
        control.store.go_on.clear()
        first = asyncio.create_task(control.put("first"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(control.put(f"c{number}")) for number in range(20)]
        await asyncio.sleep(0.02)
        control.store.go_on.set()
        await asyncio.gather(first, *others)
        assert control.store.saves in ([1, 20], [21])


async def test_readers_do_not_wait_and_see_what_is_saved_only() -> None:
    async with running() as control:
        await control.put("a")
        control.store.go_on.clear()
        asking = asyncio.create_task(control.put("b"))
        await asyncio.sleep(0.02)
        assert await control.writer.ask(a_request("Look")) == {"names": ["a"]}
        control.store.go_on.set()
        await asking
        assert await control.writer.ask(a_request("Look")) == {"names": ["a", "b"]}


async def test_a_refusal_changes_nothing_and_saves_nothing() -> None:
    async with running() as control:
        await control.put("a")
        with pytest.raises(ApiError, match="it is there"):
            await control.put("a")
        assert control.store.saves == [1]


@pytest.mark.parametrize("action", ["Fail", "Spoil", "FailToLook"])
async def test_a_bug_costs_its_request_only(action: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as control:
        results = await asyncio.gather(
            control.put("a"), control.writer.ask(a_request(action)), control.put("b"), return_exceptions=True
        )
        assert results[0] == {"put": "a"}
        assert isinstance(results[1], ApiError)
        assert results[1].code == "ServerException"
        assert results[2] == {"put": "b"}
        assert control.names == ["a", "b"]
    assert f"failed on {action}" in caplog.text


async def test_an_effect_that_fails_costs_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as control:

        def fail_to_act(effect: AnyEffect) -> None:
            raise ConnectionError("gone")

        control.act = fail_to_act
        assert await control.put("a") == {"put": "a"}
        assert control.names == ["a"]
    assert "Disconnect could not be carried out" in caplog.text


@in_jumping_time
async def test_a_full_disk_refuses_and_recovers_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as control:
        loop = asyncio.get_running_loop()
        control.store.is_full = True
        before_s = loop.time()
        with pytest.raises(ApiError, match="there is no room left") as refused:
            await control.put("a")
        assert refused.value.code == "ServerException"
        assert loop.time() - before_s <= 2.0
        with pytest.raises(ApiError, match="nothing was changed"):
            await control.put("b")
        assert control.names == []
        assert control.done == []
        assert await control.writer.ask(a_request("Look")) == {"names": []}
        control.store.is_full = False
        assert await control.put("c") == {"put": "c"}
        assert control.names == ["c"]
        assert len(control.done) == 1
    assert caplog.text.count("cannot save state") == 1
    assert caplog.text.count("can be saved again") == 1


@in_jumping_time
async def test_a_refusal_by_a_state_that_cannot_be_saved_is_not_told() -> None:
    async with running() as control:
        control.store.is_full = True
        results = await asyncio.gather(control.put("a"), control.put("a"), return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == ["ServerException"] * 2


@in_jumping_time
async def test_what_happened_while_the_disk_was_full_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def take(step: Step, event: object) -> None:
        seen.append(event)
        if isinstance(event, ApiRequest):
            return None
        step.clusters.put("told", a_cluster("told"))
        return None

    monkeypatch.setattr("ecscope.control.decide._take", take)
    async with running() as control:
        control.store.is_full = True
        control.writer.post(AgentDisconnected(id="1" * 32, at=AT, instance_arn="i", connection_id="c"))
        for _ in range(1000):
            control.writer.post(HealthReported(id="2" * 32, at=AT, instance_arn="i", containers=()))
        await asyncio.sleep(60.0)
        assert control.names == []
        assert [type(item) for item in control.writer._waiting] == [AgentDisconnected], "the rest comes again"
        control.store.is_full = False
        await control.writer.settled()
        assert control.names == ["told"]
    assert len(seen) > 1


@in_jumping_time
async def test_it_wakes_at_the_earliest_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[float] = []
    loop = asyncio.get_running_loop()
    async with running() as control:
        begun_s = loop.time()
        post = control.writer.post

        def note(event: object) -> None:
            assert isinstance(event, TimePassed)
            woken.append(loop.time() - begun_s)
            post(event)

        monkeypatch.setattr(control.writer, "post", note)
        for after_s in (30.0, 20.0, 25.0):
            await control.writer.ask(a_request("Wake", after_s=after_s))
        await asyncio.sleep(60.0)
        assert woken == [pytest.approx(20.0, abs=0.1)]


async def test_settings_change_without_a_save() -> None:
    async with running() as control:
        control.store.go_on.clear()
        asking = asyncio.create_task(control.put("a"))
        await asyncio.sleep(0.02)
        control.writer.change_settings(Settings(region="eu-west-1"))
        control.store.go_on.set()
        await asking
        assert control.writer.state.settings.region == "eu-west-1"
        assert control.names == ["a"]


async def test_who_has_gone_gets_nothing_done() -> None:
    async with running() as control:
        control.store.go_on.clear()
        first = asyncio.create_task(control.put("a"))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(control.put("b"))
        await asyncio.sleep(0)
        second.cancel()
        control.store.go_on.set()
        await first
        await control.writer.settled()
        assert control.names == ["a"]


async def test_cancelled_while_it_saves_it_ends_that_first() -> None:
    control = Running(SlowDisk())
    life = asyncio.create_task(control.writer.run())
    control.store.go_on.clear()
    asking = asyncio.create_task(control.put("a"))
    await asyncio.sleep(0.02)
    life.cancel()
    await asyncio.sleep(0)
    control.store.go_on.set()
    assert await asking == {"put": "a"}
    with pytest.raises(asyncio.CancelledError):
        await life

"""The engine saves before it publishes, publishes before it acts, and survives a store that cannot save."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ecscope.agent import engine as engine_module
from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.engine import Engine
from ecscope.agent.store.interface import Batch, StoreError
from ecscope.agent.store.memory import MemoryStore
from ecscope.backoff import Backoff
from ecscope.log import JsonFormatter, LogfmtFormatter
from ecscope.model import history
from tests.builders import AT, a_container, a_scan, a_task, an_arn
from tests.world import HOST, INSTANCE


class WatchedStore(MemoryStore):
    """A store that tells what was saved when, and fails as often as it is told."""

    def __init__(self, trail: list[str]) -> None:
        super().__init__()
        self.trail = trail
        self.batches: list[Batch] = []
        self.failures = 0
        self.while_saving: Callable[[], None] = lambda: None

    async def save(self, batch: Batch) -> None:
        self.while_saving()
        if self.failures:
            self.failures -= 1
            self.trail.append("failed")
            raise StoreError("No space left on device", is_full=True)
        await super().save(batch)
        self.batches.append(batch)
        self.trail.append("saved")


@asynccontextmanager
async def an_engine(trail: list[str]) -> AsyncIterator[tuple[Engine, WatchedStore, list[act.AnyAction]]]:
    store = WatchedStore(trail)
    acted: list[act.AnyAction] = []

    def act_on(action: act.AnyAction) -> None:
        trail.append(type(action).__name__)
        acted.append(action)

    engine = Engine(
        state=restored_state(instance=INSTANCE, settings=Settings()),
        store=store,
        act=act_on,
        save_retry=Backoff(tries=None, first_s=0.0, cap_s=0.0),
        checked=True,
    )
    running = asyncio.create_task(engine.run())
    try:
        yield engine, store, acted
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def connected() -> ev.RuntimeConnected:
    return ev.RuntimeConnected(id="e1", at=AT, version="20.10", resources=HOST)


def received() -> ev.TaskFilesScanned:
    return a_scan(a_task(), id="e2")


async def test_saved_then_published_then_acted_on() -> None:
    trail: list[str] = []
    async with an_engine(trail) as (engine, store, acted):
        seen_while_saving: list[bool] = []
        store.while_saving = lambda: seen_while_saving.append(engine.state.runtime_connected)
        engine.post(connected())
        await engine.settled()
        assert trail == ["saved", "ListContainers"]
        assert seen_while_saving == [False], "nothing is published before it is saved"
        assert engine.state.runtime_connected
        assert acted == [act.ListContainers()]


async def test_who_waits_for_a_state_gets_the_first_that_is_as_wanted() -> None:
    async with an_engine([]) as (engine, store, _):
        assert await engine.states.until(lambda state: not state.tasks) is engine.state, "the one that is there"
        waiting = asyncio.create_task(engine.states.until(lambda state: bool(state.tasks)))
        given_up = asyncio.create_task(engine.states.until(lambda state: bool(state.tasks)))
        engine.post(connected())
        await engine.settled()
        given_up.cancel()
        told_while_saving: list[bool] = []
        store.while_saving = lambda: told_while_saving.append(waiting.done())
        engine.post(received())
        assert (await waiting).tasks
        assert told_while_saving[0] is False
        assert given_up.cancelled()


async def test_a_full_disk_holds_every_action_back_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    trail: list[str] = []
    caplog.set_level(logging.INFO, logger="ecscope.engine")
    async with an_engine(trail) as (engine, store, _):
        store.failures = 3
        engine.post(connected())
        await engine.settled()
        assert trail == ["failed", "failed", "failed", "saved", "ListContainers"]
    said = [record.getMessage() for record in caplog.records]
    assert sum("cannot save state, so no action is taken" in line for line in said) == 1
    assert "state can be saved again; going on" in said


async def test_what_happens_while_the_disk_is_full_is_decided_meanwhile_and_done_afterwards() -> None:
    trail: list[str] = []
    async with an_engine(trail) as (engine, store, _):
        numbers = iter(range(1, 200))

        def go_on() -> None:
            if store.failures:
                for number in itertools.islice(numbers, 99):
                    for _ in range(2):
                        engine.post(a_scan(a_task(number=number)))
                assert not engine.state.tasks, "nothing is published before it is saved"

        store.failures = 3
        store.while_saving = go_on
        engine.post(connected())
        await engine.settled()
        assert trail[:5] == ["failed", "failed", "failed", "saved", "ListContainers"]
        [batch] = store.batches
        assert len(batch.tasks) == len(engine.state.tasks) == 199


async def test_of_the_history_of_a_long_time_with_a_full_disk_the_newest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "_MOST_UNSAVED_NOTES", 3)
    async with an_engine([]) as (engine, store, _):
        store.failures = 1
        for number in range(5):
            engine.post(a_scan(a_task(number=number), id=f"e{number}"))
        await engine.settled()
        [batch] = store.batches
        assert len(batch.tasks) == 5
        assert [note.event_id for note in batch.history] == ["e3", "e4", "e4"]


async def test_what_was_changed_and_what_was_noted_is_in_the_batch() -> None:
    async with an_engine([]) as (engine, store, _):
        engine.post(received())
        await engine.settled()
        [batch] = store.batches
        assert batch.tasks == {an_arn(): engine.state.tasks[an_arn()]}
        assert [type(entry.what) for entry in batch.history] == [
            history.TaskAccepted,
            history.TaskWaitsForHostResources,
        ]
        assert {entry.event_id for entry in batch.history} == {"e2"}


async def test_listeners_get_what_is_noted_once_it_is_saved_and_one_that_fails_costs_nobody_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trail: list[str] = []
    heard: list[tuple[str, bool]] = []

    def broken(notes: object, state: object) -> None:
        raise ValueError("a reader's own")

    async with an_engine(trail) as (engine, store, _):
        engine.listen(broken)
        engine.listen(
            lambda notes, state: heard.extend((type(note.what).__name__, an_arn() in state.tasks) for note in notes)
        )
        store.while_saving = lambda: heard.append(("saving", False))
        engine.post(received())
        await engine.settled()
        assert heard == [("saving", False), ("TaskAccepted", True), ("TaskWaitsForHostResources", True)]
        engine.post(connected())
        await engine.settled()
        assert "RuntimeConnected" in [name for name, _ in heard]
    assert "a reader of the history failed" in [record.getMessage() for record in caplog.records]


async def test_events_that_wait_together_are_saved_together() -> None:
    async with an_engine([]) as (engine, store, _):
        for number in range(5):
            engine.post(a_scan(a_task(number=number), id=f"e{number}"))
        await engine.settled()
        assert len(store.batches) == 1
        assert len(store.batches[0].tasks) == 5


async def test_an_event_that_changes_nothing_is_not_saved() -> None:
    trail: list[str] = []
    async with an_engine(trail) as (engine, _, __):
        before = engine.state
        engine.post(ev.CleanupRequested(id="e1", at=AT))
        await engine.settled()
        assert trail == []
        assert engine.state is before


async def test_a_bug_in_the_core_costs_one_event_and_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = engine_module.decide

    def fails_on_tasks(state: object, event: ev.AnyEvent) -> object:
        if isinstance(event, ev.TaskFilesScanned):
            raise ZeroDivisionError
        return decide(state, event)  # type: ignore[arg-type]

    monkeypatch.setattr(engine_module, "decide", fails_on_tasks)
    async with an_engine([]) as (engine, _, acted):
        engine.post(received())
        engine.post(connected())
        await engine.settled()
        assert engine.state.tasks == {}
        assert acted == [act.ListContainers()]
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.__dict__["eventId"] == "e2"


async def test_a_bug_in_the_core_puts_no_secret_into_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(state: object, event: ev.AnyEvent) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(engine_module, "decide", fails)
    async with an_engine([]) as (engine, _, __):
        task = a_task(a_container(environment={"PASSWORD": "hunter2"}))
        engine.post(a_scan(task))
        await engine.settled()
    lines = [
        formatter.format(record) for record in caplog.records for formatter in (LogfmtFormatter(), JsonFormatter())
    ]
    assert lines
    assert all("hunter2" not in line for line in lines)
    assert all("TaskFilesScanned" in line for line in lines)

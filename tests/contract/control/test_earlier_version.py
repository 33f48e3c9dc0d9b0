"""What an earlier version answered and saved: the same requests get the same answers, and its file is taken over."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from ecscope.control.core.invariants import check_state
from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.store.interface import Loaded
from ecscope.control.store.rows import prepared
from ecscope.control.store.sqlite import SqliteStore
from tests.recorded_session import RECORDED, Line, happened, recorded


def replay(state: ControlState, name: str) -> None:
    """Every event of a recording, held to what came of it then."""
    for line in recorded(name):
        state, now, decision = happened(state, line.event)
        assert _seen(now) == _seen(line), line.event
        check_state(state)
        if decision is not None:
            prepared(decision.records)


def _restored(loaded: Loaded) -> ControlState:
    """As ``control/app.py`` does it."""
    return restored_state(
        settings=Settings(),
        clusters=loaded.clusters,
        task_definitions=loaded.task_definitions,
        instances=loaded.instances,
        tasks=loaded.tasks,
        services=loaded.services,
        tokens=loaded.tokens,
        account_settings=loaded.account_settings,
        sequence=int(loaded.meta["sequence"]),
    )


def _seen(line: Line) -> tuple[object, ...]:
    """Of a refusal its code; its words may be put better. The order of members means nothing."""
    refusal = line.refusal[0] if line.refusal else None
    answer = msgspec.json.decode(line.answer) if line.answer else None
    return answer, refusal, [msgspec.json.decode(frame) for frame in line.sent]


def test_the_same_requests_are_answered_as_before() -> None:
    """Recorded anew when awsvpc, Fargate and log drivers came, and when tasks had to last: each change was reviewed."""
    replay(restored_state(settings=Settings()), "session")


async def test_the_file_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """Clusters, definitions, instances, tasks and services of every status: shown, and carried on, as before."""
    shutil.copy(RECORDED / "control.db", tmp_path / "control.db")
    store = SqliteStore(tmp_path)
    loaded = store.load()
    try:
        assert loaded.bad == ()
        assert (len(loaded.clusters), len(loaded.instances), len(loaded.services)) == (4, 6, 7)
        state = _restored(loaded)
        check_state(state)
        replay(state, "taken-over")
        again = store.prepare({"tasks": dict(state.tasks), "services": dict(state.services)})
        await store.save([again])
    finally:
        await store.close()
    reopened = SqliteStore(tmp_path)
    after = reopened.load()
    await reopened.close()
    assert (after.bad, after.tasks, after.services) == ((), loaded.tasks, loaded.services)

"""Each benchmark measures: over the simulated runtime, over saved tasks, through wrk, and with real containers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import dockerengine
from bench import engine, members, ours, place, saved_state, wrk
from bench.benchmarks import away, cluster, docker, simulated
from bench.command import main
from bench.needs import Missing
from bench.options import Options
from bench.place import Place, place_for_ours
from ecscope.agent.store.sqlite import SqliteStore
from tests.session import TEST_PREFIX

QUICK = Options(quick=True, peer=None, docs=False)

WRK = """\
#!/bin/sh
cat <<'END'
  Latency Distribution
     50%  210.00us
     75%  300.00us
     99%    1.20ms
  20000 requests in 2.00s, 5.00MB read
{more}Requests/sec:  10000.50
END
"""


def test_the_simulation_measures_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "SIZES", (2, 4))
    monkeypatch.setattr(simulated, "RESULTS", tmp_path / "results")
    figures = simulated.run(QUICK)
    assert len(figures) == 2 * 4
    assert all(sample > 0 for figure in figures for sample in figure.samples)
    assert [bool(figure.target) for figure in figures] == [False] * 4 + [True, True, False, False]
    assert (tmp_path / "results" / "bench-scaling.svg").read_text().startswith("<svg")


async def test_saved_tasks_are_read_by_the_agent_s_store(tmp_path: Path) -> None:
    await saved_state._write(tmp_path, [saved_state.stopped_task(number) for number in range(3)])
    store = SqliteStore(tmp_path)
    loaded = store.load()
    await store.close()
    assert len(loaded.tasks) == 3
    assert not loaded.bad


def _a_wrk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    (tmp_path / "wrk").write_text(WRK.format(more=more))
    (tmp_path / "wrk").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_what_wrk_says_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _a_wrk(tmp_path, monkeypatch)
    reading = wrk.measure("http://127.0.0.1:1/", seconds=2, pid=os.getpid(), place=Place())
    assert (reading.requests_per_s, reading.p50_ms, reading.p99_ms) == (10000.5, pytest.approx(0.21), 1.2)
    assert reading.cpu_us is not None
    assert reading.cpu_us >= 0


def test_answers_other_than_200_are_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _a_wrk(tmp_path, monkeypatch, "  Non-2xx or 3xx responses: 7\n")
    with pytest.raises(Missing, match="Non-2xx"):
        wrk.measure("http://127.0.0.1:1/", seconds=2, pid=None, place=Place())


def test_a_peer_that_is_no_address_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--peer", "https://x"])
    assert ended.value.code == 2
    assert "write a URL such as" in capsys.readouterr().err


def test_real_containers_are_measured_and_removed(
    docker_endpoint: str, sample_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not place.is_free() and (os.geteuid() != 0 or not shutil.which("ip")):
        pytest.skip("port 51678 is taken, and going around it takes root and iproute2")
    cluster = f"{TEST_PREFIX}bench"
    monkeypatch.setattr(ours, "CLUSTER", cluster)
    monkeypatch.setattr(engine, "LABEL", f"com.amazonaws.ecs.cluster={cluster}")
    monkeypatch.setattr(engine, "REST_S", 0.0)
    with engine.engine() as found, place_for_ours() as here, ours.agent(here, docker_host=docker_endpoint) as agent:
        agent.start()
        try:
            figures = docker._starts(1, 1, 1.2, found, agent, None)
        finally:
            agent.stop()
    ratio, seen, seconds = figures
    assert len(ratio.ratios) == 1
    assert 0 < seen.samples[0] < seconds.samples[0]
    left = dockerengine.Engine(docker_endpoint.removeprefix("unix://")).containers(label=[engine.LABEL])
    assert left == []


def test_what_waits_for_ecs_is_counted_weighed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "TASKS", 6)
    monkeypatch.setattr(away, "CHANGES", 12)
    monkeypatch.setattr(away, "TASKS_PER_PAYLOAD", 3)
    monkeypatch.setattr(away, "RUN_FOR_S", 2.0)
    monkeypatch.setattr(away, "SETTLE_S", 0.1)
    figures = {figure.name: figure for figure in away.run(QUICK)}
    told = figures["12 state changes told in order, from the moment ECS is back"]
    first = figures["of this, until the first one arrives"]
    assert 0 < first.samples[0] <= told.samples[0]
    made_of = figures["12 state changes queued: what they themselves are made of"].samples[0] * (1 << 20)
    assert 12 * 100 < made_of < 12 * 3000
    assert [figure.name for figure in figures.values() if figure.target] == [
        "12 state changes queued: what they themselves are made of",
        "12 state changes queued: memory above the same tasks told",
        "12 state changes told in order, from the moment ECS is back",
    ]


@pytest.mark.parametrize(
    "told",
    [
        [("a", "STOPPED"), ("a", "RUNNING"), ("b", "RUNNING"), ("b", "STOPPED")],
        [("a", "RUNNING"), ("a", "RUNNING"), ("a", "STOPPED"), ("b", "RUNNING"), ("b", "STOPPED")],
        [("a", "RUNNING"), ("a", "STOPPED"), ("b", "STOPPED")],
        [("a", "RUNNING"), ("a", "STOPPED")],
    ],
    ids=["in the wrong order", "twice", "one is missing", "a task is missing"],
)
def test_state_changes_told_wrongly_are_no_measurement(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(away, "TASKS", 2)
    right = [("a", "RUNNING"), ("b", "RUNNING"), ("b", "STOPPED"), ("a", "STOPPED")]
    assert len(away.in_order(_calls(right), [])) == 4
    with pytest.raises(Missing, match="wrongly"):
        away.in_order(_calls(told), [])
    with pytest.raises(Missing, match="a problem"):
        away.in_order(_calls(right), ["a problem"])


def _calls(told: list[tuple[str, str]]) -> list[dict[str, object]]:
    return [{"at_s": 0.0, "body": {"task": task, "status": status}} for task, status in told]


def test_a_member_of_a_cluster_is_measured_and_leaves_nothing(
    docker_endpoint: str, sample_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not place.is_free():
        pytest.skip("port 51678 is taken")
    name = f"{TEST_PREFIX}bench"
    for module in (cluster, members):
        monkeypatch.setattr(module, "CLUSTER", name)
    monkeypatch.setattr(engine, "LABEL", f"com.amazonaws.ecs.cluster={name}")
    monkeypatch.setattr(cluster, "_plan", lambda options: [(1, 1, 1.3)])
    monkeypatch.setattr(cluster, "_settle_s", lambda options: 0)
    monkeypatch.setattr(cluster, "_rest_s", lambda options: 0.5)
    monkeypatch.setattr(engine, "REST_S", 0.0)
    monkeypatch.setattr(cluster, "_RUNNING", 2)
    starts, idle, running, rest = cluster.run(QUICK)
    assert len(starts.ratios) == 1
    assert 20 < idle.samples[0] < running.samples[0] + 10
    assert rest.samples[0] >= 0
    left = dockerengine.Engine(docker_endpoint.removeprefix("unix://")).containers(label=[engine.LABEL])
    assert left == []

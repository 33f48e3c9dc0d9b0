"""The control plane is measured: signed calls that real servers take, simulated agents, moto, and real containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import clients
import dockerengine
from bench import control_plane as planes
from bench import engine, members, place
from bench.benchmarks import cluster, control, up
from bench.control_plane import REGION
from bench.needs import Missing
from bench.options import Options
from bench.signed_calls import CallFailed, Key, SignedCalls
from ecscope.control.server.signatures import AccessKey
from fake_ecs.process import BackendProcess
from tests.control_server import ControlServer
from tests.session import TEST_PREFIX

QUICK = Options(quick=True, peer=None, docs=False)


def _key(access_key: AccessKey) -> Key:
    return Key(access_key.access_key_id, access_key.secret_access_key, access_key.session_token)


def _call(port: int, key: Key, action: str, **body: object) -> dict[str, object]:
    async def call() -> dict[str, object]:
        calls = SignedCalls(port, key, region=REGION)
        try:
            return [await calls.call(action, **body) for _ in range(2)][-1]  # over one connection
        finally:
            calls.close()

    return asyncio.run(call())


def test_what_is_signed_is_taken_and_nothing_else() -> None:
    with ControlServer() as server:
        for access_key in (server.principals.administrator, server.principals.instance_role):
            assert "endpoint" in _call(server.port, _key(access_key), "DiscoverPollEndpoint")
        wrong = _key(server.principals.administrator)._replace(secret_access_key="another")
        with pytest.raises(CallFailed, match="InvalidSignatureException"):
            _call(server.port, wrong, "DiscoverPollEndpoint")


def test_the_control_plane_is_measured_at_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SIZES", (12, 20))
    monkeypatch.setattr(control, "AGENTS", 3)
    monkeypatch.setattr(control, "READS", 4)
    monkeypatch.setattr(control, "LOAD_S", 0.2)
    monkeypatch.setattr(control, "_SETTLE_S", 0.0)
    monkeypatch.setattr(control, "RESULTS", tmp_path)
    monkeypatch.setattr(control, "_has_moto", lambda: False)
    figures = control.run(QUICK)
    samples = {figure.name: figure.samples[0] for figure in figures}
    assert all(sample > 0 for name, sample in samples.items() if "last" not in name and "CPU" not in name)
    assert samples["20 tasks, ten a call: tasks accepted and placed"] == pytest.approx(
        10 * samples["20 tasks, ten a call: RunTask calls"]
    )
    assert [figure.name for figure in figures if figure.target] == [
        "20 tasks: RunTask accepted and placed, one task a call",
        "20 tasks: DescribeTasks of 100, p99",
        "20 tasks: memory",
        "20 tasks: killed and started: first DescribeTasks",
        "20 tasks: DescribeTasks of 100, p99, while 200 RunTask/s",
    ]
    assert (tmp_path / "bench-control.svg").read_text().count("<polyline") == 5


def test_moto_is_measured_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (clients.BUILD / "moto" / "made-from").exists():
        pytest.skip("moto is not installed yet; tests of other services and `make bench` do that")
    monkeypatch.setattr(control, "AGENTS", 3)
    monkeypatch.setattr(control, "READS", 2)
    taken = control._moto(12)
    assert taken.run_per_s > 0
    assert len(taken.describe_s) == len(taken.list_s) == 2
    assert len(control._figures(12, [taken], [taken])) == len(control._figures(12, [taken], [])) + 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"tasks": [{"taskArn": "a"}], "failures": []}, "0 of 1"),
        ({"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]}, "RESOURCE:CPU"),
    ],
    ids=["no instance", "refused"],
)
def test_a_task_without_a_place_is_no_measurement(answer: dict[str, Sequence[object]], reason: str) -> None:
    class Calls(SignedCalls):
        async def call(self, action: str, **body: object) -> object:
            return answer

    with pytest.raises(Missing, match=reason):
        asyncio.run(control._run_tasks(Calls(1, Key("a", "b"), region=REGION), 1))


def test_from_run_task_to_running_is_measured_and_leaves_nothing(
    docker_endpoint: str, sample_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not place.is_free():
        pytest.skip("port 51678 is taken")
    name = f"{TEST_PREFIX}bench"
    for module in (cluster, members, planes, up):
        monkeypatch.setattr(module, "CLUSTER", name)
    monkeypatch.setattr(engine, "LABEL", f"com.amazonaws.ecs.cluster={name}")
    monkeypatch.setattr(engine, "REST_S", 0.0)
    with (
        engine.engine() as found,
        BackendProcess(arguments=("--cluster", name)) as backend,
        members.members(backend, docker_host=docker_endpoint, official=None) as joined,
        up.up(found) as ours,
    ):
        figures = up.starts(1, 1, cluster.Cluster(found, backend, joined), ours)
    assert [len(figure.ratios) for figure in figures] == [1, 1]
    left = dockerengine.Engine(docker_endpoint.removeprefix("unix://")).containers(label=[engine.LABEL])
    assert left == []

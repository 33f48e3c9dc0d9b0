"""Tries, limits and adoption of ``DockerRuntime``, against an engine that says what the test wrote."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

import ecscope
from ecscope.agent.core.container_config import ContainerConfig, Link, container_config
from ecscope.agent.runtime.docker.endpoint import InvalidEndpoint
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure, VolumeSpec
from ecscope.backoff import Retry
from ecscope.model.arn import DockerId
from ecscope.model.runtime import PullProgress, RuntimeAction
from tests.builders import a_container, a_task
from tests.unit.agent.runtime.docker.scripted_engine import (
    DROP,
    HANG,
    Reply,
    Request,
    ScriptedEngine,
    answer,
    refusal,
    scripted_engine,
)

ID = DockerId("ab" * 32)
DIGEST = "sha256:" + "cd" * 32
AUTH = RegistryAuth(username="me", password="s3cret", server_address="h.example")
STATS = json.dumps(
    {"read": "2026-11-26T21:19:46Z", "cpu_stats": {"cpu_usage": {"total_usage": 5}, "online_cpus": 2}}
).encode()
MANIFEST = answer({"Descriptor": {"digest": DIGEST, "mediaType": "application/vnd.oci.image.index.v1+json"}})


class Bench:
    """A runtime, its scripted engine, and the waits between its tries."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.waits: list[float] = []
        self.runtime = self.make()

    def make(self, **limits: float) -> DockerRuntime:
        return DockerRuntime(
            self.engine.endpoint, timeouts=Timeouts(**limits), retry=Retry(sleep=self._sleep, random=float)
        )

    async def limit(self, **limits: float) -> None:
        await self.runtime.close()
        self.runtime = self.make(**limits)

    def say(self, *replies: Reply) -> None:
        """One reply after the other, the last one again and again."""
        left = list(replies)
        self.engine.script = lambda _: left.pop(0) if len(left) > 1 else left[0]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with scripted_engine(tmp_path, lambda _: HANG) as engine:
        made = Bench(engine)
        yield made
        await made.runtime.close()


async def failure_of(call: object) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        await call  # type: ignore[misc]
    return caught.value


def ignore(_: PullProgress) -> None:
    pass


def spec() -> ContainerConfig:
    container = a_container(docker_name="ecs-sample-1-app-00")
    return container_config(
        task=a_task(container),
        container=container,
        host_ports={},
        cluster="default",
        region="",
        image_environment_names=frozenset(),
    )


def test_a_bad_endpoint_is_told_at_once() -> None:
    with pytest.raises(InvalidEndpoint):
        DockerRuntime("docker.sock")


def test_importing_and_making_one_loads_no_http_library() -> None:
    code = (
        "import sys; from ecscope.agent.runtime.docker.runtime import DockerRuntime; DockerRuntime(); "
        "print({'aiohttp', 'yarl', 'multidict'} & set(sys.modules))"
    )
    source = str(Path(ecscope.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout == "set()\n"


# --- the engine as a whole -----------------------------------------------------------------------


async def test_connect_tells_engine_and_host(bench: Bench) -> None:
    bench.say(
        answer(
            {
                "ServerVersion": "99.1",
                "NCPU": 2,
                "MemTotal": 1024,
                "CgroupVersion": "2",
                "CgroupDriver": "systemd",
                "DockerRootDir": "/d",
                "Driver": "btrfs",
                "Architecture": "aarch64",
            }
        )
    )
    info = await bench.runtime.connect()
    assert msgspec.structs.asdict(info) == {
        "version": "99.1",
        "api_version": "1.41",
        "cpus": 2,
        "memory_bytes": 1024,
        "cgroup_version": "2",
        "cgroup_driver": "systemd",
        "storage_root": "/d",
        "storage_driver": "btrfs",
        "architecture": "aarch64",
    }


async def test_an_old_engine_says_less(bench: Bench) -> None:
    bench.say(answer({"CgroupVersion": ""}))
    info = await bench.runtime.connect()
    assert (info.version, info.cgroup_version) == ("99.0", "1")


async def test_volume_plugins_are_those_loaded_and_those_that_can_be(bench: Bench) -> None:
    bench.say(
        answer({"Plugins": {"Volume": ["old", "local", "rexray/ebs:0.11"]}}),
        answer([{"Name": "rexray/ebs:0.11", "Enabled": True}, {"Name": "a/b:latest"}]),
    )
    assert await bench.runtime.volume_plugins() == ("local", "old", "rexray/ebs:0.11", "a/b:latest")
    assert bench.engine.paths() == ["/v1.41/info", "/v1.41/plugins"]
    filters = json.loads(bench.engine.requests[-1].query["filters"])
    assert filters == {"capability": ["volumedriver"], "enabled": ["true"]}


@pytest.mark.parametrize("info", [{}, {"Plugins": None}, {"Plugins": {"Volume": None}}])
async def test_an_engine_that_names_no_plugins_has_the_local_one(bench: Bench, info: dict[str, object]) -> None:
    bench.say(answer(info), answer([]))
    assert await bench.runtime.volume_plugins() == ("local",)


async def test_plugins_that_cannot_be_listed(bench: Bench) -> None:
    bench.say(answer({}), answer({"message": "no"}, status=500))
    failure = await failure_of(bench.runtime.volume_plugins())
    assert str(failure) == "CannotListPluginsError: Error response from daemon: no"


async def test_connect_pins_the_api_anew(bench: Bench) -> None:
    bench.say(answer({}))
    await bench.runtime.connect()
    bench.engine.version = {"Version": "1", "ApiVersion": "1.43", "MinAPIVersion": "1.24"}
    await bench.runtime.connect()
    assert bench.engine.paths() == ["/v1.41/info", "/v1.43/info"]


async def test_an_engine_newer_than_any_that_was_tested_is_used_and_that_is_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.say(answer({}))
    bench.engine.version = {"Version": "40.1", "ApiVersion": "1.70", "MinAPIVersion": "1.60"}
    await bench.runtime.connect()
    await bench.runtime.connect()
    assert bench.engine.paths() == ["/v1.60/info"] * 2
    [said] = [record.getMessage() for record in caplog.records if record.name == "ecscope.docker"]
    assert said.startswith(
        "Docker 40.1 supports no API version that ecscope was tested with (1.51 and older): using 1.60"
    )


PODMAN = json.loads(
    (Path(__file__).parents[4] / "fixtures" / "docker-engine" / "podman-5.4.2" / "version.json").read_text()
)


async def test_links_are_refused_by_name_where_podman_has_none(bench: Bench) -> None:
    bench.engine.version = PODMAN
    links = (Link(docker_name="ecs-db", alias="database"), Link(docker_name="ecs-cache", alias="cache"))
    wanted = msgspec.structs.replace(spec(), links=links)
    failure = await failure_of(bench.runtime.create_container(wanted, timeout_s=5))
    assert str(failure) == (
        "CannotCreateContainerError: links of container app (database, cache) are not supported by Podman. Remove them,"
        " or run the task on Docker"
    )
    assert bench.engine.paths() == [], "nothing was asked of it but its version"


async def test_an_answer_that_is_no_json(bench: Bench) -> None:
    bench.say(Reply(body=b"<html>"))
    failure = await failure_of(bench.runtime.inspect_container(ID))
    assert str(failure).startswith(
        f"CannotInspectContainerError: {bench.engine.endpoint} gave an answer that is not the Docker Engine's: "
    )


async def test_notices_begin_with_the_request_and_end_with_a_failure(bench: Bench) -> None:
    event = {"Type": "container", "Action": "start", "Actor": {"ID": ID, "Attributes": {}}, "timeNano": 5}
    bench.say(Reply(chunks=(json.dumps(event).encode() + b"\n",)))
    seen = []
    with pytest.raises(RuntimeFailure) as caught:
        async with bench.runtime.notices() as notices:
            async for notice in notices:
                seen.append(notice.action)
    assert seen == [RuntimeAction.START]
    assert caught.value.is_unreachable
    query = bench.engine.requests[-1].query
    assert float(query["since"]) > 1.6e9
    assert json.loads(query["filters"])["label"] == ["com.amazonaws.ecs.task-arn"]


async def test_stats_are_streamed(bench: Bench) -> None:
    bench.say(Reply(chunks=(b"nonsense\n" + STATS + b"\n" + STATS[:30], STATS[30:] + b"\n")))
    async with bench.runtime.stats(ID) as stats:
        assert [sample.cpu_total_ns async for sample in stats] == [5, 5]
    assert bench.engine.requests[-1].query == {"stream": "1"}


@pytest.mark.parametrize(("version", "query"), [("1.40", {"stream": "0"}), ("1.41", {"stream": "0", "one-shot": "1"})])
async def test_stats_are_polled(bench: Bench, version: str, query: dict[str, str]) -> None:
    bench.engine.version = {"Version": "99.0", "ApiVersion": version, "MinAPIVersion": "1.12"}
    bench.say(Reply(body=b"nonsense"), Reply(body=STATS), refusal(404, "No such container: x"))
    with pytest.raises(RuntimeFailure) as caught:
        async with bench.runtime.stats(ID, poll_every_s=0.01) as stats:
            async for sample in stats:
                assert sample.cpu_total_ns == 5
    assert caught.value.is_not_found
    assert [request.query for request in bench.engine.requests[-3:]] == [query] * 3


async def test_first_calls_at_once_share_one_client(bench: Bench) -> None:
    bench.say(Reply(body=b"OK"))
    await asyncio.gather(*(bench.runtime.ping() for _ in range(5)))
    assert len(bench.engine.paths()) == 5


async def test_closing_twice_or_before_any_call(bench: Bench) -> None:
    await bench.runtime.close()
    await bench.runtime.close()


# --- digests -------------------------------------------------------------------------------------


async def test_a_digest_comes_with_credentials(bench: Bench) -> None:
    bench.say(MANIFEST)
    assert await bench.runtime.resolve_digest("h.example/ns/app:1", AUTH) == DIGEST
    request = bench.engine.requests[-1]
    assert request.path == "/v1.41/distribution/h.example/ns/app:1/json"
    assert json.loads(base64.urlsafe_b64decode(request.headers["x-registry-auth"]))["password"] == "s3cret"


async def test_no_credentials_no_header(bench: Bench) -> None:
    bench.say(MANIFEST)
    await bench.runtime.resolve_digest("app", None)
    assert "x-registry-auth" not in bench.engine.requests[-1].headers


async def test_a_digest_is_tried_nine_times(bench: Bench) -> None:
    bench.say(refusal(500, "no such host"))
    failure = await failure_of(bench.runtime.resolve_digest("app", None))
    assert str(failure) == "CannotPullImageManifestError: Error response from daemon: no such host"
    assert len(bench.engine.paths()) == 9
    assert bench.waits == pytest.approx([0.01, 0.03, 0.09, 0.27, 0.81, 2.43, 5.0, 5.0])


async def test_a_digest_that_comes_late_is_good(bench: Bench) -> None:
    bench.say(refusal(500, "busy"), refusal(500, "busy"), MANIFEST)
    assert await bench.runtime.resolve_digest("app", None) == DIGEST


async def test_all_tries_for_a_digest_share_one_limit(bench: Bench) -> None:
    await bench.limit(manifest_s=0.05)
    bench.say(HANG)
    failure = await failure_of(bench.runtime.resolve_digest("app", None))
    assert str(failure) == ("DockerTimeoutError: Could not transition to MANIFEST_PULLED; timed out after waiting 50ms")
    assert failure.is_timeout
    assert len(bench.engine.paths()) == 1


async def test_an_old_api_offers_no_digest(bench: Bench) -> None:
    bench.engine.version = {"Version": "1", "ApiVersion": "1.34", "MinAPIVersion": "1.12"}
    assert await bench.runtime.resolve_digest("app", None) == ""
    assert bench.engine.paths() == []


async def test_an_engine_that_is_away_is_reported_at_once(bench: Bench) -> None:
    bench.say(DROP)
    for call in (
        bench.runtime.resolve_digest("app", None),
        bench.runtime.pull_image("app", None, ignore),
        bench.runtime.tag_image("app", "b"),
        bench.runtime.stop_container(ID, grace_s=1),
    ):
        assert (await failure_of(call)).is_unreachable
    assert bench.waits == []


# --- pulls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "name", "selector"),
    [
        ("app", "app", "latest"),
        ("h.example:5000/ns/app:1", "h.example:5000/ns/app", "1"),
        (f"app@{DIGEST}", "app", DIGEST),
        (f"app:1@{DIGEST}", "app", DIGEST),
    ],
)
async def test_what_is_pulled(bench: Bench, reference: str, name: str, selector: str) -> None:
    bench.say(Reply(chunks=(b'{"status":"Pulling"}\r\n',)))
    await bench.runtime.pull_image(reference, AUTH, ignore)
    request = bench.engine.requests[-1]
    assert (request.method, request.path) == ("POST", "/v1.41/images/create")
    assert request.query == {"fromImage": name, "tag": selector}
    assert "x-registry-auth" in request.headers


async def test_an_error_in_the_output_is_an_error(bench: Bench) -> None:
    bench.say(Reply(chunks=(b'{"status":"Pulling"}\r\n', b'{"error":"toomanyrequests"}\r\n')))
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == "CannotPullContainerError: Error response from daemon: toomanyrequests"
    assert len(bench.engine.paths()) == 5
    assert bench.waits == pytest.approx([1.1, 2.2, 4.4, 5.0])


async def test_a_refused_pull_gets_its_hint(bench: Bench) -> None:
    bench.say(refusal(404, "denied: requested access to the resource is denied"))
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == (
        "CannotPullContainerError: The task can’t pull the image. Check whether the image exists. "
        "Error response from daemon: denied: requested access to the resource is denied"
    )


async def test_a_pull_that_works_at_the_second_try(bench: Bench) -> None:
    bench.say(refusal(500, "busy"), Reply(chunks=(b"{}\n",)))
    await bench.runtime.pull_image("app", None, ignore)
    assert bench.waits == pytest.approx([1.1])


async def test_a_pull_that_never_begins(bench: Bench) -> None:
    await bench.limit(pull_begin_s=0.03)
    bench.say(HANG)
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == "DockerTimeoutError: Could not transition to pullBegin; timed out after waiting 30ms"
    assert failure.is_timeout


async def test_a_pull_that_falls_silent(bench: Bench) -> None:
    await bench.limit(pull_begin_s=5, pull_inactivity_s=0.05)
    bench.say(Reply(chunks=(b"{}\n", 0.02, b"{}\n", 0.02, b"{}\n"), then_hang=True))
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == "CannotPullContainerError: inactivity time exceeded timeout"


async def test_output_keeps_a_pull_going(bench: Bench) -> None:
    await bench.limit(pull_inactivity_s=0.2)
    bench.say(Reply(chunks=(b"{}\n", 0.1) * 4))
    await bench.runtime.pull_image("app", None, ignore)
    assert len(bench.engine.paths()) == 1


CONTAINERD_STORE = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}


async def test_on_the_containerd_image_store_silence_is_not_inactivity(bench: Bench) -> None:
    """It tells of a layer once in a MiB only. Source: engine.md §16."""
    await bench.limit(pull_inactivity_s=0.05)
    bench.say(answer(CONTAINERD_STORE), Reply(chunks=(b"{}\n", 0.2, b"{}\n")))
    await bench.runtime.connect()
    await bench.runtime.pull_image("app", None, ignore)
    assert bench.engine.paths() == ["/v1.41/info", "/v1.41/images/create"]


async def test_on_the_containerd_image_store_the_whole_pull_still_has_its_limit(bench: Bench) -> None:
    await bench.limit(pull_inactivity_s=0.01, pull_s=0.1)
    bench.say(answer(CONTAINERD_STORE), Reply(chunks=(b"{}\n",), then_hang=True))
    await bench.runtime.connect()
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == "DockerTimeoutError: Could not transition to pulled; timed out after waiting 100ms"


async def test_all_tries_of_a_pull_share_one_limit(bench: Bench) -> None:
    await bench.limit(pull_s=0.1)
    bench.say(Reply(chunks=(b"{}\n",), then_hang=True))
    failure = await failure_of(bench.runtime.pull_image("app", None, ignore))
    assert str(failure) == "DockerTimeoutError: Could not transition to pulled; timed out after waiting 100ms"


async def test_cancelling_a_pull_closes_its_connection(bench: Bench) -> None:
    bench.say(Reply(chunks=(b"{}\n",), then_hang=True))
    pull = asyncio.create_task(bench.runtime.pull_image("app", None, ignore))
    while not bench.engine.paths():
        await asyncio.sleep(0.001)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    await asyncio.wait_for(bench.engine.closed.wait(), 5)


async def test_progress_at_most_once_a_second(bench: Bench) -> None:
    layer = b'{"status":"Downloading","id":"a","progressDetail":{"current":%d,"total":100}}\n'
    begin = b'{"status":"Pulling fs layer","id":"a"}\n'
    bench.say(Reply(chunks=(begin, layer % 10, layer % 20, 1.05, layer % 50, layer % 60)))
    seen: list[PullProgress] = []
    await bench.runtime.pull_image("app", None, seen.append)
    assert len(seen) == 1
    assert (seen[0].layers_total, seen[0].bytes_total) == (1, 100)
    assert seen[0].bytes_done in (50, 60)


# --- tags ----------------------------------------------------------------------------------------


async def test_a_tag_is_tried_five_times(bench: Bench) -> None:
    bench.say(refusal(500, "busy"))
    failure = await failure_of(bench.runtime.tag_image(f"h.example/app@{DIGEST}", "h.example/app:1"))
    assert str(failure) == "CannotTagImageError: Error response from daemon: busy"
    assert bench.engine.paths() == [f"/v1.41/images/h.example/app@{DIGEST}/tag"] * 5
    assert bench.engine.requests[-1].query == {"repo": "h.example/app", "tag": "1"}
    assert bench.waits == pytest.approx([0.1] * 4)


# --- containers ----------------------------------------------------------------------------------


def inspection(arn: str, name: str) -> Reply:
    labels = {"com.amazonaws.ecs.task-arn": arn, "com.amazonaws.ecs.container-name": name}
    return answer({"Id": ID, "Name": "/ecs-sample-1-app-00", "State": {}, "Config": {"Labels": labels}})


async def test_create_has_a_limit_of_its_own(bench: Bench) -> None:
    failure = await failure_of(bench.runtime.create_container(spec(), timeout_s=0.05))
    assert str(failure) == "DockerTimeoutError: Could not transition to created; timed out after waiting 50ms"


async def test_a_container_of_ours_is_adopted(bench: Bench) -> None:
    bench.say(refusal(409, "Conflict."), inspection(spec().task_arn, "app"))
    assert await bench.runtime.create_container(spec(), timeout_s=5) == ID
    assert bench.engine.paths() == ["/v1.41/containers/create", "/v1.41/containers/ecs-sample-1-app-00/json"]


@pytest.mark.parametrize(
    "second", [inspection("another task", "app"), inspection(spec().task_arn, "other"), refusal(404, "gone")]
)
async def test_a_container_of_others_stays_a_conflict(bench: Bench, second: Reply) -> None:
    bench.say(refusal(409, "Conflict."), second)
    failure = await failure_of(bench.runtime.create_container(spec(), timeout_s=5))
    assert failure.is_conflict
    assert str(failure) == "CannotCreateContainerError: Error response from daemon: Conflict."


async def test_a_conflict_that_cannot_be_looked_into(bench: Bench) -> None:
    bench.say(refusal(409, "Conflict."), refusal(500, "broken"))
    failure = await failure_of(bench.runtime.create_container(spec(), timeout_s=5))
    assert str(failure) == "CannotInspectContainerError: Error response from daemon: broken"


async def test_a_stop_is_tried_five_times(bench: Bench) -> None:
    bench.say(refusal(500, "cannot kill"))
    failure = await failure_of(bench.runtime.stop_container(ID, grace_s=7))
    assert str(failure) == "CannotStopContainerError: Error response from daemon: cannot kill"
    assert len(bench.engine.paths()) == 5
    assert bench.engine.requests[-1].query == {"t": "7"}
    assert bench.waits == pytest.approx([1.0, 1.3, 1.69, 2.197])


async def test_a_stop_waits_for_the_grace_and_a_little_longer(bench: Bench) -> None:
    await bench.limit(stop_extra_s=0.02)
    bench.say(HANG, Reply(status=204))
    await bench.runtime.stop_container(ID, grace_s=0)
    assert len(bench.engine.paths()) == 2


async def test_a_stop_of_nothing_is_not_tried_again(bench: Bench) -> None:
    bench.say(refusal(404, "No such container"))
    failure = await failure_of(bench.runtime.stop_container(ID, grace_s=1))
    assert failure.is_not_found
    assert str(failure) == f"NoSuchContainerError: Container not found: {ID}"
    assert len(bench.engine.paths()) == 1


async def test_a_removal_that_is_under_way_is_waited_for(bench: Bench) -> None:
    under_way = refusal(409, f"removal of container {ID} is already in progress")
    bench.say(under_way, under_way, refusal(404, "No such container"))
    await bench.runtime.remove_container(ID, force=True)
    assert bench.waits == pytest.approx([0.1, 0.3])
    assert bench.engine.requests[-1].query == {"v": "1", "force": "1"}


async def test_a_removal_that_is_refused_is_not_tried_again(bench: Bench) -> None:
    bench.say(refusal(409, "You cannot remove a running container"))
    assert (await failure_of(bench.runtime.remove_container(ID, force=False))).is_conflict
    assert len(bench.engine.paths()) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_started_or_stopped_already_is_done(bench: Bench, status: int) -> None:
    bench.say(Reply(status=status))
    await bench.runtime.start_container(ID, timeout_s=5)
    await bench.runtime.stop_container(ID, grace_s=1)


async def test_a_name_cannot_lead_elsewhere(bench: Bench) -> None:
    seen: list[str] = []

    def script(request: Request) -> Reply:
        seen.append(request.path)
        return refusal(404, "No such container")

    bench.engine.script = script
    await failure_of(bench.runtime.inspect_container("x/../../info?a=b"))
    assert seen == ["/v1.41/containers/x/../../info?a=b/json"], "one quoted part, unquoted by the script"


async def test_the_listing(bench: Bench) -> None:
    label = "com.amazonaws.ecs.task-arn"
    bench.say(
        answer(
            [
                {"Id": "1", "Names": ["/linking/alias", "/own"], "Labels": {label: "arn1"}},
                {"Id": "2", "Names": None, "Labels": None},
            ]
        )
    )
    assert await bench.runtime.list_task_containers() == [("1", "own", "arn1"), ("2", "", "")]
    query = bench.engine.requests[-1].query
    assert (query["all"], json.loads(query["filters"])) == ("1", {"label": [label]})


# --- volumes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [answer({"Name": "v"}, 201), refusal(409, "name must be unique")])
async def test_a_volume_is_there_afterwards(bench: Bench, reply: Reply) -> None:
    bench.say(reply)
    await bench.runtime.create_volume(VolumeSpec(name="v", driver="d", driver_options={"a": "b"}, labels={"c": "d"}))
    assert json.loads(bench.engine.requests[-1].body) == {
        "Name": "v",
        "Driver": "d",
        "DriverOpts": {"a": "b"},
        "Labels": {"c": "d"},
    }

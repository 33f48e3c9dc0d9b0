"""The whole control plane with our agent over a simulated runtime: from RunTask to STOPPED, over restarts of both."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from ecscope.agent.runtime.simulated.programs import HealthStep, Program
from ecscope.clock import SystemClock
from ecscope.control.app import ControlPlane, ControlPlaneError
from ecscope.control.core.state import Settings
from ecscope.model.status import ContainerStatus, HealthStatus
from tests.contract.control.planes import IMAGE, Client, a_plane, an_agent, statuses, until, until_tasks
from tests.hurried import hurried
from tests.simulated_knobs import FakeRuntime


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with a_plane(tmp_path) as plane:
        yield plane


async def test_a_task_runs_and_stops(plane: ControlPlane, tmp_path: Path) -> None:
    client = Client(plane)
    async with an_agent(plane, tmp_path):
        definition = await client.register()
        made = await client("run_task", taskDefinition=definition, count=2)
        assert made["failures"] == []
        assert {task["lastStatus"] for task in made["tasks"]} <= {"PROVISIONING", "PENDING"}
        arn = made["tasks"][0]["taskArn"]
        await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING", "RUNNING"])
        await client("stop_task", task=arn, reason="seen enough")
        await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING", "STOPPED"])
        (told,) = (await client("describe_tasks", tasks=[arn]))["tasks"]
        assert (told["lastStatus"], told["stoppedReason"], told["stopCode"]) == (
            "STOPPED", "seen enough", "UserInitiated",
        )  # fmt: skip
        assert told["containers"][0]["lastStatus"] == "STOPPED"
        assert "exitCode" in told["containers"][0]


async def test_the_instance_is_told_of(plane: ControlPlane, tmp_path: Path) -> None:
    client = Client(plane)
    async with an_agent(plane, tmp_path):
        arns = (await client("list_container_instances"))["containerInstanceArns"]
        (told,) = (await client("describe_container_instances", containerInstances=arns))["containerInstances"]
        assert told["agentConnected"] is True
        assert told["status"] == "ACTIVE"
        assert told["versionInfo"]["agentVersion"]
    await until(lambda: not plane.connected, "the agent to leave")
    (told,) = (await client("describe_container_instances", containerInstances=arns))["containerInstances"]
    assert told["agentConnected"] is False


@hurried  # telemetry comes every 20 s
async def test_telemetry_is_signed_and_arrives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The agent's own signature of each frame is accepted, and its health is shown."""
    async with a_plane(tmp_path) as plane, an_agent(plane, tmp_path):
        await until(lambda: all(i.health for i in plane.state.instances.values()), "the status", within_s=40.0)
        arns = (await Client(plane)("list_container_instances"))["containerInstanceArns"]
        told = await Client(plane)(
            "describe_container_instances", containerInstances=arns, include=["CONTAINER_INSTANCE_HEALTH"]
        )
        (detail,) = told["containerInstances"][0]["healthStatus"]["details"]
        assert detail["type"] == "CONTAINER_RUNTIME"
    assert "cannot be used" not in caplog.text


async def test_health_reaches_describe_tasks_as_soon_as_docker_knows_it(plane: ControlPlane, tmp_path: Path) -> None:
    """Telemetry comes every 20 s; what changes between is sent by itself, with the setting that ``ecscope up`` has."""
    runtime = FakeRuntime(images=[IMAGE])
    verdicts = ((0.6, HealthStatus.HEALTHY), (2.0, HealthStatus.UNHEALTHY))
    steps = tuple(HealthStep(after_s=after_s, status=status) for after_s, status in verdicts)
    runtime.behave(Program(health=steps), command=("checked",))
    client = Client(plane)
    async with an_agent(plane, tmp_path, runtime=runtime, settings={"ECSCOPE_REPORT_HEALTH_AT_ONCE": "true"}):
        check = {"command": ["CMD-SHELL", "true"]}
        definition = await client.register("checked", command=["checked"], healthCheck=check)
        (task,) = (await client("run_task", taskDefinition=definition))["tasks"]

        async def shown() -> str:
            return (await client("describe_tasks", tasks=[task["taskArn"]]))["tasks"][0]["healthStatus"]

        seen: list[str] = []
        async with asyncio.timeout(15):
            while seen[-1:] != ["UNHEALTHY"]:
                if (status := await shown()) not in seen[-1:]:
                    seen.append(status)
                await asyncio.sleep(0.05)
        assert seen == ["UNKNOWN", "HEALTHY", "UNHEALTHY"]


async def test_the_control_plane_is_started_again(tmp_path: Path) -> None:
    """Everything is as it was, on the same port; the agent comes back by itself, and nothing runs twice."""
    runtime = FakeRuntime(images=[IMAGE])
    async with a_plane(tmp_path) as plane:
        port = int(plane.url.rpartition(":")[2])
        async with an_agent(plane, tmp_path, runtime=runtime):
            client = Client(plane)
            await client.register()
            await client("run_task", taskDefinition="sample", count=3)
            await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING"] * 3)
            before = plane.state
            await plane.stop()
            async with a_plane(tmp_path, port=port) as again:
                assert again.state.tasks == before.tasks
                assert again.state.task_definitions == before.task_definitions
                assert [i.arn for i in again.state.instances.values()] == list(before.instances)
                await until(lambda: again.connected, "the agent to come back")
                await Client(again)("run_task", taskDefinition="sample")
                await until_tasks(again, lambda tasks: statuses(tasks) == ["RUNNING"] * 4)
                created = [call for call in runtime.calls if call.name == "create_container"]
                assert len(created) == 4


class Tomorrow(SystemClock):
    """A day and a bit later."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=25)


async def test_what_was_deleted_is_gone_tomorrow_and_its_number_not_given_again(tmp_path: Path) -> None:
    async with a_plane(tmp_path) as plane:
        client = Client(plane)
        arn = await client.register()
        await client("create_cluster", clusterName="old")
        await client("delete_cluster", cluster="old")
        await client("deregister_task_definition", taskDefinition=arn)
        await client("delete_task_definitions", taskDefinitions=[arn])
    async with a_plane(tmp_path, clock=Tomorrow()) as plane:
        await until(lambda: not plane.state.task_definitions, "the definition to be gone")
        assert list(plane.state.clusters) == ["default"]
    async with a_plane(tmp_path) as plane:
        client = Client(plane)
        assert (await client("list_task_definition_families", status="ALL"))["families"] == []
        assert (await client.register()).endswith("sample:2")


async def test_a_stop_that_the_agent_missed_reaches_it(plane: ControlPlane, tmp_path: Path) -> None:
    client = Client(plane)
    runtime = FakeRuntime(images=[IMAGE])
    async with an_agent(plane, tmp_path, runtime=runtime):
        await client.register()
        made = await client("run_task", taskDefinition="sample")
        await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING"])
    await until(lambda: not plane.connected, "the agent to leave")
    await client("stop_task", task=made["tasks"][0]["taskArn"])
    async with an_agent(plane, tmp_path, runtime=runtime):
        await until_tasks(plane, lambda tasks: statuses(tasks) == ["STOPPED"])


async def test_a_task_that_the_control_plane_lost_is_stopped(tmp_path: Path) -> None:
    """By the manifest: the agent asks, and is told that it is to stop."""
    runtime = FakeRuntime(images=[IMAGE])
    async with a_plane(tmp_path) as plane:
        port = int(plane.url.rpartition(":")[2])
        async with an_agent(plane, tmp_path, runtime=runtime) as agent:
            client = Client(plane)
            await client.register()
            await client("run_task", taskDefinition="sample")
            await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING"])
            (task,) = plane.state.tasks
            await plane.stop()
            plane._store = type(plane._store)(tmp_path / "control")  # type: ignore[call-arg]  # another process, so to say
            plane._store.load()
            await plane._store.save([plane._store.prepare({"tasks": {task: None}})])
            await plane._store.close()
            async with a_plane(tmp_path, port=port):
                await until(lambda: agent.state.tasks[task].known.name == "STOPPED", "the lost task to be stopped")


async def test_two_agents_of_one_arn_do_not_chase_each_other(
    plane: ControlPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The newer one is spoken to, the older one's connection closed; it comes back after a wait, not at once."""
    caplog.set_level(logging.INFO, "ecscope.control.acs")
    async with an_agent(plane, tmp_path):
        (arn,) = plane.connected
        (tmp_path / "twin").mkdir()
        for file in (tmp_path / "agent").iterdir():
            if file.is_file() and file.name != "ecscope.lock":
                (tmp_path / "twin" / file.name).write_bytes(file.read_bytes())
        async with an_agent(plane, tmp_path, name="twin"):
            await asyncio.sleep(2.0)
            assert plane.connected == {arn}
            said = [line.getMessage() for line in caplog.records if line.name == "ecscope.control.acs"]
            taken_over = sum("another connection was opened for the container instance" in line for line in said)
            assert 1 <= taken_over <= 20, "the connection changes hands all the time"


async def test_two_agents_of_one_arn_lose_nothing_and_leave_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    """What was on its way when the connection changed hands may run on both, as in ECS; a stop ends it on both."""
    client = Client(plane)
    first, second = FakeRuntime(images=[IMAGE]), FakeRuntime(images=[IMAGE], seed="twin")

    def running() -> set[str]:
        containers = (*first.containers, *second.containers)
        return {str(container.task_arn) for container in containers if container.status is ContainerStatus.RUNNING}

    async with an_agent(plane, tmp_path, runtime=first):
        (tmp_path / "twin").mkdir()
        for file in (tmp_path / "agent").iterdir():
            if file.is_file() and file.name != "ecscope.lock":
                (tmp_path / "twin" / file.name).write_bytes(file.read_bytes())
        await client.register()
        async with an_agent(plane, tmp_path, name="twin", runtime=second):
            arns = set()
            for _ in range(8):
                made = await client("run_task", taskDefinition="sample")
                assert made["failures"] == []
                arns |= {task["taskArn"] for task in made["tasks"]}
            await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING"] * 8)
            assert running() == arns
            for arn in arns:
                await client("stop_task", task=arn)
            await until_tasks(plane, lambda tasks: statuses(tasks) == ["STOPPED"] * 8)
            await until(lambda: not running(), "every container to be stopped", within_s=60.0)


async def test_one_that_comes_back_after_it_was_given_up(plane: ControlPlane, tmp_path: Path) -> None:
    """Deregistered by force while it was away: its tasks run elsewhere by then, and what it still has is stopped."""
    client = Client(plane)
    lost, other = FakeRuntime(images=[IMAGE]), FakeRuntime(images=[IMAGE], seed="other")

    def running(runtime: FakeRuntime) -> int:
        return sum(container.status is ContainerStatus.RUNNING for container in runtime.containers)

    async with an_agent(plane, tmp_path, name="other", runtime=other):
        async with an_agent(plane, tmp_path, name="lost", runtime=lost) as agent:
            arn = agent.state.instance.arn
            await client.register()
            await client("create_service", serviceName="web", taskDefinition="sample", desiredCount=4)
            await until(lambda: (running(lost), running(other)) == (2, 2), "two tasks on each")
        await until(lambda: arn not in plane.connected, "the agent to leave")
        await client("deregister_container_instance", containerInstance=arn, force=True)
        await until(lambda: running(other) == 4, "replacements on the other one")
        ended = [task for task in plane.state.tasks.values() if task.instance_arn == arn]
        assert {(task.last_status, task.stop_code) for task in ended} == {("STOPPED", "TerminationNotice")}
        assert running(lost) == 2, "nobody could tell it"
        async with an_agent(plane, tmp_path, name="lost", runtime=lost):
            await until(lambda: running(lost) == 0, "what it still had to be stopped")
            assert running(other) == 4
            (told,) = (await client("describe_services", services=["web"]))["services"]
            assert (told["runningCount"], told["desiredCount"]) == (4, 4)


async def test_a_right_that_is_taken_away_is_refused_in_awss_words(tmp_path: Path) -> None:
    rights = tmp_path / "iam.json"
    role = {"RoleName": "ecsInstanceRole", "RolePolicyList": []}
    rights.write_text(json.dumps({"RoleDetailList": [role]}))
    async with a_plane(tmp_path, iam_file=rights) as plane:
        with pytest.raises(ClientError, match="is not authorized to perform: ecs:DiscoverPollEndpoint"):
            await Client(plane, plane.instance_role)("discover_poll_endpoint")


async def test_another_one_has_the_directory(plane: ControlPlane, tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match=r"another control plane \(process .*--data-dir"):
        await ControlPlane(data_dir=tmp_path / "control", port=0).start()


async def test_another_one_has_the_port(plane: ControlPlane, tmp_path: Path) -> None:
    port = int(plane.url.rpartition(":")[2])
    other = ControlPlane(data_dir=tmp_path / "other", port=port)
    with pytest.raises(ControlPlaneError, match=rf"port {port} of 127\.0\.0\.1 is taken: .*--port"):
        await other.start()


async def test_the_region_stays(tmp_path: Path) -> None:
    async with a_plane(tmp_path, settings=Settings(region="eu-west-1")) as plane:
        assert plane.state.settings.endpoint == plane.url
    with pytest.raises(ControlPlaneError, match="is of region eu-west-1, and --region is us-east-1"):
        await ControlPlane(data_dir=tmp_path / "control", port=0).start()


async def test_a_damaged_record_is_told_of_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_plane(tmp_path) as plane:
        client = Client(plane)
        for family in ("one", "two"):
            await client.register(family)
    database = tmp_path / "control" / "control.db"
    database.write_bytes(database.read_bytes().replace(b'"family":"one"', b'"family":"uno"'))
    async with a_plane(tmp_path) as plane:
        assert [definition.family for definition in plane.state.task_definitions.values()] == ["two"]
    assert "a saved task-definition record" in caplog.text
    assert "was set aside as" in caplog.text


async def test_a_mistake_in_the_file_of_rights(tmp_path: Path) -> None:
    (tmp_path / "iam.json").write_text("{")
    with pytest.raises(ControlPlaneError, match="is not JSON"):
        await ControlPlane(data_dir=tmp_path / "control", port=0, iam_file=tmp_path / "iam.json").start()
    async with a_plane(tmp_path):  # nothing was left open
        pass

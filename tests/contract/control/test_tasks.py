"""Tasks and container instances through boto3 with its waiters and paginators: the behaviours that moto's tests list,
on the true states of our agents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from ecscope.control.app import ControlPlane
from tests.contract.control.planes import IMAGE, a_plane, an_agent, statuses, until, until_tasks
from tests.simulated_knobs import FakeRuntime

ECS = "arn:aws:ecs:us-east-1:000000000000"
SOON = {"Delay": 1, "MaxAttempts": 20}


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with a_plane(tmp_path) as plane:
        yield plane


class Ecs:
    """boto3's client; a call does not block the loop. Failed calls give the error's code and text."""

    def __init__(self, plane: ControlPlane) -> None:
        key = plane.administrator
        self.client: Any = boto3.client(
            "ecs",
            region_name=plane.state.settings.region,
            endpoint_url=plane.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def __call__(self, operation: str, **members: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, operation), **members)

    async def refusal(self, operation: str, **members: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as raised:
            await self(operation, **members)
        error = raised.value.response["Error"]
        return error["Code"], error["Message"]

    async def wait(self, waiter: str, *arns: str) -> None:
        await asyncio.to_thread(self.client.get_waiter(waiter).wait, tasks=list(arns), WaiterConfig=SOON)

    async def pages(self, operation: str, member: str, **arguments: Any) -> list[list[str]]:
        def read() -> list[list[str]]:
            return [page[member] for page in self.client.get_paginator(operation).paginate(**arguments)]

        return await asyncio.to_thread(read)

    async def register(self, family: str = "sample", **members: Any) -> None:
        container = {"name": "app", "image": IMAGE, "memory": 16, "cpu": 10, **members}
        await self("register_task_definition", family=family, containerDefinitions=[container])


async def test_from_run_to_stopped_with_waiters(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    async with an_agent(plane, tmp_path):
        await ecs.register()
        ran = await ecs("run_task", taskDefinition="sample", count=2, startedBy="me", tags=[{"key": "a", "value": "b"}])
        arns = [task["taskArn"] for task in ran["tasks"]]
        assert [task["lastStatus"] for task in ran["tasks"]] == ["PENDING", "PENDING"]
        assert ran["failures"] == []
        await ecs.wait("tasks_running", *arns)
        described = (await ecs("describe_tasks", tasks=arns, include=["TAGS"]))["tasks"]
        for task in described:
            assert task["startedAt"] >= task["createdAt"]
            assert (task["connectivity"], task["healthStatus"]) == ("CONNECTED", "UNKNOWN")
            assert (task["cpu"], task["memory"], task["tags"]) == ("10", "16", [{"key": "a", "value": "b"}])
            (container,) = task["containers"]
            assert (container["lastStatus"], container["cpu"], container["memory"]) == ("RUNNING", "10", "16")
            assert container["runtimeId"]
        (instance,) = (await ecs("list_container_instances"))["containerInstanceArns"]
        shown = (await ecs("describe_container_instances", containerInstances=[instance]))["containerInstances"][0]
        assert (shown["runningTasksCount"], shown["pendingTasksCount"], shown["agentConnected"]) == (2, 0, True)
        left = {resource["name"]: resource["integerValue"] for resource in shown["remainingResources"]}
        had = {resource["name"]: resource["integerValue"] for resource in shown["registeredResources"]}
        assert (had["CPU"] - left["CPU"], had["MEMORY"] - left["MEMORY"]) == (20, 32)
        stopped = (await ecs("stop_task", task=arns[0].rsplit("/", 1)[-1], reason="enough"))["task"]
        assert (stopped["desiredStatus"], stopped["stopCode"]) == ("STOPPED", "UserInitiated")
        await ecs.wait("tasks_stopped", arns[0])
        (task,) = (await ecs("describe_tasks", tasks=[arns[0]]))["tasks"]
        assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "enough")
        assert task["stoppedAt"] >= task["stoppingAt"]
        assert task["containers"][0]["lastStatus"] == "STOPPED"
        assert task["tags"] == []
        assert (await ecs("list_tasks", startedBy="me"))["taskArns"] == [arns[1]]
        assert (await ecs("list_tasks", desiredStatus="STOPPED"))["taskArns"] == [arns[0]]
        assert (await ecs("list_tasks", containerInstance="bad-id"))["taskArns"] == []
        with pytest.raises(WaiterError):
            await ecs.wait("tasks_running", *arns)


async def test_a_task_that_ends_by_itself_says_why(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    runtime = FakeRuntime(images=[IMAGE])
    async with an_agent(plane, tmp_path, runtime=runtime):
        await ecs.register()
        await ecs.register("unpullable", image="no-such-image:1")
        (task,) = (await ecs("run_task", taskDefinition="unpullable"))["tasks"]
        await ecs.wait("tasks_stopped", task["taskArn"])
        (task,) = (await ecs("describe_tasks", tasks=[task["taskArn"]]))["tasks"]
        assert task["stopCode"] == "TaskFailedToStart"
        assert task["stoppedReason"].startswith("CannotPull")
        assert task["containers"][0]["reason"] == task["stoppedReason"]
        assert "startedAt" not in task


async def test_started_on_instances_by_name(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    async with an_agent(plane, tmp_path, name="one"), an_agent(plane, tmp_path, name="two"):
        await ecs.register()
        arns = (await ecs("list_container_instances"))["containerInstanceArns"]
        started = await ecs("start_task", taskDefinition="sample", containerInstances=[*arns, "unknown"])
        assert [task["containerInstanceArn"] for task in started["tasks"]] == arns
        assert started["failures"] == [{"arn": f"{ECS}:container-instance/default/unknown", "reason": "MISSING"}]
        await ecs.wait("tasks_running", *(task["taskArn"] for task in started["tasks"]))
        assert await ecs.pages(
            "list_container_instances", "containerInstanceArns", PaginationConfig={"PageSize": 1}
        ) == [[arn] for arn in arns]


async def test_an_instance_that_is_full_is_a_failure(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    async with an_agent(plane, tmp_path):
        (arn,) = (await ecs("list_container_instances"))["containerInstanceArns"]
        (shown,) = (await ecs("describe_container_instances", containerInstances=[arn]))["containerInstances"]
        cpu = next(each["integerValue"] for each in shown["registeredResources"] if each["name"] == "CPU")
        await ecs.register(cpu=cpu // 2)
        await ecs.register("port", portMappings=[{"containerPort": 80, "hostPort": 8080}])
        await ecs.register("special", logConfiguration={"logDriver": "splunk"})
        ports = await ecs("run_task", taskDefinition="port", count=2)
        assert [len(ports["tasks"]), ports["failures"]] == [1, [{"arn": arn, "reason": "RESOURCE:PORTS"}]]
        await ecs("stop_task", task=ports["tasks"][0]["taskArn"])
        await ecs.wait("tasks_stopped", ports["tasks"][0]["taskArn"])
        answer = await ecs("run_task", taskDefinition="sample", count=3)
        assert len(answer["tasks"]) == 2
        assert answer["failures"] == [{"arn": arn, "reason": "RESOURCE:CPU"}]
        await ecs.wait("tasks_running", *(task["taskArn"] for task in answer["tasks"]))
        special = await ecs("run_task", taskDefinition="special")
        assert [failure["reason"] for failure in special["failures"]] == ["RESOURCE:CPU"]
        await ecs("stop_task", task=answer["tasks"][0]["taskArn"])
        await ecs.wait("tasks_stopped", answer["tasks"][0]["taskArn"])
        special = await ecs("run_task", taskDefinition="special")
        assert [failure["reason"] for failure in special["failures"]] == ["ATTRIBUTE"]


async def test_draining_and_deregistering(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    async with an_agent(plane, tmp_path):
        await ecs.register()
        (arn,) = (await ecs("list_container_instances"))["containerInstanceArns"]
        (task,) = (await ecs("run_task", taskDefinition="sample"))["tasks"]
        await until_tasks(plane, lambda tasks: statuses(tasks) == ["RUNNING"])
        await ecs("update_container_instances_state", containerInstances=[arn], status="DRAINING")
        for status, listed in (("ACTIVE", []), ("DRAINING", [arn]), ("REGISTERING", [])):
            assert (await ecs("list_container_instances", status=status))["containerInstanceArns"] == listed
        assert await ecs.refusal("run_task", taskDefinition="sample") == (
            "InvalidParameterException",
            "No Container Instances were found in your cluster.",
        )
        assert await ecs.refusal("deregister_container_instance", containerInstance=arn) == (
            "InvalidParameterException",
            "Found running tasks on the instance.",
        )
        gone = await ecs("deregister_container_instance", containerInstance=arn, force=True)
        assert gone["containerInstance"]["status"] == "INACTIVE"
        (task,) = (await ecs("describe_tasks", tasks=[task["taskArn"]]))["tasks"]
        assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TerminationNotice")
        await until(lambda: not plane.connected, "the agent to be cut off")


async def test_the_texts_that_users_match_on(plane: ControlPlane) -> None:
    ecs = Ecs(plane)
    await ecs.register()
    invalid = "InvalidParameterException"
    no_cluster = ("ClusterNotFoundException", "Cluster not found.")
    assert await ecs.refusal("run_task", cluster="other", taskDefinition="sample") == no_cluster
    assert await ecs.refusal("stop_task", cluster="other", task="t") == no_cluster
    assert await ecs.refusal("list_tasks", cluster="other") == no_cluster
    assert await ecs.refusal("describe_tasks", cluster="other", tasks=[]) == no_cluster
    assert await ecs.refusal("describe_container_instances", cluster="other", containerInstances=[]) == no_cluster
    assert await ecs.refusal("describe_tasks", tasks=[]) == (invalid, "Tasks cannot be empty.")
    empty = (invalid, "Container Instances cannot be empty.")
    assert await ecs.refusal("describe_container_instances", containerInstances=[]) == empty
    assert await ecs.refusal("start_task", taskDefinition="sample", containerInstances=[]) == empty
    assert await ecs.refusal("stop_task", task="fake") == (invalid, "The referenced task was not found.")
    code, text = await ecs.refusal("run_task", taskDefinition="sample", launchType="FARGATE")
    assert (code, "FARGATE" in text) == (invalid, True)
    code, text = await ecs.refusal("list_container_instances", filter="attribute:x =")
    assert (code, "at character 13" in text) == (invalid, True)
    missing = {"arn": f"{ECS}:task/default/none", "reason": "MISSING"}
    assert (await ecs("describe_tasks", tasks=["none"]))["failures"] == [missing]


async def test_a_session_is_refused_with_what_to_type_instead(plane: ControlPlane, tmp_path: Path) -> None:
    ecs = Ecs(plane)
    async with an_agent(plane, tmp_path):
        await ecs.register()
        (task,) = (await ecs("run_task", taskDefinition="sample", enableExecuteCommand=True))["tasks"]
        await ecs.wait("tasks_running", task["taskArn"])
        code, text = await ecs.refusal("execute_command", task=task["taskArn"], command="/bin/sh", interactive=True)
        assert code == "TargetNotConnectedException"
        (task,) = (await ecs("describe_tasks", tasks=[task["taskArn"]]))["tasks"]
        assert text.endswith(f"docker exec -it {task['containers'][0]['runtimeId'][:12]} /bin/sh")

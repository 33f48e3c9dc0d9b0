"""Tasks are run, started, stopped, described and listed as users know it, with the texts that they match on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ecscope.control.core.effects import ReportOvercommitment, SendPayload
from ecscope.control.core.errors import ApiError
from ecscope.control.core.placement import CAPACITY
from ecscope.control.core.records import Instance, Record, Task
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import acknowledge, detached
from ecscope.model.arn import TaskArn
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from tests.control_builders import (
    AT,
    PREFIX,
    a_cluster,
    a_control_step,
    a_control_task,
    a_fargate_definition,
    a_request,
    a_service,
    a_state,
    a_task_definition,
    an_instance,
    asked,
)
from tests.tables import each_row

DEFINITION = a_task_definition()


def a_world(*records: Record) -> Step:
    """A cluster with an instance and a definition."""
    return a_control_step(a_cluster(), an_instance(), DEFINITION, *records)


def run(step: Step, **body: Any) -> dict[str, Any]:
    return asked(step, "RunTask", taskDefinition="sample", **body)


# --- RunTask --------------------------------------------------------------------------------------


def test_a_task_runs() -> None:
    step = a_world()
    answer = run(step)
    (task,) = answer["tasks"]
    assert answer["failures"] == []
    assert (task["lastStatus"], task["desiredStatus"], task["launchType"]) == ("PENDING", "RUNNING", "EC2")
    assert task["taskDefinitionArn"] == DEFINITION.arn
    assert task["containerInstanceArn"] == an_instance().arn
    assert (task["group"], task["cpu"], task["memory"]) == ("family:sample", "10", "64")
    assert task["clusterArn"] == a_cluster().arn
    (container,) = task["containers"]
    assert (container["name"], container["lastStatus"]) == ("app", "PENDING")
    assert task["overrides"] == {"containerOverrides": [{"name": "app"}], "inferenceAcceleratorOverrides": []}
    assert [type(effect) for effect in step.decision().effects] == [SendPayload]


def test_many_run_until_the_instance_is_full() -> None:
    step = a_control_step(a_cluster(), an_instance(resources=HostResources(cpu_units=35, memory_mib=4096)), DEFINITION)
    answer = run(step, count=5)
    assert len(answer["tasks"]) == 3
    assert answer["failures"] == [{"arn": an_instance().arn, "reason": "RESOURCE:CPU"}] * 2


def test_everything_that_can_be_given_is_kept() -> None:
    overrides = {
        "containerOverrides": [
            {"name": "app", "command": ["true"], "environment": [{"name": "A", "value": "1"}], "cpu": 20, "memory": 32}
        ],
        "cpu": ".25 vCPU",
        "memory": "1 GB",
        "taskRoleArn": "arn:aws:iam::000000000000:role/task",
    }
    attributes = {"stack": "prod", "com.amazonaws.ecs.capability.task-iam-role": None}
    step = a_control_step(
        a_cluster(), an_instance(custom_attributes=attributes), a_task_definition(tags={"from": "definition"})
    )
    (task,) = run(
        step,
        overrides=overrides,
        group="batch",
        startedBy="me/1 here",
        tags=[{"key": "a", "value": "b"}],
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
        enableExecuteCommand=True,
        placementConstraints=[
            {"type": "memberOf", "expression": "attribute:stack == prod"},
            {"type": "distinctInstance"},
        ],
        placementStrategy=[
            {"type": "spread", "field": "attribute:ecs.availability-zone"},
            {"type": "spread", "field": "instanceId"},
            {"type": "binpack", "field": "memory"},
            {"type": "random"},
        ],
        launchType="EC2",
        referenceId="r",
    )["tasks"]
    assert (task["group"], task["startedBy"], task["enableExecuteCommand"]) == ("batch", "me/1 here", True)
    assert (task["cpu"], task["memory"]) == ("256", "1024")
    assert task["overrides"]["cpu"] == "256"
    assert task["overrides"]["taskRoleArn"] == overrides["taskRoleArn"]
    assert task["overrides"]["containerOverrides"] == overrides["containerOverrides"]
    assert (task["containers"][0]["cpu"], task["containers"][0]["memory"]) == ("20", "32")
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {
        "aws:ecs:clusterName": "default",
        "from": "definition",
        "a": "b",
    }
    assert step.tasks[task["taskArn"]].credentials_id


def test_without_being_asked_no_tags_come_along() -> None:
    step = a_control_step(a_cluster(), an_instance(), a_task_definition(tags={"from": "definition"}))
    assert run(step)["tasks"][0]["tags"] == []


def test_external_instances_run_external_tasks() -> None:
    external = an_instance(reported_attributes=(Attribute(name="ecs.capability.external"),))
    step = a_control_step(a_cluster(), external, a_task_definition(compatibilities=("EC2", "EXTERNAL")))
    assert run(step, launchType="EXTERNAL")["tasks"][0]["launchType"] == "EXTERNAL"
    with pytest.raises(ApiError, match="No Container Instances were found in your cluster"):
        run(step, launchType="EC2")
    started = asked(step, "StartTask", taskDefinition="sample", containerInstances=[external.arn])
    assert started["tasks"][0]["launchType"] == "EXTERNAL"


def test_a_client_token_runs_its_tasks_once() -> None:
    step = a_world()
    first = run(step, clientToken="t", count=2)
    again = Step(step.decision().state, a_request("RunTask", 2))
    assert run(again, clientToken="t", count=2) == first
    assert not again.decision().records
    with pytest.raises(ApiError) as raised:
        run(again, clientToken="t", count=3)
    assert raised.value.code == "ConflictException"
    assert raised.value.members["resourceIds"] == [task["taskArn"] for task in first["tasks"]]


def test_a_client_token_that_ran_nothing_may_be_tried_again() -> None:
    away = an_instance(connection_id="")
    step = a_control_step(a_cluster(), away, DEFINITION)
    assert run(step, clientToken="t")["tasks"] == []
    step.instances.put(away.arn, an_instance())
    assert len(run(step, clientToken="t")["tasks"]) == 1


@each_row(
    "body, code, text",
    [
        ({"cluster": "other"}, "ClusterNotFoundException", "Cluster not found."),
        ({"count": 0}, "InvalidParameterException", "Count must be from 1 to 10."),
        ({"count": 11}, "InvalidParameterException", "Count must be from 1 to 10."),
        (
            {"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "x"}]},
            "InvalidParameterException",
            "Specify either Launch Type or Capacity Provider Strategy, but not both.",
        ),
        (
            {"launchType": "FARGATE"},
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE",
        ),
        (
            {"launchType": "EXTERNAL"},
            "InvalidParameterException",
            "does not support launch_type EXTERNAL.",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]},
            "InvalidParameterException",
            "a capacity provider that is not associated with the cluster",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "InvalidParameterException",
            "a capacity provider that is not associated with the cluster",
        ),
        ({"platformVersion": "LATEST"}, "InvalidParameterException", "The platform version must be null"),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}},
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode",
        ),
        ({"volumeConfigurations": [{"name": "v"}]}, "UnsupportedFeatureException", "volumeConfigurations"),
        ({"startedBy": "a" * 129}, "InvalidParameterException", "startedBy must have"),
        ({"group": "service:web"}, "InvalidParameterException", "Invalid namespace for group."),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", "propagateTags SERVICE"),
        ({"tags": [{"key": "aws:a", "value": ""}]}, "InvalidParameterException", "aws:"),
    ],
)
def test_what_cannot_be_is_refused(body: dict[str, Any], code: str, text: str) -> None:
    step = a_world()
    with pytest.raises(ApiError) as raised:
        run(step, **body)
    assert raised.value.code == code
    assert text in raised.value.message


@pytest.mark.parametrize(
    ("reference", "text"),
    [("unknown", "TaskDefinition not found."), ("gone:1", "TaskDefinition is inactive")],
)
def test_only_an_active_definition_runs(reference: str, text: str) -> None:
    step = a_world(a_task_definition("gone", status="INACTIVE"))
    with pytest.raises(ApiError, match=text):
        asked(step, "RunTask", taskDefinition=reference)


def test_without_an_instance_nothing_runs() -> None:
    with pytest.raises(ApiError, match=r"^No Container Instances were found in your cluster\.$"):
        run(a_control_step(a_cluster(), an_instance(status="DRAINING"), DEFINITION))


def test_an_agent_that_is_away_is_a_failure() -> None:
    step = a_control_step(a_cluster(), an_instance(connection_id=""), DEFINITION)
    assert run(step) == {"tasks": [], "failures": [{"arn": an_instance().arn, "reason": "AGENT"}]}


# --- awsvpc and Fargate -----------------------------------------------------------------------------

FARGATE = a_fargate_definition("web")
LOCAL = {"ecs.capability.task-eni": None, "ecs.cpu-architecture": "x86_64"}
NETWORK = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}}


def a_local(**fields: Any) -> Instance:
    """The instance of ``ecscope up``, as small as one can be."""
    attributes = [{"name": name, "value": value} for name, value in LOCAL.items()]
    return an_instance(resources={"cpu_units": 1, "memory_mib": 1}, reported_attributes=attributes, **fields)


def on_fargate(step: Step, **body: Any) -> dict[str, Any]:
    return asked(step, "RunTask", **{"taskDefinition": "web", "launchType": "FARGATE", **NETWORK, **body})


def test_a_task_on_fargate_shows_no_instance_and_takes_none_of_its_room() -> None:
    step = a_control_step(a_cluster(), a_cluster("elsewhere"), a_local(), FARGATE)
    answer = on_fargate(step, cluster="elsewhere", count=3, overrides={"ephemeralStorage": {"sizeInGiB": 50}})
    assert (len(answer["tasks"]), answer["failures"]) == (3, [])
    task = answer["tasks"][0]
    assert "containerInstanceArn" not in task
    assert (task["lastStatus"], task["launchType"], task["cpu"], task["memory"]) == (
        "PROVISIONING", "FARGATE", "4096", "8192",
    )  # fmt: skip
    assert (task["platformVersion"], task["platformFamily"]) == ("1.4.0", "Linux")
    assert task["ephemeralStorage"] == {"sizeInGiB": 50}
    (attachment,) = task["attachments"]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "PRECREATED")
    assert attachment["details"] == [{"name": "subnetId", "value": "subnet-1"}]
    local = asked(step, "DescribeContainerInstances", containerInstances=[a_local().arn])["containerInstances"][0]
    assert (local["pendingTasksCount"], local["runningTasksCount"]) == (0, 0)
    assert local["remainingResources"] == local["registeredResources"]
    assert asked(step, "ListTasks", cluster="elsewhere", containerInstance=a_local().arn)["taskArns"] == []
    (cluster,) = asked(step, "DescribeClusters", clusters=["elsewhere"], include=["STATISTICS"])["clusters"]
    assert cluster["pendingTasksCount"] == 3
    assert {"name": "pendingFargateTasksCount", "value": "3"} in cluster["statistics"]


def test_a_task_on_fargate_goes_from_provisioning_to_deprovisioning() -> None:
    step = a_control_step(a_cluster(), a_cluster("elsewhere"), a_local(), FARGATE)
    arn = on_fargate(step, cluster="elsewhere")["tasks"][0]["taskArn"]

    def shown() -> dict[str, Any]:
        return asked(step, "DescribeTasks", cluster="elsewhere", tasks=[arn])["tasks"][0]

    def acknowledged() -> None:
        acknowledge(step, a_local().arn, step.tasks[TaskArn(arn)].message_id)

    acknowledged()
    task = shown()
    (attachment,) = task["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    assert (task["lastStatus"], attachment["status"]) == ("PENDING", "ATTACHED")
    assert (details["privateIPv4Address"], details["macAddress"]) == ("10.213.0.4", "02:ec:0a:d5:00:04")
    assert details["privateDnsName"] == "ip-10-213-0-4.ec2.internal"
    assert details["networkInterfaceId"].startswith("eni-")
    assert task["containers"][0]["networkInterfaces"] == [
        {"attachmentId": attachment["id"], "privateIpv4Address": "10.213.0.4"}
    ]
    asked(step, "SubmitTaskStateChange", task=arn, status="RUNNING")  # the agent is of another cluster
    assert shown()["lastStatus"] == "RUNNING"
    asked(step, "StopTask", cluster="elsewhere", task=arn)
    acknowledged()
    assert shown()["lastStatus"] == "STOPPING"
    asked(step, "SubmitTaskStateChange", task=arn, status="STOPPED")
    assert (shown()["lastStatus"], shown()["attachments"][0]["status"]) == ("DEPROVISIONING", "DETACHING")
    acknowledged()  # a late word undoes nothing
    asked(step, "SubmitTaskStateChange", task=arn, status="RUNNING")
    assert shown()["lastStatus"] == "DEPROVISIONING"
    assert len(step.addresses) == 1
    detached(step)
    assert (shown()["lastStatus"], shown()["attachments"][0]["status"]) == ("STOPPED", "DELETED")
    assert dict(step.addresses) == {}


def test_an_agent_of_another_cluster_says_nothing_of_tasks_on_instances() -> None:
    step = a_world(a_cluster("elsewhere"))
    arn = run(step)["tasks"][0]["taskArn"]
    with pytest.raises(ApiError, match="The referenced task was not found"):
        asked(step, "SubmitTaskStateChange", cluster="elsewhere", task=arn, status="RUNNING")


def test_more_than_the_machine_has_is_reported_and_runs_all_the_same() -> None:
    step = a_control_step(
        a_cluster(), an_instance(reported_attributes=a_local().reported_attributes), FARGATE, DEFINITION
    )
    asked(step, "RunTask", taskDefinition="sample")
    assert len(on_fargate(step)["tasks"]) == 1
    (report,) = (effect for effect in step.decision().effects if isinstance(effect, ReportOvercommitment))
    assert (report.cpu_units, report.memory_mib, report.has.cpu_units) == (4106, 8256, 2048)


def test_tasks_are_shared_out_among_capacity_providers() -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    providers = ("FARGATE", "FARGATE_SPOT")
    step = a_control_step(a_cluster(capacity_providers=providers), a_local(), FARGATE)
    tasks = asked(
        step, "RunTask", taskDefinition="web", count=10, capacityProviderStrategy=strategy, **NETWORK
    )["tasks"]  # fmt: skip
    assert [task["capacityProviderName"] for task in tasks].count("FARGATE_SPOT") == 6
    assert {task["launchType"] for task in tasks} == {"FARGATE"}
    step = a_control_step(
        a_cluster(capacity_providers=providers, default_strategy=({**strategy[1], "base": 0},)), a_local(), FARGATE
    )
    (task,) = asked(step, "RunTask", taskDefinition="web", **NETWORK)["tasks"]
    assert task["capacityProviderName"] == "FARGATE_SPOT"


@each_row(
    "instance, platform, reason, detail",
    [
        ({"connection_id": ""}, {}, CAPACITY, "not connected"),
        ({"status": "INACTIVE"}, {}, CAPACITY, "not connected"),
        ({"reported_attributes": []}, {}, "ATTRIBUTE", "lacks ecs.capability.task-eni"),
        ({}, {"cpuArchitecture": "ARM64"}, "ATTRIBUTE", "The engine that runs tasks of Fargate lacks ecs.cpu-arch"),
    ],
)
def test_why_a_task_on_fargate_does_not_run(
    instance: dict[str, Any], platform: dict[str, Any], reason: str, detail: str
) -> None:
    definition = a_fargate_definition("web", body={**FARGATE.body, "runtimePlatform": platform})
    local = msgspec.convert({**msgspec.to_builtins(a_local()), **instance}, Instance)
    answer = on_fargate(a_control_step(a_cluster(), local, definition))
    assert answer["tasks"] == []
    (failure,) = answer["failures"]
    assert (failure["reason"], "arn" in failure, detail in failure["detail"]) == (reason, False, True)


def test_a_draining_instance_still_runs_fargate_and_any_architecture_where_that_is_wanted() -> None:
    definition = a_fargate_definition("web", body={**FARGATE.body, "runtimePlatform": {"cpuArchitecture": "ARM64"}})
    state = a_state(a_cluster(), a_local(status="DRAINING"), definition)
    settings = msgspec.structs.replace(state.settings, runs_any_architecture=True)
    step = Step(msgspec.structs.replace(state, settings=settings), a_request("RunTask"))
    assert len(on_fargate(step)["tasks"]) == 1


def test_without_a_free_address_a_task_is_not_placed() -> None:
    state = a_state(a_cluster(), a_local(), FARGATE, an_instance(2, reported_attributes=a_local().reported_attributes))
    settings = msgspec.structs.replace(state.settings, task_subnet="10.0.0.0/29")  # three addresses
    step = Step(msgspec.structs.replace(state, settings=settings), a_request("RunTask"))
    answer = on_fargate(step, count=4)
    assert len(answer["tasks"]) == 3
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:ENI"]
    bare = a_fargate_definition("bare", requires_attributes=[{"name": "ecs.capability.task-eni"}])
    step.put_task_definition(msgspec.structs.replace(bare, body={**a_task_definition().body, "networkMode": "awsvpc"}))
    answer = asked(step, "RunTask", taskDefinition="bare", **NETWORK)
    assert [(each["reason"], each["arn"]) for each in answer["failures"]] == [("RESOURCE:ENI", an_instance(2).arn)]


def test_an_awsvpc_task_on_an_instance_shows_both() -> None:
    bare = a_task_definition("bare", body={**DEFINITION.body, "networkMode": "awsvpc"})
    step = a_control_step(a_cluster(), an_instance(), bare)
    (task,) = asked(step, "RunTask", taskDefinition="bare", **NETWORK)["tasks"]
    assert task["containerInstanceArn"] == an_instance().arn
    assert (task["lastStatus"], len(task["attachments"])) == ("PROVISIONING", 1)
    assert "platformVersion" not in task
    with pytest.raises(ApiError, match="must be provided when networkMode 'awsvpc' is specified"):
        asked(step, "RunTask", taskDefinition="bare")


# --- StartTask ------------------------------------------------------------------------------------


def start(step: Step, *instances: str, **body: Any) -> dict[str, Any]:
    return asked(step, "StartTask", taskDefinition="sample", containerInstances=list(instances), **body)


def test_a_task_starts_on_each_instance_that_is_named() -> None:
    step = a_world(an_instance(2), an_instance(3, status="INACTIVE"), an_instance(4, connection_id=""))
    answer = start(step, an_instance(1).arn, f"{2:032x}", f"{3:032x}", f"{4:032x}", "unknown", startedBy="me")
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [an_instance(1).arn, an_instance(2).arn]
    assert {task["startedBy"] for task in answer["tasks"]} == {"me"}
    assert answer["failures"] == [
        {"arn": f"{PREFIX}:container-instance/default/unknown", "reason": "MISSING"},
        {"arn": an_instance(3).arn, "reason": "INACTIVE"},
        {"arn": an_instance(4).arn, "reason": "AGENT"},
    ]


@pytest.mark.parametrize(
    ("instances", "text"),
    [((), "Container Instances cannot be empty."), (("i",) * 11, "cannot have more than 10 elements")],
)
def test_one_to_ten_instances_are_named(instances: tuple[str, ...], text: str) -> None:
    with pytest.raises(ApiError, match=text):
        start(a_world(), *instances)


# --- StopTask -------------------------------------------------------------------------------------


def test_a_task_is_told_to_stop() -> None:
    running = a_control_task(last_status="RUNNING", started_at=AT)
    step = a_world(running)
    task = asked(step, "StopTask", task=f"{1:032x}", reason="enough")["task"]
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["stoppingAt"] == AT.timestamp()
    again = asked(step, "StopTask", task=running.arn, reason="other")["task"]
    assert again == task


def test_without_a_reason_the_user_stopped_it() -> None:
    assert asked(a_world(a_control_task()), "StopTask", task=a_control_task().arn)["task"]["stoppedReason"] == (
        "Task stopped by user"
    )


def test_an_unknown_task_cannot_be_stopped() -> None:
    with pytest.raises(ApiError, match=r"^The referenced task was not found\.$"):
        asked(a_world(), "StopTask", task="unknown")


# --- DescribeTasks --------------------------------------------------------------------------------


def test_tasks_are_described_by_id_and_by_arn() -> None:
    one, two = a_control_task(1, tags={"a": "b"}), a_control_task(2)
    answer = asked(a_world(one, two), "DescribeTasks", tasks=[f"{1:032x}", two.arn, two.arn, "unknown"])
    assert [task["taskArn"] for task in answer["tasks"]] == [one.arn, two.arn]
    assert [task["tags"] for task in answer["tasks"]] == [[], []]
    assert answer["failures"] == [{"arn": f"{PREFIX}:task/default/unknown", "reason": "MISSING"}]
    with_tags = asked(a_world(one), "DescribeTasks", tasks=[one.arn], include=["TAGS"])
    assert with_tags["tasks"][0]["tags"] == [{"key": "a", "value": "b"}]


def test_a_task_of_another_cluster_is_missing() -> None:
    step = a_world(a_cluster("other"), a_control_task())
    answer = asked(step, "DescribeTasks", cluster="other", tasks=[a_control_task().arn])
    assert answer == {"tasks": [], "failures": [{"arn": a_control_task().arn, "reason": "MISSING"}]}


@pytest.mark.parametrize(("tasks", "text"), [([], r"^Tasks cannot be empty\.$"), (["t"] * 101, "more than 100")])
def test_one_to_a_hundred_are_described(tasks: list[str], text: str) -> None:
    with pytest.raises(ApiError, match=text):
        asked(a_world(), "DescribeTasks", tasks=tasks)


# --- ListTasks ------------------------------------------------------------------------------------

SERVICE = a_service()
LISTED: dict[str, Task] = {
    "plain": a_control_task(1),
    "stopping": a_control_task(2, desired_status="STOPPED"),
    "stopped": a_control_task(3, desired_status="STOPPED", last_status="STOPPED"),
    "elsewhere": a_control_task(4, instance_arn=an_instance(2).arn),
    "mine": a_control_task(5, started_by="me"),
    "of service": a_control_task(6, service_arn=SERVICE.arn),
    "other family": a_control_task(7, definition_arn=f"{PREFIX}:task-definition/other:1"),
    "external": a_control_task(8, launch_type="EXTERNAL"),
    "other cluster": a_control_task(9, cluster="other"),
}


def listed(**body: Any) -> list[str]:
    step = a_world(a_cluster("other"), an_instance(2), SERVICE, *LISTED.values())
    names = {task.arn: name for name, task in LISTED.items()}
    return [names[arn] for arn in asked(step, "ListTasks", **body)["taskArns"]]


@each_row(
    "body, names",
    [
        ({}, ["plain", "elsewhere", "mine", "of service", "other family", "external"]),
        ({"desiredStatus": "STOPPED"}, ["stopping", "stopped"]),
        ({"desiredStatus": "PENDING"}, []),
        ({"containerInstance": f"{2:032x}"}, ["elsewhere"]),
        ({"containerInstance": "unknown"}, []),
        ({"startedBy": "me"}, ["mine"]),
        ({"serviceName": "web"}, ["of service"]),
        ({"serviceName": SERVICE.arn}, ["of service"]),
        ({"family": "other"}, ["other family"]),
        ({"family": "sample", "startedBy": "me"}, ["mine"]),
        ({"launchType": "EXTERNAL"}, ["external"]),
        ({"cluster": "other"}, ["other cluster"]),
    ],
)
def test_every_filter_must_hold(body: dict[str, Any], names: list[str]) -> None:
    assert listed(**body) == names


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"serviceName": "unknown"}, "ServiceNotFoundException"),
        ({"cluster": "unknown"}, "ClusterNotFoundException"),
        ({"daemonName": "d"}, "InvalidParameterException"),
    ],
)
def test_what_is_listed_by_must_exist(body: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as raised:
        listed(**body)
    assert raised.value.code == code


def test_tasks_are_listed_in_pages() -> None:
    tasks = [a_control_task(number) for number in range(150)]
    step = a_world(*tasks)
    first = asked(step, "ListTasks")
    assert len(first["taskArns"]) == 100
    second = asked(step, "ListTasks", nextToken=first["nextToken"])
    assert [*first["taskArns"], *second["taskArns"]] == [task.arn for task in tasks]
    assert "nextToken" not in second


def test_a_stopped_task_is_shown_with_all_that_became_of_it() -> None:
    later = AT + timedelta(seconds=1.5)
    (container,) = a_control_task().containers
    task = a_control_task(
        last_status="STOPPED",
        desired_status="STOPPED",
        stopped_at=later,
        started_at=AT,
        pull_started_at=AT,
        pull_stopped_at=AT,
        execution_stopped_at=AT,
        stopping_at=AT,
        stop_code="EssentialContainerExited",
        stopped_reason="Essential container in task exited",
        containers=(
            msgspec.structs.replace(
                container,
                last_status="STOPPED",
                exit_code=0,
                runtime_id="d",
                image_digest="sha256:1",
                reason="r",
                memory="64",
                memory_reservation="32",
                network_bindings=({"bindIP": "0.0.0.0", "hostPort": 1},),
            ),
        ),
    )
    (shown,) = asked(a_world(task), "DescribeTasks", tasks=[task.arn])["tasks"]
    assert shown["stoppedAt"] - shown["startedAt"] == 1.5
    assert (shown["stopCode"], shown["connectivity"]) == ("EssentialContainerExited", "CONNECTED")
    (container_shown,) = shown["containers"]
    assert container_shown["exitCode"] == 0
    assert container_shown["networkBindings"] == [{"bindIP": "0.0.0.0", "hostPort": 1}]
    assert (container_shown["memory"], container_shown["memoryReservation"]) == ("64", "32")


@pytest.mark.parametrize("instances", [(an_instance(connection_id="", connectivity_at=AT),), ()], ids=["away", "gone"])
def test_a_task_whose_agent_is_away_is_disconnected(instances: tuple[Record, ...]) -> None:
    step = a_control_step(a_cluster(), a_control_task(), *instances)
    (shown,) = asked(step, "DescribeTasks", tasks=[a_control_task().arn])["tasks"]
    assert (shown["connectivity"], shown["connectivityAt"]) == ("DISCONNECTED", AT.timestamp())

"""What suites written for moto rely on, with true states: the same shapes and texts of errors, and where we differ.

moto's tests were read as a list of behaviours. Those of clusters, task definitions and services that need no agent
are in ``test_clusters.py``, ``test_task_definitions.py`` and ``test_services.py``; the rest is here, on a whole control
plane. What is deliberately not as in moto is listed in docs/control-plane.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.control.live import APP, ARN, SOON, LivePlane

LARGE = {**APP, "cpu": 100, "memory": 64}
IDENTITY = {"instanceId": "i-0123456789abcdef0", "instanceType": "m5.large", "imageId": "ami-1", "region": "us-east-1"}
TAGS = [{"key": "createdBy", "value": "somebody"}, {"key": "foo", "value": "bar"}]


@pytest.fixture(scope="module", autouse=True)
def _definitions(live: LivePlane) -> None:
    ecs = live.client()
    ecs.register_task_definition(family="sample", containerDefinitions=[LARGE], tags=TAGS)
    ecs.register_task_definition(family="no-cpu", containerDefinitions=[dict(APP)])
    ecs.register_task_definition(family="gone", containerDefinitions=[dict(APP)])
    ecs.deregister_task_definition(taskDefinition="gone:1")
    ecs.register_task_definition(
        family="port", containerDefinitions=[{**LARGE, "portMappings": [{"hostPort": 80, "containerPort": 8080}]}]
    )
    ecs.register_task_definition(
        family="reserved", containerDefinitions=[{"name": "app", "image": APP["image"], "memoryReservation": 100}]
    )
    ecs.register_task_definition(family="huge", containerDefinitions=[{**APP, "cpu": 5000, "memory": 40000}])
    ecs.create_cluster(clusterName="empty")
    ecs.create_service(serviceName="none", taskDefinition="sample", desiredCount=0)


@pytest.fixture(autouse=True)
def _all_end(live: LivePlane) -> Iterator[None]:
    """No test leaves tasks to the next."""
    yield
    end(live, *[task.arn for task in live.plane.state.tasks.values() if not task.is_stopped])


# --- refusals ---------------------------------------------------------------------------------------

NO_CLUSTER = ("ClusterNotFoundException", "Cluster not found.")
NO_SERVICE = ("ServiceNotFoundException", "Service not found.")
INVALID = "InvalidParameterException"
RUN = {"taskDefinition": "sample"}
REFUSALS: list[tuple[str, Mapping[str, Any], tuple[str, str]]] = [
    ("list_services", {"cluster": "unknown"}, NO_CLUSTER),
    ("describe_services", {"cluster": "unknown", "services": ["web"]}, NO_CLUSTER),
    ("delete_service", {"cluster": "unknown", "service": "web"}, NO_CLUSTER),
    ("update_service", {"cluster": "unknown", "service": "web", "desiredCount": 0}, NO_CLUSTER),
    ("create_service", {"cluster": "unknown", "serviceName": "a", "desiredCount": 0, **RUN}, NO_CLUSTER),
    ("list_tasks", {"cluster": "unknown"}, NO_CLUSTER),
    ("run_task", {"cluster": "unknown", **RUN}, NO_CLUSTER),
    ("start_task", {"cluster": "unknown", "containerInstances": ["a"], **RUN}, NO_CLUSTER),
    ("stop_task", {"cluster": "unknown", "task": "a"}, NO_CLUSTER),
    ("describe_tasks", {"cluster": "unknown", "tasks": ["a"]}, NO_CLUSTER),
    ("describe_tasks", {"cluster": "unknown", "tasks": []}, NO_CLUSTER),
    ("describe_container_instances", {"cluster": "unknown", "containerInstances": []}, NO_CLUSTER),
    ("list_container_instances", {"cluster": "unknown"}, NO_CLUSTER),
    ("list_attributes", {"cluster": "unknown", "targetType": "container-instance"}, NO_CLUSTER),
    ("delete_cluster", {"cluster": "unknown"}, NO_CLUSTER),
    ("update_cluster_settings", {"cluster": "unknown", "settings": []}, NO_CLUSTER),
    ("delete_service", {"service": "unknown"}, NO_SERVICE),
    ("update_service", {"service": "unknown", "desiredCount": 0}, NO_SERVICE),
    ("list_tasks", {"serviceName": "unknown"}, NO_SERVICE),
    ("list_tags_for_resource", {"resourceArn": f"{ARN}:service/fake_service:1"}, NO_SERVICE),
    ("describe_tasks", {"tasks": []}, (INVALID, "Tasks cannot be empty.")),
    ("describe_container_instances", {"containerInstances": []}, (INVALID, "Container Instances cannot be empty.")),
    ("start_task", {"containerInstances": [], **RUN}, (INVALID, "Container Instances cannot be empty.")),
    ("stop_task", {"task": "fake_task"}, (INVALID, "The referenced task was not found.")),
    ("run_task", {"taskDefinition": "unknown"}, ("ClientException", "TaskDefinition not found.")),
    ("run_task", {"taskDefinition": "gone:1"}, ("ClientException", "TaskDefinition is inactive")),
    ("run_task", {"cluster": "empty", **RUN}, (INVALID, "No Container Instances were found in your cluster.")),
    (
        "run_task",
        {**RUN, "launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
        (INVALID, "Specify either Launch Type or Capacity Provider Strategy, but not both."),
    ),
    (
        "run_task",
        {**RUN, "overrides": {"containerOverrides": [{"name": "other", "memory": 1}]}},
        (INVALID, "Override for container named other is not a container in the TaskDefinition."),
    ),
    (
        "create_service",
        {"serviceName": "none", "taskDefinition": "sample", "desiredCount": 2},
        (INVALID, "Creation of service was not idempotent."),
    ),
    ("deregister_task_definition", {"taskDefinition": "sample"}, (INVALID, "Revision is missing.")),
    (
        "describe_task_definition",
        {"taskDefinition": "nope"},
        ("ClientException", "Unable to describe task definition."),
    ),
    (
        "list_tags_for_resource",
        {"resourceArn": f"{ARN}:task-definition/fake_task:1"},
        ("ClientException", "Unable to describe task definition."),
    ),
]


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    REFUSALS,
    ids=[f"{operation}-{'-'.join(map(str, members.values()))[:50]}" for operation, members, _ in REFUSALS],
)
def test_refusals(ecs: Any, operation: str, members: Mapping[str, Any], expected: tuple[str, str]) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(ecs, operation)(**members)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == expected


# --- tasks ------------------------------------------------------------------------------------------


def run(live: LivePlane, **members: Any) -> list[Any]:
    """Tasks that run."""
    ecs = live.client()
    answer = ecs.run_task(**{"taskDefinition": "sample", **members})
    assert answer["failures"] == []
    arns = [task["taskArn"] for task in answer["tasks"]]
    cluster = members.get("cluster", "default")
    ecs.get_waiter("tasks_running").wait(cluster=cluster, tasks=arns, WaiterConfig=SOON)
    return list(answer["tasks"])


def end(live: LivePlane, *arns: str) -> None:
    """Tasks of the cluster ``default``."""
    ecs = live.client()
    for arn in arns:
        ecs.stop_task(task=arn, reason="tested")
    for arn in arns:
        ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig=SOON)


def test_run_task_answers(live: LivePlane, ecs: Any) -> None:
    tasks = run(live, count=2, startedBy="me", overrides={})
    instances = ecs.list_container_instances()["containerInstanceArns"]
    for task in tasks:
        assert task["taskArn"].startswith(f"{ARN}:task/default/")
        assert task["clusterArn"] == f"{ARN}:cluster/default"
        assert task["taskDefinitionArn"] == f"{ARN}:task-definition/sample:1"
        assert task["containerInstanceArn"] in instances
        assert (task["desiredStatus"], task["startedBy"]) == ("RUNNING", "me")
        assert (task["group"], task["launchType"], task["tags"]) == ("family:sample", "EC2", [])
    (told,) = ecs.describe_tasks(tasks=[tasks[0]["taskArn"].rpartition("/")[2]])["tasks"]
    assert told["taskArn"] == tasks[0]["taskArn"]
    assert told["tags"] == []  # not asked for
    assert ecs.describe_tasks(tasks=[told["taskArn"]], include=["TAGS"])["tasks"][0]["tags"] == []


def test_groups_and_tags(live: LivePlane, ecs: Any) -> None:
    (task,) = run(live, group="mine", tags=TAGS)
    assert (task["group"], task["tags"]) == ("mine", TAGS)
    arn = task["taskArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "k2", "value": "v2"}])
    (told,) = ecs.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"]
    assert told["tags"] == [*TAGS, {"key": "k2", "value": "v2"}]
    ecs.untag_resource(resourceArn=arn, tagKeys=["k2", "foo"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == TAGS[:1]


def test_start_task_answers(live: LivePlane, ecs: Any) -> None:
    instance = ecs.list_container_instances()["containerInstanceArns"][0]
    members = {"taskDefinition": "sample", "containerInstances": [instance.rpartition("/")[2]], "startedBy": "me"}
    (plain,) = ecs.start_task(**members, overrides={})["tasks"]
    assert (plain["containerInstanceArn"], plain["startedBy"]) == (instance, "me")
    assert (plain["group"], plain["tags"]) == ("family:sample", [])
    (tagged,) = ecs.start_task(**members, tags=TAGS, group="mine")["tasks"]
    assert (tagged["group"], tagged["tags"]) == ("mine", TAGS)


def test_container_cpu_and_memory_are_texts(live: LivePlane, ecs: Any) -> None:
    tasks = run(live) + run(live, taskDefinition="no-cpu")
    told = ecs.describe_tasks(tasks=[task["taskArn"] for task in tasks])["tasks"]
    shown = [(task["containers"][0]["cpu"], task["containers"][0]["memory"]) for task in told]
    assert shown == [("100", "64"), ("0", "16")]


def test_the_cluster_counts(live: LivePlane, ecs: Any) -> None:
    def counts() -> tuple[int, int]:
        (cluster,) = ecs.describe_clusters(clusters=["default"])["clusters"]
        return cluster["runningTasksCount"], cluster["pendingTasksCount"]

    (task,) = run(live)
    assert counts() == (1, 0)
    end(live, task["taskArn"])
    assert counts() == (0, 0)
    (told,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert (told["lastStatus"], told["desiredStatus"], told["stoppedReason"]) == ("STOPPED", "STOPPED", "tested")


def test_filters_of_list_tasks(live: LivePlane, ecs: Any) -> None:
    first, second = ecs.list_container_instances()["containerInstanceArns"]
    tasks = [
        task
        for instance, family, who in ((first, "sample", "foo"), (first, "no-cpu", "bar"), (second, "sample", "foo"))
        for task in ecs.start_task(taskDefinition=family, containerInstances=[instance], startedBy=who)["tasks"]
    ]
    arns = [task["taskArn"] for task in tasks]
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=SOON)

    def listed(**members: Any) -> list[int]:
        return sorted(arns.index(arn) for arn in ecs.list_tasks(**members)["taskArns"] if arn in arns)

    assert listed() == [0, 1, 2]
    assert listed(containerInstance=first) == [0, 1]
    assert listed(containerInstance=second.rpartition("/")[2]) == [2]
    assert listed(containerInstance="bad-id") == []
    assert listed(family="sample") == [0, 2]
    assert listed(family="non-existent-family") == []
    assert listed(startedBy="foo") == [0, 2]
    assert listed(startedBy="non-existent-entity") == []
    assert listed(containerInstance=first, startedBy="bar") == [1]
    end(live, arns[0])
    assert listed(desiredStatus="RUNNING") == [1, 2]
    assert listed(desiredStatus="STOPPED") == [0]
    assert ecs.list_tasks(cluster="empty")["taskArns"] == []


# --- resources --------------------------------------------------------------------------------------


def resources(ecs: Any, arn: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    (told,) = ecs.describe_container_instances(containerInstances=[arn])["containerInstances"]
    registered, remaining = (
        {r["name"]: r["integerValue"] if r["type"] == "INTEGER" else r["stringSetValue"] for r in told[member]}
        for member in ("registeredResources", "remainingResources")
    )
    return registered, remaining, told["runningTasksCount"]


def test_resources_are_taken_and_given_back(live: LivePlane, ecs: Any) -> None:
    (task,) = run(live, taskDefinition="port")
    instance = task["containerInstanceArn"]
    registered, remaining, running = resources(ecs, instance)
    assert remaining["CPU"] == registered["CPU"] - 100
    assert remaining["MEMORY"] == registered["MEMORY"] - 64
    assert sorted(remaining["PORTS"]) == sorted([*registered["PORTS"], "80"])
    assert running == 1
    end(live, task["taskArn"])
    assert resources(ecs, instance) == (registered, registered, 0)


def test_a_reservation_is_what_is_taken(live: LivePlane, ecs: Any) -> None:
    (task,) = run(live, taskDefinition="reserved")
    registered, remaining, _ = resources(ecs, task["containerInstanceArn"])
    assert (remaining["CPU"], remaining["MEMORY"]) == (registered["CPU"], registered["MEMORY"] - 100)
    assert remaining["PORTS"] == registered["PORTS"]


def test_what_fits_nowhere_is_a_failure(ecs: Any) -> None:
    answer = ecs.run_task(taskDefinition="huge", count=2)
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:CPU"}
    assert {failure["arn"] for failure in answer["failures"]} == set(
        ecs.list_container_instances()["containerInstanceArns"]
    )


def test_a_port_is_given_once_on_each_instance(live: LivePlane, ecs: Any) -> None:
    answer = ecs.run_task(taskDefinition="port", count=3)
    assert len({task["containerInstanceArn"] for task in answer["tasks"]}) == len(answer["tasks"]) == 2
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:PORTS"}


# --- container instances, registered by hand --------------------------------------------------------


def registered(ecs: Any, cluster: str, number: int = 0) -> Any:
    document = json.dumps({**IDENTITY, "instanceId": f"i-{number:017x}"})
    return ecs.register_container_instance(
        cluster=cluster,
        instanceIdentityDocument=document,
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 7482},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2376", "2375", "51678", "51679"]},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ],
        versionInfo={"agentVersion": "1.0.0", "agentHash": "4023248", "dockerVersion": "DockerVersion: 1.5.0"},
        attributes=[{"name": "ecs.os-type", "value": "linux"}],
    )["containerInstance"]


@pytest.fixture
def cluster(ecs: Any, request: pytest.FixtureRequest) -> str:
    """A new one."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60]
    ecs.create_cluster(clusterName=name)
    return str(name)


def test_an_instance_is_registered(ecs: Any, cluster: str) -> None:
    instance = registered(ecs, cluster, 1)
    assert instance["ec2InstanceId"] == f"i-{1:017x}"
    assert instance["containerInstanceArn"].startswith(f"{ARN}:container-instance/{cluster}/")
    assert (instance["status"], instance["runningTasksCount"], instance["pendingTasksCount"]) == ("ACTIVE", 0, 0)
    assert len(instance["registeredResources"]) == len(instance["remainingResources"]) == 4
    assert instance["versionInfo"]["dockerVersion"] == "DockerVersion: 1.5.0"
    assert isinstance(instance["registeredAt"], datetime)
    attributes = {each["name"]: each.get("value") for each in instance["attributes"]}
    assert attributes["ecs.os-type"] == "linux"
    assert attributes["ecs.instance-type"] == "m5.large"
    assert attributes["ecs.ami-id"] == "ami-1"
    assert attributes["ecs.availability-zone"]


def test_instances_are_listed_and_described(ecs: Any, cluster: str) -> None:
    arns = {registered(ecs, cluster, number)["containerInstanceArn"] for number in range(3)}
    assert set(ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]) == arns
    ids = [arn.rpartition("/")[2] for arn in arns]
    answer = ecs.describe_container_instances(cluster=cluster, containerInstances=[*ids, "unknown"])
    assert {instance["containerInstanceArn"] for instance in answer["containerInstances"]} == arns
    assert answer["failures"] == [{"arn": f"{ARN}:container-instance/{cluster}/unknown", "reason": "MISSING"}]


def test_instances_are_drained_and_activated(ecs: Any, cluster: str) -> None:
    active, drained = (registered(ecs, cluster, number)["containerInstanceArn"] for number in range(2))

    def listed(**members: Any) -> set[str]:
        return set(ecs.list_container_instances(cluster=cluster, **members)["containerInstanceArns"])

    for reference in (drained, drained.rpartition("/")[2]):
        answer = ecs.update_container_instances_state(
            cluster=cluster, containerInstances=[reference], status="DRAINING"
        )
        assert answer["failures"] == []
        assert [instance["status"] for instance in answer["containerInstances"]] == ["DRAINING"]
    assert listed() == {active, drained}
    assert (listed(status="ACTIVE"), listed(status="DRAINING")) == ({active}, {drained})
    assert listed(status="REGISTERING") == set()
    with pytest.raises(ClientError):
        ecs.update_container_instances_state(cluster=cluster, containerInstances=[drained], status="test_status")
    ecs.update_container_instances_state(cluster=cluster, containerInstances=[drained], status="ACTIVE")
    assert listed(status="ACTIVE") == {active, drained}


def test_an_instance_is_deregistered(live: LivePlane, ecs: Any, cluster: str) -> None:
    instance = registered(ecs, cluster)["containerInstanceArn"]
    ecs.deregister_container_instance(cluster=cluster, containerInstance=instance)
    assert ecs.list_container_instances(cluster=cluster)["containerInstanceArns"] == []
    busy = run(live)[0]
    with pytest.raises(ClientError, match=r"Found running tasks on the instance\."):
        ecs.deregister_container_instance(containerInstance=busy["containerInstanceArn"])


def test_attributes_are_put_listed_and_deleted(ecs: Any, cluster: str) -> None:
    first, second = (registered(ecs, cluster, number) for number in range(2))
    before = len(ecs.list_attributes(cluster=cluster, targetType="container-instance")["attributes"])
    short = second["containerInstanceArn"].rpartition("/")[2]
    of_second = {"name": "attr1", "value": "instance2", "targetId": short, "targetType": "container-instance"}
    ecs.put_attributes(
        cluster=cluster,
        attributes=[
            {"name": "env", "value": "prod"},
            {"name": "without_value"},
            {"name": "attr1", "value": "instance1", "targetId": first["containerInstanceArn"]},
            of_second,
        ],
    )
    assert len(ecs.list_attributes(cluster=cluster, targetType="container-instance")["attributes"]) == before + 6
    (told,) = ecs.describe_container_instances(cluster=cluster, containerInstances=[short])["containerInstances"]
    added = [attribute for attribute in told["attributes"] if attribute not in second["attributes"]]
    assert sorted(added, key=lambda each: each["name"]) == [
        {"name": "attr1", "value": "instance2"},
        {"name": "env", "value": "prod"},
        {"name": "without_value"},
    ]
    ecs.delete_attributes(cluster=cluster, attributes=[of_second])
    left = ecs.list_attributes(cluster=cluster, targetType="container-instance", attributeName="attr1")["attributes"]
    assert [attribute["value"] for attribute in left] == ["instance1"]


def test_endpoints_are_told(ecs: Any) -> None:
    answer = ecs.discover_poll_endpoint(cluster="blah", containerInstance="blah")
    assert answer["endpoint"].startswith("http")
    assert answer["telemetryEndpoint"].startswith("http")


# --- services ---------------------------------------------------------------------------------------


def test_a_service_as_it_is_created(ecs: Any) -> None:
    service = ecs.create_service(
        cluster="empty",
        serviceName="web",
        taskDefinition="sample",
        desiredCount=2,
        role="arn:aws:iam::0:role/x",
        tags=TAGS,
    )["service"]
    assert service["clusterArn"] == f"{ARN}:cluster/empty"
    assert service["serviceArn"] == f"{ARN}:service/empty/web"
    assert service["taskDefinition"] == f"{ARN}:task-definition/sample:1"
    assert (service["serviceName"], service["status"], service["launchType"]) == ("web", "ACTIVE", "EC2")
    assert (service["desiredCount"], service["runningCount"]) == (2, 0)
    assert (service["schedulingStrategy"], service["loadBalancers"]) == ("REPLICA", [])
    assert service["roleArn"] == "arn:aws:iam::0:role/x"
    arn = service["serviceArn"]
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == TAGS
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "foo", "value": "hello world"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["createdBy"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "foo", "value": "hello world"}]
    ecs.delete_service(cluster="empty", service=arn, force=True)


@pytest.mark.parametrize(
    "members",
    [
        {"placementStrategy": [{"type": "random"}]},
        {"placementConstraints": [{"type": "distinctInstance"}]},
        {"propagateTags": "SERVICE"},
        {"enableECSManagedTags": True},
        {"enableExecuteCommand": True},
        {"healthCheckGracePeriodSeconds": 5},
    ],
    ids=lambda members: next(iter(members)),
)
def test_what_an_update_changes_is_shown(ecs: Any, members: Mapping[str, Any]) -> None:
    ecs.update_service(cluster=f"{ARN}:cluster/default", service="none", **members)
    (service,) = ecs.describe_services(services=["none"])["services"]
    assert {name: service[name] for name in members} == members


def test_a_completed_deployment_says_so(live: LivePlane, ecs: Any) -> None:
    ecs.create_service(serviceName="done", taskDefinition="sample", desiredCount=2)
    live.until_stable("done")
    (deployment,) = ecs.describe_services(services=["done"])["services"][0]["deployments"]
    assert (deployment["rolloutState"], deployment["failedTasks"]) == ("COMPLETED", 0)
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    ecs.delete_service(service="done", force=True)


# --- deliberately not as in moto --------------------------------------------------------------------


def test_states_are_true(live: LivePlane, ecs: Any) -> None:
    (made,) = ecs.run_task(taskDefinition="sample")["tasks"]
    assert made["lastStatus"] == "PENDING"
    assert "stoppedReason" not in made
    assert [override["name"] for override in made["overrides"]["containerOverrides"]] == ["app"]
    assert len(made["taskArn"].rpartition("/")[2]) == len(made["containerInstanceArn"].rpartition("/")[2]) == 32
    ecs.get_waiter("tasks_running").wait(tasks=[made["taskArn"]], WaiterConfig=SOON)
    stopping = ecs.stop_task(task=made["taskArn"])["task"]
    assert (stopping["lastStatus"], stopping["desiredStatus"]) == ("RUNNING", "STOPPED")
    ecs.get_waiter("tasks_stopped").wait(tasks=[made["taskArn"]], WaiterConfig=SOON)


def test_an_instance_without_an_agent_gets_no_task(ecs: Any, cluster: str) -> None:
    instance = registered(ecs, cluster)
    assert instance["agentConnected"] is False
    answer = ecs.run_task(cluster=cluster, taskDefinition="sample")
    assert answer["tasks"] == []
    assert answer["failures"] == [{"arn": instance["containerInstanceArn"], "reason": "AGENT"}]
    service = ecs.create_service(cluster=cluster, serviceName="web", taskDefinition="sample", desiredCount=2)["service"]
    assert (service["pendingCount"], service["runningCount"]) == (0, 0)


def test_arns_are_long_and_cannot_be_made_short(ecs: Any) -> None:
    for name in ("serviceLongArnFormat", "taskLongArnFormat", "containerInstanceLongArnFormat"):
        with pytest.raises(ClientError, match="You can no longer disable Long Arn settings"):
            ecs.put_account_setting(name=name, value="disabled")
    service = ecs.create_service(cluster="empty", serviceName="long", taskDefinition="sample", desiredCount=0)[
        "service"
    ]
    assert service["serviceArn"] == f"{ARN}:service/empty/long"


NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
FARGATE = [{"capacityProvider": "FARGATE", "weight": 1}]
REFUSED_HERE: list[tuple[str, Mapping[str, Any], str, str]] = [
    ("run_task", {**RUN, "launchType": "FARGATE"}, "InvalidParameterException", "launch_type FARGATE"),
    ("run_task", {**RUN, "capacityProviderStrategy": FARGATE}, "InvalidParameterException", "not associated"),
    ("run_task", {**RUN, "networkConfiguration": NETWORK}, "InvalidParameterException", "networkMode"),
    ("run_task", {**RUN, "launchType": "SOMETHING"}, "InvalidParameterException", "enum value set: ["),
    (
        "create_service",
        {"serviceName": "lb", **RUN, "desiredCount": 1, "loadBalancers": [{"targetGroupArn": "a"}]},
        "UnsupportedFeatureException",
        "loadBalancers",
    ),
    (
        "create_service",
        {"serviceName": "d", **RUN, "desiredCount": 2, "schedulingStrategy": "DAEMON"},
        "InvalidParameterException",
        "does not support a desired count",
    ),
    (
        "create_capacity_provider",
        {"name": "mine", "autoScalingGroupProvider": {"autoScalingGroupArn": "asg:arn"}},
        "UnsupportedFeatureException",
        "CreateCapacityProvider",
    ),
    (
        "create_task_set",
        {"cluster": "default", "service": "none", "taskDefinition": "sample"},
        "UnsupportedFeatureException",
        "CreateTaskSet",
    ),
    ("list_account_settings", {"name": "unknown"}, "InvalidParameterException", "unknown"),
    (
        "register_task_definition",
        {"family": "f", "containerDefinitions": [dict(APP)], "ephemeralStorage": {"sizeInGiB": 123}},
        "ClientException",
        "ephemeralStorage",
    ),
    (
        "register_task_definition",
        {
            "family": "f",
            "containerDefinitions": [dict(APP)],
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "bridge",
            "cpu": "256",
            "memory": "512",
        },
        "ClientException",
        "networkMode",
    ),
]


@pytest.mark.parametrize(
    ("operation", "members", "code", "said"),
    REFUSED_HERE,
    ids=[f"{operation}-{said}" for operation, _, _, said in REFUSED_HERE],
)
def test_what_is_not_to_be_had_here_is_refused_by_name(
    ecs: Any, operation: str, members: Mapping[str, Any], code: str, said: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(ecs, operation)(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert said in error["Message"]

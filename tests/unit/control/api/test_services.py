"""Services are created once, changed, described, listed and deleted: shapes and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import ServiceModel
from botocore.session import get_session
from botocore.validate import ParamValidator

from ecscope.control.core.errors import ApiError
from ecscope.control.core.state import Settings
from tests.control_builders import PREFIX, PRINCIPAL, a_cluster, a_fargate_definition, a_task_definition, an_instance
from tests.service_world import World
from tests.tables import each_row

MODEL: ServiceModel = ServiceModel(get_session().get_component("data_loader").load_service_model("ecs", "service-2"))
WEB = {"serviceName": "web", "taskDefinition": "sample:1", "desiredCount": 2}


def created(world: World, **body: Any) -> Any:
    return checked(world, "CreateService", **{**WEB, **body})["service"]


def checked(world: World, action: str, **body: Any) -> Any:
    """The answer, held to the service model: right types, and no member that it does not know."""
    answer = world.ask(action, **body)
    shape = MODEL.operation_model(action).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    assert_known(answer, shape)
    return answer


def assert_known(value: Any, shape: Any) -> None:
    if shape.type_name == "structure":
        assert value.keys() <= shape.members.keys()
        for name, member in value.items():
            assert_known(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            assert_known(member, shape.member)


def refused(world: World, action: str, **body: Any) -> tuple[str, str]:
    before = world.state
    with pytest.raises(ApiError) as caught:
        world.ask(action, **body)
    assert world.state is before
    return caught.value.code, caught.value.message


def test_a_new_service_is_shown_with_its_defaults() -> None:
    world = World()
    service = created(world)
    deployment = service["deployments"][0]
    assert {name: service[name] for name in sorted(service.keys() - {"deployments", "currentServiceRevisions"})} == {
        "availabilityZoneRebalancing": "ENABLED",
        "clusterArn": f"{PREFIX}:cluster/default",
        "createdAt": world.at.timestamp(),
        "createdBy": PRINCIPAL,
        "currentServiceDeployment": f"{PREFIX}:service-deployment/default/web/{deployment['id'][8:]}",
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "strategy": "ROLLING",
        },
        "deploymentController": {"type": "ECS"},
        "desiredCount": 2,
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "events": [],
        "launchType": "EC2",
        "loadBalancers": [],
        "pendingCount": 0,
        "placementConstraints": [],
        "placementStrategy": [],
        "propagateTags": "NONE",
        "runningCount": 0,
        "schedulingStrategy": "REPLICA",
        "serviceArn": f"{PREFIX}:service/default/web",
        "serviceName": "web",
        "serviceRegistries": [],
        "status": "ACTIVE",
        "tags": [],
        "taskDefinition": a_task_definition().arn,
    }
    assert deployment == {
        "id": deployment["id"],
        "status": "PRIMARY",
        "taskDefinition": a_task_definition().arn,
        "desiredCount": 2,
        "pendingCount": 0,
        "runningCount": 0,
        "failedTasks": 0,
        "createdAt": world.at.timestamp(),
        "updatedAt": world.at.timestamp(),
        "launchType": "EC2",
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": f"ECS deployment {deployment['id']} in progress.",
    }


def test_what_is_given_is_kept() -> None:
    world = World()
    given = {
        "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50},
        "placementConstraints": [{"type": "distinctInstance"}],
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "propagateTags": "SERVICE",
        "enableECSManagedTags": True,
        "enableExecuteCommand": True,
        "healthCheckGracePeriodSeconds": 10,
        "availabilityZoneRebalancing": "ENABLED",
    }
    service = created(world, **given, role="arn:aws:iam::000000000000:role/ecs", tags=[{"key": "a", "value": "b"}])
    assert service["deploymentConfiguration"].items() >= given.pop("deploymentConfiguration").items()  # type: ignore[attr-defined]  # a dict
    assert {name: service[name] for name in given} == given
    assert (service["roleArn"], service["tags"]) == (
        "arn:aws:iam::000000000000:role/ecs",
        [{"key": "a", "value": "b"}],
    )
    assert world.tasks()[0].tags == {"a": "b", "aws:ecs:clusterName": "default", "aws:ecs:serviceName": "web"}
    assert world.tasks()[0].execute_command_enabled


@pytest.mark.parametrize(
    "members",
    [
        {"availabilityZoneRebalancing": "DISABLED"},
        {"deploymentConfiguration": {"maximumPercent": 100}},
        {"placementStrategy": [{"type": "binpack", "field": "cpu"}]},
        {"placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1a"}]},
        {"schedulingStrategy": "DAEMON"},
    ],
)
def test_zones_are_not_rebalanced_where_ecs_could_not_do_it(members: dict[str, Any]) -> None:
    world = World()
    count = {} if "schedulingStrategy" in members else {"desiredCount": 1}
    made = world.ask("CreateService", serviceName="web", taskDefinition="sample", **count, **members)["service"]
    assert made["availabilityZoneRebalancing"] == "DISABLED"
    later = world.ask("UpdateService", service="web", placementStrategy=[])["service"]
    assert later["availabilityZoneRebalancing"] == "DISABLED"


def test_a_strategy_that_goes_by_host_goes_by_instance_id() -> None:
    """As ECS shows it: otherwise Terraform would plan a change each time."""
    world = World()
    service = created(world, placementStrategy=[{"type": "spread", "field": "host"}])
    assert service["placementStrategy"] == [{"type": "spread", "field": "instanceId"}]


def test_the_same_service_again_is_the_same_and_another_one_is_refused() -> None:
    world = World()
    first = created(world, clientToken="t")
    again = created(world, clientToken="t")
    assert (again["serviceArn"], again["deployments"][0]["id"]) == (first["serviceArn"], first["deployments"][0]["id"])
    assert created(world)["deployments"][0]["id"] == first["deployments"][0]["id"]
    not_idempotent = ("InvalidParameterException", "Creation of service was not idempotent.")
    assert refused(world, "CreateService", **{**WEB, "desiredCount": 3}) == not_idempotent
    assert refused(world, "CreateService", **{**WEB, "serviceName": "other", "clientToken": "t"}) == not_idempotent
    assert len(world.tasks()) == 2


def test_a_name_is_free_again_when_the_service_is_inactive() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    world.ask("DeleteService", service="web", force=True)
    assert refused(world, "CreateService", **WEB) == (
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    )
    world.obey_until_quiet()
    assert world.described()["status"] == "INACTIVE"
    assert created(world)["status"] == "ACTIVE"
    assert len(world.pending()) == 2


@each_row(
    "body, code, message",
    [
        ({"cluster": "no"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "no"}, "ClientException", "TaskDefinition not found."),
        ({"taskDefinition": ""}, "InvalidParameterException", "Task definition can not be null or empty."),
        ({"serviceName": "a b"}, "InvalidParameterException", "A service's name must have"),
        ({"desiredCount": -1}, "InvalidParameterException", "desiredCount must be from 0"),
        (
            {"loadBalancers": [{"targetGroupArn": "arn"}]},
            "UnsupportedFeatureException",
            "loadBalancers is not supported: there is no load balancer on this machine.",
        ),
        (
            {"launchType": "FARGATE"},
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "InvalidParameterException",
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated",
        ),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException", "The platform version must be null"),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}},
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode",
        ),
        ({"placementConstraints": [{}]}, "InvalidParameterException", "A placement constraint is of type"),
        (
            {"schedulingStrategy": "DAEMON"},
            "InvalidParameterException",
            "The daemon scheduling strategy does not support a desired count for services.",
        ),
    ],
)
def test_refusals(body: dict[str, Any], code: str, message: str) -> None:
    found_code, found = refused(World(), "CreateService", **{**WEB, **body})
    assert (found_code, found[: len(message)]) == (code, message)


def test_a_replica_needs_a_desired_count_and_a_daemon_none() -> None:
    world = World()
    body = {"serviceName": "web", "taskDefinition": "sample"}
    assert refused(world, "CreateService", **body)[0] == "InvalidParameterException"
    service = checked(world, "CreateService", **body, schedulingStrategy="DAEMON")["service"]
    assert (service["desiredCount"], service["deploymentConfiguration"]["maximumPercent"]) == (0, 100)
    assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 0
    assert world.described()["desiredCount"] == 1


def test_an_update_of_the_count_is_no_deployment_and_a_forced_one_is() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    service = checked(world, "UpdateService", service="web", desiredCount=3)["service"]
    assert (service["desiredCount"], len(service["deployments"])) == (3, 1)
    service = checked(world, "UpdateService", service="web", taskDefinition="sample:1")["service"]
    assert len(service["deployments"]) == 1
    service = checked(world, "UpdateService", service=service["serviceArn"], forceNewDeployment=True)["service"]
    assert [one["status"] for one in service["deployments"]] == ["PRIMARY", "ACTIVE"]
    service = checked(world, "UpdateService", service="web", taskDefinition="sample")["service"]
    assert service["taskDefinition"].endswith("sample:2")


def test_an_update_keeps_what_it_does_not_name() -> None:
    world = World()
    created(world, deploymentConfiguration={"minimumHealthyPercent": 50})
    service = checked(
        world,
        "UpdateService",
        service="web",
        deploymentConfiguration={"maximumPercent": 300},
        placementStrategy=[{"type": "random"}],
        placementConstraints=[{"type": "distinctInstance"}],
        enableExecuteCommand=True,
    )["service"]
    assert service["deploymentConfiguration"]["minimumHealthyPercent"] == 50
    assert service["deploymentConfiguration"]["maximumPercent"] == 300
    assert (service["placementStrategy"], service["enableExecuteCommand"]) == ([{"type": "random"}], True)
    assert len(service["deployments"]) == 1
    service = checked(world, "UpdateService", service="web", placementStrategy=[{}])["service"]
    assert (service["placementStrategy"], service["enableExecuteCommand"]) == ([], True)


def test_an_update_is_checked_like_a_creation() -> None:
    world = World()
    created(world)
    for body, code in (
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "InvalidParameterException"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}, "InvalidParameterException"),
        ({"platformVersion": "1.4.0"}, "InvalidParameterException"),
        ({"taskDefinition": "no"}, "ClientException"),
        ({"placementConstraints": [{}]}, "InvalidParameterException"),
        ({"serviceRegistries": [{"registryArn": "arn"}]}, "UnsupportedFeatureException"),
    ):
        assert refused(world, "UpdateService", service="web", **body)[0] == code


def test_who_is_not_there_or_not_active_cannot_be_changed() -> None:
    world = World()
    unknown = ("ServiceNotFoundException", "Service not found.")
    assert refused(world, "UpdateService", service="web", desiredCount=0) == unknown
    assert refused(world, "DeleteService", service="web") == unknown
    assert refused(world, "UpdateService", cluster="no", service="web")[0] == "ClusterNotFoundException"
    assert refused(world, "DeleteService", cluster="no", service="web")[0] == "ClusterNotFoundException"
    created(world)
    world.ask("DeleteService", service="web", force=True)
    assert checked(world, "DeleteService", service="web")["service"]["status"] == "DRAINING"
    assert refused(world, "UpdateService", service="web", desiredCount=0) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )
    world.obey_until_quiet()
    assert refused(world, "DeleteService", service="web") == unknown


def test_deletion_wants_a_count_of_zero_or_force() -> None:
    world = World()
    created(world)
    assert refused(world, "DeleteService", service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    world.ask("UpdateService", service="web", desiredCount=0)
    assert checked(world, "DeleteService", service="web")["service"]["status"] == "DRAINING"
    world.ask("CreateService", serviceName="all", taskDefinition="sample", schedulingStrategy="DAEMON")
    assert checked(world, "DeleteService", service="all")["service"]["desiredCount"] == 0


def test_what_nobody_has_is_a_failure_and_tags_come_when_asked_for() -> None:
    world = World()
    arn = created(world, tags=[{"key": "a", "value": "b"}])["serviceArn"]
    answer = checked(world, "DescribeServices", services=["web", "no", arn])
    assert [service["serviceArn"] for service in answer["services"]] == [arn, arn]
    assert answer["failures"] == [{"arn": f"{PREFIX}:service/default/no", "reason": "MISSING"}]
    assert answer["services"][0]["tags"] == []
    answer = checked(world, "DescribeServices", services=["web"], include=["TAGS"])
    assert answer["services"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert refused(world, "DescribeServices", cluster="no", services=["web"])[0] == "ClusterNotFoundException"
    assert refused(world, "DescribeServices", services=[])[0] == "InvalidParameterException"
    assert refused(world, "DescribeServices", services=["web"] * 11)[0] == "InvalidParameterException"


def test_services_are_listed_by_tens_and_by_kind() -> None:
    world = World()
    world.do(lambda step: step.clusters.put("other", a_cluster("other")))
    created(world, cluster="other")
    for number in range(11):
        created(world, serviceName=f"web{number}", desiredCount=0)
    world.ask("CreateService", serviceName="all", taskDefinition="sample", schedulingStrategy="DAEMON")
    first = checked(world, "ListServices")
    assert [arn.rsplit("/", 1)[-1] for arn in first["serviceArns"]] == [f"web{number}" for number in range(10)]
    rest = checked(world, "ListServices", nextToken=first["nextToken"])
    assert [arn.rsplit("/", 1)[-1] for arn in rest["serviceArns"]] == ["web10", "all"]
    assert len(checked(world, "ListServices", schedulingStrategy="DAEMON")["serviceArns"]) == 1
    assert checked(world, "ListServices", launchType="FARGATE")["serviceArns"] == []
    assert checked(world, "ListServices", resourceManagementType="ECS")["serviceArns"] == []
    world.ask("DeleteService", service="web0")
    assert f"{PREFIX}:service/default/web0" not in checked(world, "ListServices")["serviceArns"]
    world.ask("DeleteService", service="all")
    assert checked(world, "DescribeServices", services=["all"])["services"][0]["status"] == "DRAINING"
    assert checked(world, "ListServices", schedulingStrategy="DAEMON")["serviceArns"] == []
    assert refused(world, "ListServices", cluster="no")[0] == "ClusterNotFoundException"
    assert refused(world, "ListServicesByNamespace", namespace="ns")[0] == "NamespaceNotFoundException"


def test_service_connect_that_is_off_is_shown_as_it_was_given() -> None:
    """Terraform would else find a difference at each plan."""
    world = World()
    off = {"enabled": False}
    first = created(world, serviceConnectConfiguration=off)["deployments"]
    assert [one["serviceConnectConfiguration"] for one in first] == [off]
    assert len(checked(world, "UpdateService", service="web", desiredCount=1)["service"]["deployments"]) == 1
    again = checked(world, "UpdateService", service="web", serviceConnectConfiguration={**off, "namespace": "n"})
    assert [one["serviceConnectConfiguration"] for one in again["service"]["deployments"]] == [
        {**off, "namespace": "n"},
        off,
    ]
    assert refused(world, "CreateService", **WEB)[0] == "InvalidParameterException"


# --- awsvpc and Fargate -----------------------------------------------------------------------------

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}}
LOCAL = ({"name": "ecs.capability.task-eni", "value": None},)
SPOT = [{"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 1}]


def a_fargate_world(**cluster: Any) -> World:
    """The instance is in ``default``; the cluster ``elsewhere`` has none."""
    settings = Settings(task_subnet="10.213.0.0/20", healthy_after_s=0)
    world = World(instances=[an_instance(reported_attributes=LOCAL)], settings=settings)
    world.do(lambda step: step.put_task_definition(a_fargate_definition("app")))
    world.do(lambda step: step.clusters.put("elsewhere", a_cluster("elsewhere", **cluster)))
    return world


def on_fargate(world: World, **body: Any) -> Any:
    given = {"launchType": "FARGATE", "networkConfiguration": NETWORK, "cluster": "elsewhere", **body}
    return created(world, taskDefinition="app", **{name: value for name, value in given.items() if value is not None})


def updated(world: World, **body: Any) -> Any:
    return checked(world, "UpdateService", cluster="elsewhere", service="web", **body)["service"]


def described(world: World) -> Any:
    return checked(world, "DescribeServices", cluster="elsewhere", services=["web"])["services"][0]


def test_a_service_on_fargate_runs_in_a_cluster_without_instances() -> None:
    world = a_fargate_world()
    service = on_fargate(world)
    assert (service["launchType"], service["platformVersion"]) == ("FARGATE", "LATEST")
    assert (service["platformFamily"], service["networkConfiguration"]) == ("Linux", NETWORK)
    (deployment,) = service["deployments"]
    assert (deployment["platformVersion"], deployment["networkConfiguration"]) == ("1.4.0", NETWORK)
    world.obey_until_quiet()
    service = described(world)
    assert (service["runningCount"], service["deployments"][0]["rolloutState"]) == (2, "COMPLETED")
    arns = checked(world, "ListTasks", cluster="elsewhere", serviceName="web", launchType="FARGATE")["taskArns"]
    assert len(arns) == 2
    assert checked(world, "ListServices", cluster="elsewhere", launchType="FARGATE")["serviceArns"]
    assert on_fargate(world)["serviceArn"] == service["serviceArn"]
    revisions = [one["arn"] for one in service["currentServiceRevisions"]]
    (revision,) = checked(world, "DescribeServiceRevisions", serviceRevisionArns=revisions)["serviceRevisions"]
    assert (revision["platformVersion"], revision["networkConfiguration"]) == ("1.4.0", NETWORK)


def test_a_service_keeps_its_network_until_it_is_given_another() -> None:
    world = a_fargate_world(capacity_providers=("FARGATE_SPOT",))
    on_fargate(world)
    world.obey_until_quiet()
    assert len(updated(world, desiredCount=1)["deployments"]) == 1
    other = {"awsvpcConfiguration": {"subnets": ["subnet-2"], "securityGroups": [], "assignPublicIp": "DISABLED"}}
    service = updated(world, networkConfiguration=other)
    assert (len(service["deployments"]), service["networkConfiguration"]) == (2, other)
    service = updated(world, capacityProviderStrategy=SPOT)
    assert ("launchType" in service, service["capacityProviderStrategy"]) == (False, SPOT)
    assert service["networkConfiguration"] == other
    for _ in range(3):
        world.obey_until_quiet()
        world.pass_time(1)
    (task,) = world.running()
    assert (task.capacity_provider, task.subnet_id) == ("FARGATE_SPOT", "subnet-2")
    service = updated(world, capacityProviderStrategy=[])
    assert (service["launchType"], "capacityProviderStrategy" in service) == ("FARGATE", False)


def test_a_service_by_the_default_strategy_of_its_cluster() -> None:
    world = a_fargate_world(capacity_providers=("FARGATE_SPOT",), default_strategy=tuple(SPOT))
    service = on_fargate(world, launchType=None)
    assert ("launchType" in service, service["capacityProviderStrategy"]) == (False, SPOT)
    assert service["deployments"][0]["capacityProviderStrategy"] == SPOT
    assert {task.capacity_provider for task in world.pending()} == {"FARGATE_SPOT"}


def test_a_service_on_fargate_waits_for_its_agent_and_is_not_told_of_instances() -> None:
    world = a_fargate_world()
    arn = an_instance().arn
    world.change_instance(arn, connection_id="")
    on_fargate(world)
    message = described(world)["events"][0]["message"]
    assert message.startswith("(service web) was unable to place a task. Reason: Capacity is unavailable at this time.")
    world.change_instance(arn, connection_id="c2")
    assert len(world.pending()) == 2


def test_draining_the_instance_leaves_fargate_alone() -> None:
    world = a_fargate_world()
    on_fargate(world)
    world.obey_until_quiet()
    checked(world, "UpdateContainerInstancesState", containerInstances=[an_instance().arn], status="DRAINING")
    assert (len(world.running()), world.stopping()) == (2, [])


def test_a_daemon_cannot_run_on_fargate() -> None:
    body = {"cluster": "elsewhere", "serviceName": "web", "taskDefinition": "app", "launchType": "FARGATE"}
    body |= {"networkConfiguration": NETWORK, "schedulingStrategy": "DAEMON"}
    code, message = refused(a_fargate_world(), "CreateService", **body)
    assert (code, "does not support the Fargate launch type" in message) == ("InvalidParameterException", True)

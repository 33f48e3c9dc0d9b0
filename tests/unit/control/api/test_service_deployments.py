"""Service deployments and revisions: found again by their ARNs, and stopped by going back."""

from __future__ import annotations

from typing import Any

from tests.service_world import World, definition_of
from tests.unit.control.api.test_services import checked, created, refused


def arns(world: World, **body: Any) -> list[str]:
    listed = checked(world, "ListServiceDeployments", service="web", **body)["serviceDeployments"]
    return [one["serviceDeploymentArn"] for one in listed]


def test_deployments_are_listed_newest_first_and_described() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    world.pass_time(10)
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    listed = checked(world, "ListServiceDeployments", service="web")["serviceDeployments"]
    assert [one["status"] for one in listed] == ["IN_PROGRESS", "SUCCESSFUL"]
    assert "finishedAt" in listed[1]
    assert arns(world, status=["SUCCESSFUL"]) == [listed[1]["serviceDeploymentArn"]]
    middle = world.at.timestamp() - 5
    assert arns(world, createdAt={"after": middle}) == [listed[0]["serviceDeploymentArn"]]
    assert arns(world, createdAt={"before": middle}) == [listed[1]["serviceDeploymentArn"]]

    answer = checked(world, "DescribeServiceDeployments", serviceDeploymentArns=[*arns(world), "arn:no"])
    newest = answer["serviceDeployments"][0]
    assert newest["targetServiceRevision"]["pendingTaskCount"] == 2
    assert newest["sourceServiceRevisions"][0]["runningTaskCount"] == 2
    assert newest["deploymentCircuitBreaker"] == {"status": "DISABLED", "failureCount": 0, "threshold": 3}
    assert answer["failures"] == [{"arn": "arn:no", "reason": "MISSING"}]

    revisions = [newest["targetServiceRevision"]["arn"], listed[0]["serviceDeploymentArn"]]
    answer = checked(world, "DescribeServiceRevisions", serviceRevisionArns=revisions)
    (revision,) = answer["serviceRevisions"]
    assert revision["taskDefinition"].endswith("sample:2")
    assert revision["containerImages"] == [{"containerName": "app", "image": "ecscope-sample:latest"}]
    assert answer["failures"] == [{"arn": revisions[1], "reason": "MISSING"}]


def test_past_deployments_can_still_be_seen() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    world.ask("UpdateService", service="web", forceNewDeployment=True)
    world.obey_until_quiet()
    assert len(world.service().deployments) == 1
    assert len(arns(world)) == 2


def test_a_deployment_is_stopped_by_going_back() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    bad, good = arns(world)
    assert checked(world, "StopServiceDeployment", serviceDeploymentArn=bad) == {"serviceDeploymentArn": bad}
    shown = checked(world, "DescribeServiceDeployments", serviceDeploymentArns=[bad])["serviceDeployments"][0]
    assert shown["status"] == "ROLLBACK_IN_PROGRESS"
    assert shown["rollback"]["reason"].startswith("ECS deployment circuit breaker: rolling back to deploymentId")
    world.obey_until_quiet()
    assert world.is_stable()
    assert [definition_of(task) for task in world.running()] == ["sample:1", "sample:1"]
    shown = checked(world, "DescribeServiceDeployments", serviceDeploymentArns=[bad, good])["serviceDeployments"]
    assert [one["status"] for one in shown] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]


def test_what_cannot_be_stopped() -> None:
    world = World()
    created(world)
    (arn,) = arns(world)
    assert refused(world, "StopServiceDeployment", serviceDeploymentArn=arn) == (
        "InvalidParameterException",
        "The service deployment cannot be rolled back: no deployment of the service was completed.",
    )
    assert refused(world, "StopServiceDeployment", serviceDeploymentArn=arn, stopType="ABORT")[0] == (
        "UnsupportedFeatureException"
    )
    unknown = refused(world, "StopServiceDeployment", serviceDeploymentArn=arn + "0")
    assert unknown[0] == "ServiceDeploymentNotFoundException"
    world.obey_until_quiet()
    assert refused(world, "StopServiceDeployment", serviceDeploymentArn=arn)[1].endswith("it is not in progress.")
    assert refused(world, "DescribeServiceDeployments", serviceDeploymentArns=[])[0] == "InvalidParameterException"
    assert refused(world, "ListServiceDeployments", service="no")[0] == "ServiceNotFoundException"


def test_the_deployment_of_a_service_that_is_deleted_cannot_be_stopped() -> None:
    world = World()
    created(world)
    world.obey_until_quiet()
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    newest, *_ = arns(world)
    world.ask("DeleteService", service="web", force=True)
    for _ in ("DRAINING", "INACTIVE"):
        code, message = refused(world, "StopServiceDeployment", serviceDeploymentArn=newest)
        assert (code, "not in progress" in message) == ("InvalidParameterException", True)
        world.obey_until_quiet()
    assert world.service().status == "INACTIVE"

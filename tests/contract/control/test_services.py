"""Services through boto3 with its waiters and paginators: the behaviours that moto's tests list, on true states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, WaiterError

from ecscope.control.core.events import AnyEvent
from ecscope.control.core.records import Json
from ecscope.control.core.services import settle
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import ContainerReport, Report, report
from ecscope.model.status import ReportedStatus
from tests.control_builders import a_cluster, a_state, a_task_definition, an_instance
from tests.control_server import ControlServer
from tests.control_world import MemoryWriter

ARN = "arn:aws:ecs:us-east-1:000000000000"
WEB: dict[str, Any] = {"serviceName": "web", "taskDefinition": "sample:1", "desiredCount": 2}
RUNNING = Report(status=ReportedStatus.RUNNING)
STOPPED = Report(
    status=ReportedStatus.STOPPED,
    containers=(ContainerReport(name="app", status=ReportedStatus.STOPPED, exit_code=0),),
)


class ObedientWriter(MemoryWriter):
    """Its agents do at once what they are told; while ``is_away``, nothing."""

    is_away = False

    def take(self, event: AnyEvent) -> Json | None:
        answer = super().take(event)
        while not self.is_away and (told := self._told()):
            self.events.append(event)
            step = Step(self.state, msgspec.structs.replace(event, id=f"{len(self.events):016x}{told:016x}"))
            for task in tuple(step.tasks.values()):
                if not task.is_stopped and task.desired_status == "STOPPED":
                    report(step, task, STOPPED)
                elif task.last_status == "PENDING":
                    report(step, task, RUNNING)
            settle(step)
            self.state = step.decision().state
        return answer

    def _told(self) -> int:
        return sum(
            not task.is_stopped and (task.desired_status == "STOPPED" or task.last_status == "PENDING")
            for task in self.state.tasks.values()
        )


@pytest.fixture
def writer() -> ObedientWriter:
    definitions = [a_task_definition(revision=revision) for revision in (1, 2)]
    return ObedientWriter(a_state(a_cluster(), a_cluster("other"), an_instance(1), an_instance(2), *definitions))


@pytest.fixture
def ecs(writer: ObedientWriter) -> Iterator[Any]:
    with ControlServer(writer=writer) as server:
        yield server.client()


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_from_creation_to_the_end_with_waiters(ecs: Any) -> None:
    service = ecs.create_service(**WEB)["service"]
    assert (service["status"], service["serviceArn"]) == ("ACTIVE", f"{ARN}:service/default/web")
    assert service["createdAt"].tzinfo is not None
    ecs.get_waiter("services_stable").wait(services=["web"])
    service = ecs.describe_services(services=["web"])["services"][0]
    assert (service["runningCount"], service["pendingCount"]) == (2, 0)
    ecs.update_service(service="web", taskDefinition="sample:2", desiredCount=3)
    ecs.get_waiter("services_stable").wait(services=["web"])
    service = ecs.describe_services(services=["web"])["services"][0]
    assert service["taskDefinition"] == f"{ARN}:task-definition/sample:2"
    assert [(one["status"], one["rolloutState"]) for one in service["deployments"]] == [("PRIMARY", "COMPLETED")]
    assert service["events"][0]["message"] == "(service web) has reached a steady state."
    ecs.delete_service(service="web", force=True)
    ecs.get_waiter("services_inactive").wait(services=["web"])
    assert ecs.describe_services(services=["web"])["services"][0]["desiredCount"] == 0
    with pytest.raises(WaiterError):
        ecs.get_waiter("services_stable").wait(services=["web"])


def test_nobody_waits_for_what_is_not_there(ecs: Any) -> None:
    with pytest.raises(WaiterError):
        ecs.get_waiter("services_stable").wait(services=["no"])


def test_a_service_that_deploys_is_not_stable(ecs: Any, writer: ObedientWriter) -> None:
    ecs.create_service(**WEB)
    writer.is_away = True
    ecs.update_service(service="web", forceNewDeployment=True)
    service = ecs.describe_services(services=["web"])["services"][0]
    assert [one["status"] for one in service["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert [(one["runningCount"], one["pendingCount"]) for one in service["deployments"]] == [(0, 2), (2, 0)]
    with pytest.raises(WaiterError):
        ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_lists_come_in_pages(ecs: Any) -> None:
    for number in range(12):
        ecs.create_service(serviceName=f"web{number}", taskDefinition="sample", desiredCount=0)
    ecs.create_service(cluster="other", serviceName="web", taskDefinition="sample", schedulingStrategy="DAEMON")
    assert len(ecs.list_services()["serviceArns"]) == 10
    pages = ecs.get_paginator("list_services").paginate()
    assert [arn for page in pages for arn in page["serviceArns"]] == [
        f"{ARN}:service/default/web{number}" for number in range(12)
    ]
    assert ecs.list_services(cluster="other", schedulingStrategy="DAEMON")["serviceArns"] == [
        f"{ARN}:service/other/web"
    ]
    assert ecs.list_services(cluster="other", launchType="FARGATE")["serviceArns"] == []
    assert refused(ecs.list_services, cluster="no") == ("ClusterNotFoundException", "Cluster not found.")


def test_known_and_unknown_ones(ecs: Any) -> None:
    arn = ecs.create_service(**WEB, tags=[{"key": "a", "value": "b"}])["service"]["serviceArn"]
    answer = ecs.describe_services(services=["web", "no", arn, f"{ARN}:service/default/none"], include=["TAGS"])
    assert [service["serviceArn"] for service in answer["services"]] == [arn, arn]
    assert answer["services"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert answer["failures"] == [
        {"arn": f"{ARN}:service/default/no", "reason": "MISSING"},
        {"arn": f"{ARN}:service/default/none", "reason": "MISSING"},
    ]
    assert refused(ecs.describe_services, cluster="no", services=["web"]) == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )


def test_error_texts(ecs: Any) -> None:
    unknown = ("ServiceNotFoundException", "Service not found.")
    assert refused(ecs.update_service, service="no", desiredCount=0) == unknown
    assert refused(ecs.delete_service, service="no") == unknown
    assert refused(ecs.delete_service, cluster="no", service="no")[0] == "ClusterNotFoundException"
    assert refused(ecs.update_service, cluster="no", service="no")[0] == "ClusterNotFoundException"
    ecs.create_service(**WEB)
    assert refused(ecs.create_service, **{**WEB, "desiredCount": 1}) == (
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    )
    assert refused(ecs.delete_service, service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    ecs.delete_service(service=f"{ARN}:service/default/web", force=True)
    assert refused(ecs.update_service, service="web", desiredCount=0) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )
    assert refused(ecs.create_service, **{**WEB, "taskDefinition": "no"}) == (
        "ClientException",
        "TaskDefinition not found.",
    )
    balanced = [{"targetGroupArn": "arn:aws:elasticloadbalancing:x", "containerName": "app", "containerPort": 80}]
    assert refused(ecs.create_service, **WEB, loadBalancers=balanced)[0] == "UnsupportedFeatureException"


def test_deployments_and_revisions(ecs: Any) -> None:
    ecs.create_service(**WEB)
    (one,) = ecs.list_service_deployments(service="web")["serviceDeployments"]
    described = ecs.describe_service_deployments(serviceDeploymentArns=[one["serviceDeploymentArn"]])
    assert described["serviceDeployments"][0]["status"] == "SUCCESSFUL"
    revision = described["serviceDeployments"][0]["targetServiceRevision"]["arn"]
    assert revision == one["targetServiceRevisionArn"]
    (shown,) = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert shown["taskDefinition"] == f"{ARN}:task-definition/sample:1"
    assert refused(ecs.stop_service_deployment, serviceDeploymentArn=one["serviceDeploymentArn"])[0] == (
        "InvalidParameterException"
    )

"""Clusters, tags, attributes and settings through boto3: the behaviours that moto's tests list, on true states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.control_builders import a_state, an_instance
from tests.control_server import ControlServer

ARN = "arn:aws:ecs:us-east-1:000000000000"
TAGS = [{"key": "tagName", "value": "TagValue"}]
STRATEGY = [
    {"base": 1, "capacityProvider": "FARGATE_SPOT", "weight": 1},
    {"base": 0, "capacityProvider": "FARGATE", "weight": 1},
]


@pytest.fixture
def server() -> Iterator[ControlServer]:
    with ControlServer(state=a_state(an_instance(1), an_instance(2))) as server:
        yield server


@pytest.fixture
def ecs(server: ControlServer) -> Any:
    client = server.client()
    client.create_cluster()
    return client


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_create(ecs: Any) -> None:
    cluster = ecs.create_cluster(
        clusterName="web",
        tags=TAGS,
        settings=[{"name": "containerInsights", "value": "disabled"}],
        serviceConnectDefaults={"namespace": "ns"},
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=STRATEGY,
    )["cluster"]
    assert (cluster["clusterName"], cluster["clusterArn"]) == ("web", f"{ARN}:cluster/web")
    assert (cluster["status"], cluster["tags"]) == ("ACTIVE", TAGS)
    for counted in ("registeredContainerInstancesCount", "runningTasksCount", "pendingTasksCount"):
        assert cluster[counted] == 0
    assert cluster["activeServicesCount"] == 0
    assert cluster["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert cluster["serviceConnectDefaults"] == {"namespace": "ns"}
    assert cluster["defaultCapacityProviderStrategy"] == STRATEGY
    assert ecs.create_cluster(clusterName="web")["cluster"] == cluster


def test_list_in_pages(ecs: Any) -> None:
    for number in range(12):
        ecs.create_cluster(clusterName=f"c{number}")
    pages = ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 5})
    listed = [page["clusterArns"] for page in pages]
    assert [len(page) for page in listed] == [5, 5, 3]
    assert len({arn for page in listed for arn in page}) == 13


def test_describe(ecs: Any) -> None:
    ecs.create_cluster(clusterName="tagged", tags=TAGS)
    answer = ecs.describe_clusters(clusters=["tagged", "some-cluster"], include=["TAGS", "SETTINGS", "STATISTICS"])
    (cluster,) = answer["clusters"]
    assert cluster["tags"] == TAGS
    assert {"name": "runningEC2TasksCount", "value": "0"} in cluster["statistics"]
    assert answer["failures"] == [{"arn": f"{ARN}:cluster/some-cluster", "reason": "MISSING"}]
    assert ecs.describe_clusters()["clusters"][0]["registeredContainerInstancesCount"] == 2


def test_delete(ecs: Any) -> None:
    ecs.create_cluster(clusterName="web")
    assert ecs.delete_cluster(cluster="web")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["web"])["clusters"][0]["status"] == "INACTIVE"
    assert refused(ecs.delete_cluster, cluster="web") == ("ClusterNotFoundException", "Cluster not found.")
    code, message = refused(ecs.delete_cluster, cluster="default")
    assert code == "ClusterContainsContainerInstancesException"
    assert "Container Instances are active or draining" in message


def test_update(ecs: Any) -> None:
    configuration = {"executeCommandConfiguration": {"kmsKeyId": "arn:kms:stuff"}}
    enabled = [{"name": "containerInsights", "value": "enabled"}]
    cluster = ecs.update_cluster(cluster="default", settings=enabled, configuration=configuration)["cluster"]
    assert (cluster["settings"], cluster["configuration"]) == (enabled, configuration)
    cluster = ecs.update_cluster_settings(
        cluster="default", settings=[{"name": "containerInsights", "value": "disabled"}]
    )["cluster"]
    assert cluster["settings"][0]["value"] == "disabled"
    cluster = ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=STRATEGY
    )["cluster"]
    assert cluster["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["defaultCapacityProviderStrategy"] == STRATEGY


def test_capacity_providers(ecs: Any) -> None:
    answer = ecs.describe_capacity_providers(capacityProviders=["FARGATE", "another"])
    assert [(each["name"], each["status"]) for each in answer["capacityProviders"]] == [("FARGATE", "ACTIVE")]
    assert answer["failures"] == [{"arn": f"{ARN}:capacity-provider/another", "reason": "MISSING"}]


def test_tags(ecs: Any) -> None:
    arn = f"{ARN}:cluster/default"
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []
    ecs.tag_resource(resourceArn=arn, tags=[*TAGS, {"key": "other", "value": ""}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "tagName", "value": "new"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["other"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "tagName", "value": "new"}]


def test_tags_of_what_is_not_there(ecs: Any) -> None:
    code, _ = refused(ecs.list_tags_for_resource, resourceArn=f"{ARN}:service/fake_service:1")
    assert code == "ServiceNotFoundException"
    _, message = refused(ecs.list_tags_for_resource, resourceArn=f"{ARN}:task-definition/fake_task:1")
    assert message == "Unable to describe task definition."


def test_attributes(ecs: Any) -> None:
    first, second = an_instance(1).arn, an_instance(2).arn
    of_second = {"name": "attr1", "value": "instance2", "targetId": second[-32:], "targetType": "container-instance"}
    ecs.put_attributes(
        attributes=[
            {"name": "env", "value": "prod"},
            {"name": "attr1", "value": "instance1", "targetId": first},
            of_second,
        ]
    )
    pages = ecs.get_paginator("list_attributes").paginate(
        targetType="container-instance", PaginationConfig={"PageSize": 1}
    )
    found = [(each["name"], each["value"]) for page in pages for each in page["attributes"]]
    assert sorted(found) == [("attr1", "instance1"), ("attr1", "instance2"), ("env", "prod"), ("env", "prod")]
    ecs.delete_attributes(attributes=[of_second])
    left = ecs.list_attributes(targetType="container-instance", attributeName="attr1")["attributes"]
    assert [each["targetId"] for each in left] == [first]
    code, _ = refused(ecs.put_attributes, attributes=[{"name": "a", "targetId": "none"}])
    assert code == "TargetNotFoundException"


def test_account_settings(ecs: Any) -> None:
    assert ecs.list_account_settings()["settings"] == []
    for name, value in (
        ("containerInstanceLongArnFormat", "enabled"),
        ("awsvpcTrunking", "disabled"),
        ("taskLongArnFormat", "enabled"),
    ):
        setting = ecs.put_account_setting(name=name, value=value)["setting"]
        assert (setting["name"], setting["value"]) == (name, value)
    assert len(ecs.list_account_settings()["settings"]) == 3
    (only,) = ecs.list_account_settings(name="awsvpcTrunking")["settings"]
    assert only["value"] == "disabled"
    assert len(ecs.list_account_settings(value="enabled")["settings"]) == 2
    ecs.delete_account_setting(name="awsvpcTrunking")
    assert len(ecs.list_account_settings()["settings"]) == 2
    ecs.put_account_setting_default(name="containerInsights", value="enhanced")
    pages = ecs.get_paginator("list_account_settings").paginate(effectiveSettings=True)
    effective = {each["name"]: each["value"] for page in pages for each in page["settings"]}
    assert len(effective) == 11
    assert effective["containerInsights"] == "enhanced"

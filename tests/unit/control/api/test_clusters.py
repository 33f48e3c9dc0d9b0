"""Clusters are made once, described with what was asked for, and deleted when they are empty."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from tests.control_builders import (
    PREFIX,
    a_cluster,
    a_control_step,
    a_control_task,
    a_service,
    an_instance,
    asked,
)
from tests.tables import each_row

TAGS = [{"key": "team", "value": "blue"}]
STRATEGY = [{"base": 1, "capacityProvider": "FARGATE_SPOT", "weight": 1}, {"capacityProvider": "FARGATE", "weight": 1}]


def test_a_cluster_is_created_once() -> None:
    step = a_control_step()
    made = asked(step, "CreateCluster", clusterName="web", tags=TAGS)["cluster"]
    assert (made["clusterArn"], made["status"], made["tags"]) == (f"{PREFIX}:cluster/web", "ACTIVE", TAGS)
    assert made["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert asked(step, "CreateCluster", clusterName="web", tags=[])["cluster"] == made
    assert asked(step, "ListClusters")["clusterArns"] == [made["clusterArn"]]


def test_without_a_name_it_is_default() -> None:
    assert asked(a_control_step(), "CreateCluster")["cluster"]["clusterName"] == "default"


@pytest.mark.parametrize("name", ["a/b", "x" * 256, "a b"])
def test_a_name_has_its_letters(name: str) -> None:
    with pytest.raises(ApiError, match="cluster name must have"):
        asked(a_control_step(), "CreateCluster", clusterName=name)


def test_everything_can_be_given() -> None:
    made = asked(
        a_control_step(),
        "CreateCluster",
        settings=[{"name": "containerInsights", "value": "enabled"}],
        configuration={"executeCommandConfiguration": {"logging": "NONE"}},
        serviceConnectDefaults={"namespace": "ns"},
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=STRATEGY,
    )["cluster"]
    assert made["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert made["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}
    assert made["serviceConnectDefaults"] == {"namespace": "ns"}
    assert made["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert made["defaultCapacityProviderStrategy"] == [STRATEGY[0], {**STRATEGY[1], "base": 0}]


@each_row(
    "body, words",
    [
        ({"capacityProviders": ["mine"]}, "'mine' was not found"),
        ({"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "not associated with the cluster"),
        (
            {
                "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "defaultCapacityProviderStrategy": [
                    {"capacityProvider": "FARGATE", "base": 1},
                    {"capacityProvider": "FARGATE_SPOT", "base": 1},
                ],
            },
            "base above 0",
        ),
        ({"settings": [{"name": "containerInsights", "value": "v"}]}, "must be one of"),
        ({"settings": [{}]}, "must be one of"),
        ({"tags": [{"key": "aws:x"}]}, "for AWS alone"),
    ],
)
def test_what_no_cluster_has(body: Any, words: str) -> None:
    step = a_control_step()
    with pytest.raises(ApiError, match=words):
        asked(step, "CreateCluster", **body)
    assert not step.clusters


def test_insights_follow_the_account_setting() -> None:
    step = a_control_step()
    asked(step, "PutAccountSetting", name="containerInsights", value="enabled")
    assert asked(step, "CreateCluster")["cluster"]["settings"][0]["value"] == "enabled"


def test_clusters_are_described() -> None:
    step = a_control_step(a_cluster(tags={"team": "blue"}), a_cluster("old", status="INACTIVE"))
    answer = asked(
        step, "DescribeClusters", clusters=["default", "old", "none", f"{PREFIX}:cluster/x"], include=["TAGS"]
    )
    assert [(each["clusterName"], each["status"]) for each in answer["clusters"]] == [
        ("default", "ACTIVE"),
        ("old", "INACTIVE"),
    ]
    assert answer["clusters"][0]["tags"] == TAGS
    assert answer["failures"] == [
        {"arn": f"{PREFIX}:cluster/none", "reason": "MISSING"},
        {"arn": f"{PREFIX}:cluster/x", "reason": "MISSING"},
    ]
    assert asked(step, "DescribeClusters")["clusters"][0]["tags"] == []


def test_a_hundred_clusters_at_most() -> None:
    with pytest.raises(ApiError, match="more than 100"):
        asked(a_control_step(), "DescribeClusters", clusters=["x"] * 101)


def test_an_empty_cluster_is_deleted() -> None:
    step = a_control_step(
        a_cluster(),
        an_instance(status="INACTIVE"),
        a_service(status="INACTIVE"),
        a_control_task(last_status="STOPPED"),
        an_instance(2, cluster="other"),
    )
    assert asked(step, "DeleteCluster", cluster="default")["cluster"]["status"] == "INACTIVE"
    assert asked(step, "ListClusters")["clusterArns"] == []
    with pytest.raises(ApiError, match=r"Cluster not found\."):
        asked(step, "DeleteCluster", cluster="default")
    assert asked(step, "CreateCluster")["cluster"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("record", "what", "words"),
    [
        (an_instance(status="DRAINING"), "ContainerInstances", "Container Instances are active or draining"),
        (a_service(status="DRAINING"), "Services", "Services are active"),
        (a_control_task(), "Tasks", "Tasks are active"),
    ],
)
def test_a_cluster_in_use_stays(record: Any, what: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        asked(a_control_step(a_cluster(), record), "DeleteCluster", cluster="default")
    assert caught.value.code == f"ClusterContains{what}Exception"


def test_a_cluster_is_updated() -> None:
    step = a_control_step(a_cluster())
    configuration = {"executeCommandConfiguration": {"kmsKeyId": "arn:kms:stuff"}}
    enabled = [{"name": "containerInsights", "value": "enabled"}]
    shown = asked(step, "UpdateCluster", cluster="default", settings=enabled, configuration=configuration)["cluster"]
    assert (shown["settings"], shown["configuration"]) == (enabled, configuration)
    shown = asked(step, "UpdateCluster", cluster="default", serviceConnectDefaults={"namespace": "n"})["cluster"]
    assert (shown["settings"], shown["serviceConnectDefaults"]) == (enabled, {"namespace": "n"})
    shown = asked(step, "UpdateCluster", cluster="default", serviceConnectDefaults={"namespace": ""})["cluster"]
    assert "serviceConnectDefaults" not in shown
    disabled = [{"name": "containerInsights", "value": "disabled"}]
    shown = asked(step, "UpdateClusterSettings", cluster="default", settings=disabled)["cluster"]
    assert shown["settings"] == disabled


def test_capacity_providers_are_put() -> None:
    step = a_control_step(a_cluster())
    body = {"capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": STRATEGY}
    shown = asked(step, "PutClusterCapacityProviders", cluster="default", **body)["cluster"]
    assert shown["capacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_capacity_providers_are_described() -> None:
    step = a_control_step(a_cluster(capacity_providers=("FARGATE",)))
    answer = asked(step, "DescribeCapacityProviders")
    assert [(each["name"], each["status"]) for each in answer["capacityProviders"]] == [
        ("FARGATE", "ACTIVE"),
        ("FARGATE_SPOT", "ACTIVE"),
    ]
    assert answer["failures"] == []
    arn = f"{PREFIX}:capacity-provider/FARGATE"
    answer = asked(step, "DescribeCapacityProviders", capacityProviders=[arn, "mine"])
    assert [each["capacityProviderArn"] for each in answer["capacityProviders"]] == [arn]
    assert answer["failures"] == [{"arn": f"{PREFIX}:capacity-provider/mine", "reason": "MISSING"}]
    answer = asked(step, "DescribeCapacityProviders", cluster="default")
    assert [each["name"] for each in answer["capacityProviders"]] == ["FARGATE"]

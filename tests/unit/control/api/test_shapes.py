"""Records are shown as the API's model has them: what was not asked for stays out, counts are those of the books."""

from __future__ import annotations

from ecscope.control.api import shapes
from tests.control_builders import (
    AT,
    a_cluster,
    a_control_step,
    a_control_task,
    a_service,
    an_instance,
)

EVERYTHING = ("ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS")


def test_moments_are_seconds_to_the_millisecond() -> None:
    assert shapes.moment(AT.replace(microsecond=123456)) == 1715947200.123


def test_tags_are_shown_when_asked_for() -> None:
    assert shapes.tags_if_asked({"a": "1"}, {"include": ["TAGS"]}) == [{"key": "a", "value": "1"}]
    assert shapes.tags_if_asked({"a": "1"}, {"include": []}) == []
    assert shapes.tags_if_asked({"a": "1"}, {}) == []


def test_a_cluster_is_shown_in_short() -> None:
    record = a_cluster(tags={"a": "1"}, settings={"containerInsights": "enabled"}, configuration={"x": 1})
    shown = shapes.cluster(a_control_step(record), record)
    assert shown == {
        "clusterArn": record.arn,
        "clusterName": "default",
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }


def test_a_cluster_is_shown_in_full() -> None:
    record = a_cluster(
        tags={"a": "1"},
        settings={"containerInsights": "enabled"},
        configuration={"executeCommandConfiguration": {"logging": "DEFAULT"}},
        capacity_providers=("FARGATE",),
        default_strategy=({"capacityProvider": "FARGATE"},),
        service_connect_defaults={"namespace": "n"},
    )
    step = a_control_step(
        record,
        an_instance(),
        an_instance(2, status="INACTIVE"),
        an_instance(3, cluster="other"),
        a_control_task(1, last_status="RUNNING"),
        a_control_task(2),
        a_control_task(3, last_status="STOPPED"),
        a_control_task(4, last_status="RUNNING", launch_type="EXTERNAL"),
        a_service(),
        a_service("old", status="DRAINING"),
        a_service(cluster="other"),
    )
    shown = shapes.cluster(step, record, EVERYTHING)
    assert shown["registeredContainerInstancesCount"] == 1
    assert (shown["runningTasksCount"], shown["pendingTasksCount"], shown["activeServicesCount"]) == (2, 1, 1)
    statistics = {entry["name"]: entry["value"] for entry in shown["statistics"]}
    assert {name: value for name, value in statistics.items() if value != "0"} == {
        "runningEC2TasksCount": "1",
        "runningExternalTasksCount": "1",
        "pendingEC2TasksCount": "1",
        "activeEC2ServiceCount": "1",
        "drainingEC2ServiceCount": "1",
    }
    assert len(statistics) == 12
    assert shown["tags"] == [{"key": "a", "value": "1"}]
    assert shown["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert shown["configuration"] == {"executeCommandConfiguration": {"logging": "DEFAULT"}}
    assert shown["capacityProviders"] == ["FARGATE"]
    assert shown["defaultCapacityProviderStrategy"] == [{"capacityProvider": "FARGATE"}]
    assert shown["serviceConnectDefaults"] == {"namespace": "n"}
    assert shown["attachments"] == []

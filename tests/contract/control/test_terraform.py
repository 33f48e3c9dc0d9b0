"""Terraform's AWS provider, by its calls in its order: what it reads back is what it asked for, so a plan stays empty.

The program is in no package registry: ``tests/judges/test_terraform.py`` runs it where it is installed. The order of
calls, what it waits for and what it takes for equal are those of its resources aws_ecs_cluster, aws_ecs_task_definition
and aws_ecs_service.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.control.live import APP, ARN, LivePlane
from tests.unit.taskdefinition.definitions import FULL

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))
TAGS = [{"key": "ManagedBy", "value": "terraform"}, {"key": "Name", "value": "web"}]
CLUSTER = {"clusterName": "tf", "settings": [{"name": "containerInsights", "value": "disabled"}], "tags": TAGS}
INCLUDE = ["TAGS", "CONFIGURATIONS", "SETTINGS"]
DEFAULTS: dict[str, Any] = {"cpu": 0, "essential": True, "hostPort": 0, "protocol": "tcp", "readOnly": False}
SORTED_BY = {"environment": "name", "secrets": "name", "portMappings": "containerPort", "mountPoints": "sourceVolume"}


def normalised(value: Any, name: str = "") -> Any:
    """What Terraform compares: no defaults, nothing that is empty, lists without an order in one."""
    if isinstance(value, dict):
        members = {key: normalised(member, key) for key, member in value.items()}
        return {k: v for k, v in members.items() if v not in (None, [], {}) and DEFAULTS.get(k, ...) != v}
    if isinstance(value, list):
        items = [normalised(item) for item in value]
        return sorted(items, key=lambda item: str(item.get(SORTED_BY[name]))) if name in SORTED_BY else items
    return value


def read_until(find: Callable[[], Any], live: LivePlane, *, status: str, passing: set[str]) -> Any:
    """The provider's StateChangeConf: only ``passing`` may be seen on the way."""
    seen: list[str] = []

    def is_there() -> bool:
        seen.append(find()["status"])
        return seen[-1] == status

    live.until(is_there, f"status {status}")
    assert set(seen) <= {status, *passing}
    return find()


def cluster_of(ecs: Any, arn: str) -> Any:
    answer = ecs.describe_clusters(clusters=[arn], include=INCLUDE)
    assert answer["failures"] == []
    return answer["clusters"][0]


def service_of(ecs: Any, cluster: str, service: str) -> Any:
    answer = ecs.describe_services(cluster=cluster, services=[service], include=["TAGS"])
    assert answer["failures"] == []
    return answer["services"][0]


def test_apply_plan_change_and_destroy(live: LivePlane, ecs: Any) -> None:
    """On a cluster of its own; its service finds no instance there, until the default cluster's test below."""
    cluster = ecs.create_cluster(**CLUSTER)["cluster"]
    arn = cluster["clusterArn"]
    read_until(lambda: cluster_of(ecs, arn), live, status="ACTIVE", passing={"PROVISIONING"})
    definition = apply_definition(ecs, family="tf", containerDefinitions=[dict(APP)], tags=TAGS)
    wanted = service_members(cluster=arn, taskDefinition=definition)
    service = ecs.create_service(**wanted, clientToken="terraform-1")["service"]["serviceArn"]
    for _ in range(2):  # refresh, plan
        assert plan_cluster(ecs, arn) == {}
        assert plan_service(ecs, wanted, service) == {}
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "Name", "value": "other"}])
    assert plan_cluster(ecs, arn) == {"tags": [TAGS[0], {"key": "Name", "value": "other"}]}
    ecs.tag_resource(resourceArn=arn, tags=TAGS)
    ecs.untag_resource(resourceArn=service, tagKeys=["Name"])
    assert plan_service(ecs, wanted, service) == {"tags": [TAGS[0]]}
    with pytest.raises(ClientError) as refused:
        ecs.delete_cluster(cluster=arn)
    assert refused.value.response["Error"]["Code"] == "ClusterContainsServicesException"  # what it tries again after
    destroy_service(live, ecs, arn, service)
    destroy_definition(ecs, definition)
    assert ecs.delete_cluster(cluster=arn)["cluster"]["status"] == "INACTIVE"
    assert cluster_of(ecs, arn)["status"] == "INACTIVE"


def test_a_service_that_is_waited_for(live: LivePlane, ecs: Any) -> None:
    """``wait_for_steady_state``: one deployment, completed, and all of its tasks run."""
    first = apply_definition(ecs, family="steady", containerDefinitions=[dict(APP)])
    wanted = service_members(cluster="default", taskDefinition=first)
    service = ecs.create_service(**wanted)["service"]["serviceArn"]
    live.until(lambda: is_steady(ecs, service), "the steady state")
    assert plan_service(ecs, wanted, service) == {}
    second = apply_definition(ecs, family="steady", containerDefinitions=[{**APP, "memory": 24}])
    assert plan_service(ecs, {**wanted, "taskDefinition": second}, service) == {"taskDefinition": first}
    changed = {**wanted, "taskDefinition": second, "desiredCount": 3}
    fixed = ("serviceName", "schedulingStrategy", "launchType", "deploymentController", "tags")
    update = {name: value for name, value in changed.items() if name not in fixed}
    ecs.update_service(**update, service=service, forceNewDeployment=False)
    live.until(lambda: is_steady(ecs, service), "the steady state")
    assert plan_service(ecs, changed, service) == {}
    destroy_service(live, ecs, "default", service)
    for definition in (first, second):
        destroy_definition(ecs, definition)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_stay_as_they_are(ecs: Any, path: Path) -> None:
    members = json.loads(path.read_text())
    members.pop("revision", None)  # of a task file only
    apply_definition(ecs, **members)


def test_all_there_can_be_stays_as_it_is(ecs: Any) -> None:
    """But for ``memory`` in words, which ECS turns into MiB, so that Terraform's users write MiB."""
    apply_definition(
        ecs, **{name: value for name, value in FULL.items() if name not in ("revision", "memory")}, memory="1024"
    )


# --- the provider's resources -----------------------------------------------------------------------


def plan_cluster(ecs: Any, arn: str) -> Any:
    """What differs from the configuration."""
    found = cluster_of(ecs, arn)
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == found["tags"]
    return {name: found[name] for name, value in CLUSTER.items() if found[name] != value}


def apply_definition(ecs: Any, **members: Any) -> str:
    made = ecs.register_task_definition(**members)["taskDefinition"]
    arn = str(made["taskDefinitionArn"])
    answer = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    found = answer["taskDefinition"]
    assert found["status"] == "ACTIVE"
    assert answer["tags"] == members.get("tags", [])
    for name, value in members.items():
        if name != "tags":
            assert normalised(found[name], name) == normalised(value, name), name
    assert ecs.describe_task_definition(taskDefinition=members["family"])["taskDefinition"] == found
    return arn


def destroy_definition(ecs: Any, arn: str) -> None:
    ecs.deregister_task_definition(taskDefinition=arn)
    assert ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["status"] == "INACTIVE"


def service_members(**members: Any) -> dict[str, Any]:
    """All that the provider sends for a service of which only name, cluster, definition and count are configured."""
    return {
        "serviceName": "web",
        "desiredCount": 2,
        "launchType": "EC2",
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "deploymentConfiguration": {
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "DISABLED",
        "propagateTags": "NONE",
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "tags": TAGS,
        **members,
    }


def plan_service(ecs: Any, wanted: dict[str, Any], arn: str) -> Any:
    found = service_of(ecs, wanted["cluster"], arn)
    assert found["status"] == "ACTIVE"
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == found["tags"]
    cluster = found.pop("clusterArn")
    assert cluster in (wanted["cluster"], f"{ARN}:cluster/{wanted['cluster']}")
    breaker = found["deploymentConfiguration"]["deploymentCircuitBreaker"]
    found["deploymentConfiguration"] = {
        **{name: found["deploymentConfiguration"][name] for name in ("maximumPercent", "minimumHealthyPercent")},
        "deploymentCircuitBreaker": {name: breaker[name] for name in ("enable", "rollback")},
    }
    compared = {name: value for name, value in wanted.items() if name != "cluster"}
    return {name: found[name] for name, value in compared.items() if found[name] != value}


def is_steady(ecs: Any, arn: str) -> bool:
    found = service_of(ecs, "default", arn)
    (primary, *others) = found["deployments"]
    assert primary["status"] == "PRIMARY"
    assert primary["rolloutState"] != "FAILED"
    return not others and primary["rolloutState"] == "COMPLETED" and found["runningCount"] == found["desiredCount"]


def destroy_service(live: LivePlane, ecs: Any, cluster: str, arn: str) -> None:
    ecs.update_service(cluster=cluster, service=arn, desiredCount=0)
    ecs.delete_service(cluster=cluster, service=arn)
    read_until(lambda: service_of(ecs, cluster, arn), live, status="INACTIVE", passing={"ACTIVE", "DRAINING"})

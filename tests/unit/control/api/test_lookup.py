"""Names, IDs and ARNs, long and short, find their record; what is of another cluster, account or kind does not."""

from __future__ import annotations

import pytest

from ecscope.control.api import lookup
from ecscope.control.core.errors import ApiError
from tests.control_builders import (
    PREFIX,
    a_cluster,
    a_control_step,
    a_control_task,
    a_service,
    a_task_definition,
    an_instance,
)
from tests.tables import each_row

CLUSTER = a_cluster()
OTHER = a_cluster("other")
TASK = a_control_task(7)
INSTANCE = an_instance(3)
SERVICE = a_service()


@pytest.mark.parametrize("reference", [None, "", "default", CLUSTER.arn])
def test_a_cluster_is_found(reference: str | None) -> None:
    assert lookup.cluster(a_control_step(CLUSTER, OTHER), reference) == CLUSTER


@each_row(
    "reference",
    [
        "none",
        "x/default",
        "/default",
        "cluster/default",
        "DEFAULT",
        CLUSTER.arn.replace("us-east-1", "eu-west-1"),
        CLUSTER.arn.replace("cluster/", "cluster/x/"),
        CLUSTER.arn.upper(),
        f"{PREFIX}:task/default",
        "old",
    ],
)
def test_a_cluster_is_not_found(reference: str) -> None:
    step = a_control_step(CLUSTER, a_cluster("old", status="INACTIVE"))
    with pytest.raises(ApiError, match=r"^Cluster not found\.$") as caught:
        lookup.cluster(step, reference)
    assert caught.value.code == "ClusterNotFoundException"


def test_a_deleted_cluster_can_still_be_described() -> None:
    old = a_cluster("old", status="INACTIVE")
    assert lookup.find_cluster(a_control_step(old), "old") == old


def test_things_of_a_cluster_are_found() -> None:
    step = a_control_step(CLUSTER, TASK, INSTANCE, SERVICE)
    task_id, instance_id = TASK.arn[-32:], INSTANCE.arn[-32:]
    for reference in (TASK.arn, task_id, f"{PREFIX}:task/{task_id}"):
        assert lookup.find_task(step, CLUSTER, reference) == TASK
    for reference in (INSTANCE.arn, instance_id, f"{PREFIX}:container-instance/{instance_id}"):
        assert lookup.find_instance(step, CLUSTER, reference) == INSTANCE
    for reference in (SERVICE.arn, "web", f"{PREFIX}:service/web"):
        assert lookup.service(step, CLUSTER, reference) == SERVICE


@each_row(
    "reference",
    [
        "0" * 32,
        f"default/{TASK.arn[-32:]}",
        f"x/{TASK.arn}",
        TASK.arn.replace("task/default", "task/other"),
        TASK.arn.replace("us-east-1", "us-west-2"),
        TASK.arn.replace(":task/", ":container-instance/"),
        f"arn:aws:ecs:us-east-1:111111111111:task/{TASK.arn[-32:]}",
        "arn:nothing",
    ],
)
def test_a_task_is_not_found(reference: str) -> None:
    step = a_control_step(CLUSTER, OTHER, TASK)
    assert lookup.find_task(step, CLUSTER, reference) is None
    assert lookup.find_instance(step, CLUSTER, reference) is None


def test_a_service_is_not_found() -> None:
    with pytest.raises(ApiError, match=r"^Service not found\.$"):
        lookup.service(a_control_step(CLUSTER), CLUSTER, f"{PREFIX}:task/web")


FIRST = a_task_definition(revision=1)
SECOND = a_task_definition(revision=2)
THIRD = a_task_definition(revision=3, status="INACTIVE")
FOURTH = a_task_definition(revision=4, status="DELETE_IN_PROGRESS")


@pytest.mark.parametrize("prefix", ["", f"{PREFIX}:task-definition/"])
def test_a_task_definition_is_found_by_family_and_by_revision(prefix: str) -> None:
    step = a_control_step(FIRST, SECOND, THIRD, FOURTH)
    assert lookup.find_task_definition(step, f"{prefix}sample") == SECOND
    assert lookup.find_task_definition(step, f"{prefix}sample:1") == FIRST
    assert lookup.exact_task_definition(step, f"{prefix}sample:3") == THIRD


@each_row(
    "reference",
    ["other", "sample:9", "sample:x", "", f"{PREFIX}:task/sample", "arn:aws:ecs:x:1:task-definition/sample"],
)
def test_a_task_definition_is_not_found(reference: str) -> None:
    step = a_control_step(FIRST)
    assert lookup.find_task_definition(step, reference) is None
    with pytest.raises(ApiError, match=r"^TaskDefinition not found\.$"):
        lookup.task_definition_to_run(step, reference)


def test_only_an_active_definition_runs() -> None:
    step = a_control_step(FIRST, THIRD, FOURTH)
    assert lookup.task_definition_to_run(step, "sample:1") == FIRST
    with pytest.raises(ApiError, match=r"^TaskDefinition is inactive$"):
        lookup.task_definition_to_run(step, "sample:3")
    with pytest.raises(ApiError, match=r"^TaskDefinition not found\.$"):
        lookup.task_definition_to_run(step, "sample:4")


def test_a_family_without_an_active_revision_is_not_found() -> None:
    assert lookup.find_task_definition(a_control_step(THIRD), "sample") is None


def test_some_actions_need_the_revision() -> None:
    step = a_control_step(FIRST)
    with pytest.raises(ApiError, match=r"^Revision is missing\.$"):
        lookup.exact_task_definition(step, FIRST.arn.removesuffix(":1"))
    with pytest.raises(ApiError, match=r"^Invalid revision number\. Number: foo$"):
        lookup.exact_task_definition(step, "sample:foo")
    with pytest.raises(ApiError, match=r"^Unable to describe task definition\.$"):
        lookup.exact_task_definition(step, "sample:2")


def test_capacity_providers_are_found_by_name_and_by_arn() -> None:
    step = a_control_step()
    assert lookup.find_provider(step, "FARGATE") == "FARGATE"
    assert lookup.find_provider(step, f"{PREFIX}:capacity-provider/FARGATE_SPOT") == "FARGATE_SPOT"
    for reference in ("x/FARGATE", "fargate", "arn:aws:ecs:::capacity-provider/FARGATE", ""):
        assert lookup.find_provider(step, reference) is None


def test_an_arn_finds_whatever_has_it() -> None:
    twin = a_service(cluster="other")
    step = a_control_step(CLUSTER, OTHER, TASK, INSTANCE, SERVICE, twin, FIRST)
    for record in (CLUSTER, TASK, INSTANCE, SERVICE, twin, FIRST):
        assert lookup.find_by_arn(step, record.arn) == record
    assert lookup.find_by_arn(step, f"{PREFIX}:service/web") == SERVICE, "the first cluster that has it"
    assert lookup.find_by_arn(step, f"{PREFIX}:task-definition/sample") == FIRST
    for arn in ("web", f"x/{TASK.arn}", TASK.arn.upper(), f"{PREFIX}:daemon/x", f"{PREFIX}:service/x/default/web"):
        assert lookup.find_by_arn(step, arn) is None


def test_arns_are_of_the_settings() -> None:
    assert lookup.arn_of(a_control_step(), "task-definition", "f:1") == f"{PREFIX}:task-definition/f:1"
    assert lookup.arn_of(a_control_step(), "task", "default", "1") == f"{PREFIX}:task/default/1"


def test_a_failure_names_an_arn_also_for_an_id() -> None:
    assert lookup.arn_in(a_cluster(), "task", "abc") == f"{PREFIX}:task/default/abc"
    assert lookup.arn_in(a_cluster(), "task", "arn:of:somebody") == "arn:of:somebody"

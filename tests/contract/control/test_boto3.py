"""boto3 with its waiters and paginators on the whole thing: what is waited for comes about, pages are whole."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.contract.control.live import APP, ARN, SOON, LivePlane


@pytest.fixture(autouse=True)
def _definition(ecs: Any) -> None:
    ecs.register_task_definition(family="web", containerDefinitions=[APP])


def test_tasks_run_and_stop(ecs: Any) -> None:
    made = ecs.run_task(taskDefinition="web", count=3, startedBy="waiters")
    arns = [task["taskArn"] for task in made["tasks"]]
    assert len(arns) == 3
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=SOON)
    for arn in arns:
        ecs.stop_task(task=arn)
    ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig=SOON)
    told = ecs.describe_tasks(tasks=arns)["tasks"]
    assert {(task["lastStatus"], task["stopCode"], task["stoppedReason"]) for task in told} == {
        ("STOPPED", "UserInitiated", "Task stopped by user")
    }
    for task in told:
        assert task["createdAt"] <= task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"]
        assert task["containers"][0]["exitCode"] == 143
    with pytest.raises(WaiterError, match="STOPPED"):
        ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=SOON)
    with pytest.raises(WaiterError, match="MISSING"):
        ecs.get_waiter("tasks_running").wait(tasks=["0" * 32], WaiterConfig=SOON)


def test_a_service_from_creation_to_the_end(live: LivePlane, ecs: Any) -> None:
    ecs.create_service(serviceName="stable", taskDefinition="web", desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["stable"], WaiterConfig=SOON)
    before = set(ecs.list_tasks(serviceName="stable")["taskArns"])
    ecs.update_service(service="stable", forceNewDeployment=True, desiredCount=3)
    ecs.get_waiter("services_stable").wait(services=["stable"], WaiterConfig=SOON)
    after = set(ecs.list_tasks(serviceName="stable")["taskArns"])
    assert (len(before), len(after), before & after) == (2, 3, set())
    (service,) = ecs.describe_services(services=["stable"])["services"]
    assert [deployment["rolloutState"] for deployment in service["deployments"]] == ["COMPLETED"]
    assert "(service stable) has reached a steady state." in [event["message"] for event in service["events"]]
    ecs.delete_service(service="stable", force=True)
    ecs.get_waiter("services_inactive").wait(services=["stable"], WaiterConfig=SOON)
    live.until(lambda: not ecs.list_tasks(family="web")["taskArns"], "the tasks to stop")
    with pytest.raises(WaiterError):
        ecs.get_waiter("services_stable").wait(services=["stable"], WaiterConfig=SOON)


def test_tasks_come_in_pages(live: LivePlane, ecs: Any) -> None:
    """106 tasks: more than a page of 100 and more calls of ten than one."""
    ecs.register_task_definition(family="many", containerDefinitions=[{**APP, "memory": 6}])
    arns = [
        task["taskArn"]
        for count in (10,) * 10 + (6,)
        for task in ecs.run_task(taskDefinition="many", count=count, startedBy="pages")["tasks"]
    ]
    assert len(arns) == 106
    for size in ({}, {"PageSize": 25}):
        pages = [
            page["taskArns"]
            for page in ecs.get_paginator("list_tasks").paginate(startedBy="pages", PaginationConfig=size)
        ]
        assert [len(page) for page in pages] == ([100, 6] if not size else [25, 25, 25, 25, 6])
        assert sorted(arn for page in pages for arn in page) == sorted(arns)
    for start in (0, 100):  # DescribeTasks takes 100
        ecs.get_waiter("tasks_running").wait(tasks=arns[start : start + 100], WaiterConfig=SOON)
    on_each = [
        len(ecs.list_tasks(containerInstance=instance, startedBy="pages")["taskArns"])
        for instance in ecs.list_container_instances()["containerInstanceArns"]
    ]
    assert sum(on_each) == 106
    for arn in arns:
        ecs.stop_task(task=arn)
    live.until(lambda: not live.tasks(), "all of them to stop")
    pages = list(ecs.get_paginator("list_tasks").paginate(startedBy="pages", desiredStatus="STOPPED"))
    assert [len(page["taskArns"]) for page in pages] == [100, 6]


def test_tasks_are_stopped_page_by_page(live: LivePlane, ecs: Any) -> None:
    """As a script does that clears a cluster: what it stops leaves the list that it is paging through."""
    arns = {task["taskArn"] for _ in range(2) for task in ecs.run_task(taskDefinition="web", count=10)["tasks"]}
    seen: list[str] = []
    for page in ecs.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 3}):
        for arn in page["taskArns"]:
            ecs.stop_task(task=arn)
            seen.append(arn)
    assert sorted(seen) == sorted(arns)
    live.until(lambda: not live.tasks(), "all of them to stop")


def listed(ecs: Any, operation: str, member: str, size: int, **members: Any) -> list[list[Any]]:
    pages = ecs.get_paginator(operation).paginate(**members, PaginationConfig={"PageSize": size})
    return [page[member] for page in pages]


def test_everything_else_that_has_a_paginator(ecs: Any) -> None:
    for number in range(7):
        ecs.register_task_definition(family=f"page{number}", containerDefinitions=[APP])
        ecs.register_task_definition(family="paged", containerDefinitions=[APP])
        ecs.create_cluster(clusterName=f"page{number}")
        ecs.create_service(cluster="page0", serviceName=f"web{number}", taskDefinition="web", desiredCount=0)
    assert listed(ecs, "list_task_definitions", "taskDefinitionArns", 3, familyPrefix="paged") == [
        [f"{ARN}:task-definition/paged:{number}" for number in numbers] for numbers in ((1, 2, 3), (4, 5, 6), (7,))
    ]
    families = listed(ecs, "list_task_definition_families", "families", 3, familyPrefix="page")
    assert [len(page) for page in families] == [3, 3, 2]
    assert [name for page in families for name in page] == [*[f"page{number}" for number in range(7)], "paged"]
    clusters = listed(ecs, "list_clusters", "clusterArns", 3)
    assert sorted([arn for page in clusters for arn in page]) == sorted(
        f"{ARN}:cluster/{name}" for name in ("default", *[f"page{number}" for number in range(7)])
    )
    services = listed(ecs, "list_services", "serviceArns", 3, cluster="page0")
    assert [len(page) for page in services] == [3, 3, 1]
    assert len({arn for page in services for arn in page}) == 7
    instances = listed(ecs, "list_container_instances", "containerInstanceArns", 1)
    assert [len(page) for page in instances] == [1, 1]
    assert instances[0] != instances[1]
    attributes = listed(ecs, "list_attributes", "attributes", 10, targetType="container-instance")
    assert len(attributes) > 3
    assert listed(ecs, "list_account_settings", "settings", 5, effectiveSettings=True)[0]

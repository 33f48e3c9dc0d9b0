"""Many boto3 clients at once: every call is answered, or refused in the words of ECS; afterwards the books balance."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from tests.contract.control.live import APP, LivePlane

CLIENTS = 8
CALLS = 40
EXPECTED = {
    "ServiceNotFoundException",  # not made yet, or deleted
    "ServiceNotActiveException",
    "Creation of service was not idempotent.",
    "Unable to Start a service that is still Draining.",
}


def test_many_clients(live: LivePlane, ecs: Any) -> None:
    ecs.register_task_definition(family="web", containerDefinitions=[APP])
    with ThreadPoolExecutor(CLIENTS) as pool:
        for outcome in [pool.submit(use, live, number) for number in range(CLIENTS)]:
            outcome.result()
    clear(live, ecs)
    (cluster,) = ecs.describe_clusters()["clusters"]
    counted = ("runningTasksCount", "pendingTasksCount", "activeServicesCount")
    assert [cluster[name] for name in counted] == [0, 0, 0]
    arns = ecs.list_container_instances()["containerInstanceArns"]
    for instance in ecs.describe_container_instances(containerInstances=arns)["containerInstances"]:
        assert instance["remainingResources"] == instance["registeredResources"]


def use(live: LivePlane, number: int) -> None:
    """Whatever comes to its mind; each client has a service of its own."""
    client, chance, mine = live.client(), random.Random(number), list[str]()
    for _ in range(CALLS):
        try:
            call(client, f"web{number}", chance, mine)
        except ClientError as refused:
            error = refused.response["Error"]
            assert {error["Code"], error["Message"]} & EXPECTED, error


def call(client: Any, service: str, chance: random.Random, mine: list[str]) -> None:
    count = chance.randint(0, 4)
    match chance.choice(("run", "run", "stop", "list", "describe", "create", "update", "delete", "register")):
        case "run":
            answer = client.run_task(taskDefinition="web", count=count + 1)
            assert len(answer["tasks"]) == count + 1
            mine += [task["taskArn"] for task in answer["tasks"]]
        case "stop" if mine:
            client.stop_task(task=mine.pop())
        case "list":
            pages = client.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 20})
            seen = [arn for page in pages for arn in page["taskArns"]]
            assert len(seen) == len(set(seen))
        case "describe" if mine:
            assert client.describe_tasks(tasks=mine[:100])["failures"] == []
        case "create":
            client.create_service(serviceName=service, taskDefinition="web", desiredCount=count)
        case "update":
            client.update_service(service=service, desiredCount=count, forceNewDeployment=chance.random() < 0.5)
        case "delete":
            client.delete_service(service=service, force=True)
        case "register":
            client.register_task_definition(family=service, containerDefinitions=[APP])


def clear(live: LivePlane, ecs: Any) -> None:
    for arn in ecs.list_services(maxResults=100)["serviceArns"]:
        with suppress(ecs.exceptions.ServiceNotFoundException):  # one that was draining, and is gone meanwhile
            ecs.delete_service(service=arn, force=True)
    for page in ecs.get_paginator("list_tasks").paginate():
        for arn in page["taskArns"]:
            ecs.stop_task(task=arn)
    live.until(lambda: not live.tasks() and set(live.tasks("STOPPED")) == {"STOPPED"}, "every task to stop")

"""Container instances are listed, described, drained and taken out as users know it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ecscope.control.core.effects import Disconnect
from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import InstanceStatusDetail, Record
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from tests.control_builders import AT, PREFIX, a_cluster, a_control_step, a_control_task, an_instance, asked
from tests.tables import each_row

FULL = an_instance(
    1,
    reported_attributes=(Attribute(name="ecs.capability.x"), Attribute(name="ecs.os-type", value="linux")),
    custom_attributes={"stack": "prod"},
    version_info={"agentVersion": "1.0", "dockerVersion": "DockerVersion: 24"},
    tags={"a": "b"},
    health=(
        InstanceStatusDetail(
            type="CONTAINER_RUNTIME", status="OK", status_reason="fine", last_updated_at=AT, last_status_change_at=AT
        ),
    ),
)
BARE = an_instance(2, connection_id="")
DRAINING = an_instance(3, status="DRAINING")
INACTIVE = an_instance(4, status="INACTIVE", connection_id="")


def a_world(*records: Record) -> Step:
    return a_control_step(a_cluster(), a_cluster("other"), FULL, BARE, DRAINING, INACTIVE, *records)


def described(step: Step, *instances: str, include: tuple[str, ...] = ()) -> Any:
    return asked(step, "DescribeContainerInstances", containerInstances=list(instances), include=list(include))


def resource(name: str, shown: list[dict[str, Any]]) -> Any:
    (found,) = (one for one in shown if one["name"] == name)
    return found["integerValue"] if found["type"] == "INTEGER" else found["stringSetValue"]


# --- listing --------------------------------------------------------------------------------------


@each_row(
    "body, numbers",
    [
        ({}, [1, 2, 3]),
        ({"status": "DRAINING"}, [3]),
        ({"status": "INACTIVE"}, [4]),
        ({"status": "REGISTERING"}, []),
        ({"filter": "attribute:stack == prod or agentConnected == false"}, [1, 2]),
        ({"filter": "runningTasksCount > 0"}, [2]),
        ({"cluster": "other"}, []),
    ],
)
def test_instances_are_listed(body: dict[str, Any], numbers: list[int]) -> None:
    step = a_world(a_control_task(instance_arn=BARE.arn, last_status="RUNNING"))
    answer = asked(step, "ListContainerInstances", **body)
    assert answer == {"containerInstanceArns": [an_instance(number).arn for number in numbers]}


def test_a_filter_that_cannot_be_read_is_refused_with_its_place() -> None:
    with pytest.raises(ApiError, match="at character 1: unknown subject color"):
        asked(a_world(), "ListContainerInstances", filter="color == red")


def test_instances_are_listed_in_pages() -> None:
    first = asked(a_world(), "ListContainerInstances", maxResults=2)
    second = asked(a_world(), "ListContainerInstances", maxResults=2, nextToken=first["nextToken"])
    assert [*first["containerInstanceArns"], *second["containerInstanceArns"]] == [FULL.arn, BARE.arn, DRAINING.arn]


# --- describing -----------------------------------------------------------------------------------


def test_an_instance_is_described_with_what_is_left_of_it() -> None:
    needs = HostResources(cpu_units=48, memory_mib=96, ports_tcp=frozenset({8080}), ports_udp=frozenset({53}))
    step = a_world(a_control_task(1, needs=needs, last_status="RUNNING"), a_control_task(2))
    answer = described(step, FULL.arn, f"{2:032x}", "unknown")
    full, bare = answer["containerInstances"]
    assert answer["failures"] == [{"arn": f"{PREFIX}:container-instance/default/unknown", "reason": "MISSING"}]
    assert (full["status"], full["agentConnected"], bare["agentConnected"]) == ("ACTIVE", True, False)
    assert (full["runningTasksCount"], full["pendingTasksCount"]) == (1, 1)
    assert full["ec2InstanceId"] == FULL.ec2_instance_id
    assert full["versionInfo"] == FULL.version_info
    assert full["attributes"] == [
        {"name": "ecs.capability.x"},
        {"name": "ecs.os-type", "value": "linux"},
        {"name": "stack", "value": "prod"},
    ]
    assert "healthStatus" not in full
    assert full["tags"] == []
    registered, remaining = full["registeredResources"], full["remainingResources"]
    assert [resource(name, registered) for name in ("CPU", "MEMORY")] == [2048, 4096]
    assert [resource(name, registered) for name in ("PORTS", "PORTS_UDP")] == [["22", "51678"], []]
    assert [resource(name, remaining) for name in ("CPU", "MEMORY")] == [2048 - 48 - 10, 4096 - 96 - 64]
    assert [resource(name, remaining) for name in ("PORTS", "PORTS_UDP")] == [["22", "8080", "51678"], ["53"]]


def test_tags_and_health_are_shown_when_they_are_asked_for() -> None:
    shown = described(a_world(), FULL.arn, BARE.arn, include=("TAGS", "CONTAINER_INSTANCE_HEALTH"))
    full, bare = shown["containerInstances"]
    assert full["tags"] == [{"key": "a", "value": "b"}]
    assert full["healthStatus"] == {
        "overallStatus": "OK",
        "details": [
            {
                "type": "CONTAINER_RUNTIME",
                "status": "OK",
                "statusReason": "fine",
                "lastUpdated": AT.timestamp(),
                "lastStatusChange": AT.timestamp(),
            }
        ],
    }
    assert bare["healthStatus"] == {"overallStatus": "INSUFFICIENT_DATA", "details": []}


def test_the_worst_is_the_health_of_the_whole() -> None:
    details = tuple(InstanceStatusDetail(type="CONTAINER_RUNTIME", status=status) for status in ("OK", "IMPAIRED"))
    instance = an_instance(9, health=details)
    (shown,) = described(a_world(instance), instance.arn, include=("CONTAINER_INSTANCE_HEALTH",))["containerInstances"]
    assert shown["healthStatus"] == {
        "overallStatus": "IMPAIRED",
        "details": [
            {"type": "CONTAINER_RUNTIME", "status": "OK"},
            {"type": "CONTAINER_RUNTIME", "status": "IMPAIRED"},
        ],
    }


@pytest.mark.parametrize("action", ["DescribeContainerInstances", "UpdateContainerInstancesState"])
def test_an_empty_list_is_refused(action: str) -> None:
    with pytest.raises(ApiError, match=r"^Container Instances cannot be empty\.$"):
        asked(a_world(), action, containerInstances=[], status="ACTIVE")


@pytest.mark.parametrize(
    ("action", "count"), [("DescribeContainerInstances", 101), ("UpdateContainerInstancesState", 11)]
)
def test_a_long_list_is_refused(action: str, count: int) -> None:
    with pytest.raises(ApiError, match=f"more than {count - 1}"):
        asked(a_world(), action, containerInstances=["i"] * count, status="ACTIVE")


# --- draining -------------------------------------------------------------------------------------


def test_instances_are_drained_and_taken_back() -> None:
    step = a_world()
    answer = asked(
        step,
        "UpdateContainerInstancesState",
        containerInstances=[FULL.arn, DRAINING.arn, INACTIVE.arn, "unknown"],
        status="DRAINING",
    )
    assert [shown["status"] for shown in answer["containerInstances"]] == ["DRAINING", "DRAINING"]
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING", "INACTIVE"]
    assert (step.instances[FULL.arn].status, step.instances[FULL.arn].version) == ("DRAINING", 2)
    assert step.instances[DRAINING.arn] is DRAINING
    asked(step, "UpdateContainerInstancesState", containerInstances=[FULL.arn], status="ACTIVE")
    assert step.instances[FULL.arn].status == "ACTIVE"


def test_no_other_state_can_be_asked_for() -> None:
    with pytest.raises(ApiError, match=r"^Container instance status should be one of \[ACTIVE, DRAINING\]$"):
        asked(a_world(), "UpdateContainerInstancesState", containerInstances=[FULL.arn], status="REGISTERING")


# --- deregistering --------------------------------------------------------------------------------


def test_an_instance_with_tasks_is_kept_unless_forced() -> None:
    task = a_control_task(last_status="RUNNING")
    step = a_world(task)
    with pytest.raises(ApiError, match=r"^Found running tasks on the instance\.$"):
        asked(step, "DeregisterContainerInstance", containerInstance=FULL.arn)
    shown = asked(step, "DeregisterContainerInstance", containerInstance=FULL.arn, force=True)["containerInstance"]
    assert (shown["status"], shown["agentConnected"]) == ("INACTIVE", False)
    lost = step.tasks[task.arn]
    assert (lost.last_status, lost.stop_code) == ("STOPPED", "TerminationNotice")
    assert lost.stopped_reason == f"Container instance {FULL.arn} deregistered"
    assert [e.connection_id for e in step.decision().effects if isinstance(e, Disconnect)] == [""]


def test_an_empty_instance_is_deregistered_once() -> None:
    step = a_world()
    asked(step, "DeregisterContainerInstance", containerInstance=f"{1:032x}")
    again = asked(step, "DeregisterContainerInstance", containerInstance=FULL.arn)["containerInstance"]
    assert (again["status"], again["version"]) == ("INACTIVE", 2)
    assert asked(step, "ListContainerInstances", filter="attribute:stack exists") == {"containerInstanceArns": []}


@pytest.mark.parametrize("action", ["DeregisterContainerInstance", "UpdateContainerAgent"])
def test_an_unknown_instance_is_refused(action: str) -> None:
    with pytest.raises(ApiError, match=r"^The referenced container instance was not found\.$"):
        asked(a_world(), action, containerInstance="unknown")


def test_agents_are_not_updated_from_here() -> None:
    with pytest.raises(ApiError) as raised:
        asked(a_world(), "UpdateContainerAgent", containerInstance=FULL.arn)
    assert raised.value.code == "NoUpdateAvailableException"


def test_registered_at_is_kept_to_the_millisecond() -> None:
    instance = an_instance(9, registered_at=AT + timedelta(milliseconds=250))
    (shown,) = described(a_world(instance), instance.arn)["containerInstances"]
    assert shown["registeredAt"] == AT.timestamp() + 0.25

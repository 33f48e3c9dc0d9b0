"""Agents register once and again, are told where to go, and are believed about their tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Record
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from ecscope.wire.ecs_api import attributes_not_echoed, poll_endpoints, register_container_instance, registration
from tests.control_builders import AT, PREFIX, a_cluster, a_control_step, a_control_task, an_instance, asked

CAPABILITIES = (
    Attribute(name="com.amazonaws.ecs.capability.docker-remote-api.1.24"),
    Attribute(name="ecs.os-type", value="linux"),
)
CUSTOM = Attribute(name="stack", value="prod")
RESOURCES = HostResources(cpu_units=4096, memory_mib=7000, ports_tcp=frozenset({22, 51678}), ports_udp=frozenset({53}))
DOCUMENT = json.dumps(
    {
        "instanceId": "i-0123456789abcdef0",
        "instanceType": "t2.small",
        "imageId": "ami-1",
        "availabilityZone": "us-east-1c",
        "architecture": "x86_64",
    }
)


def a_world(*records: Record) -> Step:
    return a_control_step(a_cluster(), *records)


def register(
    step: Step, *, attributes: tuple[Attribute, ...] = (CUSTOM, *CAPABILITIES), token: str = "t", **more: Any
) -> dict[str, Any]:
    body = register_container_instance(
        cluster="default", client_token=token, resources=RESOURCES, attributes=attributes, **more
    )
    answer: dict[str, Any] = asked(step, "RegisterContainerInstance", **body)
    assert not attributes_not_echoed(attributes, registration(answer))
    return answer["containerInstance"]


# --- registration ---------------------------------------------------------------------------------


def test_a_new_instance_is_registered() -> None:
    step = a_world()
    shown = register(step, tags={"a": "b"})
    arn = shown["containerInstanceArn"]
    assert arn.startswith(f"{PREFIX}:container-instance/default/")
    assert (shown["status"], shown["agentConnected"], shown["version"]) == ("ACTIVE", False, 1)
    assert shown["ec2InstanceId"].startswith("mi-")
    assert shown["tags"] == [{"key": "a", "value": "b"}]
    instance = step.instances[arn]
    assert instance.resources == RESOURCES
    assert instance.custom_attributes == {"stack": "prod"}
    assert instance.attributes["ecs.availability-zone"] == "us-east-1a"
    assert instance.registered_at == AT


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "c"), ("", "c"), ("x" * 129, ""), ("stack", "a,b"), ("stack", " b")]
)
def test_an_attribute_that_cannot_be_put_cannot_be_registered(name: str, value: str) -> None:
    step = a_world()
    with pytest.raises(ApiError) as raised:
        register(step, attributes=(Attribute(name=name, value=value),))
    assert raised.value.code == "InvalidParameterException"
    assert not step.instances


def test_an_attribute_without_a_value_is_registered() -> None:
    step = a_world()
    arn = register(step, attributes=(Attribute(name="gpu"), Attribute(name="fast", value="")))["containerInstanceArn"]
    assert set(step.instances[arn].custom_attributes) == {"gpu", "fast"}


def test_an_identity_document_says_more() -> None:
    step = a_world()
    shown = register(step, identity_document=DOCUMENT)
    attributes = step.instances[shown["containerInstanceArn"]].attributes
    assert shown["ec2InstanceId"] == "i-0123456789abcdef0"
    assert attributes["ecs.availability-zone"] == "us-east-1c"
    assert (attributes["ecs.instance-type"], attributes["ecs.ami-id"]) == ("t2.small", "ami-1")
    assert attributes["ecs.cpu-architecture"] == "x86_64"


@pytest.mark.parametrize("document", ["{", "[]", '{"instanceId": 1, "availabilityZone": 2}', "[" * 100_000])
def test_a_document_that_says_nothing_is_none(document: str) -> None:
    assert register(a_world(), identity_document=document)["ec2InstanceId"].startswith("mi-")


def test_the_same_arn_is_the_same_instance() -> None:
    step = a_world()
    first = register(step)
    asked(
        step,
        "PutAttributes",
        attributes=[
            {"name": "put", "value": "1", "targetId": first["containerInstanceArn"]},
        ],
    )
    again = register(
        step, attributes=CAPABILITIES[:1], token="other", container_instance_arn=first["containerInstanceArn"]
    )
    assert again["containerInstanceArn"] == first["containerInstanceArn"]
    assert again["ec2InstanceId"] == first["ec2InstanceId"]
    assert len(step.instances) == 1
    instance = step.instances[first["containerInstanceArn"]]
    assert instance.custom_attributes == {"stack": "prod", "put": "1"}, "a user's attributes stay"
    assert "ecs.os-type" not in instance.attributes, "capabilities are replaced"


def test_what_an_instance_was_told_and_does_stays_over_a_registration() -> None:
    was = an_instance(status="DRAINING", tags={"a": "b"}, version_info={"agentVersion": "1"})
    step = a_world(was)
    shown = register(step, container_instance_arn=was.arn, tags={"c": "d"})
    instance = step.instances[was.arn]
    assert (shown["status"], instance.connection_id, instance.registered_at) == ("DRAINING", "c1", AT)
    assert instance.tags == {"a": "b", "c": "d"}
    assert instance.version_info == {"agentVersion": "1"}


def test_an_agent_whose_tag_is_spelled_otherwise_registers_all_the_same() -> None:
    was = an_instance(tags={"Team": "b"})
    step = a_world(was)
    register(step, container_instance_arn=was.arn, tags={"team": "c", "d": "e"})
    assert step.instances[was.arn].tags == {"Team": "b", "d": "e"}


def test_a_client_token_that_comes_again_registers_nothing_new() -> None:
    step = a_world()
    assert register(step)["containerInstanceArn"] == register(step)["containerInstanceArn"]
    assert register(step, token="other")["containerInstanceArn"] != register(step)["containerInstanceArn"]
    assert register(step, token="")["containerInstanceArn"] != register(step, token="")["containerInstanceArn"]


def test_an_instance_that_was_forgotten_or_deregistered_comes_back_under_its_arn() -> None:
    inactive = an_instance(2, status="INACTIVE")
    step = a_world(inactive)
    for arn in (an_instance(1).arn, inactive.arn):
        shown = register(step, container_instance_arn=arn)
        assert (shown["containerInstanceArn"], shown["status"]) == (arn, "ACTIVE")


@pytest.mark.parametrize(
    "arn", [an_instance(cluster="other").arn, f"{PREFIX}:container-instance/default/a/b", "arn:aws:ecs:x"]
)
def test_an_arn_of_elsewhere_is_refused(arn: str) -> None:
    with pytest.raises(ApiError) as raised:
        register(a_world(), container_instance_arn=arn)
    assert raised.value.code == "ClientException"


def test_an_instance_cannot_become_one_of_another_type() -> None:
    step = a_world()
    arn = register(step, identity_document=DOCUMENT)["containerInstanceArn"]
    with pytest.raises(ApiError, match=r"^Container instance type changes are not supported\.$"):
        register(step, container_instance_arn=arn, identity_document=DOCUMENT.replace("t2.small", "t3.large"))
    register(step, container_instance_arn=arn, identity_document="")


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(ApiError, match="'ssh' is not a port"):
        asked(
            a_world(),
            "RegisterContainerInstance",
            totalResources=[{"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["ssh"]}],
        )


def test_an_unknown_cluster_is_refused_in_the_known_words() -> None:
    with pytest.raises(ApiError, match=r"^Cluster not found\.$"):
        asked(a_world(), "RegisterContainerInstance", cluster="other")


def test_agents_are_told_where_to_go() -> None:
    found = poll_endpoints(asked(a_world(), "DiscoverPollEndpoint", containerInstance=an_instance().arn))
    assert found.endpoint == "http://127.0.0.1:51677/acs/"
    assert found.telemetry_endpoint == "http://127.0.0.1:51677/tcs/"


# --- state changes --------------------------------------------------------------------------------


def test_a_task_becomes_what_its_agent_says() -> None:
    task = a_control_task()
    step = a_world(an_instance(), task)
    answer = asked(
        step,
        "SubmitTaskStateChange",
        task=task.arn,
        status="RUNNING",
        reason="",
        containers=[
            {
                "containerName": "app",
                "status": "RUNNING",
                "runtimeId": "d",
                "imageDigest": "sha256:1",
                "networkBindings": [{"hostPort": 1}],
            }
        ],
        pullStartedAt=AT.timestamp(),
        pullStoppedAt=AT.timestamp() + 1,
    )
    assert answer == {"acknowledgment": "ACK"}
    now = step.tasks[task.arn]
    assert (now.last_status, now.started_at, now.pull_started_at) == ("RUNNING", AT, AT)
    assert now.containers[0].runtime_id == "d"
    asked(
        step,
        "SubmitTaskStateChange",
        task=task.arn,
        status="STOPPED",
        containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 1, "reason": "r"}],
        executionStoppedAt=AT.timestamp(),
    )
    now = step.tasks[task.arn]
    assert (now.last_status, now.execution_stopped_at, now.containers[0].exit_code) == ("STOPPED", AT, 1)


def test_an_attachment_alone_changes_nothing() -> None:
    step = a_world(an_instance(), a_control_task())
    attached = [{"attachmentArn": "arn", "status": "ATTACHED"}]
    asked(step, "SubmitTaskStateChange", task=a_control_task().arn, attachments=attached)
    asked(step, "SubmitAttachmentStateChanges", attachments=attached)
    assert not step.decision().records


def test_a_container_may_be_reported_alone() -> None:
    step = a_world(an_instance(), a_control_task())
    asked(
        step, "SubmitContainerStateChange", task=a_control_task().arn, containerName="app", status="STOPPED", exitCode=2
    )
    now = step.tasks[a_control_task().arn]
    assert (now.last_status, now.containers[0].exit_code) == ("PENDING", 2)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"task": "unknown", "status": "STOPPED"}, "The referenced task was not found."),
        ({"status": "STOPPED"}, "The referenced task was not found."),
        ({"task": a_control_task().arn, "status": "DEAD"}, "Invalid status 'DEAD'"),
        ({"task": a_control_task().arn, "pullStartedAt": 1e20}, "Invalid timestamp 1e"),
        ({"task": a_control_task().arn, "containers": [{"containerName": "app", "status": "?"}]}, "Invalid status"),
    ],
)
def test_what_makes_no_sense_is_refused_for_good(body: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError) as raised:
        asked(a_world(an_instance(), a_control_task()), "SubmitTaskStateChange", **body)
    assert raised.value.code == "InvalidParameterException", "the agent drops what is answered so"
    assert text in raised.value.message

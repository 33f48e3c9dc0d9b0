"""The ECS API's bodies are those that the official agent was recorded sending, and its answers are read or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from ecscope.model.container import PortBinding, PortMapping
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from ecscope.model.state_change import ContainerStateChange, TaskStateChange
from ecscope.model.status import ReportedStatus
from ecscope.wire.ecs_api import (
    PollEndpoints,
    Registration,
    ReportCannotBeBuilt,
    UnusableAnswer,
    attributes_not_echoed,
    create_cluster,
    discover_poll_endpoint,
    epoch_seconds,
    network_bindings,
    poll_endpoints,
    register_container_instance,
    registration,
    submit_attachment_state_changes,
    submit_task_attachment,
    submit_task_state_change,
    update_container_instances_state,
)
from tests import traffic

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ARN = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/396e40d1d8874ee18f91815a094803ef"
CHANGES = [
    pytest.param(record["body"], id=f"{file}-{record['n']}")
    for file in traffic.ALL
    for record in traffic.records(file)
    if record.get("action") == "SubmitTaskStateChange"
]
REGISTRATIONS = [
    pytest.param(record["body"], id=f"{file}-{record['n']}")
    for file in (traffic.SEQUENCE, traffic.RESTART)
    for record in traffic.records(file)
    if record.get("action") == "RegisterContainerInstance"
]


def recorded(action: str) -> dict[str, Any]:
    """The record of the first call of that name."""
    return next(r for r in traffic.records(traffic.SEQUENCE) if r.get("action") == action)


# --- state changes -----------------------------------------------------------------------------------


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else EPOCH + timedelta(milliseconds=round(seconds * 1000))


def change_of(body: Mapping[str, Any]) -> TaskStateChange:
    """The value that the body was made of."""
    return TaskStateChange(
        number=1,
        status=ReportedStatus(body["status"]),
        reason=body["reason"],
        containers=tuple(
            ContainerStateChange(
                container_name=container["containerName"],
                status=ReportedStatus(container["status"]),
                runtime_id=container.get("runtimeId", ""),
                exit_code=container.get("exitCode"),
                reason=container.get("reason", ""),
                image_digest=container.get("imageDigest", ""),
                bindings=tuple(
                    binding
                    for found in container.get("networkBindings", ())
                    for binding in both_families(found["containerPort"], found["hostPort"])
                ),
            )
            for container in body.get("containers", ())
        ),
        pull_started_at=moment(body.get("pullStartedAt")),
        pull_stopped_at=moment(body.get("pullStoppedAt")),
        execution_stopped_at=moment(body.get("executionStoppedAt")),
    )


def both_families(container_port: int, host_port: int, protocol: str = "tcp") -> tuple[PortBinding, PortBinding]:
    """What Docker shows for one published port."""
    return (
        PortBinding(container_port=container_port, host_port=host_port, protocol=protocol, host_ip="0.0.0.0"),
        PortBinding(container_port=container_port, host_port=host_port, protocol=protocol, host_ip="::"),
    )


def submitted(change: TaskStateChange, mappings: Mapping[str, tuple[PortMapping, ...]] | None = None) -> dict[str, Any]:
    return submit_task_state_change(
        cluster="default", task_arn="arn:task", change=change, port_mappings=mappings or {}, exclude_ipv6=True
    )


def a_change(*containers: ContainerStateChange, **fields: Any) -> TaskStateChange:
    change = TaskStateChange(number=1, status=ReportedStatus.RUNNING, containers=containers)
    return msgspec.structs.replace(change, **fields)


@pytest.mark.parametrize("body", CHANGES)
def test_each_recorded_state_change_is_made_again_from_its_value(body: dict[str, Any]) -> None:
    made = submit_task_state_change(
        cluster=body["cluster"],
        task_arn=body["task"],
        change=change_of(body),
        port_mappings={"app": (PortMapping(container_port=8080),)},
        exclude_ipv6=True,
    )
    assert made == body


def test_all_recorded_state_changes_are_among_them() -> None:
    assert len(CHANGES) == 17


def test_a_change_without_news_of_containers_has_no_list_of_them() -> None:
    assert submitted(a_change()) == {"cluster": "default", "task": "arn:task", "status": "RUNNING", "reason": ""}


def test_long_texts_are_cut() -> None:
    container = ContainerStateChange(
        container_name="app",
        status=ReportedStatus.STOPPED,
        reason="r" * 1025,
        runtime_id="i" * 256,
        image_digest="d" * 256,
    )
    body = submitted(a_change(container, reason="t" * 1025))
    assert body["reason"] == "t" * 1024
    assert body["containers"][0]["reason"] == "r" * 1024
    assert body["containers"][0]["runtimeId"] == "i" * 255
    assert body["containers"][0]["imageDigest"] == "d" * 255


def test_exit_code_zero_is_a_known_one() -> None:
    container = ContainerStateChange(container_name="app", status=ReportedStatus.STOPPED, exit_code=0)
    assert submitted(a_change(container))["containers"] == [
        {"containerName": "app", "status": "STOPPED", "exitCode": 0}
    ]


@pytest.mark.parametrize(
    ("exclude_ipv6", "exclude_ipv4", "addresses"),
    [(True, False, ["0.0.0.0"]), (False, False, ["0.0.0.0", "::"]), (False, True, ["::"])],
)
def test_addresses_of_one_family_can_be_left_out(exclude_ipv6: bool, exclude_ipv4: bool, addresses: list[str]) -> None:
    container = ContainerStateChange(
        container_name="app", status=ReportedStatus.RUNNING, bindings=both_families(80, 32768)
    )
    body = submit_task_state_change(
        cluster="default",
        task_arn="arn:task",
        change=a_change(container),
        port_mappings={"app": (PortMapping(container_port=80),)},
        exclude_ipv6=exclude_ipv6,
        exclude_ipv4=exclude_ipv4,
    )
    assert [binding["bindIP"] for binding in body["containers"][0]["networkBindings"]] == addresses


def test_only_ports_that_the_task_definition_maps_are_told() -> None:
    assert network_bindings(both_families(9000, 32768), [PortMapping(container_port=80)]) == []


def test_a_range_is_told_as_one_after_the_single_ports_for_each_address_and_protocol() -> None:
    ports = [port for i in range(3) for port in both_families(8000 + i, 40000 + i)]
    udp = [port for i in range(3) for port in both_families(8000 + i, 41000 + i, "udp")]
    bindings = (*ports, *udp, *both_families(80, 32768))
    mappings = [
        PortMapping(container_port_range="8000-8002"),
        PortMapping(container_port=80),
        PortMapping(container_port_range="8000-8002", protocol="udp"),
        PortMapping(container_port_range="9000-9001"),
    ]
    assert network_bindings(bindings, mappings) == [
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"},
        {"bindIP": "::", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"},
        a_range("0.0.0.0", "40000-40002", "tcp"),
        a_range("::", "40000-40002", "tcp"),
        a_range("0.0.0.0", "41000-41002", "udp"),
        a_range("::", "41000-41002", "udp"),
    ]


def a_range(address: str, host_ports: str, protocol: str) -> dict[str, str]:
    return {
        "bindIP": address,
        "containerPortRange": "8000-8002",
        "hostPortRange": host_ports,
        "protocol": protocol,
    }


def test_more_than_a_hundred_bindings_beside_a_range_cannot_be_reported() -> None:
    bindings = tuple(binding for port in range(100) for binding in both_families(1000 + port, 1000 + port))
    mappings = tuple(PortMapping(container_port=1000 + port) for port in range(100))
    container = ContainerStateChange(container_name="app", status=ReportedStatus.RUNNING, bindings=bindings)
    with_range = (*mappings, PortMapping(container_port_range="5000-5001"))
    in_range = both_families(5000, 5000) + both_families(5001, 5001)
    too_many = ContainerStateChange(
        container_name="app", status=ReportedStatus.RUNNING, bindings=(*bindings, *in_range)
    )

    assert len(submitted(a_change(container), {"app": with_range})["containers"][0]["networkBindings"]) == 100
    with pytest.raises(ReportCannotBeBuilt, match="container app uses port ranges and has 101 bindings"):
        submitted(a_change(too_many), {"app": with_range})


def test_more_than_a_hundred_single_ports_can_be_reported() -> None:
    bindings = tuple(binding for port in range(101) for binding in both_families(1000 + port, 1000 + port))
    mappings = tuple(PortMapping(container_port=1000 + port) for port in range(101))
    container = ContainerStateChange(container_name="app", status=ReportedStatus.RUNNING, bindings=bindings)
    assert len(submitted(a_change(container), {"app": mappings})["containers"][0]["networkBindings"]) == 101


def test_moments_are_cut_to_milliseconds_and_told_in_utc() -> None:
    assert epoch_seconds(datetime(2026, 11, 23, 14, 59, 19, 999_999, tzinfo=UTC)) == 1795445959.999
    assert epoch_seconds(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0


# --- registration ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", REGISTRATIONS)
def test_each_recorded_registration_is_made_again_from_its_values(body: dict[str, Any]) -> None:
    cpu, memory, ports, udp = body["totalResources"]
    made = register_container_instance(
        cluster=body["cluster"],
        client_token=body["clientToken"],
        container_instance_arn=body.get("containerInstanceArn", ""),
        resources=HostResources(
            cpu_units=cpu["integerValue"],
            memory_mib=memory["integerValue"],
            ports_tcp=frozenset(int(port) for port in ports["stringSetValue"]),
            ports_udp=frozenset(int(port) for port in udp["stringSetValue"]),
        ),
        attributes=[Attribute(name=a["name"], value=a.get("value")) for a in body["attributes"]],
        tags={},
    )
    assert made == body


def test_the_recordings_hold_a_first_registration_and_a_later_one() -> None:
    bodies: list[Any] = [parameters.values[0] for parameters in REGISTRATIONS]
    assert {bool(body.get("containerInstanceArn")) for body in bodies} == {True, False}


def test_identity_and_tags_are_sent_where_there_are_some() -> None:
    body = register_container_instance(
        cluster="default",
        client_token="token",
        resources=HostResources(),
        attributes=[Attribute(name="rack", value="")],
        tags={"team": "blue"},
        identity_document='{"region":"us-west-2"}',
        identity_document_signature="c2lnbmVk",
    )
    assert body["instanceIdentityDocument"] == '{"region":"us-west-2"}'
    assert body["instanceIdentityDocumentSignature"] == "c2lnbmVk"
    assert body["tags"] == [{"key": "team", "value": "blue"}]
    assert body["attributes"] == [{"name": "rack", "value": ""}]
    assert "containerInstanceArn" not in body


def test_the_recorded_answer_names_the_instance_and_its_zone() -> None:
    record: dict[str, Any] = json.loads((traffic.FOLDER / "register-container-instance.json").read_text())
    answer = registration(record["reply"])
    assert answer.container_instance_arn == ARN
    assert answer.availability_zone == "us-west-2a"
    sent = [Attribute(name=a["name"], value=a.get("value")) for a in record["body"]["attributes"]]
    assert attributes_not_echoed(sent, answer) == ()


def test_what_was_not_taken_over_is_named() -> None:
    answer = Registration(
        container_instance_arn=ARN,
        attributes=(Attribute(name="same", value=""), Attribute(name="other", value="x")),
    )
    sent = [Attribute(name="same"), Attribute(name="other", value="y"), Attribute(name="gone")]
    assert attributes_not_echoed(sent, answer) == ("other ('x' instead of 'y')", "gone")


def test_an_answer_may_tell_no_zone_and_no_attributes() -> None:
    assert registration({"containerInstance": {"containerInstanceArn": ARN, "attributes": None}}) == Registration(
        container_instance_arn=ARN
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "names no container instance"),
        ({"containerInstance": None}, "names no container instance"),
        ({"containerInstance": {"attributes": []}}, "names no container instance"),
        ({"containerInstance": {"containerInstanceArn": 7}}, "not of the form that the API has: Expected `str`"),
    ],
)
def test_an_answer_without_an_instance_is_of_no_use(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableAnswer, match=message):
        registration(answer)


# --- the rest ----------------------------------------------------------------------------------------


def test_a_cluster_is_made_as_recorded() -> None:
    assert create_cluster("default") == recorded("CreateCluster")["body"]


def test_endpoints_are_asked_for_as_recorded_and_read() -> None:
    record = recorded("DiscoverPollEndpoint")
    assert discover_poll_endpoint(cluster="default", container_instance_arn=ARN) == record["body"]
    assert poll_endpoints(record["reply"]) == PollEndpoints(
        endpoint="http://127.0.0.1:18000/acs/", telemetry_endpoint="http://127.0.0.1:18000/tcs/"
    )


def test_telemetry_may_have_no_endpoint_but_acs_must() -> None:
    assert poll_endpoints({"endpoint": "https://acs"}).telemetry_endpoint == ""
    with pytest.raises(UnusableAnswer, match="no endpoint returned; nil"):
        poll_endpoints({"telemetryEndpoint": "https://tcs"})


def test_attachments_and_draining_have_their_bodies() -> None:
    attached = [{"attachmentArn": "arn:attachment", "status": "ATTACHED"}]
    assert submit_attachment_state_changes(cluster="c", attachment_arns=["arn:attachment"]) == {
        "cluster": "c",
        "attachments": attached,
    }
    assert submit_task_attachment(cluster="c", task_arn="arn:task", attachment_arn="arn:attachment") == {
        "cluster": "c",
        "task": "arn:task",
        "attachments": attached,
    }
    assert update_container_instances_state(cluster="c", container_instance_arn=ARN, status="DRAINING") == {
        "cluster": "c",
        "containerInstances": [ARN],
        "status": "DRAINING",
    }

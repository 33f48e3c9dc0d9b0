"""Input is held to botocore's service model, and refused in AWS's words; output is held to it to the last member."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.server.model import (
    AGENTS_MEMBERS,
    MISSING_IN_WORDS,
    WITH_CLIENT_EXCEPTION,
    Checked,
    ServiceModel,
    WrongOutputError,
)
from tests.tables import each_row

MODEL = ServiceModel()
PREFIX = "AmazonEC2ContainerServiceV20141113."


def read(action: str, **body: Any) -> Checked:
    return MODEL.read(action, json.dumps(body).encode())


def refusal(action: str, **body: Any) -> tuple[str, str]:
    found = read(action, **body).refusal
    assert found is not None
    return found.code, found.message


def unreadable(sent: bytes, action: str = "RunTask") -> str:
    with pytest.raises(ApiError) as caught:
        MODEL.read(action, sent)
    assert caught.value.code == "SerializationException"
    return caught.value.message


@each_row("action", sorted(MODEL.operations))
def test_each_action_has_its_checks(action: str) -> None:
    assert MODEL.action(PREFIX + action) == action
    assert set(MODEL.read(action, b"").body) == set()
    with pytest.raises(WrongOutputError, match="one of the model"):
        MODEL.check_output(action, {"noSuchMember": 1})


@each_row("target", ["", "ListTasks", PREFIX, PREFIX + "listTasks", "Other.ListTasks", "x" * 9999])
def test_an_unknown_target_is_an_unknown_operation(target: str) -> None:
    with pytest.raises(ApiError) as caught:
        MODEL.action(target)
    assert caught.value.code == "UnknownOperationException"
    assert len(caught.value.message) < 300


def test_good_input_is_as_it_was_sent() -> None:
    body = {"cluster": "a", "taskDefinition": "b:1", "count": 2, "tags": [{"key": "ключ 1", "value": ""}]}
    assert read("RunTask", **body) == Checked(body)


def test_an_empty_body_is_an_empty_object() -> None:
    assert MODEL.read("ListClusters", b" \n") == Checked({})


def test_unknown_members_and_nulls_are_left_out() -> None:
    found = read("StopTask", task="a", reason=None, noSuch={"a": [1]}, Task="b")
    assert found == Checked({"task": "a"})


def test_what_agents_send_beside_is_kept() -> None:
    assert read("RegisterContainerInstance", clientToken="a", other="b").body == {"clientToken": "a"}
    assert read("DiscoverPollEndpoint", zoneId="a").body == {"zoneId": "a"}
    with pytest.raises(ApiError, match="cannot be converted to String"):
        read("DiscoverPollEndpoint", zoneId=1)


def test_what_the_model_has_by_now_is_no_agents_secret() -> None:
    for action, members in AGENTS_MEMBERS.items():
        assert not members.keys() & MODEL.shape(MODEL.input_shape(action)).members.keys()


@each_row(
    "sent, said",
    [
        (b"[]", "Unrecognized collection type class java.util.ArrayList"),
        (b'"a"', "Unexpected field type"),
        (b"null", "Unexpected field type"),
        (b'{"cluster": 1}', "NUMBER_VALUE cannot be converted to String (at 'cluster')"),
        (b'{"cluster": 1.5}', "DECIMAL_VALUE cannot be converted to String (at 'cluster')"),
        (b'{"cluster": true}', "TRUE_VALUE cannot be converted to String (at 'cluster')"),
        (b'{"cluster": {}}', "Start of structure or map found where not expected. (at 'cluster')"),
        (b'{"cluster": []}', "Start of list found where not expected (at 'cluster')"),
        (b'{"count": "1"}', "STRING_VALUE cannot be converted to Integer (at 'count')"),
        (b'{"count": 1.5}', "DECIMAL_VALUE cannot be converted to Integer (at 'count')"),
        (b'{"count": false}', "FALSE_VALUE cannot be converted to Integer (at 'count')"),
        (b'{"count": 2147483648}', "NUMBER_VALUE cannot be converted to Integer (at 'count')"),
        (b'{"count": 1e30}', "NUMBER_VALUE cannot be converted to Integer (at 'count')"),
        (b'{"enableECSManagedTags": "true"}', "Unexpected token received from parser (at 'enableECSManagedTags')"),
        (b'{"enableECSManagedTags": 1}', "NUMBER_VALUE cannot be converted to Boolean (at 'enableECSManagedTags')"),
        (b'{"tags": "a"}', "Unexpected field type (at 'tags')"),
        (b'{"tags": {}}', "Start of structure or map found where not expected. (at 'tags')"),
        (b'{"tags": [{}, []]}', "Unrecognized collection type class java.util.ArrayList (at 'tags.2.member')"),
    ],
)
def test_another_type_cannot_be_read(sent: bytes, said: str) -> None:
    assert unreadable(sent) == said


@each_row(
    "sent",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xff",
        b'{"cluster": "\\ud800"}',
        b'{"a":' * 100_000,
        b"{} {}",
        b'{"a": 1e999}',
    ],
)
def test_what_is_no_json_cannot_be_read(sent: bytes) -> None:
    assert unreadable(sent).startswith("The request is not JSON that can be read: ")


@pytest.mark.parametrize("value", ["2024-01-01T00:00:00Z", True, 1e15, -1e15, {}])
def test_a_time_is_seconds_since_the_epoch(value: object) -> None:
    assert read("SubmitTaskStateChange", pullStartedAt=1700000000.5).body == {"pullStartedAt": 1700000000.5}
    unreadable(json.dumps({"pullStartedAt": value}).encode(), "SubmitTaskStateChange")


def test_a_whole_number_may_be_written_as_a_decimal() -> None:
    found = read("RunTask", taskDefinition="a", count=2.0).body["count"]
    assert (found, type(found)) == (2, int)


def test_all_that_breaks_a_rule_is_told_at_once() -> None:
    code, message = refusal("RunTask", launchType="CLOUD", tags=[{"key": "", "value": "x" * 257}, {"key": "é!"}])
    assert code == "InvalidParameterException"
    assert message.startswith(
        "5 validation errors detected: Value 'CLOUD' at 'launchType' failed to satisfy constraint:"
    )
    for part in (
        "Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL",
        "Value '' at 'tags.1.member.key' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
        "at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256",
        "Value 'é!' at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular expression ",
        "Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null",
    ):
        assert part in message
    assert len(message) < 1500


def test_a_single_mistake_is_one_error() -> None:
    assert refusal("StopTask") == (
        "InvalidParameterException",
        "1 validation error detected: Value null at 'task' failed to satisfy constraint: Member must not be null",
    )


def test_lists_and_maps_hold_no_nulls() -> None:
    _, message = refusal("DescribeTasks", tasks=["a", None])
    assert "Value null at 'tasks.2.member'" in message
    labels = {"name": "a", "dockerLabels": {"b": None}}
    _, message = refusal("RegisterTaskDefinition", family="a", containerDefinitions=[labels])
    assert "Value null at 'containerDefinitions.1.member.dockerLabels.b'" in message


def test_numbers_keep_their_range() -> None:
    strategy = [{"capacityProvider": "a", "weight": 1001, "base": -1}]
    _, message = refusal("RunTask", taskDefinition="a", capacityProviderStrategy=strategy)
    assert "Member must have value less than or equal to 1000" in message
    assert "Member must have value greater than or equal to 0" in message


def test_lists_keep_their_length() -> None:
    _, message = refusal("TagResource", resourceArn="a", tags=[{"key": str(n)} for n in range(51)])
    assert "at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50" in message
    assert len(message) < 500


@pytest.mark.parametrize(("place", "told"), MISSING_IN_WORDS.items())
def test_some_missing_members_are_told_in_other_words(place: tuple[str, str], told: tuple[str, str]) -> None:
    action, member = place
    assert member in MODEL.shape(MODEL.input_shape(action)).required
    others = {name: [] if name.endswith("s") else "a" for name in MODEL.shape(MODEL.input_shape(action)).required}
    del others[member]
    assert refusal(action, **others) == told


def test_every_code_is_one_that_the_action_has() -> None:
    for action in MODEL.operations:
        code = "ClientException" if action in WITH_CLIENT_EXCEPTION else "InvalidParameterException"
        assert code in MODEL.errors(action), action
    for (action, _), (code, _) in MISSING_IN_WORDS.items():
        assert code in MODEL.errors(action)


def test_a_fault_is_the_servers() -> None:
    assert MODEL.is_fault("ServerException")
    assert not MODEL.is_fault("ClientException")
    assert not MODEL.is_fault("SerializationException")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"tasks": [{"taskArn": 1}]}, "NUMBER_VALUE cannot be converted to String"),
        ({"tasks": [{"createdAt": "now"}]}, "STRING_VALUE cannot be converted to Timestamp"),
        ({"tasks": None}, "Member must not be null"),
        ({"tasks": [{"nope": 1}]}, "'tasks.1.member.nope'"),
        ({"tasks": [{"launchType": "CLOUD"}]}, "enum"),
    ],
)
def test_output_is_held_to_the_model(output: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongOutputError, match=said):
        MODEL.check_output("DescribeTasks", output)


def test_good_output_passes() -> None:
    MODEL.check_output("DescribeTasks", {"tasks": [{"taskArn": "a", "createdAt": 1.5}], "failures": []})


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (
            "RunTask",
            {
                "taskDefinition": "a:1", "count": 10, "startedBy": "b", "tags": [{"key": "a", "value": "b"}] * 5,
                "overrides": {
                    "containerOverrides": [{"name": "app", "environment": [{"name": "A", "value": "b"}] * 10}]
                },
            },
        ),
        ("DescribeTasks", {"tasks": [f"arn:aws:ecs:us-east-1:000000000000:task/default/{n:032x}" for n in range(100)]}),
    ],
)  # fmt: skip
def test_a_check_takes_less_than_a_fifth_of_a_millisecond(action: str, body: dict[str, Any]) -> None:
    sent = json.dumps(body).encode()
    assert MODEL.read(action, sent).refusal is None
    best_s = 1.0
    for _ in range(50):
        began = time.perf_counter()
        MODEL.read(action, sent)
        best_s = min(best_s, time.perf_counter() - began)
    assert best_s < 0.0002

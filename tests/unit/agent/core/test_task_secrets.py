"""What is asked for of secrets and parameters, what a container gets of the answers, and ECS's words for failures."""

from __future__ import annotations

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core import task_secrets
from ecscope.agent.core.actions import CreateResource
from ecscope.agent.core.state import Settings
from ecscope.agent.core.task_secrets import (
    InvalidSecret,
    SecretReference,
    parameter_batches,
    parameter_values,
    secret_reference,
    text_of,
    wanted,
)
from ecscope.model.container import Secret, SecretStore
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task_resource import PARAMETERS, SECRETS, RemovedAt
from tests.builders import a_container, a_task, some_credentials
from tests.tables import each_row
from tests.unit.agent.core import scenes
from tests.unit.agent.core.scenes import ONE, a_world, calls_of, statuses

ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf"
JSON = '{"user": "me", "port": 5432, "deep": {"a": [1]}, "none": null, "line": "x\\ny"}'
KEY = SecretStore.SECRETS_MANAGER
PARAMETER = SecretStore.PARAMETER_STORE


def a_secret(store: SecretStore, value_from: str = "x") -> Secret:
    return Secret(name="A", store=store, value_from=value_from)


def test_one_resource_for_each_store_that_is_used() -> None:
    app, db = (
        a_container("app", secrets=(a_secret(KEY), a_secret(PARAMETER))),
        a_container("db", secrets=(a_secret(KEY),)),
    )
    both = wanted(Settings(), a_task(app, db, a_container("web")))
    assert {resource.kind: resource.needed_by for resource in both} == {SECRETS: ("app", "db"), PARAMETERS: ("app",)}
    assert all(r.needed_for is ContainerStatus.CREATED and r.removed_at is RemovedAt.STOPPED for r in both)
    assert all(r.is_lost_by_restart and r.needs_execution_role for r in both)
    assert wanted(Settings(), a_task()) == ()


def test_they_wait_for_the_credentials_that_ecs_sends_again() -> None:
    world = a_world(joins_cluster=True)
    task = scenes.a_task(a_container("app", secrets=(a_secret(KEY),)), execution_credentials_id="an-id")
    world.submit(task)
    while rest := [call for call in world.calls if not isinstance(call, CreateResource)]:
        world.finish(rest[0])
    assert statuses(world) == {"app": "PULLED"}
    assert not calls_of(world, CreateResource)
    world.send(
        ev.CredentialsReceived(
            **world.head(), message_id="m2", credentials=some_credentials(task_arn=ONE, credentials_id="an-id")
        )
    )
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


@each_row(
    "value_from, reference",
    [
        (ARN, SecretReference(secret_id=ARN)),
        ("name", SecretReference(secret_id="name")),
        (f"{ARN}:user::", SecretReference(secret_id=ARN, json_key="user")),
        (f"{ARN}::AWSPREVIOUS:", SecretReference(secret_id=ARN, stage="AWSPREVIOUS")),
        (f"{ARN}:user:s:v", SecretReference(secret_id=ARN, json_key="user", stage="s", version="v")),
    ],
)
def test_the_forms_of_a_secret(value_from: str, reference: SecretReference) -> None:
    assert secret_reference(value_from) == reference


@pytest.mark.parametrize("value_from", [f"{ARN}:user", f"{ARN}:user:s:v:x", "arn:aws:secretsmanager:x"])
def test_another_form_is_refused(value_from: str) -> None:
    with pytest.raises(InvalidSecret, match="unexpected ARN format"):
        secret_reference(value_from)


@each_row(
    "json_key, text, given",
    [
        ("", JSON, JSON),
        ("", "", ""),
        ("", "two\nlines\n", "two\nlines\n"),
        ("", "x" * 65536, "x" * 65536),
        ("user", JSON, "me"),
        ("line", JSON, "x\ny"),
        ("port", JSON, "5432"),
        ("deep", JSON, '{"a": [1]}'),
        ("none", JSON, "null"),
    ],
)
def test_what_a_container_gets_of_a_secret(json_key: str, text: str, given: str) -> None:
    assert text_of(SecretReference(secret_id=ARN, json_key=json_key), text) == given


@each_row(
    "json_key, text, words",
    [
        ("pass", JSON, "did not contain json key pass"),
        ("user", "hunter2", "not a JSON object"),
        ("user", '["hunter2"]', "not a JSON object"),
        ("user", '{"user": "hunter2"', "not a JSON object"),
        ("", None, "is binary"),
        ("", "hunter2\0", "NUL character"),
    ],
)
def test_an_unusable_secret_is_never_quoted(json_key: str, text: str | None, words: str) -> None:
    with pytest.raises(InvalidSecret, match=words) as raised:
        text_of(SecretReference(secret_id=ARN, json_key=json_key), text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_ten_parameters_at_once_and_each_once() -> None:
    names = tuple(f"/p/{number}" for number in range(21))
    batches = list(parameter_batches((*names, "/p/0")))
    assert [len(batch) for batch in batches] == [10, 10, 1]
    assert tuple(name for batch in batches for name in batch) == names


def test_parameters_are_found_by_name_arn_and_selector() -> None:
    arn = "arn:aws:ssm:eu-west-1:1:parameter/deep/name"
    found = ({"Name": "/deep/name", "Value": "1"}, {"Name": "flat", "ARN": "arn:x", "Value": "2", "Selector": ":3"})
    assert parameter_values((arn, "flat:3", "arn:x:3"), found) == {arn: "1", "flat:3": "2", "arn:x:3": "2"}
    with pytest.raises(InvalidSecret, match=r"^invalid parameters: /a,/b$"):
        parameter_values(("/a", "flat:3", "/b"), found)


@each_row(
    "launch_type, store, reason",
    [
        ("EC2", KEY, "fetching secret data from AWS Secrets Manager in region r: secret v: Denied: no"),
        ("EC2", PARAMETER, "fetching secret data from SSM Parameter Store in r: Denied: no"),
        (
            "FARGATE",
            KEY,
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
            " unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret v"
            " from secrets manager: Denied: no",
        ),
        (
            "FARGATE",
            PARAMETER,
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
            " unable to retrieve secrets from ssm: service call has been retried 1 time(s): Denied: no",
        ),
    ],
)
def test_failures_in_the_words_of_ecs(launch_type: str, store: SecretStore, reason: str) -> None:
    task = a_task(launch_type=launch_type)
    assert task_secrets.failure(task, store, region="r", value_from="v", why="Denied: no", retries=1) == reason

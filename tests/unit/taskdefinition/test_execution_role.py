"""What needs an execution role, and in which store a secret is."""

from __future__ import annotations

import pytest

from ecscope.taskdefinition.definition import Secret, definition_of
from ecscope.taskdefinition.execution_role import is_in_secrets_manager, missing_role

SECRETS = [{"name": "A", "valueFrom": "b"}]


@pytest.mark.parametrize(
    ("value_from", "is_secret"),
    [
        ("arn:aws:secretsmanager:r:1:secret:x", True),
        ("arn:aws-cn:secretsmanager:r:1:secret:x:k::", True),
        ("arn:aws:ssm:r:1:parameter/secretsmanager", False),
        ("secretsmanager", False),
        ("arn", False),
    ],
)
def test_the_store(value_from: str, is_secret: bool) -> None:
    assert is_in_secrets_manager(Secret(name="A", value_from=value_from)) is is_secret


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"secrets": SECRETS}, "container secrets"),
        ({"logConfiguration": {"logDriver": "splunk", "secretOptions": SECRETS}}, "secretOptions"),
        ({"repositoryCredentials": {"credentialsParameter": "x"}}, "repositoryCredentials"),
    ],
)
def test_a_role_is_missed(members: dict[str, object], word: str) -> None:
    document = {"containerDefinitions": [{"name": "app", "image": "x", **members}]}
    words = f"When you are specifying {word}, you must also specify a value for 'executionRoleArn'."
    assert missing_role(definition_of(document)) == words
    assert missing_role(definition_of({**document, "executionRoleArn": "role"})) == ""

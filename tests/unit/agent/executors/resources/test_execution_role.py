"""Whose credentials are taken, and how a failed call is told."""

from __future__ import annotations

from ecscope.agent.executors.resources.execution_role import cause, execution_credentials, retries
from ecscope.model.container_instance import ObstacleKind
from tests.builders import a_failure, a_task

from .task_aws import CREDENTIALS, AwsCallFailed, credentials_of, denied


def test_the_credentials_of_the_execution_role() -> None:
    assert execution_credentials(a_task(execution_credentials_id="an-id"), credentials_of) is CREDENTIALS
    assert execution_credentials(a_task(credentials_id="an-id"), credentials_of) is None


def test_the_code_comes_first_if_there_is_one() -> None:
    assert cause(denied()) == "Denied: no"
    assert cause(AwsCallFailed(a_failure(code="", message="no connection"))) == "no connection"
    assert (retries(denied()), retries(denied(ObstacleKind.THROTTLED))) == (1, 5)

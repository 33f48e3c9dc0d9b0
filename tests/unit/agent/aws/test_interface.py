"""A failed call carries its failure, and says it."""

from __future__ import annotations

from ecscope.agent.aws.interface import AwsCallFailed
from tests.builders import a_failure


def test_a_failed_call_carries_its_failure() -> None:
    failed = AwsCallFailed(a_failure())
    assert failed.failure == a_failure()
    assert str(failed) == str(a_failure())

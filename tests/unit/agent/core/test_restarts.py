"""The restart policy restarts exactly what the table says, and gives its reason where it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecscope.agent.core.restarts import refusal
from ecscope.model.container import Container, RestartPolicy
from ecscope.model.status import ContainerStatus
from tests.builders import AT, a_container

POLICY = RestartPolicy(enabled=True, ignored_exit_codes=(0, 3), restart_attempt_period_s=60)


def ended(after_s: float = 60.0, **fields: object) -> tuple[Container, dict[str, object]]:
    """A container that ran for so long and then ended with 1."""
    fields = {"restart_policy": POLICY, "started_at": "2024-05-17T12:00:00Z", **fields}
    return a_container(**fields), {"exit_code": 1, "now": AT + timedelta(seconds=after_s)}


def why_not(container: Container, how: dict[str, object]) -> str | None:
    return refusal(container, **how)  # type: ignore[arg-type]


def test_a_container_that_ran_long_enough_is_restarted() -> None:
    """engine.md §10.2."""
    assert why_not(*ended(60.0)) is None


@pytest.mark.parametrize("policy", [None, RestartPolicy(enabled=False)])
def test_without_an_enabled_policy_nothing_is_restarted(policy: RestartPolicy | None) -> None:
    assert why_not(*ended(restart_policy=policy)) == "restart policy is not enabled"


def test_what_is_to_stop_is_not_restarted() -> None:
    assert why_not(*ended(desired=ContainerStatus.STOPPED)) == "container's desired status is stopped"


def test_an_unknown_exit_code_is_no_reason_to_restart() -> None:
    container, how = ended()
    assert why_not(container, {**how, "exit_code": None}) == "exit code is not known"


@pytest.mark.parametrize(("code", "restarted"), [(0, False), (3, False), (1, True), (137, True)])
def test_ignored_exit_codes_are_not_restarted(code: int, restarted: bool) -> None:
    container, how = ended()
    answer = why_not(container, {**how, "exit_code": code})
    assert answer == (None if restarted else f"exit code {code} should be ignored")


def test_the_restart_attempt_period_is_a_minimum_run_time() -> None:
    """engine.md, Seen running 14: a container that ends sooner is not restarted."""
    assert why_not(*ended(59.9)) == "it ran 60 s, less than restartAttemptPeriod 60 s"
    assert why_not(*ended(-5.0)) == "it ran 0 s, less than restartAttemptPeriod 60 s"


def test_the_run_time_counts_from_the_last_restart() -> None:
    """engine.md §10.2: now − max(startedAt, last restart)."""
    assert why_not(*ended(100.0, last_restarted_at=AT + timedelta(seconds=50))) is not None
    assert why_not(*ended(110.0, last_restarted_at=AT + timedelta(seconds=50))) is None


def test_what_never_started_is_not_restarted() -> None:
    assert why_not(*ended(started_at="")) == "container has never been started"

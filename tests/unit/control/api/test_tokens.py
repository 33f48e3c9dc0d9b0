"""A client token stands for one request, for a day."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ecscope.control.api.tokens import remember, resources_of
from ecscope.control.core.errors import ApiError
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import TOKEN_KEPT
from tests.control_builders import AT, a_control_step, a_request

BODY = {"clientToken": "t1", "taskDefinition": "sample", "count": 2}


def remembered(later: timedelta = timedelta(0)) -> Step:
    step = a_control_step()
    remember(step, "RunTask", BODY, ("task1", "task2"))
    return Step(step.decision().state, msgspec.structs.replace(a_request("RunTask", 2), at=AT + later))


def test_the_same_request_gives_what_it_gave() -> None:
    again = dict(reversed(BODY.items()))
    assert resources_of(remembered(), "RunTask", again) == ("task1", "task2")


def test_another_request_is_a_conflict() -> None:
    with pytest.raises(ApiError, match="already in use with a different RunTask request") as caught:
        resources_of(remembered(), "RunTask", {**BODY, "count": 3})
    assert caught.value.code == "ConflictException"
    assert caught.value.members == {"resourceIds": ["task1", "task2"]}


def test_tokens_are_of_one_action() -> None:
    assert resources_of(remembered(), "CreateService", BODY) is None


def test_a_token_is_forgotten_after_a_day() -> None:
    assert resources_of(remembered(TOKEN_KEPT - timedelta(seconds=1)), "RunTask", BODY) is not None
    assert resources_of(remembered(TOKEN_KEPT), "RunTask", {**BODY, "count": 3}) is None


def test_without_a_token_nothing_is_remembered() -> None:
    step = a_control_step()
    remember(step, "RunTask", {"count": 1}, ("task1",))
    assert resources_of(step, "RunTask", {"count": 1}) is None
    assert not step.tokens

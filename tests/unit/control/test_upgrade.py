"""An upgrade is refused in the form that agents look into."""

from __future__ import annotations

import json

import pytest
from aiohttp.test_utils import make_mocked_request

from ecscope.control.upgrade import refusal
from tests.agent_ends import INSTANCE, Ends
from tests.control_builders import an_instance

REQUEST = make_mocked_request("GET", "/acs/ws")


def test_a_registered_instance_is_accepted() -> None:
    ends = Ends()
    assert refusal(ends.state, ends.permit, REQUEST, right="Poll", cluster="default", arn=INSTANCE.arn) is None
    assert ends.asked == [("Poll", INSTANCE.arn)]


@pytest.mark.parametrize("arn", ["", "unknown"])
def test_the_unknown_are_refused_and_may_come_again_soon(arn: str) -> None:
    ends = Ends()
    refused = refusal(ends.state, ends.permit, REQUEST, right="Poll", cluster="default", arn=arn)
    assert refused is not None
    assert refused.status == 400
    assert isinstance(refused.body, bytes)
    assert list(json.loads(refused.body)) == ["InvalidInstanceException"], (
        "on Inactive… an agent stays away for an hour"
    )


def test_the_deregistered_are_told_so() -> None:
    ends = Ends()
    gone = an_instance(9)  # INACTIVE there
    refused = refusal(ends.state, ends.permit, REQUEST, right="Poll", cluster="default", arn=gone.arn)
    assert refused is not None
    assert isinstance(refused.body, bytes)
    assert list(json.loads(refused.body)) == ["InactiveInstanceException"]


def test_who_may_not_is_told_what() -> None:
    ends = Ends()
    ends.is_permitted = False
    refused = refusal(ends.state, ends.permit, REQUEST, right="Poll", cluster="default", arn="unknown")
    assert refused is not None
    assert isinstance(refused.body, bytes)
    assert json.loads(refused.body) == {"AccessDeniedException": "User: x is not authorized to perform: ecs:Poll"}

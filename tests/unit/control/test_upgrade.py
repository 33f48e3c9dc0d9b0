"""An upgrade is refused in the form that agents look into."""

from __future__ import annotations

import json

import pytest
from aiohttp.test_utils import make_mocked_request

from ecscope.control.api.authorization import AGENT_RIGHTS, permit
from ecscope.control.core.iam import Rights, parse_policy
from ecscope.control.upgrade import Permit, refusal
from tests.agent_ends import INSTANCE, Ends
from tests.control_builders import a_cluster, a_control_step, a_state, an_instance

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


ELSEWHERE = a_cluster("prod")
THERE = an_instance(cluster="prod")


def who(*statements: dict[str, object]) -> Permit:
    """Permits what a policy of these statements does."""
    written = [{"Effect": "Allow", "Action": "*", "Resource": "*"}, *statements]
    policy, mistakes = parse_policy({"Version": "2012-10-17", "Statement": written}, name="p", place="p")
    assert policy is not None, mistakes
    rights = Rights(principal_arn="me", policies=(policy,))
    step = a_control_step(a_cluster(), ELSEWHERE, INSTANCE, THERE)
    return lambda request, right, about: permit(step, right, about, rights)


@pytest.mark.parametrize("right", sorted(AGENT_RIGHTS))
@pytest.mark.parametrize("cluster", ["prod", ELSEWHERE.arn, "default", "", "x/prod", "none"])
@pytest.mark.parametrize(
    "arn",
    [THERE.arn, THERE.arn.replace("prod/", ""), THERE.arn.rsplit("/", 1)[-1], f"x/{THERE.arn}", THERE.arn.upper()],
)
def test_a_deny_holds_whatever_an_agent_calls_itself_and_its_cluster(right: str, cluster: str, arn: str) -> None:
    state = a_state(a_cluster(), ELSEWHERE, INSTANCE, THERE)
    for deny in (
        {"Resource": THERE.arn},
        {"Resource": "*", "Condition": {"ArnEquals": {"ecs:cluster": ELSEWHERE.arn}}},
    ):
        permits = who({"Effect": "Deny", "Action": f"ecs:{right}", **deny})
        assert refusal(state, permits, REQUEST, right=right, cluster=cluster, arn=arn) is not None
    is_accepted = refusal(state, who(), REQUEST, right=right, cluster=cluster, arn=arn) is None
    assert is_accepted is (arn == THERE.arn)

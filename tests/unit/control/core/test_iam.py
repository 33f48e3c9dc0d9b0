"""Policies are read whole or refused with reasons, and evaluated as IAM does."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.control.core.errors import ApiError
from ecscope.control.core.iam import (
    OPERATORS,
    Policy,
    Request,
    Verdict,
    allows_anywhere,
    allows_everything,
    authorize,
    evaluate,
    parse_policy,
)
from tests.tables import each_row

TASK = "arn:aws:ecs:us-east-1:000000000000:task/default/1"
CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
ME = "arn:aws:iam::000000000000:user/me"


def a_policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    policy, mistakes = parse_policy({"Version": version, "Statement": list(statements)}, name="p", place="p")
    assert mistakes == ()
    assert policy is not None
    return policy


def a_statement(effect: str = "Allow", **members: Any) -> dict[str, Any]:
    statement = {"Effect": effect, **members}
    if "NotAction" not in members:
        statement.setdefault("Action", "ecs:*")
    if "NotResource" not in members:
        statement.setdefault("Resource", "*")
    return statement


def verdict(*statements: dict[str, Any], action: str = "ecs:StopTask", resource: str = TASK, **keys: Any) -> Verdict:
    context = {key.replace("__", ":").replace("_", "-"): value for key, value in keys.items()}
    tuples = {key: value if isinstance(value, tuple) else (value,) for key, value in context.items()}
    request = Request(action=action, resources=(resource,), context=tuples)
    return evaluate([a_policy(*statements)], request, resource)


@each_row("action", ["ecs:StopTask", "ecs:Stop*", "ecs:*", "*", "ECS:stoptask", "ecs:S?opTask"])
def test_actions_match_by_wildcard_whatever_their_case(action: str) -> None:
    assert verdict(a_statement(Action=action)) is Verdict.ALLOWED
    assert verdict(a_statement(Action=["s3:*", action])) is Verdict.ALLOWED
    assert verdict(a_statement(NotAction=action)) is Verdict.NOT_ALLOWED


@pytest.mark.parametrize("action", ["ecs:Stop", "ecs:StopTasks", "s3:*", "ecs:?"])
def test_other_actions_do_not(action: str) -> None:
    assert verdict(a_statement(Action=action)) is Verdict.NOT_ALLOWED
    assert verdict(a_statement(NotAction=action)) is Verdict.ALLOWED


@each_row(
    "resource, is_met",
    [
        (TASK, True),
        ("arn:aws:ecs:*:*:task/default/*", True),
        ("arn:aws:ecs:us-east-1:000000000000:task/*/?", True),
        ("*", True),
        (TASK.upper().replace("ARN", "arn"), False),
        ("arn:aws:ecs:*:*:task/other/*", False),
        ("arn:aws:ecs:us-east-1:000000000000:task/default", False),
    ],
)
def test_resources_match_by_wildcard(resource: str, is_met: bool) -> None:
    assert (verdict(a_statement(Resource=resource)) is Verdict.ALLOWED) is is_met
    assert (verdict(a_statement(NotResource=resource)) is Verdict.ALLOWED) is not is_met


def test_nothing_is_allowed_by_itself() -> None:
    assert evaluate([], Request(action="ecs:StopTask", resources=(TASK,)), TASK) is Verdict.NOT_ALLOWED


def test_a_deny_goes_before_any_allow_in_whatever_order() -> None:
    allow, deny = a_statement(), a_statement("Deny", Action="ecs:StopTask")
    assert verdict(allow, deny) is verdict(deny, allow) is Verdict.DENIED
    assert verdict(allow, deny, action="ecs:RunTask") is Verdict.ALLOWED
    request = Request(action="ecs:StopTask", resources=(TASK,))
    assert evaluate([a_policy(deny), a_policy(allow)], request, TASK) is Verdict.DENIED


def test_variables_stand_for_what_the_request_has() -> None:
    mine = a_statement(Resource="arn:aws:ecs:*:*:task/${aws:username}/*")
    resource = "arn:aws:ecs:us-east-1:000000000000:task/me/1"
    assert verdict(mine, resource=resource, aws__username="me") is Verdict.ALLOWED
    assert verdict(mine, resource=resource, aws__username="you") is Verdict.NOT_ALLOWED
    assert verdict(mine, resource=resource) is Verdict.NOT_ALLOWED
    assert verdict(mine, resource=resource, aws__username="*") is Verdict.NOT_ALLOWED, "a value is no wildcard"


def test_variables_have_defaults_and_literals() -> None:
    either = a_statement(Resource="arn:aws:ecs:*:*:task/${aws:username, 'default'}/*")
    assert verdict(either) is Verdict.ALLOWED
    star = a_statement(Resource="arn:aws:ecs:*:*:task/default/${*}")
    assert verdict(star) is Verdict.NOT_ALLOWED
    assert verdict(star, resource=TASK[:-1] + "*") is Verdict.ALLOWED


def test_the_old_version_has_no_variables() -> None:
    old = a_policy(a_statement(Resource="arn:aws:ecs:*:*:task/${aws:username}/*"), version="2008-10-17")
    resource = "arn:aws:ecs:us-east-1:0:task/${aws:username}/1"
    request = Request(action="ecs:StopTask", resources=(resource,), context={"aws:username": ("me",)})
    assert evaluate([old], request, resource) is Verdict.ALLOWED


COMPARISONS = [
    ("StringEquals", "a*", "a*", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", ["a", "b"], "c", True),
    ("StringEqualsIgnoreCase", "A", "a", True),
    ("StringNotEqualsIgnoreCase", "A", "a", False),
    ("StringLike", "a*c", "abc", True),
    ("StringLike", "A*c", "abc", False),
    ("StringNotLike", "a*c", "abc", False),
    ("ArnEquals", "arn:aws:ecs:*:*:cluster/*", CLUSTER, True),
    ("ArnLike", CLUSTER, CLUSTER, True),
    ("ArnLike", "arn:*:cluster/default", CLUSTER, False),
    ("ArnLike", CLUSTER, "no ARN", False),
    ("ArnNotEquals", CLUSTER, CLUSTER, False),
    ("ArnNotLike", CLUSTER, CLUSTER + "2", True),
    ("Bool", "true", "True", True),
    ("Bool", True, "false", False),
    ("Bool", "true", "neither", False),
    ("NumericEquals", 5, "5.0", True),
    ("NumericNotEquals", 5, "5", False),
    ("NumericLessThan", "5", "4", True),
    ("NumericLessThan", "5", "5", False),
    ("NumericLessThanEquals", "5", "5", True),
    ("NumericGreaterThan", "5", "6", True),
    ("NumericGreaterThanEquals", "5", "4", False),
    ("NumericLessThan", "5", "few", False),
    ("DateLessThan", "2024-05-18T00:00:00Z", "2024-05-17T12:00:00+00:00", True),
    ("DateGreaterThan", "2024-05-18", "2024-05-17T12:00:00Z", False),
    ("DateEquals", "1715947200", "2024-05-17T12:00:00Z", True),
    ("DateNotEquals", "1715947200", "2024-05-17T12:00:00Z", False),
    ("IpAddress", ["10.0.0.0/8", "127.0.0.1"], "127.0.0.1", True),
    ("DateLessThanEquals", "2024-05-17T12:00:00Z", "2024-05-17T12:00:00Z", True),
    ("DateGreaterThanEquals", "2024-05-18T00:00:00Z", "2024-05-17T12:00:00Z", False),
    ("IpAddress", "10.0.0.0/8", "::1", False),
    ("NotIpAddress", "10.0.0.0/8", "::1", True),
]


@each_row("operator, value, found, is_met", COMPARISONS)
def test_operators_compare_as_iam_does(operator: str, value: object, found: str, is_met: bool) -> None:
    statement = a_statement(Condition={operator: {"aws:UserName": value}})
    assert (verdict(statement, aws__username=found) is Verdict.ALLOWED) is is_met


def test_a_missing_key_meets_what_is_negated_or_optional() -> None:
    def met(operator: str) -> bool:
        return verdict(a_statement(Condition={operator: {"aws:username": "a"}})) is Verdict.ALLOWED

    assert not met("StringEquals")
    assert met("StringNotEquals")
    assert met("StringEqualsIfExists")
    assert met("ForAllValues:StringEquals")
    assert not met("ForAnyValue:StringEquals")
    assert not met("ForAnyValue:StringNotEquals")


def test_keys_with_many_values_are_told_how() -> None:
    def met(operator: str, *found: str) -> bool:
        statement = a_statement(Condition={operator: {"aws:TagKeys": ["a", "b"]}})
        return verdict(statement, aws__tagkeys=found) is Verdict.ALLOWED

    assert met("ForAllValues:StringEquals", "a", "b")
    assert not met("ForAllValues:StringEquals", "a", "c")
    assert met("ForAnyValue:StringEquals", "c", "b")
    assert not met("ForAnyValue:StringEquals", "c")
    assert met("ForAllValues:StringNotEquals", "c")
    assert not met("ForAllValues:StringNotEquals", "c", "a")


def test_null_asks_whether_a_key_is_there() -> None:
    without = a_statement(Condition={"Null": {"aws:RequestTag/team": "true"}})
    assert verdict(without) is Verdict.ALLOWED
    assert verdict(without, **{"aws__requesttag/team": "a"}) is Verdict.NOT_ALLOWED


def test_all_conditions_must_hold() -> None:
    both = a_statement(Condition={"StringEquals": {"aws:username": "a", "ecs:cluster": CLUSTER}, "Bool": {
        "aws:SecureTransport": "false"}})  # fmt: skip
    assert verdict(both, aws__username="a", ecs__cluster=CLUSTER, aws__securetransport="false") is Verdict.ALLOWED
    assert verdict(both, aws__username="a", ecs__cluster=CLUSTER) is Verdict.NOT_ALLOWED


def test_conditions_take_variables() -> None:
    own = a_statement(Condition={"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}})
    assert verdict(own, aws__username="me", **{"aws__resourcetag/owner": "me"}) is Verdict.ALLOWED
    assert verdict(own, aws__username="*", **{"aws__resourcetag/owner": "*"}) is Verdict.ALLOWED
    assert verdict(own, aws__username="*", **{"aws__resourcetag/owner": "me"}) is Verdict.NOT_ALLOWED


def test_a_resources_own_keys_hold_for_that_one() -> None:
    policy = a_policy(a_statement(Condition={"StringEquals": {"aws:ResourceTag/team": "a"}}))
    tags = {TASK: {"aws:resourcetag/team": ("a",)}, CLUSTER: {"aws:resourcetag/team": ("b",)}}
    request = Request(action="ecs:StopTask", resources=(TASK, CLUSTER), resource_contexts=tags)
    assert evaluate([policy], request, TASK) is Verdict.ALLOWED
    assert evaluate([policy], request, CLUSTER) is Verdict.NOT_ALLOWED
    with pytest.raises(ApiError, match="on resource: " + CLUSTER):
        authorize(ME, [policy], request)


def test_denials_are_aws_sentences() -> None:
    request = Request(action="ecs:StopTask", resources=(TASK,))
    with pytest.raises(ApiError) as caught:
        authorize(ME, [], request)
    assert caught.value.code == "AccessDeniedException"
    assert caught.value.message == (
        f"User: {ME} is not authorized to perform: ecs:StopTask on resource: {TASK} "
        "because no identity-based policy allows the ecs:StopTask action"
    )
    with pytest.raises(ApiError) as caught:
        authorize(ME, [a_policy(a_statement("Deny"))], request)
    assert caught.value.message == (
        f"User: {ME} is not authorized to perform: ecs:StopTask on resource: {TASK} "
        "with an explicit deny in an identity-based policy"
    )
    authorize(ME, [a_policy(a_statement())], request)


def test_who_may_do_everything_need_not_be_asked() -> None:
    everything = a_statement(Action="*")
    assert allows_everything([a_policy(everything)])
    assert not allows_everything([])
    assert not allows_everything([a_policy(a_statement())])
    assert not allows_everything([a_policy(everything, a_statement("Deny", Action="s3:*"))])
    assert not allows_everything([a_policy(a_statement(NotAction="*"))])
    assert not allows_everything(
        [a_policy(a_statement(Action="*", Condition={"StringEquals": {"aws:username": "a"}}))]
    )  # fmt: skip


def test_an_action_that_is_allowed_on_everything_need_not_be_asked_about() -> None:
    everywhere = a_statement(Action=["ecs:Submit*", "ecs:Poll"])
    assert allows_anywhere([a_policy(everywhere)], "ecs:SubmitTaskStateChange")
    assert allows_anywhere([a_policy(a_statement(Action="ECS:poll"))], "ecs:Poll")
    for other in (
        [],
        [a_policy(a_statement(Action="ecs:StopTask"))],
        [a_policy(a_statement(Resource=CLUSTER))],
        [a_policy(a_statement(NotResource=CLUSTER))],
        [a_policy(a_statement(NotAction="ecs:StopTask"))],
        [a_policy(a_statement(Condition={"StringEquals": {"aws:username": "a"}}))],
        [a_policy(everywhere), a_policy(a_statement("Deny", Action="s3:*"))],
        [a_policy(everywhere, a_statement("Deny", Resource=TASK))],
    ):
        assert not allows_anywhere(other, "ecs:SubmitTaskStateChange"), other


def test_a_pattern_of_stars_takes_no_time() -> None:
    assert verdict(a_statement(Resource="arn:aws:ecs" + "*" * 60 + "x"), resource="a" * 2000) is Verdict.NOT_ALLOWED


@pytest.mark.parametrize(
    ("pattern", "resource"),
    [
        ("arn:aws:ecs:*:*:task/*/*", "arn:aws:ecs:" + ":" * 1_000_000),
        ("*a*b*c*d", "/ab" * 1_000_000),
        ("*a?*b?*c", "/ab" * 1_000_000),
    ],
)
def test_no_name_takes_long(pattern: str, resource: str) -> None:
    begun_s = time.process_time()
    assert verdict(a_statement(Resource=pattern), resource=resource) is Verdict.NOT_ALLOWED
    assert time.process_time() - begun_s < 5  # if every way were tried: days


@given(pattern=st.text("ab*?", max_size=8), resource=st.text("ab/", max_size=10))
def test_a_wildcard_means_what_fnmatch_means(pattern: str, resource: str) -> None:
    statement = a_statement(Resource=f"arn:{pattern}")
    is_met = verdict(statement, resource=f"arn:{resource}") is Verdict.ALLOWED
    assert is_met is fnmatchcase(resource, pattern)


def test_one_statement_needs_no_list() -> None:
    policy, mistakes = parse_policy({"Statement": a_statement()}, name="p", place="p")
    assert mistakes == ()
    assert policy is not None
    assert len(policy.statements) == 1


@each_row(
    "document, place, reason",
    [
        ([], "p", "a policy document is a JSON object"),
        ({}, "p.Statement", "one statement at least"),
        ({"Version": "2024", "Statement": [a_statement()]}, "p.Version", "must be one of 2008-10-17, 2012-10-17"),
        ({"Statement": [a_statement()], "Other": 1}, "p.Other", "not a member of a policy"),
        ({"Statement": [1]}, "p.Statement[0]", "a statement is a JSON object"),
        ({"Statement": a_statement(effect="Maybe")}, "p.Statement.Effect", "must be Allow or Deny"),
        ({"Statement": [a_statement(Actions=1)]}, "p.Statement[0].Actions", "not a member of a statement"),
        ({"Statement": [a_statement(Principal="*")]}, "p.Statement[0].Principal", "must not have a principal"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "p.Statement[0]", "must have Action or NotAction"),
        ({"Statement": [{"Effect": "Allow", "Action": "*"}]}, "p.Statement[0]", "must have Resource or NotResource"),
        ({"Statement": [a_statement(Action=[])]}, "p.Statement[0].Action", "requires one string"),
        ({"Statement": [a_statement(Action=1)]}, "p.Statement[0].Action", "requires one string"),
        ({"Statement": [a_statement(Action="RunTask")]}, "p.Statement[0]", "'RunTask' is not an action"),
        ({"Statement": [a_statement(Resource="default")]}, "p.Statement[0]", "'default' is not a resource"),
        ({"Statement": [a_statement(Condition=[])]}, "p.Statement[0].Condition", "a JSON object of operators"),
        ({"Statement": [a_statement(Condition={"BinaryEquals": {}})]}, "p.Statement[0].Condition.BinaryEquals",
         "an operator that is not understood; known are StringEquals"),
        ({"Statement": [a_statement(Condition={"ForSome:Bool": {}})]}, "p.Statement[0].Condition.ForSome:Bool",
         "an operator that is not understood"),
        ({"Statement": [a_statement(Condition={"Bool": "true"})]}, "p.Statement[0].Condition.Bool",
         "requires a JSON object of keys"),
        ({"Statement": [a_statement(Condition={"Bool": {"ecs:privileged": "true"}})]},
         "p.Statement[0].Condition.Bool.ecs:privileged", "a condition key that no request here carries"),
        ({"Statement": [a_statement(Condition={"Bool": {"ecs:cluster": "maybe"}})]},
         "p.Statement[0].Condition.Bool.ecs:cluster", "'maybe' is not what Bool compares with"),
        ({"Statement": [a_statement(Condition={"NumericLessThan": {"ecs:cluster": "few"}})]},
         "p.Statement[0].Condition.NumericLessThan.ecs:cluster", "'few' is not what"),
        ({"Statement": [a_statement(Condition={"IpAddress": {"aws:SourceIp": "home"}})]},
         "p.Statement[0].Condition.IpAddress.aws:SourceIp", "'home' is not what"),
        ({"Statement": [a_statement(Condition={"DateLessThan": {"aws:CurrentTime": "soon"}})]},
         "p.Statement[0].Condition.DateLessThan.aws:CurrentTime", "'soon' is not what"),
        ({"Statement": [a_statement(Condition={"Null": {"ecs:cluster": "perhaps"}})]},
         "p.Statement[0].Condition.Null.ecs:cluster", "Null takes true or false"),
        ({"Statement": [a_statement(Condition={"StringEquals": {"ecs:cluster": {}}})]},
         "p.Statement[0].Condition.StringEquals.ecs:cluster", "requires one string"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_its_place(document: object, place: str, reason: str) -> None:
    policy, mistakes = parse_policy(document, name="p", place="p")
    assert policy is None
    assert [mistake.place for mistake in mistakes] == [place]
    assert reason in mistakes[0].reason


def test_all_mistakes_are_told_together() -> None:
    wrong = a_statement("Perhaps", Action="Run", Condition={"Like": {}, "Bool": {"a": "b"}})
    _, mistakes = parse_policy({"Version": "1", "Statement": [wrong, 2]}, name="p", place="p")
    assert len(mistakes) == 6
    assert str(mistakes[0]) == "p.Version: must be one of 2008-10-17, 2012-10-17"


def test_each_operator_is_tried_above() -> None:
    assert {operator for operator, *_ in COMPARISONS} | {"Null"} == set(OPERATORS)


@each_row(
    "operator, wanted, allows, denies",
    [
        ("StringEquals", "a", False, True),
        ("StringEquals", ["a", "b"], True, True),
        ("StringEquals", "c", False, False),
        ("StringNotEquals", "a", False, True),
        ("StringNotEquals", "c", True, True),
        ("StringNotEquals", ["a", "b"], False, False),
    ],
)
def test_of_several_values_each_must_be_allowed_and_none_denied(
    operator: str, wanted: object, allows: bool, denies: bool
) -> None:
    condition = {operator: {"aws:RequestTag/Team": wanted}}
    keys = {"aws__requesttag/team": ("a", "b")}
    assert (verdict(a_statement(Condition=condition), **keys) is Verdict.ALLOWED) is allows
    refused = verdict(a_statement(), a_statement("Deny", Condition=condition), **keys) is Verdict.DENIED
    assert refused is denies

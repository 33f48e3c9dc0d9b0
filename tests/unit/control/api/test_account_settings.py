"""A principal's own setting comes before the account's, and that before what ECS has."""

from __future__ import annotations

from typing import Any

import pytest

from ecscope.control.api.account_settings import effective
from ecscope.control.core.errors import ApiError
from ecscope.control.core.step import Step
from tests.control_builders import PRINCIPAL, a_control_step, asked
from tests.tables import each_row

OTHER = "arn:aws:iam::000000000000:user/other"
ROOT = "arn:aws:iam::000000000000:root"


def listed(step: Step, **body: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in asked(step, "ListAccountSettings", **body)["settings"]}


def test_at_first_nothing_is_set_and_all_holds() -> None:
    step = a_control_step()
    assert listed(step) == {}
    first = asked(step, "ListAccountSettings", effectiveSettings=True)
    assert len(first["settings"]) == 10
    rest = asked(step, "ListAccountSettings", effectiveSettings=True, nextToken=first["nextToken"])
    assert [each["name"] for each in rest["settings"]] == ["taskLongArnFormat"]
    assert {each["type"] for each in first["settings"]} == {"user", "aws_managed"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("containerInstanceLongArnFormat", "enabled"),
        ("serviceLongArnFormat", "enabled"),
        ("awsvpcTrunking", "disabled"),
    ],
)
def test_a_setting_is_put(name: str, value: str) -> None:
    step = a_control_step()
    answer = asked(step, "PutAccountSetting", name=name, value=value)
    assert answer["setting"] == {"name": name, "value": value, "principalArn": PRINCIPAL, "type": "user"}
    answer = asked(step, "PutAccountSettingDefault", name=name, value=value)
    assert answer["setting"] == {"name": name, "value": value, "principalArn": ROOT, "type": "user"}


@pytest.mark.parametrize("name", ["containerInstanceLongArnFormat", "serviceLongArnFormat", "taskLongArnFormat"])
@pytest.mark.parametrize("action", ["PutAccountSetting", "PutAccountSettingDefault"])
def test_long_arns_cannot_be_disabled(action: str, name: str) -> None:
    """Terraform looks for these words when it destroys aws_ecs_account_setting_default."""
    with pytest.raises(ApiError, match="You can no longer disable Long Arn settings") as caught:
        asked(a_control_step(), action, name=name, value="disabled")
    assert caught.value.code == "InvalidParameterException"


def test_a_setting_that_holds_says_whose_it_is() -> None:
    """Terraform keeps the account's by the ARN of its root user."""
    step = a_control_step()
    asked(step, "PutAccountSettingDefault", name="containerInsights", value="enabled")
    asked(step, "PutAccountSetting", name="awsvpcTrunking", value="enabled")
    found = asked(step, "ListAccountSettings", effectiveSettings=True)["settings"]
    by_name = {each["name"]: each["principalArn"] for each in found}
    assert by_name["awsvpcTrunking"] == PRINCIPAL
    assert {by_name[name] for name in ("containerInsights", "fargateFIPSMode")} == {ROOT}


def test_settings_are_listed_and_filtered() -> None:
    step = a_control_step()
    asked(step, "PutAccountSetting", name="awsvpcTrunking", value="disabled")
    asked(step, "PutAccountSetting", name="taskLongArnFormat", value="enabled")
    assert listed(step) == {"awsvpcTrunking": "disabled", "taskLongArnFormat": "enabled"}
    assert listed(step, name="awsvpcTrunking") == {"awsvpcTrunking": "disabled"}
    assert listed(step, value="enabled") == {"taskLongArnFormat": "enabled"}
    assert listed(step, principalArn=OTHER) == {}


def test_the_account_s_setting_holds_for_who_has_none() -> None:
    step = a_control_step()
    asked(step, "PutAccountSettingDefault", name="containerInsights", value="enhanced")
    asked(step, "PutAccountSetting", name="containerInsights", value="enabled", principalArn=OTHER)
    assert effective(step, "containerInsights") == "enhanced"
    assert effective(step, "containerInsights", OTHER) == "enabled"
    assert listed(step, name="containerInsights", effectiveSettings=True) == {"containerInsights": "enhanced"}
    asked(step, "PutAccountSetting", name="containerInsights", value="disabled", principalArn=ROOT)
    assert effective(step, "containerInsights") == "disabled"


def test_a_deleted_setting_falls_back() -> None:
    step = a_control_step()
    asked(step, "PutAccountSetting", name="awsvpcTrunking", value="enabled")
    answer = asked(step, "DeleteAccountSetting", name="awsvpcTrunking")
    assert answer["setting"]["value"] == "disabled"
    assert listed(step) == {}


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        ("PutAccountSetting", {"name": "taskLongArnFormat", "value": "maybe"}, "must be one of enabled, disabled"),
        ("PutAccountSettingDefault", {"name": "guardDutyActivate", "value": "on"}, "cannot be changed"),
        ("ListAccountSettings", {"value": "enabled", "effectiveSettings": True}, "name of the setting"),
    ],
)
def test_what_is_no_setting(action: str, body: Any, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        asked(a_control_step(), action, **body)


@each_row(
    "arn",
    [
        "arn:aws:iam::999999999999:root",
        "x:root",
        f"x/{ROOT}",
        ROOT.upper(),
        "tester",
        "arn:aws:iam::999999999999:user/tester",
        "arn:aws:iam::000000000000:group/all",
    ],
)
def test_only_the_accounts_own_principals_have_settings(arn: str) -> None:
    """What only ends as the root user's ARN does was taken for the account."""
    step = a_control_step()
    for action, more in (("PutAccountSetting", {"value": "enabled"}), ("DeleteAccountSetting", {})):
        with pytest.raises(ApiError, match="user, a role or the root user of this account") as caught:
            asked(step, action, name="containerInsights", principalArn=arn, **more)
        assert caught.value.code == "InvalidParameterException"
    assert effective(step, "containerInsights", OTHER) == "disabled"


def test_the_sessions_of_a_role_have_its_settings() -> None:
    step = a_control_step()
    role, session = "arn:aws:iam::000000000000:role/ci", "arn:aws:sts::000000000000:assumed-role/ci/1"
    asked(step, "PutAccountSetting", name="containerInsights", value="enabled", principalArn=role)
    assert effective(step, "containerInsights", session) == "enabled"

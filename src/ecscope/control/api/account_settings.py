"""Account settings: kept and shown. Of the new ARN formats and all others only ``containerInsights`` has an effect.

A principal's own setting comes before the account's, which comes before what ECS has by default.

Source: control-plane.md §3.1; PutAccountSetting of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.core.errors import invalid
from ecscope.control.core.records import Json
from ecscope.control.core.step import Step

_ACCOUNT = "default"
_SWITCH = ("enabled", "disabled")
_SETTINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "awsvpcTrunking": ("disabled", _SWITCH),
    "containerInsights": ("disabled", ("enabled", "disabled", "enhanced")),
    "containerInstanceLongArnFormat": ("enabled", _SWITCH),
    "defaultLogDriverMode": ("non-blocking", ("blocking", "non-blocking")),
    "fargateEventWindows": ("disabled", _SWITCH),
    "fargateFIPSMode": ("disabled", _SWITCH),
    "fargateTaskRetirementWaitPeriod": ("7", ("0", "7", "14")),
    "guardDutyActivate": ("off", ("on", "off")),
    "serviceLongArnFormat": ("enabled", _SWITCH),
    "tagResourceAuthorization": ("off", ("on", "off")),
    "taskLongArnFormat": ("enabled", _SWITCH),
}
"""Name → what ECS has by default, and what it may be."""
_OF_AWS = ("guardDutyActivate",)


def effective(step: Step, name: str, principal_arn: str | None = None) -> str:
    """What holds for a principal; ``None``: whoever asks."""
    own = _key(step, principal_arn)
    for owner in (own, _ACCOUNT):
        value = step.account_settings.get(f"{owner}/{name}")
        if value is not None:
            return value
    return _SETTINGS[name][0]


def put_account_setting(step: Step, body: Json) -> Json:
    owner = _key(step, body.get("principalArn"))
    return _put(step, owner, body)


def put_account_setting_default(step: Step, body: Json) -> Json:
    return _put(step, _ACCOUNT, body)


def delete_account_setting(step: Step, body: Json) -> Json:
    """The answer has what holds from now on."""
    name, principal_arn = body["name"], body.get("principalArn")
    step.account_settings.drop(f"{_key(step, principal_arn)}/{name}")
    value = effective(step, name, principal_arn)
    return {"setting": _setting(step, name, value, principal_arn)}


def list_account_settings(step: Step, body: Json) -> Json:
    """Those that were set, by one principal; or all that hold for it."""
    principal_arn = body.get("principalArn")
    if body.get("value") is not None and body.get("name") is None and body.get("effectiveSettings"):
        raise invalid("To filter by value you must also give the name of the setting.")
    owner = _key(step, principal_arn)
    settings = []
    for name in _SETTINGS:
        value = (
            effective(step, name, principal_arn)
            if body.get("effectiveSettings")
            else step.account_settings.get(f"{owner}/{name}")
        )
        if value is not None and body.get("name", name) == name and body.get("value", value) == value:
            settings.append(_setting(step, name, value, principal_arn))
    return page(
        "ListAccountSettings", body, "settings", settings, key=lambda setting: setting["name"], show=dict[str, str]
    )


ACTIONS: Mapping[str, Action] = {
    "PutAccountSetting": Action(put_account_setting),
    "PutAccountSettingDefault": Action(put_account_setting_default),
    "DeleteAccountSetting": Action(delete_account_setting),
    "ListAccountSettings": Action(list_account_settings, is_reader=True),
}


def _key(step: Step, principal_arn: str | None) -> str:
    """The account's root user stands for the account."""
    arn = principal_arn or step.principal_arn
    return _ACCOUNT if arn.endswith(":root") else arn


def _put(step: Step, owner: str, body: Json) -> Json:
    name, value = body["name"], body["value"]
    allowed = _SETTINGS[name][1]
    if name in _OF_AWS:
        raise invalid(f"The setting {name} is AWS's own and cannot be changed.")
    if value not in allowed:
        raise invalid(f"Invalid value for {name}: it must be one of {', '.join(allowed)}.")
    step.account_settings.put(f"{owner}/{name}", value)
    return {"setting": _setting(step, name, value, None if owner == _ACCOUNT else owner)}


def _setting(step: Step, name: str, value: str, principal_arn: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "principalArn": principal_arn or step.principal_arn,
        "type": "aws_managed" if name in _OF_AWS else "user",
    }

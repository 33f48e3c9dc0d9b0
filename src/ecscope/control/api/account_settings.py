"""Account settings: kept and shown. Only ``containerInsights`` and ``defaultLogDriverMode`` have an effect.

A principal's own setting comes before the account's, which comes before what ECS has by default.

Source: control-plane.md §3.1; PutAccountSetting of the ECS API (2014-11-13).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ecscope.control.api.action import Action
from ecscope.control.api.pages import page
from ecscope.control.core.account_settings import LOG_DRIVER_MODE, NON_BLOCKING
from ecscope.control.core.errors import invalid
from ecscope.control.core.records import Json
from ecscope.control.core.step import Step

_ACCOUNT = "default"
_SWITCH = ("enabled", "disabled")
_SETTINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "awsvpcTrunking": ("disabled", _SWITCH),
    "containerInsights": ("disabled", ("enabled", "disabled", "enhanced")),
    "containerInstanceLongArnFormat": ("enabled", _SWITCH),
    LOG_DRIVER_MODE: (NON_BLOCKING, ("blocking", "non-blocking")),
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
_LONG_ARNS = ("containerInstanceLongArnFormat", "serviceLongArnFormat", "taskLongArnFormat")


def effective(step: Step, name: str, principal_arn: str | None = None) -> str:
    """The setting in force for a principal; ``None``: the caller."""
    return _effective(step, name, _key(step, principal_arn))[1]


def _effective(step: Step, name: str, owner: str) -> tuple[str, str]:
    """Whose setting is in force for ``owner``, and its value. The account's default is ECS's, unless it was changed."""
    own = step.account_settings.get(f"{owner}/{name}")
    if own is not None:
        return owner, own
    return _ACCOUNT, step.account_settings.get(f"{_ACCOUNT}/{name}") or _SETTINGS[name][0]


def put_account_setting(step: Step, body: Json) -> Json:
    owner = _key(step, body.get("principalArn"))
    return _put(step, owner, body)


def put_account_setting_default(step: Step, body: Json) -> Json:
    return _put(step, _ACCOUNT, body)


def delete_account_setting(step: Step, body: Json) -> Json:
    """The answer has what holds from now on."""
    name, owner = body["name"], _key(step, body.get("principalArn"))
    step.account_settings.drop(f"{owner}/{name}")
    return {"setting": _setting(step, name, _effective(step, name, owner)[1], owner)}


def list_account_settings(step: Step, body: Json) -> Json:
    """Those that were set, by one principal; or all that hold for it."""
    if body.get("value") is not None and body.get("name") is None and body.get("effectiveSettings"):
        raise invalid("To filter by value you must also give the name of the setting.")
    asking = _key(step, body.get("principalArn"))
    settings = []
    for name in _SETTINGS:
        owner, value = asking, step.account_settings.get(f"{asking}/{name}")
        if body.get("effectiveSettings"):
            owner, value = _effective(step, name, asking)
        if value is not None and body.get("name", name) == name and body.get("value", value) == value:
            settings.append(_setting(step, name, value, owner))
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
    """Whose a setting is: the account's root user represents the account. Raises ``InvalidParameterException``.

    A role's sessions have the settings of the role, by the ARN that it has without a path.
    """
    arn, account = principal_arn or step.principal_arn, step.settings.account
    if arn == f"arn:aws:iam::{account}:root":
        return _ACCOUNT
    session = re.fullmatch(rf"arn:aws:sts::{account}:assumed-role/([^/]+)/[^/]+", arn)
    if session is not None:
        return f"arn:aws:iam::{account}:role/{session[1]}"
    if principal_arn and re.fullmatch(rf"arn:aws:iam::{account}:(user|role)/.+", arn) is None:
        raise invalid("The principalArn must be that of a user, a role or the root user of this account.")
    return arn


def _put(step: Step, owner: str, body: Json) -> Json:
    name, value = body["name"], body["value"]
    allowed = _SETTINGS[name][1]
    if name in _OF_AWS:
        raise invalid(f"The setting {name} is AWS's own and cannot be changed.")
    if value not in allowed:
        raise invalid(f"Invalid value for {name}: it must be one of {', '.join(allowed)}.")
    if name in _LONG_ARNS and value == "disabled":
        raise invalid("You can no longer disable Long Arn settings: every ARN is in the long format.")
    step.account_settings.put(f"{owner}/{name}", value)
    return {"setting": _setting(step, name, value, owner)}


def _setting(step: Step, name: str, value: str, owner: str) -> dict[str, str]:
    """The account's belong to its root user."""
    root = f"arn:aws:iam::{step.settings.account}:root"
    return {
        "name": name,
        "value": value,
        "principalArn": root if owner == _ACCOUNT else owner,
        "type": "aws_managed" if name in _OF_AWS else "user",
    }

"""Permissions: policies in IAM's own JSON, read in full or refused with reasons, and evaluated as IAM does.

Only identity-based policies: there are no groups, boundaries, session or resource policies on one machine. What a
policy says and this module does not understand is a mistake of the file, never passed over.

Source: IAM User Guide, "IAM JSON policy elements reference" and "Policy evaluation logic".
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache

import msgspec

from ecscope.control.core.errors import ApiError

VERSIONS = ("2008-10-17", "2012-10-17")
_WITH_VARIABLES = "2012-10-17"
_MANY_PLACES = "requires one string or a list of strings"


class Mistake(msgspec.Struct, frozen=True):
    """Something in a file that is wrong or not understood."""

    place: str
    """``UserDetailList[0].UserPolicyList[0].PolicyDocument.Statement[1].Condition``."""
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of IAM: may this be done, on all of these?"""

    action: str
    """``ecs:RunTask``."""
    resources: tuple[str, ...]
    """ARNs, or ``*`` alone for an action without resources."""
    context: Mapping[str, tuple[str, ...]] = {}
    """Condition key, in lower case → its values."""
    resource_contexts: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    """ARN → keys that only hold for that one, such as its tags."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's policies say, and the condition keys of the caller."""

    principal_arn: str
    policies: tuple[Policy, ...]
    context: Mapping[str, tuple[str, ...]] = {}
    """Condition key, in lower case → its values."""

    def authorize(self, request: Request) -> None:
        """Raises ``ApiError`` with AWS's sentence unless every resource of the request is allowed."""
        authorize(self.principal_arn, self.policies, request)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One operator on one key."""

    operator: str
    """In its plain form: ``StringLike``."""
    key: str
    """In lower case."""
    values: tuple[str, ...]
    if_exists: bool = False
    quantifier: str = ""
    """``ForAllValues``, ``ForAnyValue``, or ``""`` for a key with one value."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of a policy."""

    is_allow: bool
    actions: tuple[str, ...]
    excludes_actions: bool = False
    """It was ``NotAction``."""
    resources: tuple[str, ...]
    excludes_resources: bool = False
    conditions: tuple[Condition, ...] = ()
    has_variables: bool = True


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy document, understood."""

    name: str
    statements: tuple[Statement, ...]


class Verdict(Enum):
    """What IAM says."""

    ALLOWED = "allowed"
    DENIED = "denied by a statement"
    NOT_ALLOWED = "allowed by no statement"


def authorize(principal_arn: str, policies: Iterable[Policy], request: Request) -> None:
    """Raises ``ApiError`` with AWS's sentence unless every resource of the request is allowed."""
    policies = tuple(policies)
    for resource in request.resources:
        verdict = evaluate(policies, request, resource)
        if verdict is not Verdict.ALLOWED:
            raise ApiError("AccessDeniedException", denial(principal_arn, request.action, resource, verdict))


def allows_everything(policies: Iterable[Policy]) -> bool:
    """Whether nothing needs to be asked: one statement allows all, and none denies or leaves out anything."""
    statements = [statement for policy in policies for statement in policy.statements]
    return all(statement.is_allow for statement in statements) and any(
        statement.actions == statement.resources == ("*",)
        and not (statement.conditions or statement.excludes_actions or statement.excludes_resources)
        for statement in statements
    )


def allows_anywhere(policies: Iterable[Policy], action: str) -> bool:
    """Whether ``action`` is allowed whatever it touches: one statement says so without a condition, and none denies."""
    statements = [statement for policy in policies for statement in policy.statements]
    return all(statement.is_allow for statement in statements) and any(
        statement.resources == ("*",)
        and not (statement.conditions or statement.excludes_actions or statement.excludes_resources)
        and any(_matches(pattern, action, ignore_case=True) for pattern in statement.actions)
        for statement in statements
    )


def denial(principal_arn: str, action: str, resource: str, verdict: Verdict) -> str:
    """AWS's sentence. Agents and people search it for the action."""
    denial = f"User: {principal_arn} is not authorized to perform: {action} on resource: {resource} "
    if verdict is Verdict.DENIED:
        return denial + "with an explicit deny in an identity-based policy"
    return denial + f"because no identity-based policy allows the {action} action"


def evaluate(policies: Iterable[Policy], request: Request, resource: str) -> Verdict:
    """An explicit deny goes before any allow."""
    verdict = Verdict.NOT_ALLOWED
    context: Mapping[str, tuple[str, ...]] | None = None
    for policy in policies:
        for statement in policy.statements:
            if statement.is_allow and verdict is Verdict.ALLOWED:
                continue
            if context is None:
                context = {**request.context, **request.resource_contexts.get(resource, {})}
            if _applies(statement, request.action, resource, context):
                if not statement.is_allow:
                    return Verdict.DENIED
                verdict = Verdict.ALLOWED
    return verdict


def _applies(statement: Statement, action: str, resource: str, context: Mapping[str, tuple[str, ...]]) -> bool:
    named = any(_matches(pattern, action, ignore_case=True) for pattern in statement.actions)
    if named is statement.excludes_actions:
        return False
    patterns = [_filled(pattern, context, statement) for pattern in statement.resources]
    found = any(pattern is not None and _matches(pattern, resource) for pattern in patterns)
    if found is statement.excludes_resources:
        return False
    return all(_holds(condition, context, statement) for condition in statement.conditions)


# --- wildcards and variables ----------------------------------------------------------------------------

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL = {"*": "\ue000", "?": "\ue001", "$": "$"}
"""Characters that a variable puts in as themselves are kept apart from wildcards until the match."""


def _filled(pattern: str, context: Mapping[str, tuple[str, ...]], statement: Statement) -> str | None:
    """With its variables replaced; ``None``: one has no single value, and so the pattern matches nothing."""
    if "${" not in pattern or not statement.has_variables:
        return pattern
    lacking = False

    def value(match: re.Match[str]) -> str:
        nonlocal lacking
        name, comma, default = match[1].partition(",")
        if name in _LITERAL:
            return _LITERAL[name]
        values = context.get(name.strip().lower(), ())
        if len(values) == 1:
            return _as_literal(values[0])
        lacking = lacking or not comma
        return _as_literal(default.strip().strip("'"))

    filled = _VARIABLE.sub(value, pattern)
    return None if lacking else filled


def _as_literal(text: str) -> str:
    return text.replace("*", _LITERAL["*"]).replace("?", _LITERAL["?"])


def _matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    return pattern == "*" or _compiled(pattern, ignore_case).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    spelled = {"?": ".", _LITERAL["*"]: r"\*", _LITERAL["?"]: r"\?"}
    first, *rest = ("".join(spelled.get(c, re.escape(c)) for c in part) for part in re.split(r"\*+", pattern))
    # The text between two stars matches at its first occurrence, without backtracking (?>): otherwise a caller could
    # choose a name that takes exponential time. Only the last part is anchored at the end.
    regex = first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + "".join(f".*{part}" for part in rest[-1:])
    return re.compile(regex, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _arn_matches(pattern: str, text: str) -> bool:
    """Each of the six parts by itself: a wildcard does not cross a colon before the resource."""
    patterns, parts = pattern.split(":", 5), text.split(":", 5)
    return len(patterns) == len(parts) == 6 and all(map(_matches, patterns, parts))


# --- conditions -------------------------------------------------------------------------------------------

Test = Callable[[str, str], bool]
"""Takes a value of the request and one of the policy. Raises ``ValueError`` for one that it cannot read."""


def _number(text: str) -> float:
    return float(text)


def _moment(text: str) -> float:
    """Epoch seconds, of an ISO 8601 moment or of such seconds."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _read_by(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Test:
    return lambda found, wanted: compare(read(found), read(wanted))


def _is_in_network(found: str, wanted: str) -> bool:
    return ipaddress.ip_address(found) in ipaddress.ip_network(wanted, strict=False)


def _plain(text: str) -> str:
    """A policy's value where wildcards mean nothing."""
    return text.replace(_LITERAL["*"], "*").replace(_LITERAL["?"], "?")


_POSITIVE: Mapping[str, Test] = {
    "StringEquals": lambda found, wanted: found == _plain(wanted),
    "StringEqualsIgnoreCase": lambda found, wanted: found.casefold() == _plain(wanted).casefold(),
    "StringLike": lambda found, wanted: _matches(wanted, found),
    "ArnEquals": lambda found, wanted: _arn_matches(wanted, found),
    "ArnLike": lambda found, wanted: _arn_matches(wanted, found),
    "NumericEquals": _read_by(_number, operator.eq),
    "NumericLessThan": _read_by(_number, operator.lt),
    "NumericLessThanEquals": _read_by(_number, operator.le),
    "NumericGreaterThan": _read_by(_number, operator.gt),
    "NumericGreaterThanEquals": _read_by(_number, operator.ge),
    "DateEquals": _read_by(_moment, operator.eq),
    "DateLessThan": _read_by(_moment, operator.lt),
    "DateLessThanEquals": _read_by(_moment, operator.le),
    "DateGreaterThan": _read_by(_moment, operator.gt),
    "DateGreaterThanEquals": _read_by(_moment, operator.ge),
    "Bool": _read_by(_truth, operator.eq),
    "IpAddress": _is_in_network,
}
_NEGATIVE: Mapping[str, str] = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
OPERATORS = (*_POSITIVE, *_NEGATIVE, "Null")

KEYS = (
    "aws:currenttime", "aws:epochtime", "aws:principalaccount", "aws:principalarn", "aws:principaltype",
    "aws:requestedregion", "aws:securetransport", "aws:sourceip", "aws:tagkeys", "aws:userid", "aws:username",
    "ecs:account-setting", "ecs:cluster", "ecs:container-instances", "ecs:container-name", "ecs:createaction",
    "ecs:enable-execute-command", "ecs:service", "ecs:task", "ecs:task-definition", "iam:passedtoservice", "s3:prefix",
)  # fmt: skip
"""What a request is known to carry. Source: Service Authorization Reference, Amazon ECS; IAM's global keys."""
KEY_PREFIXES = ("aws:requesttag/", "aws:resourcetag/", "ecs:resourcetag/")


def _holds(condition: Condition, context: Mapping[str, tuple[str, ...]], statement: Statement) -> bool:
    found = context.get(condition.key, ())
    if condition.operator == "Null":
        return (not found) is (condition.values[0].lower() == "true")
    wanted = [filled for value in condition.values if (filled := _filled(value, context, statement)) is not None]
    is_negative = condition.operator in _NEGATIVE
    test = _POSITIVE[_NEGATIVE.get(condition.operator, condition.operator)]

    def one(value: str) -> bool:
        return any(_safely(test, value, each) for each in wanted) is not is_negative

    if condition.quantifier == "ForAllValues":
        return all(one(value) for value in found)
    if not found:
        # Without the key a negated operator holds, as do those with IfExists.
        return condition.if_exists or (is_negative and not condition.quantifier)
    if condition.quantifier == "ForAnyValue":
        return any(one(value) for value in found)
    # The policy speaks of one value. Where there are several, such as those of two tags whose keys differ in case, each
    # must be as an Allow says, and one is enough for a Deny.
    return (all if statement.is_allow else any)(one(value) for value in found)


def _safely(test: Test, found: str, wanted: str) -> bool:
    """What a client sent may be of another form than the policy compares with: then it does not match."""
    try:
        return test(found, wanted)
    except ValueError:
        return False


# --- reading ------------------------------------------------------------------------------------------------

_STATEMENT_MEMBERS = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal",
}  # fmt: skip


def parse_policy(document: object, *, name: str, place: str) -> tuple[Policy | None, tuple[Mistake, ...]]:
    """A policy document as decoded JSON. With any mistake there is no policy."""
    mistakes: list[Mistake] = []
    if not isinstance(document, dict):
        return None, (Mistake(place, "a policy document is a JSON object"),)
    for member in sorted(document.keys() - {"Version", "Id", "Statement"}):
        mistakes.append(Mistake(f"{place}.{member}", "not a member of a policy: Version, Id, Statement"))
    version = document.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        mistakes.append(Mistake(f"{place}.Version", f"must be one of {', '.join(VERSIONS)}"))
    written = document.get("Statement", [])
    listed = written if isinstance(written, list) else [written]
    if not listed:
        mistakes.append(Mistake(f"{place}.Statement", "a policy has one statement at least"))
    statements = []
    for index, each in enumerate(listed):
        at = f"{place}.Statement[{index}]" if isinstance(written, list) else f"{place}.Statement"
        statements.append(_statement(each, at, mistakes, has_variables=version == _WITH_VARIABLES))
    if mistakes:
        return None, tuple(mistakes)
    return Policy(name=name, statements=tuple(each for each in statements if each is not None)), ()


def _statement(written: object, place: str, mistakes: list[Mistake], *, has_variables: bool) -> Statement | None:
    if not isinstance(written, dict):
        mistakes.append(Mistake(place, "a statement is a JSON object"))
        return None
    for member in sorted(written.keys() - _STATEMENT_MEMBERS):
        mistakes.append(Mistake(f"{place}.{member}", "not a member of a statement"))
    for member in ("Principal", "NotPrincipal"):
        if member in written:
            mistakes.append(Mistake(f"{place}.{member}", "a policy of a user or a role must not have a principal"))
    effect = written.get("Effect")
    if effect not in ("Allow", "Deny"):
        mistakes.append(Mistake(f"{place}.Effect", "must be Allow or Deny"))
    excludes_actions, actions = _one_of(written, "Action", "NotAction", place, mistakes)
    excludes_resources, resources = _one_of(written, "Resource", "NotResource", place, mistakes)
    for action in actions:
        if action != "*" and not re.fullmatch(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+", action):
            mistakes.append(Mistake(place, f"{action!r} is not an action: write service:Action, such as ecs:RunTask"))
    for resource in resources:
        if resource != "*" and not re.match(r"arn:|\*|\?|arn\*", resource):
            mistakes.append(Mistake(place, f"{resource!r} is not a resource: write an ARN, or *"))
    return Statement(
        is_allow=effect == "Allow",
        actions=actions,
        excludes_actions=excludes_actions,
        resources=resources,
        excludes_resources=excludes_resources,
        conditions=tuple(_conditions(written.get("Condition", {}), f"{place}.Condition", mistakes)),
        has_variables=has_variables,
    )


def _one_of(
    written: Mapping[str, object], plain: str, negated: str, place: str, mistakes: list[Mistake]
) -> tuple[bool, tuple[str, ...]]:
    if (plain in written) is (negated in written):
        mistakes.append(Mistake(place, f"must have {plain} or {negated}, and not both"))
        return False, ()
    member = plain if plain in written else negated
    values = _strings(written[member])
    if not values:
        mistakes.append(Mistake(f"{place}.{member}", _MANY_PLACES))
    return member == negated, values


def _strings(written: object) -> tuple[str, ...]:
    """``()``: it is neither a string nor a list of strings."""
    listed: Sequence[object] = written if isinstance(written, list) else [written]
    strings = tuple(each for each in listed if isinstance(each, str))
    return strings if len(strings) == len(listed) else ()


def _values(written: object) -> tuple[str, ...]:
    """As strings: IAM takes numbers and truths for values too."""
    listed: Sequence[object] = written if isinstance(written, list) else [written]
    values = []
    for each in listed:
        if isinstance(each, bool):
            values.append(str(each).lower())
        elif isinstance(each, str | int | float):
            values.append(str(each))
        else:
            return ()
    return tuple(values)


def _conditions(written: object, place: str, mistakes: list[Mistake]) -> Iterable[Condition]:
    if not isinstance(written, dict):
        mistakes.append(Mistake(place, "a condition is a JSON object of operators"))
        return
    for spelled, keys in written.items():
        quantifier, colon, rest = spelled.rpartition(":")
        name = rest.removesuffix("IfExists")
        if (colon and quantifier not in ("ForAllValues", "ForAnyValue")) or name not in OPERATORS:
            known = ", ".join(OPERATORS)
            mistakes.append(Mistake(f"{place}.{spelled}", f"an operator that is not understood; known are {known}"))
            continue
        if not isinstance(keys, dict) or not keys:
            mistakes.append(Mistake(f"{place}.{spelled}", "requires a JSON object of keys"))
            continue
        for key, value in keys.items():
            condition = Condition(
                operator=name,
                key=key.lower(),
                values=_values(value),
                if_exists=rest.endswith("IfExists"),
                quantifier=quantifier,
            )
            reason = _complaint(condition)
            if reason:
                mistakes.append(Mistake(f"{place}.{spelled}.{key}", reason))
            yield condition


def _complaint(condition: Condition) -> str:
    """Why a condition cannot be evaluated; ``""``: it can."""
    if condition.key not in KEYS and not condition.key.startswith(KEY_PREFIXES):
        known = ", ".join((*KEYS, *(f"{prefix}…" for prefix in KEY_PREFIXES)))
        return f"a condition key that no request here carries; known are {known}"
    if not condition.values:
        return _MANY_PLACES
    if condition.operator == "Null":
        is_truth = all(value.lower() in ("true", "false") for value in condition.values)
        return "" if is_truth and len(condition.values) == 1 else "Null takes true or false"
    kind = _NEGATIVE.get(condition.operator, condition.operator)
    for value in condition.values:
        if "${" in value:
            continue
        try:
            if kind == "IpAddress":
                ipaddress.ip_network(value, strict=False)
            elif kind.startswith(("Numeric", "Date", "Bool")):
                _POSITIVE[kind](value, value)
        except ValueError:
            return f"{value!r} is not what {condition.operator} compares with"
    return ""

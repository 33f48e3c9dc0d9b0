"""The cluster query language: which container instances an expression means.

``attribute:ecs.instance-type =~ t2.* and not (task:group == db or attribute:stack in [test, prod])``

A subject represents the values that an instance has for it: none for an attribute that it lacks, many for
``task:group``. An operator holds when it holds for one of them; ``!=``, ``!in`` and ``!~`` are the contrary.

Source: control-plane.md §7.3; "Cluster query language" of the ECS developer guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from ecscope.control.core.patterns import Pattern, PatternError
from ecscope.control.core.records import Instance
from ecscope.control.core.step import Step

LONGEST = 2000
"""Characters of an expression."""

Predicate = Callable[[Step, Instance], bool]
_Values = Callable[[Step, Instance], Sequence[str]]
_Test = Callable[[str], bool]

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_]+")
_SUBJECT = re.compile(r"attribute:[A-Za-z0-9_./:\\-]+|task:group|[A-Za-z0-9]+")
_OPERATOR = re.compile(r"==|!=|>=|<=|>|<|=~|!~|!exists\b|!in\b|[a-z_]+")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_BARE = re.compile(r"[^\s()\[\],\"']+")
_LISTED = re.compile(r"[^\s\[\],\"']+")
_OPERATORS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_exists": "!exists",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
"""Word → sign. ``exists`` and ``in`` are words only."""
_NEGATED = {"!=": "==", "!exists": "exists", "!in": "in", "!~": "=~"}


class QueryError(ValueError):
    """The expression cannot be read; the text says where and why."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"at character {position + 1}: {problem}")
        self.position = position
        """From 0."""


@lru_cache(maxsize=512)
def parsed(expression: str) -> Predicate:
    """A predicate that selects instances. Raises ``QueryError``."""
    if len(expression) > LONGEST:
        raise QueryError(LONGEST, f"an expression has {LONGEST} characters at most")
    parser = _Parser(expression)
    predicate = parser.alternatives()
    if not parser.is_at_end():
        raise parser.error("expected and, or, or the end")
    return predicate


class _Parser:
    """One pass from left to right; ``or`` binds weakest, ``not`` strongest."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def error(self, problem: str) -> QueryError:
        return QueryError(self._at, problem)

    def is_at_end(self) -> bool:
        self._skip_space()
        return self._at == len(self._text)

    def alternatives(self) -> Predicate:
        parts = [self._all_of()]
        while self._take_word("or", "||"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda step, instance: any(part(step, instance) for part in parts)

    def _all_of(self) -> Predicate:
        parts = [self._one()]
        while self._take_word("and", "&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda step, instance: all(part(step, instance) for part in parts)

    def _one(self) -> Predicate:
        turns = 0
        while self._take_word("not", "!"):
            turns += 1
        inner = self._group() if self._take_sign("(") else self._comparison()
        return inner if turns % 2 == 0 else lambda step, instance: not inner(step, instance)

    def _group(self) -> Predicate:
        opened = self._at - 1
        if self._text[: self._at].count("(") > 50:  # deeper than anybody writes, and than Python calls
            raise self.error("too many parentheses")
        inner = self.alternatives()
        if not self._take_sign(")"):
            raise self.error(f"expected ) for the ( at character {opened + 1}")
        return inner

    def _comparison(self) -> Predicate:
        values = self._subject()
        sign = self._operator()
        positive = _NEGATED.get(sign, sign)
        is_negated = sign in _NEGATED
        if positive == "exists":
            return lambda step, instance: bool(values(step, instance)) is not is_negated
        holds = self._test(positive)
        return lambda step, instance: any(map(holds, values(step, instance))) is not is_negated

    def _subject(self) -> _Values:
        self._skip_space()
        found = _SUBJECT.match(self._text, self._at)
        if found is None:
            raise self.error("expected a subject, such as attribute:<name>")
        name = found[0]
        values = _attribute(name.removeprefix("attribute:")) if ":" in name[:10] else _SUBJECTS.get(name)
        if name == "task:group":
            values = _groups
        if values is None:
            raise self.error(f"unknown subject {name}; there are attribute:<name>, task:group, {', '.join(_SUBJECTS)}")
        self._at = found.end()
        return values

    def _operator(self) -> str:
        self._skip_space()
        found = _OPERATOR.match(self._text, self._at)
        sign = _OPERATORS.get(found[0], found[0]) if found is not None else ""
        if found is None or sign not in _SIGNS:
            raise self.error("expected an operator: ==, !=, >, >=, <, <=, =~, !~, in, !in, exists or !exists")
        self._at = found.end()
        return sign

    def _test(self, sign: str) -> _Test:
        if sign == "in":
            wanted = frozenset(self._list())
            return lambda value: value in wanted
        start = self._at
        argument = self._pattern() if sign == "=~" else self._argument(_BARE)
        if sign == "==":
            return lambda value: value.lower() == argument.lower() if _is_flag(argument) else value == argument
        if sign == "=~":
            try:
                return Pattern(argument).fits
            except PatternError as error:
                raise QueryError(start, f"{argument[:100]} {error}") from None
        return lambda value: _compare(value, sign, argument)

    def _argument(self, form: re.Pattern[str]) -> str:
        self._skip_space()
        if quoted := _QUOTED.match(self._text, self._at):
            self._at = quoted.end()
            return quoted[1] if quoted[1] is not None else quoted[2]
        found = form.match(self._text, self._at)
        if found is None:
            raise self.error("expected a value")
        self._at = found.end()
        return found[0]

    def _pattern(self) -> str:
        """A bare one ends at a space, or at a parenthesis that it did not open."""
        self._skip_space()
        if self._text[self._at : self._at + 1] in ('"', "'"):
            return self._argument(_BARE)
        depth, end = 0, self._at
        while end < len(self._text) and not self._text[end].isspace():
            depth += {"(": 1, ")": -1}.get(self._text[end], 0)
            if depth < 0:
                break
            end += 1
        if end == self._at:
            raise self.error("expected a regular expression")
        found, self._at = self._text[self._at : end], end
        return found

    def _list(self) -> list[str]:
        if not self._take_sign("["):
            raise self.error("expected [ and values with commas between them")
        values = [self._argument(_LISTED)]
        while self._take_sign(","):
            values.append(self._argument(_LISTED))
        if not self._take_sign("]"):
            raise self.error("expected , or ]")
        return values

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()

    def _take_word(self, word: str, sign: str) -> bool:
        self._skip_space()
        found = _WORD.match(self._text, self._at)
        if found is not None and found[0].lower() == word:
            self._at = found.end()
            return True
        return self._take_sign(sign)

    def _take_sign(self, sign: str) -> bool:
        self._skip_space()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True


# --- what instances have --------------------------------------------------------------------------


def running_tasks_count(step: Step, instance: Instance) -> int:
    return sum(step.tasks[arn].is_running for arn in step.tasks_on.get(instance.arn, ()))


def _attribute(name: str) -> _Values:
    def values(step: Step, instance: Instance) -> Sequence[str]:
        return (instance.attributes[name] or "",) if name in instance.attributes else ()

    return values


def _groups(step: Step, instance: Instance) -> Sequence[str]:
    return tuple(step.groups_on.get(instance.arn, ()))


_SUBJECTS: dict[str, _Values] = {
    "agentConnected": lambda step, instance: ("true" if instance.is_connected else "false",),
    "agentVersion": lambda step, instance: tuple(
        version for name, version in instance.version_info.items() if name == "agentVersion"
    ),
    "ec2InstanceId": lambda step, instance: (instance.ec2_instance_id,),
    "registeredAt": lambda step, instance: (instance.registered_at.isoformat(),),
    "runningTasksCount": lambda step, instance: (str(running_tasks_count(step, instance)),),
}
_SIGNS = frozenset({*_OPERATORS.values(), "exists", "in"})


def _is_flag(argument: str) -> bool:
    return argument.lower() in ("true", "false")


def _compare(value: str, sign: str, argument: str) -> bool:
    """As moments, versions or numbers where both are, else as text."""
    left, right = _measure(value), _measure(argument)
    if type(left) is not type(right):
        left, right = value, argument
    order = (left > right) - (left < right)  # type: ignore[operator]  # of one type
    return {">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[sign]


def _measure(text: str) -> datetime | tuple[float, ...] | str:
    if re.fullmatch(r"\d+(\.\d+)*", text):
        return tuple(float(part) for part in text.split("."))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

"""An AWS API as botocore's service model has it: input is fully checked before it is used, output is checked in tests.

Each action's checks are made when it is first asked for, as nested functions; a member that the model does not know is
left out, as ECS does. Where what was sent is of the wrong type it cannot be read at all (``SerializationException``);
what can be read but breaks a rule is reported all at once, in AWS's words. No rule is here that the model lacks.

Source: botocore's ``data/ecs/2014-11-13/service-2.json.gz`` and its neighbours; control-plane.md §1, §3.5.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any
from unicodedata import category

import msgspec

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import Json


class Api(msgspec.Struct, frozen=True):
    """A service, and where botocore has its model."""

    name: str
    """As people say it: ``Amazon ECS``."""
    folder: str
    version: str


ECS = Api("Amazon ECS", "ecs", "2014-11-13")
LOGS = Api("Amazon CloudWatch Logs", "logs", "2014-03-28")

AGENTS_MEMBERS: Mapping[str, Mapping[str, str]] = {
    "RegisterContainerInstance": {"clientToken": "String"},
    "DiscoverPollEndpoint": {"zoneId": "String"},
}
"""What agents send and the public model lacks. Source: control-plane.md §1."""

MISSING_IN_WORDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("DescribeTasks", "tasks"): ("InvalidParameterException", "Tasks cannot be empty."),
    ("DescribeContainerInstances", "containerInstances"): (
        "InvalidParameterException",
        "Container Instances cannot be empty.",
    ),
    ("StartTask", "containerInstances"): ("InvalidParameterException", "Container Instances cannot be empty."),
    ("RegisterTaskDefinition", "family"): ("ClientException", "Family should not be null or empty."),
    ("RegisterTaskDefinition", "containerDefinitions"): ("ClientException", "Container list cannot be empty."),
}
"""Required members whose absence ECS reports in words of its own. Source: control-plane.md §3.5."""

WITH_CLIENT_EXCEPTION = frozenset({"RegisterTaskDefinition"})
"""Actions whose other mistakes are ``ClientException`` too. Source: control-plane.md §3.5."""

_INT_32 = (-(2**31), 2**31 - 1)
_INT_64 = (-(2**63), 2**63 - 1)
_SHOWN_CHARACTERS = 120
_NO_OUTPUT = ""
"""The shape of what an operation without an output answers: ``{}``."""
_TIMESTAMPS = (-62135596800.0, 253402300799.0)
"""Years 1 to 9999."""


class Shape(msgspec.Struct, frozen=True):
    """A shape of the model; its documentation is left where it is."""

    type: str
    members: dict[str, _Reference] = {}
    required: list[str] = []
    member: _Reference | None = None
    key: _Reference | None = None
    value: _Reference | None = None
    enum: list[str] = []
    min: float | None = None
    max: float | None = None
    pattern: str = ""
    union: bool = False
    document: bool = False
    """Any JSON."""
    exception: bool = False
    fault: bool = False


class _Reference(msgspec.Struct, frozen=True):
    shape: str


class _Operation(msgspec.Struct, frozen=True):
    input: _Reference | None = None
    output: _Reference | None = None
    errors: list[_Reference] = []


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    target_prefix: str


class _Service(msgspec.Struct, frozen=True):
    metadata: _Metadata
    operations: dict[str, _Operation]
    shapes: dict[str, Shape]


At = tuple["At", str | int] | None
"""Where in the input: the place above, and the member or index; ``None``: the input itself."""


class Problem(msgspec.Struct, frozen=True):
    """One rule of the model that was broken."""

    at: At
    value: object
    constraint: str

    def place(self) -> str:
        """As AWS writes it: ``tags.1.member.key``."""
        return _place(self.at)

    def sentence(self) -> str:
        value = "null" if self.value is None else f"'{str(self.value)[:_SHOWN_CHARACTERS]}'"
        return f"Value {value} at '{self.place()}' failed to satisfy constraint: {self.constraint}"


Check = Callable[[Any, At, list[Problem]], Any]
"""Takes a value, its place and the problems so far; gives the value as it is to be used. Raises ``ApiError``."""


class Checked(msgspec.Struct, frozen=True):
    """What became of an input."""

    body: Json
    """Readable; only what the model knows."""
    refusal: ApiError | None = None
    """The rules of the model that it breaks."""


class WrongOutputError(Exception):
    """An answer is not as the model has it: a bug."""


class ServiceModel:
    """See the module docstring. Reading it takes some 10 ms; keep one."""

    def __init__(self, api: Api = ECS) -> None:
        service = _read(api)
        self._name = api.name
        self.target_prefix = service.metadata.target_prefix
        self.operations: Mapping[str, _Operation] = service.operations
        self._shapes = {**service.shapes, _NO_OUTPUT: Shape("structure")}
        self._inputs: dict[str, Check] = {}
        self._outputs: dict[str, Check] = {}

    def action(self, target: str) -> str:
        """The action that an ``X-Amz-Target`` names. Raises ``UnknownOperationException``."""
        prefix, _, action = target.rpartition(".")
        if prefix != self.target_prefix or action not in self.operations:
            named = target[:_SHOWN_CHARACTERS] or "no X-Amz-Target header"
            raise ApiError("UnknownOperationException", f"{self._name} has no such operation: {named}")
        return action

    def errors(self, action: str) -> frozenset[str]:
        """The shapes of errors that the model lists for an action."""
        return frozenset(error.shape for error in self.operations[action].errors)

    def is_fault(self, code: str) -> bool:
        """Whether an error is the server's fault (HTTP 500), and not the client's."""
        shape = self._shapes.get(code)
        return shape is not None and shape.fault

    def read(self, action: str, sent: bytes) -> Checked:
        """Take a request's body apart. Raises ``ApiError`` (``SerializationException``) where it cannot be read."""
        try:
            body = msgspec.json.decode(sent) if sent.strip() else {}
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError("SerializationException", f"The request is not JSON that can be read: {error}") from None
        problems: list[Problem] = []
        checked = self._input(action)(body, None, problems)
        return Checked(checked, _refusal(action, problems) if problems else None)

    def check_output(self, action: str, body: object) -> None:
        """Raises ``WrongOutputError`` unless ``body``, as it is sent, is what the model says, to the last member."""
        check = self._outputs.get(action)
        if check is None:
            check = self._outputs[action] = _Compiler(self._shapes, is_strict=True).check(self._output_shape(action))
        problems: list[Problem] = []
        try:
            check(msgspec.to_builtins(body), None, problems)
        except ApiError as error:
            raise WrongOutputError(f"{action}: {error}") from error
        if problems:
            raise WrongOutputError(f"{action}: " + "; ".join(problem.sentence() for problem in problems))

    def input_shape(self, action: str) -> str:
        reference = self.operations[action].input
        assert reference is not None, "every operation that is answered has an input"
        return reference.shape

    def shape(self, name: str) -> Shape:
        return self._shapes[name]

    def _output_shape(self, action: str) -> str:
        reference = self.operations[action].output
        return reference.shape if reference is not None else _NO_OUTPUT

    def _input(self, action: str) -> Check:
        check = self._inputs.get(action)
        if check is None:
            compiler = _Compiler(self._shapes, is_strict=False)
            check = compiler.check(self.input_shape(action), AGENTS_MEMBERS.get(action, {}))
            self._inputs[action] = check
        return check


def _read(api: Api) -> _Service:
    """Not by botocore's loader: that costs 14 MB for the parts of botocore that it imports (ADR 0014)."""
    path = resources.files("botocore") / "data" / api.folder / api.version / "service-2.json.gz"
    return msgspec.json.decode(gzip.decompress(path.read_bytes()), type=_Service)


def _refusal(action: str, problems: list[Problem]) -> ApiError:
    for problem in problems:
        if problem.value is None and (action, problem.place()) in MISSING_IN_WORDS:
            return ApiError(*MISSING_IN_WORDS[action, problem.place()])
    count = len(problems)
    sentences = "; ".join(problem.sentence() for problem in problems[:10])
    code = "ClientException" if action in WITH_CLIENT_EXCEPTION else "InvalidParameterException"
    return ApiError(code, f"{count} validation error{'s' if count > 1 else ''} detected: {sentences}")


def _place(at: At) -> str:
    steps: list[str] = []
    while at is not None:
        at, step = at
        # AWS counts from 1, and writes the members of a list one level below it.
        steps.append(f"{step + 1}.member" if isinstance(step, int) else step)
    return ".".join(reversed(steps))


def _wrong_type(value: object, at: At, wanted: str) -> ApiError:
    """In the words of AWS's JSON reader, and where: AWS itself does not say that."""
    place = _place(at)
    where = f" (at '{place}')" if place else ""
    match value:
        case list() if wanted in {"Structure", "Map"}:
            said = "Unrecognized collection type class java.util.ArrayList"
        case list():
            said = "Start of list found where not expected"
        case dict():
            said = "Start of structure or map found where not expected."
        case _ if wanted in {"Structure", "Map", "List"}:
            said = "Unexpected field type"
        case bool():
            said = f"{str(value).upper()}_VALUE cannot be converted to {wanted}"
        case str() if wanted == "Boolean":
            said = "Unexpected token received from parser"
        case str():
            said = f"STRING_VALUE cannot be converted to {wanted}"
        case int():
            said = f"NUMBER_VALUE cannot be converted to {wanted}"
        case _:
            said = f"DECIMAL_VALUE cannot be converted to {wanted}"
    return ApiError("SerializationException", said + where)


class _Compiler:
    """Makes the checks of one action."""

    def __init__(self, shapes: Mapping[str, Shape], *, is_strict: bool) -> None:
        self._shapes = shapes
        self._is_strict = is_strict
        """For output: members that the model lacks are an error, and so is ``null``."""
        self._made: dict[str, Check] = {}
        self._open: set[str] = set()

    def check(self, name: str, more: Mapping[str, str] | None = None) -> Check:
        made = self._made.get(name)
        if made is not None:
            return made
        assert name not in self._open, f"{name} holds itself: the model never had that before"
        self._open.add(name)
        made = self._made[name] = self._make(self._shapes[name], more or {})
        return made

    def _make(self, shape: Shape, more: Mapping[str, str]) -> Check:
        match shape.type:
            case "structure" if shape.document:
                return _anything
            case "structure":
                return self._structure(shape, more)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case "string":
                return _string(shape)
            case "integer":
                return _integer(shape, "Integer", _INT_32)
            case "long":
                return _integer(shape, "Long", _INT_64)
            case "double" | "float":
                return _double(shape)
            case "boolean":
                return _boolean
            case "timestamp":
                return _timestamp
            case other:
                raise NotImplementedError(f"the model has a new kind of shape: {other}")

    def _structure(self, shape: Shape, more: Mapping[str, str]) -> Check:
        members = {name: self.check(member.shape) for name, member in shape.members.items()}
        members |= {name: self.check(member) for name, member in more.items()}
        required = tuple(shape.required)
        is_union, is_strict = shape.union, self._is_strict

        def check(value: Any, at: At, problems: list[Problem]) -> Any:
            if type(value) is not dict:
                raise _wrong_type(value, at, "Structure")
            kept: dict[str, object] = {}
            for name, sent in value.items():
                member = members.get(name)
                if member is None:
                    if is_strict:
                        problems.append(Problem((at, name), sent, "Member must be one of the model"))
                elif sent is not None:
                    kept[name] = member(sent, (at, name), problems)
                elif is_strict:
                    problems.append(Problem((at, name), sent, "Member must not be null"))
            for name in required:
                if name not in kept:
                    problems.append(Problem((at, name), None, "Member must not be null"))
            if is_union and len(kept) != 1:
                problems.append(Problem(at, sorted(kept), "Exactly one member must be set"))
            return kept

        return check

    def _list(self, shape: Shape) -> Check:
        assert shape.member is not None
        member = self.check(shape.member.shape)
        length = _length(shape)

        def check(value: Any, at: At, problems: list[Problem]) -> Any:
            if type(value) is not list:
                raise _wrong_type(value, at, "List")
            if length:
                length(value, at, problems)
            kept = []
            for index, item in enumerate(value):
                if item is None:
                    problems.append(Problem((at, index), None, "Member must not be null"))
                else:
                    kept.append(member(item, (at, index), problems))
            return kept

        return check

    def _map(self, shape: Shape) -> Check:
        assert shape.key is not None
        assert shape.value is not None
        key, member = self.check(shape.key.shape), self.check(shape.value.shape)
        length = _length(shape)

        def check(value: Any, at: At, problems: list[Problem]) -> Any:
            if type(value) is not dict:
                raise _wrong_type(value, at, "Map")
            if length:
                length(value, at, problems)
            kept = {}
            for name, item in value.items():
                if item is None:
                    problems.append(Problem((at, name), None, "Member must not be null"))
                else:
                    kept[key(name, (at, name), problems)] = member(item, (at, name), problems)
            return kept

        return check


def _string(shape: Shape) -> Check:
    allowed = frozenset(shape.enum)
    listed = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    length = _length(shape)
    matches = _pattern(shape.pattern) if shape.pattern else None
    unmatched = f"Member must satisfy regular expression pattern: {shape.pattern}"

    def check(value: Any, at: At, problems: list[Problem]) -> Any:
        if type(value) is not str:
            raise _wrong_type(value, at, "String")
        if allowed and value not in allowed:
            problems.append(Problem(at, value, listed))
        if length:
            length(value, at, problems)
        if matches and not matches(value):
            problems.append(Problem(at, value, unmatched))
        return value

    def plain(value: Any, at: At, problems: list[Problem]) -> Any:
        if type(value) is not str:
            raise _wrong_type(value, at, "String")
        return value

    return check if allowed or length or matches else plain


def _integer(shape: Shape, wanted: str, bounds: tuple[int, int]) -> Check:
    lowest, highest = bounds
    in_range = _range(shape)

    def check(value: Any, at: At, problems: list[Problem]) -> Any:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not lowest <= value <= highest:
            raise _wrong_type(value, at, wanted)
        if in_range:
            in_range(value, at, problems)
        return value

    return check


def _double(shape: Shape) -> Check:
    in_range = _range(shape)

    def check(value: Any, at: At, problems: list[Problem]) -> Any:
        if type(value) not in (int, float):
            raise _wrong_type(value, at, "Double")
        if in_range:
            in_range(value, at, problems)
        return float(value)

    return check


def _anything(value: Any, at: At, problems: list[Problem]) -> Any:
    return value


def _boolean(value: Any, at: At, problems: list[Problem]) -> Any:
    if type(value) is not bool:
        raise _wrong_type(value, at, "Boolean")
    return value


def _timestamp(value: Any, at: At, problems: list[Problem]) -> Any:
    """Seconds since the epoch."""
    if type(value) not in (int, float) or not _TIMESTAMPS[0] <= value <= _TIMESTAMPS[1]:
        raise _wrong_type(value, at, "Timestamp")
    return value


Rule = Callable[[Any, At, list[Problem]], None]


def _length(shape: Shape) -> Rule | None:
    least, most = shape.min, shape.max
    if least is None and most is None:
        return None

    def rule(value: Any, at: At, problems: list[Problem]) -> None:
        if least is not None and len(value) < least:
            problems.append(Problem(at, value, f"Member must have length greater than or equal to {least:.0f}"))
        if most is not None and len(value) > most:
            problems.append(Problem(at, value, f"Member must have length less than or equal to {most:.0f}"))

    return rule


def _range(shape: Shape) -> Rule | None:
    least, most = shape.min, shape.max
    if least is None and most is None:
        return None

    def rule(value: Any, at: At, problems: list[Problem]) -> None:
        if least is not None and value < least:
            problems.append(Problem(at, value, f"Member must have value greater than or equal to {least:.0f}"))
        if most is not None and value > most:
            problems.append(Problem(at, value, f"Member must have value less than or equal to {most:.0f}"))

    return rule


_STANDING_FOR = {"L": "a", "N": "0", "Z": " "}
"""Any letter matches where ``a`` does, once the classes in the pattern are spelled in ASCII."""


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Python's ``re`` has no ``\\p{L}`` and the like: one ASCII character represents each of these classes."""
    ascii_pattern = pattern.replace(r"\p{L}", "a-zA-Z").replace(r"\p{N}", "0-9").replace(r"\p{Z}", " ")
    assert r"\p" not in ascii_pattern, f"a class that is not known in the model's pattern {pattern}"
    compiled = re.compile(ascii_pattern)

    def matches(value: str) -> bool:
        if not value.isascii():
            value = "".join(c if c.isascii() else _STANDING_FOR.get(category(c)[0], "\0") for c in value)
        return compiled.fullmatch(value) is not None

    return matches

"""Requests drawn from botocore's model: good by all its rules, or broken at one place in a way that is told."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from ecscope.control.core.events import AgentConnected
from ecscope.control.core.state import ControlState
from tests.control_builders import AT, a_request
from tests.control_server import MODEL
from tests.control_world import MemoryWriter


def _a_state() -> ControlState:
    """A cluster with an instance, a task definition, a service and its task, and a task of its own."""
    world = MemoryWriter()

    def ask(number: int, action: str, body: dict[str, Any]) -> None:
        world.take(a_request(action, number, **MODEL.read(action, msgspec.json.encode(body)).body))

    ask(1, "CreateCluster", {"clusterName": "default", "tags": [{"key": "a", "value": "b"}]})
    container = {"name": "app", "image": "busybox", "memory": 16, "portMappings": [{"containerPort": 80}]}
    ask(2, "RegisterTaskDefinition", {"family": "sample", "containerDefinitions": [container]})
    resources = [{"name": name, "type": "INTEGER", "integerValue": 4096} for name in ("CPU", "MEMORY")] + [
        {"name": name, "type": "STRINGSET", "stringSetValue": ["22"]} for name in ("PORTS", "PORTS_UDP")
    ]
    attributes = [{"name": f"com.amazonaws.ecs.capability.docker-remote-api.1.{n}"} for n in range(17, 45)]
    ask(3, "RegisterContainerInstance", {"totalResources": resources, "attributes": attributes})
    (instance,) = world.state.instances
    world.take(
        AgentConnected(
            id="4" * 32, at=AT, instance_arn=instance, connection_id="c", version_info={}, wants_credentials=True
        )
    )
    ask(5, "CreateService", {"serviceName": "web", "taskDefinition": "sample", "desiredCount": 1})
    ask(6, "RunTask", {"taskDefinition": "sample"})
    assert len(world.state.tasks) == 2
    return world.state


STATE = _a_state()

KNOWN_NAMES = (
    "default", "sample", "sample:1", "sample:0", "web", "app", "attribute:x == y", "", " ", "0", "*", "a/b", "é\0",
    "a" * 300,
    *(cluster.arn for cluster in STATE.clusters.values()), *STATE.task_definitions, *STATE.instances, *STATE.services,
    *STATE.tasks,
    "arn:aws:ecs:::", "eyJ4IjoxfQ==", "256", "0.5 GB", "host", "docker", "CMD", "tcp", "RUNNING", "ACTIVE",
)  # fmt: skip
"""Free strings: what exists in ``STATE``, and what is odd."""

TRUE_NAMES = {
    "cluster": ("default",),
    "taskDefinition": ("sample", "sample:1"),
    "family": ("sample",),
    "service": ("web", *STATE.services),
    "serviceName": ("web",),
    "task": tuple(STATE.tasks),
    "containerInstance": tuple(STATE.instances),
    "containerName": ("app",),
}
"""Member → what exists: every other draw takes one, or hardly any request would come further than its first name."""

WRONG: dict[str, list[Any]] = {
    "string": [1, 1.5, True, [], {}],
    "integer": ["1", True, 1.5, [], {}, 2**40, -(2**70)],
    "long": ["1", False, 0.25, [], {}, 2**70],
    "double": ["1", True, [], {}],
    "boolean": ["true", 0, [], {}],
    "timestamp": ["2024-05-17T12:00:00Z", True, [], {}, 1e300],
    "list": ["a", 1, {}, True],
    "map": ["a", 1, [], True],
    "structure": ["a", 1, [], True],
}
"""Values that a shape of this type cannot be read from."""

NO_OBJECTS = (
    b"[]",
    b"null",
    b'"a"',
    b"1",
    b"{",
    b"{]",
    b'{"a"}',
    b"\xff\xfe",
    b'{"a": NaN}',
    b"[" * 100_000,
    b"{}{}",
    b"\0",
)


@lru_cache
def good(name: str) -> st.SearchStrategy[Any]:
    """Values that keep all rules of a shape."""
    shape = MODEL.shape(name)
    match shape.type:
        case "structure":
            return st.deferred(lambda: _structures(name))
        case "list":
            assert shape.member is not None
            most = min(int(shape.max) if shape.max is not None else 3, 3)
            return st.lists(good(shape.member.shape), min_size=int(shape.min or 0), max_size=most)
        case "map":
            assert shape.key is not None
            assert shape.value is not None
            return st.dictionaries(good(shape.key.shape), good(shape.value.shape), max_size=2)
        case "string" if shape.enum:
            return st.sampled_from(shape.enum)
        case "string" if shape.pattern or shape.min or shape.max:
            return st.text("aZ0*-." if "*" in shape.pattern else "aZ0-.", min_size=int(shape.min or 0), max_size=12)
        case "string":
            return st.sampled_from(KNOWN_NAMES) | st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
        case "integer" | "long":
            least = int(shape.min) if shape.min is not None else -2
            most = int(shape.max) if shape.max is not None else 70_000
            return st.integers(least, most) | st.integers(max(least, 0), min(most, max(least, 12)))
        case "double":
            return st.floats(shape.min or 0, shape.max or 1e6)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.floats(-1e9, 4e9)
        case other:
            raise NotImplementedError(other)


@st.composite
def _structures(draw: st.DrawFn, name: str) -> dict[str, Any]:
    shape = MODEL.shape(name)
    if shape.document:
        return {"any": [1]}
    if shape.union:
        chosen = [draw(st.sampled_from(sorted(shape.members)))]
    else:
        others = sorted(shape.members.keys() - set(shape.required))
        more = draw(st.lists(st.sampled_from(others), max_size=4, unique=True)) if others else []
        chosen = [*shape.required, *more]
    body = {member: draw(good(shape.members[member].shape)) for member in chosen}
    for member in sorted(TRUE_NAMES.keys() & body.keys()):
        if isinstance(body[member], str) and draw(st.booleans()):
            body[member] = draw(st.sampled_from(TRUE_NAMES[member]))
    return body


def good_bodies(action: str) -> st.SearchStrategy[bytes]:
    return good(MODEL.input_shape(action)).map(msgspec.json.encode)


@st.composite
def broken_bodies(draw: st.DrawFn, action: str) -> bytes:
    """Each breaks one rule of the model at least, or is no JSON object at all."""
    name = MODEL.input_shape(action)
    if not MODEL.shape(name).members or draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from(NO_OBJECTS))
    body = draw(good(name))
    holders = list(_holders(name, body))
    holder, key, shape_name, is_required = draw(st.sampled_from(holders))
    ways = [lambda: draw(st.sampled_from(WRONG[MODEL.shape(shape_name).type]))]
    rule_breakers = _rule_breakers(shape_name)
    if rule_breakers:
        ways.append(lambda: draw(st.sampled_from(rule_breakers)))
    if is_required or isinstance(key, int):
        ways.append(lambda: None)
    holder[key] = draw(st.sampled_from(ways))()
    if holder[key] is None and isinstance(holder, dict) and draw(st.booleans()):
        del holder[key]
    return json.dumps(body).encode()


def _holders(name: str, value: Any) -> Any:
    """Every place in a body that may be broken, those too that are not filled: (holder, key, shape, required)."""
    shape = MODEL.shape(name)
    if shape.type == "structure" and not shape.document:
        for member, reference in shape.members.items():
            if not MODEL.shape(reference.shape).document:
                yield value, member, reference.shape, member in shape.required
            if member in value:
                yield from _holders(reference.shape, value[member])
    elif shape.type == "list":
        assert shape.member is not None
        for index, item in enumerate(value):
            yield value, index, shape.member.shape, True
            yield from _holders(shape.member.shape, item)
    elif shape.type == "map":
        assert shape.value is not None
        for key in value:
            yield value, key, shape.value.shape, True
            yield from _holders(shape.value.shape, value[key])


def _rule_breakers(name: str) -> list[Any]:
    """Values that can be read, and yet break a rule."""
    shape = MODEL.shape(name)
    found: list[Any] = []
    match shape.type:
        case "string":
            if shape.enum:
                found += [
                    "",
                    "NO_SUCH_VALUE",
                    shape.enum[0].swapcase() if shape.enum[0].swapcase() not in shape.enum else "x",
                ]
            if shape.pattern:
                found += ["\n!", "a{}"]
            if shape.min:
                found.append("")
            if shape.max is not None:
                found.append("a" * (int(shape.max) + 1))
        case "integer" | "long" | "double":
            found += [int(shape.min) - 1] if shape.min is not None else []
            found += [int(shape.max) + 1] if shape.max is not None and shape.max < 2**31 - 1 else []
        case "list":
            found.append([None])
            found += [[]] if shape.min else []
        case "map":
            found += [{"a": None}]
        case "structure":
            found += [{}] if shape.required or shape.union else []
        case _:
            pass
    return found

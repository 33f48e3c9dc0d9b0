"""What two recordings have in common if two agents did the same, and where they differ.

What chance or a machine decides is taken out: times, Docker IDs, dynamic host ports, how news of containers is spread
over messages. What is left must be equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

DYNAMIC_PORTS = range(32768, 65536)
TIMES = ("pullStartedAt", "pullStoppedAt", "executionStoppedAt")

Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ContainerFact:
    """One status of one container, as reported."""

    status: str
    exit_code: int | None = None
    reason: str = ""
    has_runtime_id: bool = False
    has_digest: bool = False
    bindings: tuple[tuple[str, Any, Any, str], ...] = ()
    """Address, container port, host port (``dynamic`` when Docker chose it), protocol."""


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """All that was reported of one task."""

    statuses: tuple[str, ...] = ()
    """In order, each once: a drained message repeats the status that the task has."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By status."""
    times: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By status: which moments came with it."""
    containers: Mapping[str, tuple[ContainerFact, ...]] = field(default_factory=dict)
    """By name, each in its order."""
    oddities: tuple[str, ...] = ()
    """What no agent should report, such as a runtime ID that changes without a restart."""


def task_facts(lines: Iterable[Line]) -> dict[str, TaskFacts]:
    """By task ARN, of all state changes that were answered with 200."""
    bodies: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        is_report = line["kind"] == "api" and line["action"] == "SubmitTaskStateChange" and line["reply_status"] == 200
        if is_report and "status" in line["body"]:  # else it tells of an attachment
            bodies.setdefault(line["body"]["task"], []).append(line["body"])
    return {arn: _facts_of(found) for arn, found in bodies.items()}


def _facts_of(bodies: list[Mapping[str, Any]]) -> TaskFacts:
    statuses: list[str] = []
    reasons: dict[str, str] = {}
    times: dict[str, tuple[str, ...]] = {}
    containers: dict[str, list[ContainerFact]] = {}
    runtime_ids: dict[str, set[str]] = {}
    oddities: list[str] = []
    for body in bodies:
        status = body.get("status", "")
        if not statuses or statuses[-1] != status:
            statuses.append(status)
        reasons.setdefault(status, body["reason"])
        times[status] = tuple(sorted({*times.get(status, ()), *(name for name in TIMES if name in body)}))
        if body.get("pullStartedAt", 0) > body.get("pullStoppedAt", float("inf")):
            oddities.append("the pull stopped before it started")
        for told in body.get("containers", []):
            name, fact = told["containerName"], _container_fact(told)
            if fact in containers.get(name, []):
                oddities.append(f"{name} is told {fact.status} twice")
            containers.setdefault(name, []).append(fact)
            runtime_ids.setdefault(name, set()).update({told["runtimeId"]} if "runtimeId" in told else ())
    oddities += [f"{name} has {len(ids)} runtime IDs" for name, ids in runtime_ids.items() if len(ids) > 1]
    return TaskFacts(
        statuses=tuple(statuses),
        reasons=reasons,
        times=times,
        containers={name: tuple(containers[name]) for name in sorted(containers)},
        oddities=tuple(oddities),
    )


def _container_fact(told: Mapping[str, Any]) -> ContainerFact:
    return ContainerFact(
        status=told["status"],
        exit_code=told.get("exitCode"),
        reason=told.get("reason", ""),
        has_runtime_id=bool(told.get("runtimeId")),
        has_digest=bool(told.get("imageDigest")),
        bindings=tuple(sorted(_binding(found) for found in told.get("networkBindings", []))),
    )


def _binding(found: Mapping[str, Any]) -> tuple[str, Any, Any, str]:
    port = found.get("hostPort", found.get("hostPortRange"))
    shown = "dynamic" if isinstance(port, int) and port in DYNAMIC_PORTS else port
    return (found["bindIP"], found.get("containerPort", found.get("containerPortRange")), shown, found["protocol"])


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One RegisterContainerInstance."""

    members: frozenset[str]
    attributes: tuple[tuple[str, str | None], ...]
    """In their order."""
    resources: tuple[tuple[str, str], ...]
    """Name and type, in their order: the amounts are the machine's."""
    cluster: str
    has_arn: bool


def registration(body: Mapping[str, Any]) -> Registration:
    """Of the call's body."""
    return Registration(
        members=frozenset(body),
        attributes=tuple((a["name"], a.get("value")) for a in body["attributes"]),
        resources=tuple((r["name"], r["type"]) for r in body["totalResources"]),
        cluster=body["cluster"],
        has_arn="containerInstanceArn" in body,
    )


def connects(lines: Iterable[Line], channel: str) -> list[dict[str, str]]:
    """The queries of a channel's upgrades, in order, without what names a build, an engine or an instance."""
    own = {"agentHash", "agentVersion", "dockerVersion", "containerInstanceArn", "containerInstance"}
    return [
        {name: "" if name in own else value for name, value in line["query"].items()}
        for line in lines
        if line["kind"] == f"{channel}-connect"
    ]


def answers(lines: Iterable[Line]) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """By message ID: what the agent said to it, each with its members' names; sorted, for the order is not fixed."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for line in lines:
        if line["kind"] == "acs-in" and line["type"] != "HeartbeatAckRequest":
            said = (line["type"], tuple(sorted(line["message"])))
            found.setdefault(line["message"]["messageId"], []).append(said)
    return {message_id: sorted(said) for message_id, said in found.items()}


def differences(expected: Any, got: Any, where: str = "") -> list[str]:
    """Where two facts differ, each as a line; empty: nowhere."""
    if expected == got:
        return []
    if is_dataclass(expected) and type(expected) is type(got):
        told = []
        for each in fields(expected):
            told += differences(getattr(expected, each.name), getattr(got, each.name), f"{where}.{each.name}")
        return told
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        told = [f"{where}[{key}] is missing; expected {expected[key]}" for key in expected if key not in got]
        told += [f"{where}[{key}] is too much: {got[key]}" for key in got if key not in expected]
        for key in expected:
            if key in got:
                told += differences(expected[key], got[key], f"{where}[{key}]")
        return told
    if isinstance(expected, tuple) and isinstance(got, tuple) and len(expected) == len(got):
        return [
            d for n, (e, g) in enumerate(zip(expected, got, strict=True)) for d in differences(e, g, f"{where}[{n}]")
        ]
    return [f"{where}: expected {expected}, got {got}"]

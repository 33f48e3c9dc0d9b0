"""What is registered is what the official agent registered, but for listed differences, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fake_ecs import Backend
from fake_ecs.facts import registration
from tests.contract.ecs.joined import TRAFFIC, joined, recording
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.core.test_capabilities import LEFT_OUT

RECORDED: Mapping[str, Any] = json.loads((TRAFFIC / "register-container-instance.json").read_text())["body"]

DIFFERENT_RESOURCES = {
    "CPU": "the processors of the machine",
    "MEMORY": "the memory of the machine",
}
"""Entry of ``totalResources`` → why its amount may differ."""

PAUSE = ("ecs.capability.pid-ipc-namespace-sharing", None)
"""Of an agent with a pause image; the recorded one had none."""


async def registered(folder: Path, **backend_options: Any) -> tuple[Backend, Mapping[str, Any]]:
    """A back end that has seen an agent come and go, and the body that it registered with."""
    async with Backend(**backend_options) as backend, joined(folder, backend, runtime=FakeRuntime(), cluster=None):
        await backend.connected()
    assert not backend.problems
    done = [call for call in backend.calls_of("RegisterContainerInstance") if call.status == 200]
    return backend, done[-1].body


async def test_the_body_is_the_recorded_one_but_for_what_this_agent_does_not_do(tmp_path: Path) -> None:
    _, body = await registered(tmp_path)
    ours, theirs = registration(body), registration(RECORDED)
    assert PAUSE in ours.attributes
    beside = tuple(one for one in ours.attributes if one != PAUSE)
    assert beside == tuple(one for one in theirs.attributes if one[0] not in LEFT_OUT)
    assert ours.members == theirs.members
    assert ours.resources == theirs.resources
    assert ours.cluster == theirs.cluster
    assert not ours.has_arn
    amounts = {resource["name"]: resource for resource in RECORDED["totalResources"]}
    for resource in body["totalResources"]:
        if resource["name"] not in DIFFERENT_RESOURCES:
            assert resource == amounts[resource["name"]]
    for member in ("instanceIdentityDocument", "instanceIdentityDocumentSignature"):
        assert body[member] == RECORDED[member] == ""


async def test_without_a_cluster_the_calls_come_in_the_recorded_order(tmp_path: Path) -> None:
    backend, _ = await registered(tmp_path, clusters=())
    ours = [(call.action, call.status) for call in backend.calls]
    theirs = [
        (line["action"], line["reply_status"])
        for line in recording("sequence-start-to-stop")
        if line["kind"] == "api" and line["action"] != "SubmitTaskStateChange"
    ]
    assert ours == theirs
    first, second = backend.calls_of("RegisterContainerInstance")
    assert first.body["clientToken"] == second.body["clientToken"]


async def test_the_call_has_the_recorded_wire_form(tmp_path: Path) -> None:
    backend, _ = await registered(tmp_path)
    ours = {name.lower(): value for name, value in backend.calls_of("RegisterContainerInstance")[0].headers}
    theirs = next(line["headers"] for line in recording("restart-with-saved-state") if line["kind"] == "api")
    for name in ("Content-Type", "X-Amz-Target"):
        assert ours[name.lower()] == theirs[name]
    assert ours["user-agent"].startswith("Amazon ECS Agent - v")
    assert ours["user-agent"].endswith("(linux; LINUX) (+http://aws.amazon.com/ecs/)")


async def test_after_a_restart_it_is_the_same_instance(tmp_path: Path) -> None:
    async with Backend() as backend:
        for _ in range(2):
            async with joined(tmp_path, backend, runtime=FakeRuntime()):
                await backend.connected(count=len(backend.closes_of("acs")) + 1)
        first, second = backend.calls_of("RegisterContainerInstance")
    theirs = registration(next(line["body"] for line in recording("restart-with-saved-state") if line["kind"] == "api"))
    ours = registration(second.body)
    assert ours.members == theirs.members
    assert ours.has_arn
    assert ours.attributes == registration(first.body).attributes
    assert second.body["containerInstanceArn"] == first.reply["containerInstance"]["containerInstanceArn"]
    assert second.body["clientToken"] != first.body["clientToken"]
    assert len(backend.operations.instances) == 1

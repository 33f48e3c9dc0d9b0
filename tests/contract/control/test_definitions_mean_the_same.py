"""A task file and the same definition registered with a control plane give an agent the same task.

One way reads the file as the agent does; the other registers it, sends it as a frame of ACS, and reads the frame as
the agent does. What a task is called there (ARNs, group, IDs) is all that may differ.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecscope.agent.core.capabilities import Offer, attributes
from ecscope.agent.core.host_resources import needs_of
from ecscope.control.core.errors import ApiError
from ecscope.control.core.payloads import payload_task
from ecscope.control.core.records import TaskDefinition
from ecscope.control.core.task_definitions import register
from ecscope.control.core.wanted import Wanted
from ecscope.model.task import Task
from ecscope.taskdefinition.read import read_task_definition, to_task
from ecscope.wire.acs import messages as acs
from ecscope.wire.acs import to_task as acs_task
from ecscope.wire.acs.payload import PayloadTask
from tests.control_builders import a_cluster, a_control_step, a_control_task, an_instance
from tests.examples import examples
from tests.unit.taskdefinition.definitions import FULL

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.json"))
RECEIVED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUFFIX = "0" * 20
ARN = a_control_task().arn


def from_a_file(members: dict[str, Any]) -> Task:
    definition = read_task_definition(json.dumps(members).encode())
    return to_task(definition, arn=ARN, version="1", suffixes=lambda: SUFFIX, received_at=RECEIVED_AT)


def registered(members: dict[str, Any]) -> tuple[TaskDefinition, PayloadTask]:
    step = a_control_step(a_cluster(), an_instance())
    api = {name: value for name, value in members.items() if name not in ("revision", "tags")}
    api.setdefault("memory", "2048")  # ECS wants a limit somewhere; a task file need not have one
    definition = register(step, api, {})
    record = a_control_task(definition_arn=definition.arn)
    return definition, msgspec.convert(payload_task(step.decision().state, record), PayloadTask)


def over_the_wire(payload: PayloadTask) -> PayloadTask:
    message = acs.decode_from_server(acs.encode(acs.PayloadMessage(message_id="m", tasks=(payload,))))
    assert isinstance(message, acs.PayloadMessage)
    assert message.tasks == (payload,)
    return payload


def from_a_control_plane(members: dict[str, Any]) -> Task:
    _, payload = registered(members)
    return acs_task.to_task(over_the_wire(payload), suffixes=lambda: SUFFIX, received_at=RECEIVED_AT)


def without_names(task: Task) -> Task:
    """And without the memory limit of the whole task, which only the registered one must have."""
    containers = tuple(
        msgspec.structs.replace(
            container,
            definition=msgspec.structs.replace(container.definition, arn="", registry_login=None),
        )
        for container in task.containers
    )
    return msgspec.structs.replace(task, containers=containers, cluster_arn="", group="", memory_mib=0)


def same(members: dict[str, Any]) -> bool:
    file, control = from_a_file(members), from_a_control_plane(members)
    if "memory" in members:
        assert file.memory_mib == control.memory_mib
    assert without_names(control) == without_names(file)
    assert control.unsupported == ""
    return True


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    assert same(json.loads(path.read_text()))


def test_everything_at_once() -> None:
    assert same(FULL)


# --- generated definitions --------------------------------------------------------------------------------

WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), max_size=3)
WORD = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
PATHS = WORD.map(lambda word: f"/{word}")
AWSLOGS = {"awslogs-group": "g", "awslogs-stream-prefix": "p", "awslogs-region": "r", "mode": "blocking"}
LABELS = st.dictionaries(WORD, WORD, max_size=2)


def members(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def listed(*strategies: st.SearchStrategy[Any], by: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*strategies), max_size=3, unique_by=by)


LINUX = members(
    {},
    {
        "capabilities": members({}, {"add": st.just(["NET_ADMIN"]), "drop": st.just(["MKNOD", "ALL"])}),
        "devices": st.lists(
            members({"hostPath": PATHS}, {"containerPath": PATHS, "permissions": st.just(["read", "mknod"])}),
            max_size=1,
        ),
        "initProcessEnabled": st.booleans(),
        "sharedMemorySize": st.integers(0, 64),
        "tmpfs": st.lists(
            members({"containerPath": WORD.map(lambda word: f"/tmpfs-{word}"), "size": st.integers(1, 9)}, {}),
            max_size=1,
        ),
    },
)
CONTAINER = members(
    {"image": st.sampled_from(["busybox", "a.example/b/c:1"]), "memory": st.integers(64, 128)},
    {
        "cpu": st.integers(0, 64),
        "memoryReservation": st.integers(6, 64),
        "command": WORDS,
        "entryPoint": WORDS,
        "environment": listed(
            members({"name": WORD, "value": st.text(st.characters(codec="utf-8", exclude_characters="\0"))}, {}),
            by=lambda entry: entry["name"],
        ),
        "portMappings": listed(
            members({"containerPort": st.integers(1, 65535)}, {"hostPort": st.just(0), "protocol": st.just("tcp")}),
            by=lambda entry: entry["containerPort"],
        ),
        "mountPoints": listed(
            members({"sourceVolume": st.just("data"), "containerPath": PATHS}, {"readOnly": st.booleans()}),
            by=lambda entry: entry["containerPath"],
        ),
        "startTimeout": st.integers(1, 120),
        "stopTimeout": st.integers(1, 120),
        "restartPolicy": members(
            {"enabled": st.booleans()},
            {
                "ignoredExitCodes": st.lists(st.integers(0, 255), max_size=3),
                "restartAttemptPeriod": st.integers(60, 1800),
            },
        ),
        "hostname": WORD,
        "user": WORD,
        "workingDirectory": PATHS,
        "disableNetworking": st.booleans(),
        "privileged": st.booleans(),
        "readonlyRootFilesystem": st.booleans(),
        "dnsServers": st.just(["10.0.0.2"]),
        "dnsSearchDomains": st.lists(WORD, max_size=2),
        "extraHosts": st.just([{"hostname": "db", "ipAddress": "10.0.0.9"}]),
        "dockerSecurityOptions": st.just(["no-new-privileges"]),
        "interactive": st.booleans(),
        "pseudoTerminal": st.booleans(),
        "dockerLabels": LABELS,
        "ulimits": st.just([{"name": "nofile", "softLimit": 1, "hardLimit": 2}]),
        "logConfiguration": st.one_of(
            members({"logDriver": st.just("json-file")}, {"options": LABELS}),
            # the region and the mode that are ECS's where none is given
            members({"logDriver": st.just("awslogs"), "options": LABELS.map(lambda given: {**given, **AWSLOGS})}, {}),
        ),
        "healthCheck": members(
            {"command": st.just(["CMD-SHELL", "true"])},
            {
                "interval": st.integers(5, 300),
                "timeout": st.integers(2, 60),
                "retries": st.integers(1, 10),
                "startPeriod": st.integers(0, 300),
            },
        ),
        "systemControls": st.sampled_from([[], [{"namespace": "kernel.domainname", "value": "x"}]]),
        "linuxParameters": LINUX,
    },
)
VOLUME = st.one_of(
    members({}, {"host": members({}, {"sourcePath": PATHS})}),
    members(
        {
            "dockerVolumeConfiguration": st.one_of(
                members({}, {"scope": st.just("task"), "driver": WORD, "driverOpts": LABELS, "labels": LABELS}),
                members({"scope": st.just("shared")}, {"autoprovision": st.booleans()}),
            )
        },
        {},
    ),
)


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    containers = [
        {**each, "name": f"c{index}"} for index, each in enumerate(draw(st.lists(CONTAINER, min_size=1, max_size=3)))
    ]
    for index, container in enumerate(containers):
        for position, mapping in enumerate(container.get("portMappings", ())):
            if draw(st.booleans()):
                mapping["hostPort"] = 10000 + 100 * index + position
    for index, container in enumerate(containers[1:], 1):
        if draw(st.booleans()):
            condition = "HEALTHY" if "healthCheck" in containers[index - 1] else "START"
            container["dependsOn"] = [{"containerName": f"c{index - 1}", "condition": condition}]
        if draw(st.booleans()):
            container["links"] = [f"c{index - 1}:before"]
        if draw(st.booleans()):
            container["essential"] = draw(st.booleans())
        if draw(st.booleans()):
            container["volumesFrom"] = [{"sourceContainer": f"c{index - 1}", "readOnly": draw(st.booleans())}]
    task = draw(
        members(
            {"family": WORD},
            {
                "cpu": st.sampled_from(["256", "0.5 vCPU", "2 vCPU"]),
                "memory": st.sampled_from(["512", "1 GB"]),
                "networkMode": st.just("bridge"),
                "pidMode": st.sampled_from(["host", "task"]),
                "ipcMode": st.sampled_from(["host", "none", "task"]),
            },
        )
    )
    if task.get("ipcMode") == "host":
        for container in containers:
            container.pop("systemControls", None)
    return {**task, "containerDefinitions": containers, "volumes": [{"name": "data", **draw(VOLUME)}]}


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_generated_definitions(definition: dict[str, Any]) -> None:
    assert same(definition)


# --- and both ends count alike ----------------------------------------------------------------------------

AMOUNTS = members(
    {}, {"cpu": st.integers(0, 64), "memory": st.integers(64, 128), "memoryReservation": st.integers(6, 64)}
)
OVERRIDES = members(
    {},
    {
        "cpu": st.sampled_from(["512", "1024"]),
        "memory": st.sampled_from(["512", "700"]),
        "containerOverrides": st.lists(AMOUNTS, max_size=1),
    },
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions(), OVERRIDES)
def test_a_task_takes_what_its_agent_will_count(members: dict[str, Any], overrides: dict[str, Any]) -> None:
    for override in overrides.get("containerOverrides", ()):
        override["name"] = "c0"
    definition, _ = registered(members)
    wanted = Wanted(definition=definition, cluster="default", overrides=overrides, group="")
    step = a_control_step(a_cluster(), an_instance(), definition)
    record = a_control_task(definition_arn=definition.arn, overrides=overrides)
    payload = msgspec.convert(payload_task(step.decision().state, record), PayloadTask)
    task = acs_task.to_task(over_the_wire(payload), suffixes=lambda: SUFFIX, received_at=RECEIVED_AT)
    assert wanted.needs() == needs_of(task)


# --- whatever is registered can be sent -------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


PLACES = [path for path in places(FULL) if path not in (("family",), ("revision",), ("containerDefinitions",))]
OTHER: Mapping[type, Sequence[Any]] = {
    str: ["", "x", "/x", "/", "host", "none", "0", "256", "tcp", "SUCCESS", "START", "shared", "1-2", "10.0.0.1"],
    int: [0, 1, 5, 6, 80, 65535, 65536, -1],
    bool: [True, False],
    list: [[]],
    dict: [{}],
}
GONE = object()


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """The full definition, with some places of it left out or changed for another value of the type."""
    definition = copy.deepcopy(FULL)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        holder: Any = definition
        try:
            for key in path[:-1]:
                holder = holder[key]
            value = draw(st.sampled_from([GONE, *OTHER[type(holder[path[-1]])]]))
        except (LookupError, TypeError):
            continue  # an earlier change took it away
        if value is GONE:
            del holder[path[-1]]
        else:
            holder[path[-1]] = value
    return definition


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled())
def test_what_is_registered_can_be_sent(definition: dict[str, Any]) -> None:
    try:
        task = from_a_control_plane(definition)
    except ApiError as error:
        assert error.code == "ClientException"
    else:
        assert task.unsupported == ""


# --- and an agent of ours takes it ------------------------------------------------------------------------


@pytest.mark.parametrize("members_", [*(json.loads(path.read_text()) for path in EXAMPLES), FULL])
def test_this_agent_has_what_is_required(members_: dict[str, Any]) -> None:
    offer = Offer(
        api_version="1.44",
        architecture="x86_64",
        volume_plugins=("local",),
        logging_drivers=("json-file", "none"),
        has_task_limits=True,
        has_pause_image=True,
    )
    told = {attribute.name for attribute in attributes(offer, is_first_registration=True)}
    definition, _ = registered(members_)
    assert {attribute.name for attribute in definition.requires_attributes} <= told

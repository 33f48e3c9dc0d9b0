"""A task definition with every member wrong in turn: each is named with its line, path and reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.taskdefinition.members import TASK_DEFINITION, Ignored, Items, Members, Names, Refused, Rule
from ecscope.taskdefinition.read import TaskDefinitionError, read_task_definition
from tests.examples import examples
from tests.tables import each_row

from .definitions import FULL, changed, container, mistakes_in, mistakes_of, read, task, without

FREE = ("dockerLabels", "options", "driverOpts", "labels")
"""Objects whose keys are the user's."""

API_MEMBERS = {
    "": """family taskRoleArn executionRoleArn networkMode containerDefinitions volumes placementConstraints
        requiresCompatibilities cpu memory tags pidMode ipcMode proxyConfiguration inferenceAccelerators
        trustedExecutionConfiguration ephemeralStorage runtimePlatform enableFaultInjection""",
    "containerDefinitions": """name image repositoryCredentials cpu memory memoryReservation links portMappings
        essential restartPolicy entryPoint command environment environmentFiles mountPoints volumesFrom linuxParameters
        secrets dependsOn startTimeout stopTimeout versionConsistency hostname user workingDirectory disableNetworking
        privileged readonlyRootFilesystem dnsServers dnsSearchDomains extraHosts dockerSecurityOptions interactive
        pseudoTerminal dockerLabels ulimits logConfiguration healthCheck systemControls resourceRequirements
        firelensConfiguration credentialSpecs""",
    "containerDefinitions.portMappings": "containerPort hostPort protocol name appProtocol containerPortRange",
    "containerDefinitions.restartPolicy": "enabled ignoredExitCodes restartAttemptPeriod",
    "containerDefinitions.environment": "name value",
    "containerDefinitions.mountPoints": "sourceVolume containerPath readOnly",
    "containerDefinitions.volumesFrom": "sourceContainer readOnly",
    "containerDefinitions.linuxParameters": """capabilities devices initProcessEnabled sharedMemorySize tmpfs maxSwap
        swappiness""",
    "containerDefinitions.linuxParameters.capabilities": "add drop",
    "containerDefinitions.linuxParameters.devices": "hostPath containerPath permissions",
    "containerDefinitions.linuxParameters.tmpfs": "containerPath size mountOptions",
    "containerDefinitions.dependsOn": "containerName condition",
    "containerDefinitions.extraHosts": "hostname ipAddress",
    "containerDefinitions.ulimits": "name softLimit hardLimit",
    "containerDefinitions.logConfiguration": "logDriver options secretOptions",
    "containerDefinitions.healthCheck": "command interval timeout retries startPeriod",
    "containerDefinitions.systemControls": "namespace value",
    "containerDefinitions.resourceRequirements": "value type",
    "volumes": """name host dockerVolumeConfiguration efsVolumeConfiguration s3filesVolumeConfiguration
        fsxWindowsFileServerVolumeConfiguration configuredAtLaunch""",
    "volumes.host": "sourcePath",
    "volumes.dockerVolumeConfiguration": "scope autoprovision driver driverOpts labels",
    "placementConstraints": "type expression",
    "tags": "key value",
    "runtimePlatform": "cpuArchitecture operatingSystemFamily",
}
"""RegisterTaskDefinition of the ECS API model (2014-11-13), object by object."""

DESCRIBED = """revision taskDefinitionArn status requiresAttributes compatibilities registeredAt registeredBy
    deregisteredAt deleteRequestedAt"""
"""What describe-task-definition has in addition."""


def rule_paths(rule: Rule = TASK_DEFINITION, path: str = "") -> Iterator[tuple[str, Members]]:
    """Every object of the table, by path without indexes."""
    if isinstance(rule, Items):
        yield from rule_paths(rule._item, path)
    elif isinstance(rule, Members):
        yield path, rule
        for name, member in rule._members.items():
            yield from rule_paths(member, f"{path}.{name}" if path else name)


def places(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every place of a document, with its path."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, f"{path}[{index}]")


def is_refused_when_set(path: str) -> bool:
    return isinstance(rule_at(path), Refused)


def rule_at(path: str) -> Rule:
    rule: Rule = TASK_DEFINITION
    for part in path.replace("]", "").replace("[", ".[").split("."):
        if isinstance(rule, Items):
            assert part.startswith("[")
            rule = rule._item
        elif isinstance(rule, Members):
            rule = rule._members[part]
        elif isinstance(rule, Names):
            rule = rule._value
    return rule


ALL_PLACES = list(places(FULL))
SETTABLE = [(path, value) for path, value in ALL_PLACES if not is_refused_when_set(path)]


def test_the_table_has_exactly_the_members_of_the_api() -> None:
    table = {path: set(rule._members) for path, rule in rule_paths()}
    api = {path: set(names.split()) for path, names in API_MEMBERS.items()}
    api[""] |= set(DESCRIBED.split())
    assert table == api


def test_the_full_definition_sets_every_supported_member_and_has_no_mistake() -> None:
    set_members = {(strip_indexes(path)) for path, _ in ALL_PLACES}
    for path, rule in rule_paths():
        for name, member in rule._members.items():
            full_path = f"{path}.{name}" if path else name
            is_supported = not isinstance(member, Refused | Ignored) and not path.endswith("resourceRequirements")
            assert not is_supported or full_path in set_members, full_path
    assert mistakes_of(FULL) == {}


def strip_indexes(path: str) -> str:
    return "".join(part.split("]")[-1] for part in path.split("["))


def wrong_types(value: object) -> list[object]:
    candidates: list[object] = ["text", 5, 1.5, True, [1], {"no": 1}, None]
    if isinstance(value, bool):
        return [c for c in candidates if not isinstance(c, bool)]
    return [c for c in candidates if type(c) is not type(value)]


@each_row("path, value", SETTABLE)
def test_each_member_of_a_wrong_type_is_named(path: str, value: object) -> None:
    for wrong in wrong_types(value):
        found = mistakes_of(changed(path, wrong))
        assert path in found, (wrong, found)
        assert "must" in found[path]


@each_row(
    "path",
    [path for path, value in ALL_PLACES if not path.endswith("]") and not path.rpartition(".")[0].endswith(FREE)],
)
def test_each_mistyped_member_is_named_with_the_right_name(path: str) -> None:
    name = path.rpartition(".")[2]
    value = dict(ALL_PLACES)[path]
    found = mistakes_of(changed(f"{path}X", value, without(path)))
    assert found[f"{path}X"] == f"is not a member of a task definition here; did you mean {name}?"


@each_row("path", [path for path, _ in SETTABLE if not path.endswith("]")])
def test_each_null_is_named(path: str) -> None:
    reason = mistakes_of(changed(path, None))[path]
    assert reason == "must not be null; leave the member out instead" or path.rpartition(".")[0].endswith(FREE)


def required_members() -> Iterator[str]:
    for place, value in [("", FULL), *ALL_PLACES]:
        rule = rule_at(place) if place else TASK_DEFINITION
        if isinstance(value, dict) and isinstance(rule, Members):
            yield from (f"{place}.{name}" if place else name for name in rule._required)


REQUIRED = list(required_members())


@each_row("path", REQUIRED)
def test_each_required_member_is_missed(path: str) -> None:
    assert mistakes_of(without(path))[path] == "is required and missing"


WRONG_VALUES: list[tuple[str, object, str]] = [
    ("family", "", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("family", "a b", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("family", "ä", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("family", "x" * 256, "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("family", "a\n", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("revision", 0, "must be at least 1, not 0"),
    ("networkMode", "bridged", "must be one of bridge, host, none; did you mean bridge?"),
    ("networkMode", "Bridge", "must be one of bridge, host, none; did you mean bridge?"),
    ("pidMode", "x", "must be one of host, task"),
    ("ipcMode", "x", "must be one of host, none, task"),
    ("cpu", 256, "must be a string, not a number; write the number in quotes"),
    ("cpu", "a lot", 'must be CPU units or vCPUs, like "256" or "0.25 vCPU"'),
    ("memory", 512, "must be a string, not a number; write the number in quotes"),
    ("memory", "1TB", 'must be MiB or GB, like "512" or "0.5 GB"'),
    ("requiresCompatibilities[0]", "EC3", "did you mean EC2?"),
    ("placementConstraints[0].type", "distinctInstance", "must be one of memberOf"),
    ("tags[0].key", "", "must not be empty"),
    ("tags[0].value", "x" * 257, "must have at most 256 characters, not 257"),
    ("runtimePlatform.cpuArchitecture", "x86_64", "must be one of X86_64, ARM64; did you mean X86_64?"),
    ("containerDefinitions", [], "must have at least 1 entry"),
    ("containerDefinitions[0].name", "web app", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("containerDefinitions[0].image", "", "must be an image reference"),
    ("containerDefinitions[0].image", "Web", "must be an image reference"),
    ("containerDefinitions[0].image", "web:1:2", "must be an image reference"),
    ("containerDefinitions[0].image", "web@sha256:12", "must be an image reference"),
    ("containerDefinitions[0].image", "https://host/web", "must be an image reference"),
    ("containerDefinitions[0].cpu", -1, "must be at least 0 CPU units, not -1"),
    ("containerDefinitions[0].memory", 5, "must be at least 6 MiB, not 5; leave it out for no limit"),
    ("containerDefinitions[0].memory", "512", "must be a whole number, not a string; remove the quotes"),
    ("containerDefinitions[0].memory", 512.0, "must be a whole number without a decimal point or exponent"),
    ("containerDefinitions[0].memory", 2**31, "must be from 6 to 2147483647 MiB"),
    ("containerDefinitions[0].memoryReservation", 0, "must be at least 6 MiB, not 0; leave it out for no reservation"),
    ("containerDefinitions[0].essential", "true", "must be true or false, not a string; remove the quotes"),
    ("containerDefinitions[0].environment[0].name", "", 'must be a variable name, not empty and without "="'),
    ("containerDefinitions[0].environment[0].name", "A=B", 'must be a variable name, not empty and without "="'),
    ("containerDefinitions[0].environment[0].value", "a\0b", "must not contain a NUL character"),
    ("containerDefinitions[0].links[0]", "", 'must be a container name, or "name:alias"'),
    ("containerDefinitions[0].links[0]", "init:a:b", 'must be a container name, or "name:alias"'),
    ("containerDefinitions[0].portMappings[0].containerPort", 0, "must be from 1 to 65535"),
    ("containerDefinitions[0].portMappings[0].hostPort", 65536, "must be from 0 to 65535"),
    ("containerDefinitions[0].portMappings[0].hostPort", -1, "must be from 0 to 65535"),
    ("containerDefinitions[0].portMappings[0].protocol", "TCP", "must be one of tcp, udp; did you mean tcp?"),
    ("containerDefinitions[0].portMappings[0].name", "Http", "must be 1 to 64 lower-case letters"),
    ("containerDefinitions[0].portMappings[0].appProtocol", "ftp", "must be one of http, http2, grpc"),
    ("containerDefinitions[0].portMappings[1].containerPortRange", "9000", "must be two port numbers"),
    ("containerDefinitions[0].mountPoints[0].containerPath", "logs", "must be an absolute path without a colon"),
    ("containerDefinitions[0].mountPoints[0].containerPath", "/a:ro", "must be an absolute path without a colon"),
    ("containerDefinitions[0].dependsOn[0].condition", "COMPLETED", "did you mean COMPLETE?"),
    ("containerDefinitions[0].startTimeout", -1, "must be at least 0 seconds, not -1"),
    ("containerDefinitions[0].stopTimeout", -1, "must be at least 0 seconds, not -1"),
    ("containerDefinitions[0].restartPolicy.restartAttemptPeriod", 59, "must be from 60 to 1800 seconds"),
    ("containerDefinitions[0].restartPolicy.restartAttemptPeriod", 1801, "must be from 60 to 1800 seconds"),
    ("containerDefinitions[0].restartPolicy.ignoredExitCodes", [0] * 51, "must have at most 50 entries, not 51"),
    ("containerDefinitions[0].restartPolicy.ignoredExitCodes[0]", 256, "must be from 0 to 255"),
    ("containerDefinitions[0].versionConsistency", "on", "must be one of enabled, disabled"),
    ("containerDefinitions[0].hostname", "my_host", "must be a host name"),
    ("containerDefinitions[0].hostname", "x" * 64, "must be a host name"),
    ("containerDefinitions[0].user", "", "must not be empty"),
    ("containerDefinitions[0].workingDirectory", "srv", "must be an absolute path"),
    ("containerDefinitions[0].dnsServers[0]", "dns.example", "must be an IP address"),
    ("containerDefinitions[0].dnsServers[0]", "10.0.0.256", "must be an IP address"),
    ("containerDefinitions[0].extraHosts[0].ipAddress", "1.2.3", "must be an IP address"),
    ("containerDefinitions[0].extraHosts[0].hostname", "a:b", "must be a host name"),
    ("containerDefinitions[0].ulimits[0].name", "nofiles", "did you mean nofile?"),
    ("containerDefinitions[0].ulimits[0].softLimit", -2, "must be from -1 to"),
    ("containerDefinitions[0].logConfiguration.logDriver", "jsonfile", "did you mean json-file?"),
    ("containerDefinitions[0].healthCheck.command", ["CMD"], "must have at least 2 entries"),
    ("containerDefinitions[0].healthCheck.interval", 4, "must be from 5 to 300 seconds"),
    ("containerDefinitions[0].healthCheck.interval", 301, "must be from 5 to 300 seconds"),
    ("containerDefinitions[0].healthCheck.timeout", 1, "must be from 2 to 60 seconds"),
    ("containerDefinitions[0].healthCheck.retries", 0, "must be from 1 to 10"),
    ("containerDefinitions[0].healthCheck.startPeriod", 301, "must be from 0 to 300 seconds"),
    ("containerDefinitions[0].linuxParameters.capabilities.add[0]", "CAP_NET_ADMIN", "did you mean NET_ADMIN?"),
    ("containerDefinitions[0].linuxParameters.devices[0].permissions[0]", "r", "must be one of read, write, mknod"),
    ("containerDefinitions[0].linuxParameters.tmpfs[0].size", 0, "must be at least 1 MiB, not 0"),
    ("containerDefinitions[0].linuxParameters.tmpfs[0].mountOptions[0]", "fast", "must be a mount option"),
    ("containerDefinitions[0].linuxParameters.swappiness", 101, "must be from 0 to 100"),
    ("containerDefinitions[0].linuxParameters.maxSwap", -1, "must be at least 0 MiB, not -1"),
    ("volumes[0].name", "a/b", "must be 1 to 255 letters, digits, underscores and hyphens"),
    ("volumes[0].host.sourcePath", "var/log", "must be an absolute path without a colon"),
    ("volumes[1].dockerVolumeConfiguration.scope", "global", "must be one of task, shared"),
    ("volumes[1].dockerVolumeConfiguration.labels", {"": "x"}, ""),
]  # fmt: skip


@each_row("path, value, reason", WRONG_VALUES)
def test_each_wrong_value_is_named_with_its_reason(path: str, value: object, reason: str) -> None:
    found = mistakes_of(changed(path, value))
    if reason:
        assert reason in found[path]
    else:
        assert found[f"{path}."] == "must not have an empty name"


REFUSED: list[tuple[str, object, str]] = [
    ("networkMode", "awsvpc", "awsvpc"),
    ("taskRoleArn", "arn:aws:iam::000000000000:role/app", "the credentials of a role"),
    ("proxyConfiguration", {"containerName": "envoy"}, "App Mesh"),
    ("inferenceAccelerators", [{"deviceName": "a", "deviceType": "b"}], "Inference accelerators"),
    ("ephemeralStorage", {"sizeInGiB": 21}, "launch type FARGATE"),
    ("enableFaultInjection", True, "fault injection"),
    ("trustedExecutionConfiguration", {"isolationMode": "SHARED"}, "trusted execution"),
    ("runtimePlatform.operatingSystemFamily", "WINDOWS_SERVER_2022_CORE", "Windows"),
    ("requiresCompatibilities[0]", "FARGATE", "FARGATE"),
    ("volumes[2].efsVolumeConfiguration", {"fileSystemId": "fs-1"}, "EFS"),
    ("volumes[2].s3filesVolumeConfiguration", {"fileSystemArn": "x"}, "S3 Files"),
    ("volumes[2].fsxWindowsFileServerVolumeConfiguration", {"fileSystemId": "fs-1"}, "FSx for Windows"),
    ("volumes[2].configuredAtLaunch", True, "EBS"),
    ("containerDefinitions[0].repositoryCredentials", {"credentialsParameter": "x"}, "execution role"),
    ("containerDefinitions[0].secrets", [{"name": "A", "valueFrom": "b"}], "execution role"),
    ("containerDefinitions[0].logConfiguration.secretOptions", [{"name": "A", "valueFrom": "b"}], "execution role"),
    ("containerDefinitions[0].logConfiguration.logDriver", "awsfirelens", "FireLens"),
    ("containerDefinitions[0].firelensConfiguration", {"type": "fluentbit"}, "FireLens"),
    ("containerDefinitions[0].environmentFiles", [{"type": "s3", "value": "arn:aws:s3:::b/x.env"}], "S3"),
    ("containerDefinitions[0].credentialSpecs", ["credentialspec:x"], "credential specs"),
    ("containerDefinitions[0].dockerSecurityOptions[0]", "credentialspec:file://x", "credential specs"),
]


@pytest.mark.parametrize(("path", "value", "feature"), REFUSED, ids=[path for path, _, _ in REFUSED])
def test_each_feature_that_is_not_there_is_refused_by_name(path: str, value: object, feature: str) -> None:
    found = mistakes_of(changed(path, value))
    assert list(found) == [path]
    assert feature in found[path]


@pytest.mark.parametrize("kind", ["GPU", "InferenceAccelerator"])
def test_gpus_and_accelerators_are_refused_by_name(kind: str) -> None:
    requirement = [{"type": kind, "value": "1"}]
    found = mistakes_of(task(container(resourceRequirements=requirement)))
    assert list(found) == ["containerDefinitions[0].resourceRequirements[0].type"]
    assert ("GPUs" if kind == "GPU" else "accelerators") in found.popitem()[1]


def test_every_refused_member_of_the_table_is_tried_above() -> None:
    refused = {
        f"{path}.{name}" if path else name
        for path, rule in rule_paths()
        for name, member in rule._members.items()
        if isinstance(member, Refused)
    }
    assert refused <= {strip_indexes(path) for path, _, _ in REFUSED}


@each_row(
    "value",
    [
        "busybox",
        "busybox:1.36",
        "library/busybox",
        "localhost/a",
        "host:5000/a/b-c/d__e:Tag_1",
        "a@sha256:" + "0" * 64,
        "012345678910.dkr.ecr.us-west-2.amazonaws.com/web:v1@sha256:" + "f" * 64,
    ],
)
def test_image_references_that_docker_takes_are_taken(value: str) -> None:
    assert mistakes_of(task(container(image=value))) == {}


@each_row("value", ["256", "1024", "0.25 vCPU", ".25 vCPU", "1vcpu", "2 vCPUs"])
def test_forms_of_task_cpu_that_ecs_takes_are_taken(value: str) -> None:
    assert mistakes_of(task(cpu=value)) == {}


@pytest.mark.parametrize("value", ["512", "1GB", "0.5 GB", "1 gb", ".5GB"])
def test_forms_of_task_memory_that_ecs_takes_are_taken(value: str) -> None:
    assert mistakes_of(task(memory=value)) == {}


def test_what_describe_task_definition_adds_is_taken_and_its_wrapping_is_explained() -> None:
    described = {
        **FULL,
        "taskDefinitionArn": "arn:aws:ecs:us-west-2:012345678910:task-definition/web:7",
        "status": "ACTIVE",
        "requiresAttributes": [{"name": "x"}],
        "compatibilities": ["EC2"],
        "registeredAt": 1700000000.5,
        "registeredBy": "arn:aws:iam::012345678910:root",
    }
    assert mistakes_of(described) == {}
    assert list(mistakes_of({"taskDefinition": described, "tags": []})) == ["taskDefinition"]


@pytest.mark.parametrize("text", ["[]", '"x"', "5", "null"])
def test_a_definition_is_an_object(text: str) -> None:
    assert mistakes_in(text) == {"": "a task definition is a JSON object"}


def test_nothing_of_a_secret_is_quoted() -> None:
    secret = "hunter2-" + "x" * 20
    spoiled = task(
        container(
            environment=[{"name": "A", "value": [secret]}, {"name": "B", "value": secret + "\0"}, secret],
            command=[secret, {"x": secret}],
            user=[secret],
            logConfiguration={"logDriver": "json-file", "options": {"a": [secret]}},
            secrets=[{"name": "A", "valueFrom": secret}],
        )
    )
    found = mistakes_of(spoiled)
    assert len(found) == 7
    assert secret not in str(found)
    assert secret not in repr(read(task(container(environment=[{"name": "A", "value": secret}]))))


def test_every_mistake_comes_with_its_line_in_the_order_of_the_text() -> None:
    text = """{
  "family": "a b",
  "family": "web",
  "Memory": 5,
  "containerDefinitions": [
    {
      "name": "web",
      "portMappings": [
        {"containerPort": 80},
        {"containerPort": 81, "hostPort": "x"}
      ]
    }
  ]
}"""
    with pytest.raises(TaskDefinitionError) as caught:
        read_task_definition(text.encode())
    assert str(caught.value).splitlines() == [
        "line 2: family: must be 1 to 255 letters, digits, underscores and hyphens",
        "line 3: family: is a duplicate key in its object, first on line 2",
        "line 4: Memory: is not a member of a task definition here; did you mean memory?",
        "line 6: containerDefinitions[0].image: is required and missing",
        "line 10: containerDefinitions[0].portMappings[1].hostPort: must be a whole number, not a string",
    ]
    assert caught.value.mistakes[1].column == 3


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "x"]), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=examples(150))
@given(st.lists(st.tuples(st.sampled_from([path for path, _ in ALL_PLACES]), ANYTHING), min_size=1, max_size=3))
def test_whatever_stands_anywhere_the_answer_is_a_definition_or_mistakes(spoils: list[tuple[str, object]]) -> None:
    document: Any = FULL
    for path, value in spoils:
        try:
            document = changed(path, value, document)
        except (TypeError, KeyError, IndexError, AttributeError):
            continue  # an earlier change removed that place
    text = json.dumps(document)
    try:
        read_task_definition(text.encode())
    except TaskDefinitionError as error:
        assert error.mistakes
        assert all(mistake.line == 1 and 1 <= mistake.column <= len(text) for mistake in error.mistakes)


def test_of_very_many_mistakes_the_first_are_named_and_the_rest_counted() -> None:
    """Each becomes a line in the log: a file of something else must not fill the disk."""
    text = "{\n" + ",\n".join(f'"wrong{number}": 1' for number in range(5000)) + "\n}"
    with pytest.raises(TaskDefinitionError) as raised:
        read_task_definition(text.encode())
    *named, last = raised.value.mistakes
    assert len(named) == 99
    assert [mistake.path for mistake in named if mistake.path.startswith("wrong")] == [
        f"wrong{number}" for number in range(len(named) - 2)
    ]
    assert last.reason == "and 4903 more mistakes from here on"
    assert last.line == 99

"""A task of a payload becomes ours, is refused as the official agent refuses it, or says what it cannot have here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ecscope.model.container import (
    Dependency,
    DependencyCondition,
    MountPoint,
    PortMapping,
    RegistryLogin,
    RestartPolicy,
    Secret,
    SecretStore,
    VolumeFrom,
)
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.network import TaskInterface
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.wire.acs.payload import (
    PayloadContainer,
    PayloadDependency,
    PayloadDockerConfig,
    PayloadPortMapping,
    PayloadTask,
    PayloadVolume,
)
from ecscope.wire.acs.to_task import TaskConversionError, credentials_of, left_out, to_task
from tests.builders import AT
from tests.tables import each_row

TRAFFIC = Path(__file__).parents[3] / "fixtures" / "official-agent" / "traffic"
RECORDED: list[dict[str, Any]] = [
    task
    for path in sorted(TRAFFIC.glob("*.jsonl"))
    for record in map(json.loads, path.read_text().splitlines())
    if record.get("type") == "PayloadMessage"
    for task in record["message"]["tasks"]
]

ARN = "arn:aws:ecs:us-west-2:012345678910:task/default/aa00000000000000000000000000c001"


def suffixes() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"{next(numbers):020x}"


def payload(**members: object) -> PayloadTask:
    """A task of a payload; members as they are called in JSON."""
    whole = {"arn": ARN, "family": "web", "version": "3", "desiredStatus": "RUNNING", **members}
    return msgspec.convert({name: value for name, value in whole.items() if value is not ...}, PayloadTask)


def of_container(**members: object) -> PayloadTask:
    return payload(containers=[{"name": "app", "image": "web:1", **members}])


def converted(task: PayloadTask) -> Task:
    return to_task(task, suffixes=suffixes(), received_at=AT)


def refusal(task: PayloadTask) -> str:
    with pytest.raises(TaskConversionError) as caught:
        converted(task)
    return str(caught.value)


# --- what converts --------------------------------------------------------------------------------


def test_there_are_recorded_tasks() -> None:
    assert len(RECORDED) >= 15


@each_row("recorded", RECORDED, name=lambda task: f"{task['family']}-{task['desiredStatus']}")
def test_every_recorded_task_converts(recorded: dict[str, Any]) -> None:
    task = converted(msgspec.convert(recorded, PayloadTask))
    assert task.unsupported == ""
    assert (task.arn, task.family, task.version) == (recorded["arn"], recorded["family"], recorded["version"])
    assert task.desired.value == recorded["desiredStatus"]
    assert task.cluster_arn == recorded["taskClusterArn"]
    assert task.launch_type == recorded["launchType"]
    for container, asked in zip(task.containers, recorded["containers"], strict=True):
        definition = container.definition
        assert (definition.name, definition.image) == (asked["name"], asked["image"])
        assert definition.essential is asked["essential"]
        assert definition.command == tuple(asked["command"])
        assert definition.arn == asked["containerArn"]
        assert definition.docker_config == asked["dockerConfig"]["config"]
        assert definition.docker_host_config == asked["dockerConfig"]["hostConfig"]
        assert [port.container_port for port in definition.port_mappings] == [
            port["containerPort"] for port in asked.get("portMappings", [])
        ]


def test_the_recorded_task_with_nearly_everything() -> None:
    recorded = next(task for task in RECORDED if task["family"] == "tmds-sample")
    payload_task = msgspec.convert(recorded, PayloadTask)
    task = converted(payload_task)
    assert (task.cpu_vcpu, task.memory_mib) == (0.25, 128)
    assert (task.service_name, task.group, task.launch_type) == ("my-service", "service:my-service", "EXTERNAL")
    assert task.credentials_id == "11111111-2222-4333-8444-555555555555"
    assert task.execution_credentials_id == ""
    assert task.desired is TaskStatus.STOPPED
    app, side = (container.definition for container in task.containers)
    assert (app.cpu_units, app.memory_mib, app.environment) == (16, 64, {"FOO": "bar"})
    assert app.port_mappings == (PortMapping(container_port=8080, host_port=0),)
    assert app.health_check_is_docker
    assert app.restart_policy == RestartPolicy(enabled=True, ignored_exit_codes=(0,), restart_attempt_period_s=60)
    assert not side.health_check_is_docker
    assert side.restart_policy is None


def test_each_container_and_task_volume_gets_a_suffix_of_its_own() -> None:
    task = converted(
        payload(
            containers=[{"name": "a"}, {"name": "b"}],
            volumes=[{"name": "path", "host": {"sourcePath": "/srv"}}, {"name": "mine", "host": {}}],
        )
    )
    assert [container.name_suffix for container in task.containers] == [f"{1:020x}", f"{2:020x}"]
    assert [volume.docker_name for volume in task.volumes] == ["", f"ecs-web-3-mine-{3:020x}"]


def test_a_task_of_nothing_but_its_arn() -> None:
    assert converted(payload(family=..., version=...)) == Task(
        arn=ARN, family="", version="", containers=(), received_at=AT
    )


def test_a_container_of_nothing_but_its_name() -> None:
    definition = converted(payload(containers=[{"name": "app"}])).containers[0].definition
    assert not definition.essential, "absent is false here, other than in a task definition"
    assert (definition.command, definition.entry_point) == (None, None)
    assert (definition.docker_config, definition.docker_host_config) == ("{}", "{}")
    assert (definition.start_timeout_s, definition.stop_timeout_s, definition.registry_login) == (None, None, None)


def test_the_members_of_a_container() -> None:
    task = of_container(
        entryPoint=["/bin/sh", "-c"],
        links=["db:database"],
        volumesFrom=[{"sourceContainer": "db", "readOnly": True}, {"sourceContainer": "x"}],
        mountPoints=[{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}],
        dependsOn=[{"containerName": "db", "condition": "HEALTHY"}],
        portMappings=[
            {"containerPort": 53, "hostPort": 5353, "protocol": "udp"},
            {"containerPortRange": "8000-8010", "protocol": "tcp"},
            {"containerPort": 80},
        ],
        startTimeout=30,
        stopTimeout=0,
        restartPolicy={"enabled": True},
        privileged=True,
        linuxParameters={"initProcessEnabled": True},
    )
    definition = converted(task).containers[0].definition
    assert definition.entry_point == ("/bin/sh", "-c")
    assert definition.links == ("db:database",)
    assert definition.volumes_from == (
        VolumeFrom(source_container="db", read_only=True),
        VolumeFrom(source_container="x"),
    )
    assert definition.mount_points == (MountPoint(source_volume="v", container_path="/v", read_only=True),)
    assert definition.depends_on == (Dependency(container_name="db", condition=DependencyCondition.HEALTHY),)
    assert definition.port_mappings == (
        PortMapping(container_port=53, host_port=5353, protocol="udp"),
        PortMapping(container_port_range="8000-8010"),
        PortMapping(container_port=80),
    )
    assert (definition.start_timeout_s, definition.stop_timeout_s) == (30, None)
    assert definition.restart_policy == RestartPolicy(enabled=True, restart_attempt_period_s=0)
    assert (definition.docker_config, definition.docker_host_config) == ("{}", "{}"), "Docker's settings come as text"


@pytest.mark.parametrize("text", ["", "{", "null", '{"HealthCheck": {}}'])
def test_dockers_own_settings_go_through_as_they_are(text: str) -> None:
    definition = converted(of_container(dockerConfig={"config": text, "hostConfig": text})).containers[0].definition
    assert (definition.docker_config, definition.docker_host_config) == (text, text)


@each_row(
    "overrides, command",
    [
        (None, ("run",)),
        ("{}", ("run",)),
        ("null", ("run",)),
        ('{"command": null}', ("run",)),
        ('{"command": ["x", "y"]}', ("x", "y")),
        ('{"command": []}', None),
    ],
)
def test_only_the_command_may_be_overridden(overrides: str | None, command: tuple[str, ...] | None) -> None:
    assert converted(of_container(command=["run"], overrides=overrides)).containers[0].definition.command == command


@each_row(
    "overrides",
    [
        "",
        "{",
        "[]",
        '"x"',
        '{"cpu": 1}',
        '{"command": "x"}',
        '{"command": [1]}',
        '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_other_overrides_are_a_conversion_error(overrides: str) -> None:
    reason = refusal(of_container(overrides=overrides))
    assert reason.startswith("Could not unmarshal ContainerOverrides in any supported way: container 'app': ")


def test_overrides_of_the_task_are_passed_over() -> None:
    assert converted(payload(overrides="{nonsense")).unsupported == ""


@each_row(
    "given, login",
    [
        (
            {
                "type": "ecr",
                "ecrAuthData": {
                    "registryId": "012345678910",
                    "region": "us-west-2",
                    "endpointOverride": "https://ecr.example",
                    "useExecutionRole": True,
                },
            },
            RegistryLogin(
                kind="ecr",
                registry_id="012345678910",
                region="us-west-2",
                endpoint_override="https://ecr.example",
                use_execution_role=True,
            ),
        ),
        ({"type": "ecr"}, RegistryLogin(kind="ecr")),
        (
            {"type": "asm", "asmAuthData": {"credentialsParameter": "arn:secret", "region": "us-west-2"}},
            RegistryLogin(kind="asm", region="us-west-2", secret_arn="arn:secret"),
        ),
        ({"type": "asm"}, RegistryLogin(kind="asm")),
        ({"type": "other", "ecrAuthData": {"registryId": "1"}}, None),
        ({}, None),
    ],
)
def test_where_the_registrys_credentials_are(given: dict[str, Any], login: RegistryLogin | None) -> None:
    assert converted(of_container(registryAuthentication=given)).containers[0].definition.registry_login == login


def test_the_desired_status() -> None:
    assert converted(payload(desiredStatus="STOPPED")).desired is TaskStatus.STOPPED
    assert refusal(payload(desiredStatus="running")) == ("Unrecognized TaskStatus: 'running'; write RUNNING or STOPPED")


def test_without_a_desired_status_it_is_stopped_rather_than_kept_in_silence() -> None:
    task = converted(payload(desiredStatus=None))
    assert task.unsupported == "no desiredStatus"
    assert task.desired is TaskStatus.RUNNING, "which leaves a task that is known alone"


def test_negative_limits_of_the_task_are_none() -> None:
    task = converted(payload(cpu=-1.0, memory=-5))
    assert (task.cpu_vcpu, task.memory_mib) == (0.0, 0)


# --- volumes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, {"type": "host"}])
def test_host_volumes(kind: dict[str, str]) -> None:
    bound, own = converted(
        payload(
            volumes=[{"name": "b", **kind, "host": {"sourcePath": "/srv"}}, {"name": "o", **kind, "host": {}}],
        )
    ).volumes
    assert bound == Volume(name="b", kind=VolumeKind.BIND, source_path="/srv")
    assert own == Volume(name="o", kind=VolumeKind.TASK, docker_name=f"ecs-web-3-o-{1:020x}")


def test_docker_volumes() -> None:
    config = {"driver": "nfs", "driverOpts": {"o": "ro"}, "labels": {"a": "b"}}
    own, shared, unsaid = converted(
        payload(
            volumes=[
                {"name": "o", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", **config}},
                {
                    "name": "s",
                    "type": "docker",
                    "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True},
                },
                {"name": "u", "type": "docker", "dockerVolumeConfiguration": {}},
            ]
        )
    ).volumes
    assert own == Volume(
        name="o",
        kind=VolumeKind.TASK,
        docker_name=f"ecs-web-3-o-{1:020x}",
        driver="nfs",
        driver_options={"o": "ro"},
        labels={"a": "b"},
    )
    assert shared == Volume(name="s", kind=VolumeKind.SHARED, docker_name="s", autoprovision=True)
    assert unsaid == Volume(name="u", kind=VolumeKind.SHARED, docker_name="u")


@each_row(
    "volume, reason",
    [
        ({"host": {}}, "invalid Volume; must include a name"),
        ({"name": "v"}, "invalid volume: empty volume configuration"),
        ({"name": "v", "type": "host"}, "invalid volume: empty volume configuration"),
        ({"name": "v", "type": "docker", "host": {}}, "invalid volume: empty volume configuration"),
        ({"name": "v", "type": "tape"}, 'unrecognized volume type: "tape"'),
        ({"name": "v", "type": ""}, 'unrecognized volume type: ""'),
    ],
)
def test_bad_volumes(volume: dict[str, Any], reason: str) -> None:
    assert refusal(payload(volumes=[volume])) == reason


# --- what does not convert ------------------------------------------------------------------------


@pytest.mark.parametrize("arn", [..., "", None])
def test_a_task_without_arn(arn: object) -> None:
    assert refusal(payload(arn=arn)) == "task ARN is empty"


@each_row(
    "members, reason",
    [
        ({"cpu": -1}, "cpu of container 'app' is -1, which is negative"),
        ({"memory": -1}, "memory of container 'app' is -1, which is negative"),
        ({"startTimeout": -1}, "startTimeout of container 'app' is -1, which is negative"),
        ({"stopTimeout": -1}, "stopTimeout of container 'app' is -1, which is negative"),
        (
            {"portMappings": [{"containerPort": 65536}]},
            "containerPort of container 'app' is 65536, which is more than 65535",
        ),
        ({"portMappings": [{"hostPort": -1}]}, "hostPort of container 'app' is -1, which is negative"),
        ({"portMappings": [{"protocol": "sctp"}]}, 'TransportProtocol must be "tcp" or "udp"; Got \'sctp\''),
        (
            {"dependsOn": [{"containerName": "db", "condition": "CREATE"}]},
            "dependsOn of container 'app': unrecognized condition 'CREATE';"
            " write one of START, COMPLETE, SUCCESS, HEALTHY",
        ),
        (
            {"dependsOn": [{"containerName": "db"}]},
            "dependsOn of container 'app': unrecognized condition None; write one of START, COMPLETE, SUCCESS, HEALTHY",
        ),
    ],
)
def test_numbers_and_words_that_cannot_be(members: dict[str, Any], reason: str) -> None:
    assert refusal(of_container(**members)) == reason


def test_more_cpu_than_can_be_counted() -> None:
    assert refusal(payload(cpu=1e300)) == "cpu of the task is 1e+300 vCPU, which is more than 4294967296"


def test_two_of_one_name() -> None:
    assert refusal(payload(containers=[{"name": "a"}, {"name": "a"}])) == "two containers of the task are named 'a'"
    assert refusal(payload(volumes=[{"name": "v", "host": {}}] * 2)) == "two volumes of the task are named 'v'"


# --- credentials ----------------------------------------------------------------------------------


def test_credentials_come_out_by_role() -> None:
    task = payload(
        roleCredentials={
            "credentialsId": "id-1",
            "roleArn": "arn:role",
            "accessKeyId": "AKID",
            "secretAccessKey": "hush",
            "sessionToken": "token",
            "expiration": "2030-01-01T00:00:00Z",
            "credentialScope": "scope",
        },
        executionRoleCredentials={"credentialsId": "id-2"},
    )
    application, execution = credentials_of(task)
    assert application == TaskCredentials(
        task_arn=ARN,
        role_type=RoleType.TASK_APPLICATION,
        credentials_id="id-1",
        role_arn="arn:role",
        access_key_id="AKID",
        secret_access_key="hush",
        session_token="token",
        expiration="2030-01-01T00:00:00Z",
        scope="scope",
    )
    assert execution == TaskCredentials(task_arn=ARN, role_type=RoleType.TASK_EXECUTION, credentials_id="id-2")
    assert (converted(task).credentials_id, converted(task).execution_credentials_id) == ("id-1", "id-2")
    assert credentials_of(payload()) == ()


@pytest.mark.parametrize("member", ["roleCredentials", "executionRoleCredentials"])
def test_credentials_without_an_id(member: str) -> None:
    task = payload(**{member: {"roleArn": "arn:role"}})
    assert refusal(task) == "CredentialsId is empty"
    with pytest.raises(TaskConversionError, match="CredentialsId is empty"):
        credentials_of(task)


def test_credentials_for_no_task() -> None:
    with pytest.raises(TaskConversionError, match="task ARN is empty"):
        credentials_of(payload(arn=None, roleCredentials={"credentialsId": "id-1"}))


# --- what is not supported here --------------------------------------------------------------------


@each_row(
    "members, feature",
    [
        ({"networkMode": "awsvpc", "elasticNetworkInterfaces": [{"name": "eth0"}]}, "network mode awsvpc"),
        ({"elasticNetworkInterfaces": [{"name": "eth0"}]}, "network mode awsvpc"),
        ({"networkMode": "nat"}, "network mode nat"),
        ({"proxyConfiguration": {"type": "APPMESH"}}, "proxyConfiguration"),
        ({"attachments": [{"attachmentType": "serviceconnectdetail"}]}, "Service Connect"),
        ({"attachments": [{"attachmentType": "amazonebs"}], "volumes": [{"name": "v"}]}, "EBS volumes"),
        ({"attachments": [{"attachmentType": "s3files"}], "volumes": [{"name": "v"}]}, "S3 Files volumes"),
        ({"volumes": [{"name": "v", "type": "efs"}]}, "EFS volumes"),
        ({"volumes": [{"name": "v", "type": "fsxWindowsFileServer"}]}, "FSx volumes"),
        ({"associations": [{"type": "gpu", "containers": ["app"]}]}, "GPUs"),
        ({"associations": [{"type": "elastic-inference"}]}, "associations of type elastic-inference"),
        ({"trustedExecutionConfiguration": {"isolationMode": "x"}}, "trustedExecutionConfiguration"),
        ({"containers": [{"name": "service-connect"}]}, "Service Connect"),
        ({"containers": [{"name": "log", "firelensConfiguration": {"type": "fluentbit"}}]}, "FireLens"),
        (
            {
                "containers": [
                    {"name": "c", "dockerConfig": {"hostConfig": '{"logconfig": {"TYPE": "awsfirelens"}}'}},
                    {"name": "d", "dockerConfig": {"hostConfig": '{"LogConfig": {"Type": "awsfirelens"}}'}},
                ]
            },
            "FireLens",
        ),
        ({"containers": [{"name": "c", "environmentFiles": [{"type": "s3"}]}]}, "environmentFiles (container c)"),
        ({"containers": [{"name": "c", "environmentFiles": [{"type": "s3"}]}]}, "environmentFiles (container c)"),
        ({"containers": [{"name": "c", "credentialSpecs": ["x"]}]}, "credentialSpecs (container c)"),
        (
            {"networkMode": "awsvpc", "containers": [{"name": "c", "environmentFiles": [{"type": "s3"}]}]},
            "network mode awsvpc, environmentFiles (container c)",
        ),
    ],
)
def test_what_cannot_be_had_is_named(members: dict[str, Any], feature: str) -> None:
    assert converted(payload(**members)).unsupported == feature


@each_row(
    "members",
    [
        {"networkMode": "bridge", "pidMode": "host", "ipcMode": "none"},
        {"pidMode": "task", "ipcMode": "task"},
        {"networkMode": "host"},
        {"networkMode": "none"},
        {"networkMode": ""},
        {"attachments": [{"attachmentType": "something-new"}]},
        {"enableFaultInjection": True, "zone": "z", "agentConfiguration": "{}"},
        {"containers": [{"name": "c", "secrets": [], "environmentFiles": [], "credentialSpecs": []}]},
        {"containers": [{"name": "c", "managedAgents": [{"name": "ExecuteCommandAgent"}]}]},
        {"containers": [{"name": "c", "dockerConfig": {"hostConfig": '{"LogConfig": {"Type": "json-file"}}'}}]},
        {"containers": [{"name": "c", "dockerConfig": {"hostConfig": '{"LogConfig": 3}'}}]},
        {"containers": [{"name": "c", "dockerConfig": {"hostConfig": "{"}}]},
        {"containers": [{"name": "c", "dockerConfig": {"hostConfig": "[" * 100_000}}]},
        {"containers": [{"name": "c", "dockerConfig": {"config": "{}"}}]},
    ],
)
def test_what_can_be_had_or_does_not_matter(members: dict[str, Any]) -> None:
    assert converted(payload(**members)).unsupported == ""


INTERFACE = {
    "ec2Id": "eni-1", "macAddress": "02:42:0A:D5:00:07", "attachmentArn": "arn:aws:ecs:::attachment/1",
    "ipv4Addresses": [{"privateAddress": "10.213.0.9"}, {"primary": True, "privateAddress": "10.213.0.7"}],
    "subnetGatewayIpv4Address": "10.213.0.1/20", "privateDnsName": "ip-10-213-0-7.ec2.internal",
    "domainName": ["ec2.internal"], "domainNameServers": ["10.213.0.2"], "interfaceAssociationProtocol": "default",
}  # fmt: skip


def with_network(*interfaces: dict[str, Any], mode: str | None = "awsvpc") -> Task:
    task = payload(networkMode=mode, elasticNetworkInterfaces=list(interfaces))
    return to_task(task, suffixes=suffixes(), received_at=AT, has_task_network=True)


def test_the_network_interface_of_an_awsvpc_task() -> None:
    task = with_network(INTERFACE)
    assert task.unsupported == ""
    assert task.interface == TaskInterface(
        eni_id="eni-1", attachment_arn="arn:aws:ecs:::attachment/1", mac="02:42:0a:d5:00:07", ipv4="10.213.0.7",
        gateway="10.213.0.1/20", private_dns_name="ip-10-213-0-7.ec2.internal",
        domain_name_servers=("10.213.0.2",), domain_names=("ec2.internal",),
    )  # fmt: skip
    assert task.interface is not None
    assert task.interface.subnet == "10.213.0.0/20"


@each_row(
    "changed, error",
    [
        ({"macAddress": None}, "lacks macAddress or ec2Id"),
        ({"ec2Id": ""}, "lacks macAddress or ec2Id"),
        ({"ipv4Addresses": []}, "'' of eni-1 is not in the subnet"),
        ({"ipv4Addresses": [{"privateAddress": "10.214.0.7"}]}, "'10.214.0.7' of eni-1 is not in the subnet"),
        ({"ipv4Addresses": [{"privateAddress": "x; rm"}]}, "is not in the subnet"),
        ({"subnetGatewayIpv4Address": "10.213.0.1"}, "of the gateway '10.213.0.1'"),
        ({"subnetGatewayIpv4Address": "10.213.0.1/40"}, "of the gateway '10.213.0.1/40'"),
        ({"subnetGatewayIpv4Address": None}, "of the gateway ''"),
    ],
)
def test_an_interface_that_no_container_can_have(changed: dict[str, Any], error: str) -> None:
    with pytest.raises(TaskConversionError, match=re.escape(error)):
        with_network({**INTERFACE, **changed})


@each_row(
    "interfaces, mode, unsupported",
    [
        ([], "awsvpc", "network mode awsvpc without a network interface"),
        ([INTERFACE], "bridge", "a network interface in network mode bridge"),
        ([INTERFACE], None, "a network interface in network mode bridge"),
        ([INTERFACE, INTERFACE], "awsvpc", "several network interfaces"),
    ],
)
def test_interfaces_that_do_not_fit_the_mode(
    interfaces: list[dict[str, Any]], mode: str | None, unsupported: str
) -> None:
    assert with_network(*interfaces, mode=mode).unsupported == unsupported


def test_what_a_task_does_without() -> None:
    agents = [{"name": "ExecuteCommandAgent"}, {"name": "Other"}]
    task = payload(containers=[{"name": "c", "managedAgents": agents}], enableFaultInjection=True)
    assert left_out(task) == "ECS Exec (container c), managed agent Other (container c), fault injection"
    assert left_out(payload(enableFaultInjection=False)) == ""


# --- anything -------------------------------------------------------------------------------------

_WORDS = st.sampled_from(["", "app", "db", "tcp", "task", "host", "docker", "ecr", "asm", "RUNNING", "START", "awsvpc"])
_TEXTS = st.sampled_from(["", "{}", "null", "{", "[", '{"command": ["x"]}', '{"LogConfig": {"Type": "awsfirelens"}}'])
_CONTAINERS = st.builds(
    PayloadContainer,
    name=_WORDS | st.none(),
    overrides=st.none() | st.just("{}") | _TEXTS | st.text(),
    docker_config=st.none() | st.builds(PayloadDockerConfig, host_config=_TEXTS | st.text()),
    depends_on=st.none() | st.tuples(st.builds(PayloadDependency, condition=st.sampled_from(["START", "CREATE"]))),
    port_mappings=st.none()
    | st.tuples(
        st.builds(
            PayloadPortMapping,
            container_port=st.integers(0, 65536),
            host_port=st.integers(-1, 65535),
            protocol=st.sampled_from(["tcp", "udp", "", None]),
        )
    ),
)
_TASKS = st.builds(
    PayloadTask,
    arn=st.sampled_from([ARN, ARN, ARN, None]),
    desired_status=st.sampled_from(["RUNNING", "STOPPED", "", None]),
    containers=st.none() | st.lists(_CONTAINERS | st.from_type(PayloadContainer), max_size=3).map(tuple),
    volumes=st.none()
    | st.lists(
        st.builds(PayloadVolume, name=_WORDS, type=st.sampled_from(["host", "docker", "efs", None, "tape"])), max_size=3
    ).map(tuple),
    cpu=st.none() | st.floats(allow_nan=False),
    memory=st.none() | st.integers(-(2**63), 2**63 - 1),
)


def addressed(task: PayloadTask) -> PayloadTask:
    """With what every task needs to come further than the first check; JSON knows no NaN."""
    cpu = None if task.cpu is not None and math.isnan(task.cpu) else task.cpu
    return msgspec.structs.replace(task, arn=ARN, desired_status="RUNNING", cpu=cpu)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no mistake of the code
@given(_TASKS | st.from_type(PayloadTask).map(addressed))
def test_anything_of_the_right_types_converts_or_is_a_conversion_error(payload_task: PayloadTask) -> None:
    left_out(payload_task)
    try:
        task = converted(payload_task)
    except TaskConversionError as error:
        assert str(error)
        event(f"refused: {str(error)[:12]}")
        return
    event("converted")
    assert task.arn == payload_task.arn
    assert len(task.containers) == len(payload_task.containers or ())
    assert {held.credentials_id for held in credentials_of(payload_task)} == {
        identity for identity in (task.credentials_id, task.execution_credentials_id) if identity
    }


def test_each_container_gets_an_endpoint_of_its_own() -> None:
    ids = iter(("id-1", "id-2"))
    task = payload(containers=[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}])
    made = to_task(task, suffixes=suffixes(), endpoint_ids=lambda: next(ids), received_at=AT)
    assert [container.endpoint_id for container in made.containers] == ["id-1", "id-2"]
    assert [container.endpoint_id for container in converted(task).containers] == ["", ""]


def test_secrets_are_references() -> None:
    secrets = [
        {"name": "A", "valueFrom": "/a", "provider": "ssm", "region": "eu-west-1", "target": "CONTAINER"},
        {"name": "token", "valueFrom": "arn:t", "provider": "asm", "target": "LOG_DRIVER"},
    ]
    task = converted(of_container(secrets=secrets, logsAuthStrategy="ExecutionRole"))
    definition = task.containers[0].definition
    assert definition.secrets == (
        Secret(name="A", store=SecretStore.PARAMETER_STORE, value_from="/a", region="eu-west-1"),
        Secret(name="token", store=SecretStore.SECRETS_MANAGER, value_from="arn:t", is_log_option=True),
    )
    assert definition.logs_as_execution_role
    assert not task.unsupported


def test_a_secret_of_no_known_store() -> None:
    with pytest.raises(TaskConversionError, match="unrecognized provider 'vault'"):
        converted(of_container(secrets=[{"name": "A", "provider": "vault"}]))

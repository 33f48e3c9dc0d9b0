"""What is asked of Docker for a container, rule by rule of engine.md §6 to §9."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ecscope.agent.core.container_config import ContainerConfigError, container_config
from ecscope.agent.runtime.docker.create_body import create_body
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.arn import DockerId
from ecscope.model.container import Container, ContainerKind, MountPoint, PortMapping, VolumeFrom
from ecscope.model.names import NAMESPACE_PAUSE, NETWORK_PAUSE
from ecscope.model.network import NetworkMode, TaskNetwork
from ecscope.model.task import Task, Volume, VolumeKind
from ecscope.model.task_resource import CGROUP
from tests.builders import SAMPLE_IMAGE, a_container, a_resource, a_task, a_volume, an_arn, an_interface
from tests.tables import each_row

LABELS = {
    "com.amazonaws.ecs.task-arn": an_arn(),
    "com.amazonaws.ecs.container-name": "app",
    "com.amazonaws.ecs.task-definition-family": "sample",
    "com.amazonaws.ecs.task-definition-version": "1",
    "com.amazonaws.ecs.cluster": "default",
}


def body_of(
    container: Container | None = None,
    task: Task | None = None,
    *,
    ports: dict[str, int] | None = None,
    region: str = "",
    image_names: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    container = container or a_container()
    return create_body(
        container_config(
            task=task or a_task(container),
            container=container,
            host_ports=ports or {},
            cluster="default",
            region=region,
            image_environment_names=image_names,
        )
    )


def host_config_of(**asked: Any) -> dict[str, Any]:
    host: dict[str, Any] = body_of(a_container(**asked))["HostConfig"]
    return host


def failure_of(container: Container, task: Task | None = None) -> str:
    with pytest.raises((RuntimeFailure, ContainerConfigError)) as caught:
        body_of(container, task)
    return str(caught.value)


def test_a_container_that_asks_for_nothing() -> None:
    assert body_of() == {
        "Image": SAMPLE_IMAGE,
        "Env": [],
        "Labels": LABELS,
        "HostConfig": {"Memory": 0, "CpuShares": 2, "IpcMode": "shareable"},
    }


def test_command_and_entry_point() -> None:
    body = body_of(a_container(command=("a", "b"), entry_point=("c",)))
    assert (body["Cmd"], body["Entrypoint"]) == (["a", "b"], ["c"])
    empty = body_of(a_container(command=(), entry_point=()))
    assert (empty["Cmd"], empty["Entrypoint"]) == ([], [])


@each_row(
    "environment, image_names, region, expected",
    [
        ({}, set(), "r", ["AWS_REGION=r", "AWS_DEFAULT_REGION=r"]),
        ({"A": "1=2"}, set(), "r", ["A=1=2", "AWS_REGION=r", "AWS_DEFAULT_REGION=r"]),
        ({"AWS_REGION": "x"}, set(), "r", ["AWS_REGION=x"]),
        ({"AWS_DEFAULT_REGION": ""}, set(), "r", ["AWS_DEFAULT_REGION="]),
        ({}, {"AWS_REGION"}, "r", []),
        ({}, {"AWS_DEFAULT_REGION"}, "r", []),
        ({}, {"PATH"}, "", []),
    ],
)
def test_environment_and_region(
    environment: dict[str, str], image_names: set[str], region: str, expected: list[str]
) -> None:
    body = body_of(a_container(environment=environment), region=region, image_names=frozenset(image_names))
    assert body["Env"] == expected


def test_a_task_with_a_role_is_told_where_its_credentials_are() -> None:
    own = a_container(environment={"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/forged"})
    task = msgspec.structs.replace(a_task(own), credentials_id="id-1")
    assert body_of(own, task)["Env"] == ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/id-1"]
    assert body_of(own)["Env"] == ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/forged"]


def test_labels_of_the_agent_win() -> None:
    config = json.dumps({"Labels": {"mine": "1", "com.amazonaws.ecs.cluster": "forged"}})
    assert body_of(a_container(docker_config=config))["Labels"] == {"mine": "1", **LABELS}
    assert body_of(a_container(docker_config='{"Labels": null}'))["Labels"] == LABELS


@pytest.mark.parametrize(
    ("mib", "memory"), [(0, 0), (1, 4 * 2**20), (4, 4 * 2**20), (5, 5 * 2**20), (512, 512 * 2**20)]
)
def test_memory(mib: int, memory: int) -> None:
    assert host_config_of(memory_mib=mib)["Memory"] == memory


@each_row("units, shares", [(0, 2), (1, 2), (2, 2), (256, 256), (262144, 262144), (10**6, 262144)])
def test_cpu(units: int, shares: int) -> None:
    assert host_config_of(cpu_units=units)["CpuShares"] == shares


def test_ports() -> None:
    mappings = (
        PortMapping(container_port=80, host_port=8080),
        PortMapping(container_port=53, protocol="udp"),
        PortMapping(container_port_range="90-92"),
    )
    published = {"80/tcp": 8080, "53/udp": 40000, "90/tcp": 41000, "91/tcp": 41001, "92/tcp": 41002}
    body = body_of(a_container(port_mappings=mappings), ports=published)
    assert body["ExposedPorts"] == {port: {} for port in ("80/tcp", "53/udp", "90/tcp", "91/tcp", "92/tcp")}
    assert body["HostConfig"]["PortBindings"] == {
        port: [{"HostIp": "", "HostPort": str(host_port)}] for port, host_port in published.items()
    }


@pytest.mark.parametrize("text", ["90", "92-90", "a-b", "90-", "-90"])
def test_a_port_range_that_is_none(text: str) -> None:
    mapping = PortMapping(container_port_range=text)
    assert failure_of(a_container(port_mappings=(mapping,))) == (
        f"DockerClientConfigError: Invalid container port range {text!r}: write first-last, e.g. 8000-8010"
    )


def test_links_name_the_docker_containers() -> None:
    database = a_container("db", docker_name="ecs-sample-1-db-00")
    app = a_container(links=("db", "db:store"))
    links = body_of(app, a_task(app, database))["HostConfig"]["Links"]
    assert links == ["ecs-sample-1-db-00:db", "ecs-sample-1-db-00:store"]


def test_volumes_from_name_the_docker_containers() -> None:
    data = a_container("data", docker_name="ecs-sample-1-data-00")
    sources = (VolumeFrom(source_container="data"), VolumeFrom(source_container="data", read_only=True))
    app = a_container(volumes_from=sources)
    host = body_of(app, a_task(app, data))["HostConfig"]
    assert host["VolumesFrom"] == ["ecs-sample-1-data-00", "ecs-sample-1-data-00:ro"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"links": ("a:b:c",)}, "Invalid link format: 'a:b:c' has more than one colon"),
        ({"links": ("nobody",)}, "Link target not available: nobody"),
        ({"links": ("app",)}, "Link target not available: app"),
        ({"volumes_from": (VolumeFrom(source_container="nobody"),)}, "Volume target not available: nobody"),
    ],
)
def test_targets_that_are_not_there(asked: dict[str, Any], message: str) -> None:
    assert failure_of(a_container(**asked)) == f"HostConfigError: {message}"


def test_binds() -> None:
    volumes = (
        Volume(name="host", kind=VolumeKind.BIND, source_path="/srv"),
        a_volume("own", docker_name="ecs-sample-1-own-00"),
        Volume(name="shared", kind=VolumeKind.SHARED, docker_name="shared"),
    )
    points = (
        MountPoint(source_volume="host", container_path="/a"),
        MountPoint(source_volume="own", container_path="/b", read_only=True),
        MountPoint(source_volume="shared", container_path="/c"),
    )
    app = a_container(mount_points=points)
    binds = body_of(app, a_task(app, volumes=volumes))["HostConfig"]["Binds"]
    assert binds == ["/srv:/a", "ecs-sample-1-own-00:/b:ro", "shared:/c"]


@pytest.mark.parametrize(
    ("volume", "path", "message"),
    [
        ("other", "/a", "Invalid volume referenced: data"),
        ("data", "/a", "Unable to resolve volume mounts; invalid path: app data;  -> /a"),
    ],
)
def test_mounts_that_lead_nowhere(volume: str, path: str, message: str) -> None:
    app = a_container(mount_points=(MountPoint(source_volume="data", container_path=path),))
    task = a_task(app, volumes=(Volume(name=volume, kind=VolumeKind.BIND),))
    assert failure_of(app, task) == f"HostConfigError: {message}"


def test_a_mount_to_nowhere() -> None:
    app = a_container(mount_points=(MountPoint(source_volume="data", container_path=""),))
    task = a_task(app, volumes=(a_volume(docker_name="d"),))
    assert failure_of(app, task) == ("HostConfigError: Unable to resolve volume mounts; invalid path: app data; d -> ")


def test_the_payloads_config_is_laid_over() -> None:
    config = {
        "user": "nobody",
        "WORKINGDIR": "/w",
        "tty": True,
        "StopTimeout": 3,
        "healthcheck": {"Test": ["CMD", "true"]},
        "env": ["A=b"],
        "cmd": "single",
        "exposedports": {"81/tcp": {}},
    }
    mapping = (PortMapping(container_port=80),)
    container = a_container(
        docker_config=json.dumps(config), port_mappings=mapping, command=("x",), health_check_is_docker=True
    )
    body = body_of(container, region="r")
    del body["HostConfig"], body["Labels"]
    assert body == {
        "Image": SAMPLE_IMAGE,
        "Env": ["A=b"],
        "Cmd": "single",
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        "User": "nobody",
        "WorkingDir": "/w",
        "Tty": True,
        "StopTimeout": 3,
        "Healthcheck": {"Test": ["CMD", "true"]},
    }


def test_the_payloads_host_config_is_laid_over() -> None:
    over = {
        "networkmode": "host",
        "PRIVILEGED": True,
        "memory": 9 * 2**20,
        "portBindings": {"81/tcp": [{"HostPort": "81"}]},
        "Binds": ["/only:/this"],
        "CapAdd": ["SYS_PTRACE"],
        "Tmpfs": {"/t": "size=1m"},
    }
    points = (MountPoint(source_volume="data", container_path="/a"),)
    app = a_container(memory_mib=100, mount_points=points, docker_host_config=json.dumps(over))
    body = body_of(app, a_task(app, volumes=(a_volume(docker_name="d"),)), ports={"80/tcp": 8080})
    assert body["HostConfig"] == {
        "Memory": 9 * 2**20,
        "CpuShares": 2,
        "Binds": ["/only:/this"],
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": [{"HostPort": "81"}]},
        "NetworkMode": "host",
        "Privileged": True,
        "CapAdd": ["SYS_PTRACE"],
        "Tmpfs": {"/t": "size=1m"},
        "IpcMode": "shareable",
    }


def test_null_empties_lists_and_maps_and_leaves_the_rest() -> None:
    host = {"Memory": None, "PortBindings": None, "Binds": None, "Init": None, "LogConfig": None, "Dns": None}
    body = body_of(a_container(memory_mib=100, docker_host_config=json.dumps(host)), ports={"80/tcp": 1})
    assert body["HostConfig"] == {"Memory": 100 * 2**20, "CpuShares": 2, "IpcMode": "shareable"}
    assert "Cmd" not in body_of(a_container(command=("x",), docker_config='{"Cmd": null}'))
    assert body_of(a_container(docker_config="null", docker_host_config="null")) == body_of()


def test_members_we_do_not_know_are_handed_on_but_never_another_structure() -> None:
    config = {"FutureMember": 1, "hostConfig": {"Privileged": True}, "HoſtConfig": {}, "NetworkingConfig": {}}
    body = body_of(a_container(docker_config=json.dumps(config), docker_host_config='{"FutureHost": [1]}'))
    assert body["FutureMember"] == 1
    assert body["HostConfig"]["FutureHost"] == [1]
    assert set(body) == {"Image", "Env", "Labels", "FutureMember", "HostConfig"}
    assert "Privileged" not in body["HostConfig"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Input data was truncated"),
        ("{", "Input data was truncated"),
        pytest.param(
            "[" * 100_000, "maximum recursion depth exceeded while deserializing an object", id="nested too deeply"
        ),
        ("[]", "json: cannot unmarshal array into Go value of type container.{what}"),
        ("1.5", "json: cannot unmarshal number into Go value of type container.{what}"),
        ("true", "json: cannot unmarshal bool into Go value of type container.{what}"),
        ('"x"', "json: cannot unmarshal string into Go value of type container.{what}"),
    ],
)
def test_text_that_cannot_be_decoded(text: str, reason: str) -> None:
    assert failure_of(a_container(docker_config=text)) == (
        f"DockerClientConfigError: Unable decode given docker config: {reason.format(what='Config')}"
    )
    assert failure_of(a_container(docker_host_config=text)) == (
        f"HostConfigError: Unable to decode given host config: {reason.format(what='HostConfig')}"
    )


@each_row(
    "over, reason",
    [
        ({"privileged": "yes"}, "string into Go struct field HostConfig.Privileged of type bool"),
        ({"memory": True}, "bool into Go struct field HostConfig.Memory of type int64"),
        ({"memory": 1.5}, "number into Go struct field HostConfig.Memory of type int64"),
        ({"NetworkMode": {}}, "object into Go struct field HostConfig.NetworkMode of type string"),
        ({"Binds": "x"}, "string into Go struct field HostConfig.Binds of type []"),
        ({"CapAdd": 1}, "number into Go struct field HostConfig.CapAdd of type []string"),
        ({"Tmpfs": []}, "array into Go struct field HostConfig.Tmpfs of type map"),
        ({"LogConfig": []}, "array into Go struct field HostConfig.LogConfig of type struct"),
        ({"LogConfig": {"type": 1}}, "number into Go struct field HostConfig.LogConfig.Type of type string"),
    ],
)
def test_members_of_another_type(over: dict[str, Any], reason: str) -> None:
    assert failure_of(a_container(docker_host_config=json.dumps(over))) == (
        f"HostConfigError: Unable to decode given host config: json: cannot unmarshal {reason}"
    )


def test_a_docker_health_check_must_be_there() -> None:
    for config in ("{}", '{"Healthcheck": null}'):
        assert failure_of(a_container(health_check_is_docker=True, docker_config=config)) == (
            "DockerClientConfigError: docker health check is nil while container health check type is DOCKER"
        )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Type": "json-file"}, {"Type": "json-file"}),
        (
            {"type": "awslogs", "config": {"mode": "non-blocking"}},
            {"Type": "awslogs", "Config": {"mode": "non-blocking", "max-buffer-size": "10m"}},
        ),
        (
            {"Type": "x", "Config": {"mode": "non-blocking", "max-buffer-size": "1m"}},
            {"Type": "x", "Config": {"mode": "non-blocking", "max-buffer-size": "1m"}},
        ),
        ({"Type": "x", "Config": {"mode": "blocking"}}, {"Type": "x", "Config": {"mode": "blocking"}}),
        ({"Type": "x", "Config": None}, {"Type": "x"}),
    ],
)
def test_the_log_buffer_is_bounded(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert host_config_of(docker_host_config=json.dumps({"LogConfig": given}))["LogConfig"] == expected


def test_the_cgroup_parent_is_the_agents() -> None:
    container = a_container(docker_host_config='{"CgroupParent": "/theirs"}')
    task = a_task(container, resources=(a_resource("/ecs/1", kind=CGROUP),))
    assert body_of(container, task)["HostConfig"]["CgroupParent"] == "/ecs/1"
    assert body_of(container)["HostConfig"]["CgroupParent"] == "/theirs"


@pytest.mark.parametrize(
    ("pid_mode", "ipc_mode", "over", "expected"),
    [
        ("", "", {}, {"IpcMode": "shareable"}),
        ("", "", {"IpcMode": "private"}, {"IpcMode": "private"}),
        ("", "", {"IpcMode": ""}, {"IpcMode": "shareable"}),
        ("host", "host", {"PidMode": "", "IpcMode": "private"}, {"PidMode": "host", "IpcMode": "host"}),
        ("", "none", {}, {"IpcMode": "none"}),
    ],
)
def test_namespaces(pid_mode: str, ipc_mode: str, over: dict[str, str], expected: dict[str, str]) -> None:
    container = a_container(docker_host_config=json.dumps(over))
    host = body_of(container, a_task(container, pid_mode=pid_mode, ipc_mode=ipc_mode))["HostConfig"]
    assert {name: value for name, value in host.items() if name in ("PidMode", "IpcMode")} == expected


def test_namespaces_of_the_task_are_those_of_its_pause_container() -> None:
    pause = a_container(NAMESPACE_PAUSE, kind=ContainerKind.NAMESPACE_PAUSE, docker_id=DockerId("d1"))
    app = a_container(docker_host_config='{"PidMode": "host", "IpcMode": "private"}')
    task = a_task(pause, app, pid_mode="task", ipc_mode="task")
    host = body_of(app, task)["HostConfig"]
    assert (host["PidMode"], host["IpcMode"]) == ("container:d1", "container:d1")
    host = body_of(pause, task)["HostConfig"]
    assert ("PidMode" in host, host["IpcMode"], host["NetworkMode"]) == (False, "shareable", "none")


# --- awsvpc: engine.md §8 ---

NETWORK = TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20")


def an_awsvpc_task(*containers: Container, **interface: object) -> Task:
    pause = a_container(NETWORK_PAUSE, kind=ContainerKind.CNI_PAUSE, docker_id=DockerId("d1"))
    return a_task(pause, *containers, network_mode=NetworkMode.AWSVPC, interface=an_interface(**interface))


def body_in_awsvpc(task: Task, name: str, ports: dict[str, int] | None = None) -> dict[str, Any]:
    container = task.container(name)
    assert container is not None
    config = container_config(
        task=task,
        container=container,
        host_ports=ports or {},
        cluster="default",
        region="",
        task_network=NETWORK,
        image_environment_names=frozenset(),
    )
    return create_body(config)


def test_the_pause_container_is_given_what_the_network_interface_says() -> None:
    app = a_container(docker_host_config='{"dns": ["10.0.0.2"], "DnsSearch": ["x.internal"]}')
    task = an_awsvpc_task(app, a_container("log", docker_host_config='{"Dns": ["10.0.0.3", "10.0.0.2"]}'))
    body = body_in_awsvpc(task, NETWORK_PAUSE, {"80/tcp": 80, "8080/tcp": 49153})
    host = body["HostConfig"]
    assert body["Hostname"] == "ip-10-213-0-7.us-west-2.compute.internal"
    assert body["ExposedPorts"] == {"80/tcp": {}, "8080/tcp": {}}
    assert body["NetworkingConfig"]["EndpointsConfig"] == {
        "ecs-1": {"IPAMConfig": {"IPv4Address": "10.213.0.7"}, "MacAddress": "02:42:0a:d5:00:07"}
    }
    assert (body["MacAddress"], host["NetworkMode"]) == ("02:42:0a:d5:00:07", "ecs-1")
    assert (host["Dns"], host["DnsSearch"]) == (["10.0.0.2", "10.0.0.3"], ["x.internal"])
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}],
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}],
    }


def test_names_are_resolved_as_the_interface_says_where_no_container_does() -> None:
    task = an_awsvpc_task(a_container(), domain_name_servers=("10.213.0.2",), domain_names=("ec2.internal",))
    host = body_in_awsvpc(task, NETWORK_PAUSE)["HostConfig"]
    assert (host["Dns"], host["DnsSearch"]) == (["10.213.0.2"], ["ec2.internal"])


def test_the_others_share_its_network_and_have_none_of_their_own() -> None:
    """Docker refuses each of these beside another container's network."""
    app = a_container(
        port_mappings=(PortMapping(container_port=80),),
        docker_config='{"Hostname": "x", "Domainname": "y", "MacAddress": "02:00:00:00:00:01", "User": "nobody"}',
        docker_host_config='{"NetworkMode": "awsvpc", "Dns": ["1.1.1.1"], "DnsSearch": ["a"], "DnsOptions": ["b"],'
        ' "ExtraHosts": ["h:1.2.3.4"], "PublishAllPorts": true, "Init": true}',
    )
    body = body_in_awsvpc(an_awsvpc_task(app), "app")
    assert set(body) == {"Image", "Env", "Labels", "User", "HostConfig"}
    assert body["HostConfig"]["NetworkMode"] == "container:d1"
    assert set(body["HostConfig"]) == {"Memory", "CpuShares", "NetworkMode", "Init", "IpcMode"}

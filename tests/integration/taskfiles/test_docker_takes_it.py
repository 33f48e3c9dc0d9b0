"""A real Docker Engine takes what task definitions are turned into, and the examples do there what they say."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import dockerengine
from ecscope.model.arn import TaskArn
from ecscope.model.container import ContainerDefinition
from ecscope.taskdefinition.read import read_task_definition, to_task
from tests.session import TEST_PREFIX
from tests.unit.taskdefinition.definitions import FULL, container, task

EXAMPLES = Path(__file__).parents[3] / "examples"
MIB = 1024 * 1024


def definitions(text: str) -> dict[str, ContainerDefinition]:
    made = to_task(
        read_task_definition(text.encode()),
        arn=TaskArn("arn:aws:ecs:us-west-2:000000000000:task/default/1"),
        version="1",
        suffixes=lambda: "0" * 20,
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return {each.name: each.definition for each in made.containers}


class Docker:
    """Makes containers the way the agent does: what it generates, with the two JSON texts laid over."""

    def __init__(self, engine: dockerengine.Engine, image: str) -> None:
        self._engine = engine
        self._image = image
        self._volume = f"{TEST_PREFIX}{uuid.uuid4().hex}"
        self.made: list[str] = []

    def create(self, definition: ContainerDefinition, *, volumes_from: tuple[str, ...] = ()) -> str:
        host = {
            "Memory": definition.memory_mib * MIB,
            "VolumesFrom": list(volumes_from),
            "Binds": [f"{self._volume}:{mount.container_path}" for mount in definition.mount_points],
        }
        config = {
            "Image": self._image,
            "Cmd": definition.command,
            "Entrypoint": definition.entry_point,
            "Env": [f"{name}={value}" for name, value in definition.environment.items()],
            **json.loads(definition.docker_config),
            "HostConfig": {**host, **json.loads(definition.docker_host_config)},
        }
        answer = self._engine.request(
            "POST",
            "/containers/create",
            body=json.dumps(config).encode(),
            content_type="application/json",
            name=f"{TEST_PREFIX}{uuid.uuid4().hex}",
        )
        self.made.append(json.loads(answer)["Id"])
        return self.made[-1]

    def start(self, container_id: str) -> None:
        self._engine.request("POST", f"/containers/{container_id}/start")

    def stop(self, container_id: str) -> float:
        """Seconds that it took."""
        began = time.monotonic()
        self._engine.request("POST", f"/containers/{container_id}/stop", t="30")
        return time.monotonic() - began

    def inspect(self, container_id: str) -> Any:
        return json.loads(self._engine.request("GET", f"/containers/{container_id}/json"))

    def close(self) -> None:
        for container_id in reversed(self.made):
            self._engine.remove_container(container_id)
        self._engine.remove_volume(self._volume)


@pytest.fixture
def docker(docker_endpoint: str, sample_image: str) -> Iterator[Docker]:
    docker = Docker(dockerengine.Engine(docker_endpoint.removeprefix("unix://")), sample_image)
    try:
        yield docker
    finally:
        docker.close()


def page(address: str) -> str:
    """What is served on port 80 of ``address``; ``""``: nothing yet."""
    connection = http.client.HTTPConnection(address, 80, timeout=5)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else ""
    except OSError:
        return ""
    finally:
        connection.close()


@contextmanager
def deadline(seconds: float) -> Iterator[Any]:
    end = time.monotonic() + seconds
    yield lambda: time.monotonic() < end


def test_every_setting_reaches_docker(docker: Docker) -> None:
    web = dict(FULL["containerDefinitions"][0], links=[], volumesFrom=[], mountPoints=[], dependsOn=[])
    document = task(web, container("init", essential=False))
    found = docker.inspect(docker.create(definitions(json.dumps(document))["web"]))
    config, host = found["Config"], found["HostConfig"]
    assert (config["User"], config["WorkingDir"], config["Hostname"]) == ("1000:1000", "/srv", "web.local")
    assert (config["Labels"]["tier"], config["Tty"], config["OpenStdin"]) == ("front", True, True)
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 10_000_000_000,
        "Timeout": 4_000_000_000,
        "StartPeriod": 20_000_000_000,
        "Retries": 2,
    }
    assert (host["ReadonlyRootfs"], host["Privileged"], host["Init"]) == (True, False, True)
    assert (host["Dns"], host["DnsSearch"], host["ExtraHosts"]) == (["10.0.0.2"], ["example.internal"], ["db:10.0.0.9"])
    assert (host["CapAdd"], host["CapDrop"]) == (["NET_ADMIN"], ["MKNOD"])
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 4096}]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m"}}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Sysctls"] == {"net.core.somaxconn": "1024"}
    assert host["Tmpfs"] == {"/run": "size=16m,noexec,mode=700"}
    assert host["ShmSize"] == 32 * MIB
    assert (host["Memory"], host["MemoryReservation"]) == (512 * MIB, 128 * MIB)
    assert host["Devices"] == [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/f", "CgroupPermissions": "rm"}]


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_each_network_mode_reaches_docker(docker: Docker, mode: str) -> None:
    definition = definitions(json.dumps(task(networkMode=mode)))["app"]
    assert docker.inspect(docker.create(definition))["HostConfig"]["NetworkMode"] == mode


def test_the_sample_app_serves_a_page_that_changes_and_stops_quickly(docker: Docker) -> None:
    sample = definitions((EXAMPLES / "console-sample-app-static.json").read_text())
    app = docker.create(sample["simple-app"])
    docker.start(app)
    busybox = docker.create(sample["busybox"], volumes_from=(app,))
    docker.start(busybox)
    address = docker.inspect(app)["NetworkSettings"]["IPAddress"]
    pages: set[str] = set()
    with deadline(30) as in_time:
        while len(pages) < 2 and in_time():
            if shown := page(address):
                pages.add(shown)
            time.sleep(0.2)
    assert len(pages) == 2
    assert all("Amazon ECS Sample App" in shown and shown.endswith("</html>\n") for shown in pages)
    assert docker.stop(busybox) < 5
    assert docker.stop(app) < 5
    assert docker.inspect(app)["State"]["ExitCode"] == 0


def test_the_dynamic_port_example_serves_its_greeting(docker: Docker) -> None:
    web = docker.create(definitions((EXAMPLES / "web-dynamic-port.json").read_text())["web"])
    docker.start(web)
    address = docker.inspect(web)["NetworkSettings"]["IPAddress"]
    shown = ""
    with deadline(30) as in_time:
        while not shown and in_time():
            shown = page(address)
            time.sleep(0.1)
    assert shown == "hello from a port that the agent chose\n"
    assert docker.stop(web) < 5


def test_the_health_check_example_becomes_healthy(docker: Docker) -> None:
    example = definitions((EXAMPLES / "wait-for-healthy.json").read_text())
    prepare = docker.create(example["prepare"])
    docker.start(prepare)
    web = docker.create(example["web"])
    docker.start(web)
    health = ""
    with deadline(40) as in_time:
        while health != "healthy" and in_time():
            time.sleep(0.5)
            health = docker.inspect(web)["State"]["Health"]["Status"]
    assert health == "healthy"
    assert docker.inspect(prepare)["State"]["ExitCode"] == 0
    assert docker.stop(web) < 5

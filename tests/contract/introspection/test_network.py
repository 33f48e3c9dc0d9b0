"""Who reaches port 51678 of an agent: network namespaces are the hosts and the containers, the agent is a process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.session import TEST_PREFIX

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nsenter"),
    reason="namespaces as hosts need root, iproute2 and util-linux",
)

ASK = """
import json, socket, sys
told = {}
for name, (address, source) in json.loads(sys.argv[1]).items():
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(2)
        try:
            if source:
                client.bind((source, 0))
            client.connect(socket.getaddrinfo(address, 51678, family, socket.SOCK_STREAM)[0][4])
        except OSError as error:
            told[name] = type(error).__name__
            continue
        answer = b""
        try:
            client.sendall(b"GET /v1/metadata HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
            while read := client.recv(65536):
                answer += read
        except OSError:
            pass
        told[name] = answer[:15].decode() or "closed unread"
print(json.dumps(told))
"""
ANSWERED, CLOSED = "HTTP/1.1 200 OK", "closed unread"


class Network:
    """A container instance, another host on its network, and what may be on its bridges."""

    def __init__(self) -> None:
        self._run = f"{TEST_PREFIX}{secrets.token_hex(3)}"
        self._made: list[str] = []
        for host in ("instance", "other"):
            self.add_namespace(host)
        self.instance(
            f"ip link add lan type veth peer name lan netns {self.name('other')}",
            "ip address add 10.0.0.5/24 dev lan",
            "ip address add fd10::5/64 dev lan nodad",
            "ip link set lan up",
        )
        self.within(
            "other",
            "ip address add 10.0.0.9/24 dev lan",
            "ip address add fd10::9/64 dev lan nodad",
            "ip link set lan up",
            "ip route add 172.16.0.0/12 via 10.0.0.5",
        )

    def name(self, host: str) -> str:
        return f"{self._run}-{host}"

    def add_namespace(self, host: str) -> None:
        subprocess.run(["ip", "netns", "add", self.name(host)], check=True)
        self._made.append(self.name(host))
        self.within(
            host,
            "ip link set lo up",
            "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0",
            "sysctl -qw net.ipv6.conf.default.addr_gen_mode=0",
        )

    def add_bridge(self, bridge: str, *, net4: str, net6: str) -> None:
        self.instance(
            f"ip link add {bridge} type bridge",
            f"ip address add {net4}.0.1/16 dev {bridge}",
            f"ip address add {net6}::1/64 dev {bridge} nodad",
            f"ip link set {bridge} up",
        )

    def add_container(self, container: str, bridge: str, *, net4: str, net6: str) -> None:
        self.add_namespace(container)
        self.instance(
            f"ip link add v{container} type veth peer name eth0 netns {self.name(container)}",
            f"ip link set v{container} master {bridge} up",
        )
        self.within(
            container,
            f"ip address add {net4}.0.2/16 dev eth0",
            f"ip address add {net6}::2/64 dev eth0 nodad",
            "ip link set eth0 up",
            f"ip route add default via {net4}.0.1",
            f"ip route add default via {net6}::1",
        )

    def link_local(self, interface: str) -> str:
        """The instance's own address of that kind."""
        shown = json.loads(self.output("instance", "ip", "-json", "-6", "address", "show", "dev", interface))
        return next(one["local"] for one in shown[0]["addr_info"] if one["scope"] == "link")

    def instance(self, *commands: str) -> None:
        self.within("instance", *commands)

    def within(self, host: str, *commands: str) -> None:
        for command in commands:
            self.output(host, *command.split())

    def output(self, host: str, *command: str) -> str:
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.name(host)}", *command],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def asked(self, host: str, /, **addresses: str | tuple[str, str]) -> dict[str, str]:
        """What a client on ``host`` gets at each address; with a pair, from the second."""
        pairs = {name: given if isinstance(given, tuple) else (given, "") for name, given in addresses.items()}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            told: dict[str, str] = json.loads(self.output(host, sys.executable, "-c", ASK, json.dumps(pairs)))
            # A bare OSError is the network's own: a link-local address is not there yet, just after its link is up.
            if "OSError" not in told.values() or time.monotonic() > deadline:
                return told
            time.sleep(0.1)

    @contextmanager
    def agent(self, folder: Path, **settings: str) -> Iterator[Path]:
        """The agent on the instance; its log."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
            "ECS_DATADIR": str(folder / "data"),
            "ECS_AGENT_CONFIG_FILE_PATH": str(folder / "no-such.json"),
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            **settings,
        }
        (folder / "tasks").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "ecscope.cli.main", "agent", "--tasks", str(folder / "tasks")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name('instance')}", *command],
                env=environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE_S
            while self.asked("instance", it="127.0.0.1")["it"] != ANSWERED:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield folder / "log"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)

    def remove(self) -> None:
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    try:
        yield network
    finally:
        network.remove()


def test_the_host_and_its_default_bridge_are_answered_and_nobody_else(network: Network, tmp_path: Path) -> None:
    with network.agent(tmp_path) as log:
        # Docker may come, and make its bridge anew, while the agent runs.
        network.instance("ip link add docker0 type bridge", "ip link delete docker0")
        network.add_bridge("docker0", net4="172.17", net6="fd17")
        network.add_bridge("br-user", net4="172.18", net6="fd18")
        network.add_container("default", "docker0", net4="172.17", net6="fd17")
        network.add_container("user", "br-user", net4="172.18", net6="fd18")

        on_the_host = network.asked(
            "instance",
            loopback="127.0.0.1",
            loopback6="::1",
            another_loopback="127.0.0.2",
            instance="10.0.0.5",  # as the CloudWatch agent and Container Insights of OpenTelemetry ask
            instance6="fd10::5",
            gateway="172.17.0.1",
            gateway6="fd17::1",
            user_gateway="172.18.0.1",
            between_own=("10.0.0.5", "172.18.0.1"),
            between_own6=("fd10::5", "fd18::1"),
        )
        assert on_the_host == dict.fromkeys(on_the_host, ANSWERED)

        in_default = network.asked(
            "default",
            gateway="172.17.0.1",  # as Datadog's agent in bridge mode asks
            gateway6="fd17::1",
            instance="10.0.0.5",  # as the CloudWatch agent asks in bridge mode
            instance6="fd10::5",
        )
        assert in_default == dict.fromkeys(in_default, ANSWERED)

        in_user = network.asked(
            "user",
            gateway="172.18.0.1",
            gateway6="fd18::1",
            default_gateway="172.17.0.1",
            default_gateway6="fd17::1",
            instance="10.0.0.5",
            instance6="fd10::5",
        )
        assert in_user == dict.fromkeys(in_user, CLOSED)

        elsewhere = network.asked("other", instance="10.0.0.5", instance6="fd10::5", gateway="172.17.0.1")
        assert elsewhere == dict.fromkeys(elsewhere, CLOSED)

        for host, interface in (("other", "lan"), ("default", "docker0"), ("user", "br-user"), ("instance", "lan")):
            device = {"other": "lan", "instance": interface}.get(host, "eth0")
            neighbour = f"{network.link_local(interface)}%{device}"
            assert network.asked(host, it=neighbour) == {"it": CLOSED}, (host, neighbour)

    assert log.read_text().count("closed a connection from 172.18.0.2") == 1
    assert log.read_text().count("closed a connection from") == 1


def test_addresses_that_are_not_the_peers_own_open_nothing(network: Network, tmp_path: Path) -> None:
    network.add_bridge("docker0", net4="172.17", net6="fd17")
    network.add_bridge("br-user", net4="172.18", net6="fd18")
    network.add_container("user", "br-user", net4="172.18", net6="fd18")
    for setting in ("all.rp_filter", "default.rp_filter", "br-user.rp_filter", "lan.rp_filter"):
        network.instance(f"sysctl -qw net.ipv4.conf.{setting}=0")
    network.instance("sysctl -qw net.ipv4.conf.lan.route_localnet=1")  # a neighbour may then ask for 127.0.0.1
    network.within("user", "ip address add 172.17.0.7/32 dev eth0", "ip address add 10.0.0.5/32 dev eth0")
    network.within(
        "other",
        "sysctl -qw net.ipv4.conf.lan.route_localnet=1",
        "ip address del 127.0.0.1/8 dev lo",
        "ip route add 127.0.0.1/32 via 10.0.0.5 src 10.0.0.9",
    )
    with network.agent(tmp_path):
        spoofed = network.asked(
            "user", container=("172.18.0.1", "172.17.0.7"), host=("172.18.0.1", "10.0.0.5"), own="172.18.0.1"
        )
        assert spoofed == {"container": "TimeoutError", "host": "TimeoutError", "own": CLOSED}
        assert network.asked("other", loopback="127.0.0.1") == {"loopback": CLOSED}


def test_offhost_access_opens_it_to_all(network: Network, tmp_path: Path) -> None:
    network.add_bridge("br-user", net4="172.18", net6="fd18")
    network.add_container("user", "br-user", net4="172.18", net6="fd18")
    with network.agent(tmp_path, ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS="true"):
        neighbour = f"{network.link_local('lan')}%lan"
        elsewhere = network.asked("other", instance="10.0.0.5", instance6="fd10::5", neighbour=neighbour)
        assert elsewhere == dict.fromkeys(elsewhere, ANSWERED)
        assert network.asked("user", gateway="172.18.0.1") == {"gateway": ANSWERED}


def test_an_address_narrows_it_and_opens_nothing(network: Network, tmp_path: Path) -> None:
    network.add_bridge("docker0", net4="172.17", net6="fd17")
    network.add_container("default", "docker0", net4="172.17", net6="fd17")
    with network.agent(tmp_path, ECSCOPE_INTROSPECTION_ADDRESS="127.0.0.1,10.0.0.5"):
        assert network.asked("default", instance="10.0.0.5", gateway="172.17.0.1") == {
            "instance": ANSWERED,
            "gateway": "ConnectionRefusedError",
        }
        assert network.asked("instance", loopback6="::1", instance="10.0.0.5") == {
            "loopback6": "ConnectionRefusedError",
            "instance": ANSWERED,
        }
        assert network.asked("other", instance="10.0.0.5", instance6="fd10::5") == {
            "instance": CLOSED,
            "instance6": "ConnectionRefusedError",
        }

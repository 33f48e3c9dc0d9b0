"""Unit tests of the redirect to the credentials server: real rules, in a network namespace of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecscope.agent.servers.taskmetadata.redirect import Redirect, RedirectFailed

IN_NAMESPACE = """
import asyncio, logging, subprocess, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from ecscope.agent.servers.taskmetadata.redirect import Redirect, RedirectFailed

logging.basicConfig(format="%(message)s")
SETTING = Path("/proc/sys/net/ipv4/conf/docker0/route_localnet")

def sh(command):
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout

def rules():
    return sorted(line for table in ("nat", "filter") for line in sh(f"iptables -t {table} -S").splitlines()
                  if "ecscope" in line)

def do(what):
    asyncio.run(getattr(Redirect(port=51679), what)())

sh("ip link set lo up")
"""
BRIDGE = 'sh("ip link add docker0 type bridge; ip addr add 10.9.0.1/24 dev docker0; ip link set docker0 up")\n'

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not all(Path("/usr/sbin", name).exists() for name in ("iptables", "ip")),
    reason="needs root, ip and iptables",
)


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-c", IN_NAMESPACE + script],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip


@needs_namespaces
@pytest.mark.parametrize("route", ["sh('ip route add default via 10.9.0.2 dev docker0')", ""])
def test_what_goes_to_the_address_reaches_the_server_until_it_is_removed(route: str) -> None:
    """Also on a host that has no way to anywhere."""
    script = f"""
class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def log_message(self, *told): pass

server = HTTPServer(("127.0.0.1", 51679), Server)
Thread(target=server.serve_forever, daemon=True).start()
{route}
do("put"); do("put")
print(urllib.request.urlopen("http://169.254.170.2/", timeout=5).read().decode())
do("remove")
print(rules(), sh("ip route show 169.254.170.2"))
"""
    assert in_namespace(BRIDGE + script).stdout.splitlines() == ["here", "[] "]


@needs_namespaces
def test_setting_them_twice_sets_them_once_and_loopback_stays_closed_to_all_else() -> None:
    done = in_namespace(BRIDGE + 'do("put"); do("put")\nprint(*rules(), sep="\\n")\nprint(SETTING.read_text())')
    filtered, output, prerouting, setting = done.stdout.split("\n")[:4]
    assert filtered == (
        "-A INPUT -d 127.0.0.0/8 -i docker0 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
        ' -m comment --comment "ecscope set route_localnet" -j DROP'
    )
    assert output.startswith("-A OUTPUT -d 169.254.170.2/32 -p tcp -m tcp --dport 80 ")
    assert output.endswith("-j REDIRECT --to-ports 51679")
    assert prerouting.endswith("-j DNAT --to-destination 127.0.0.1:51679")
    assert setting == "1"


@needs_namespaces
@pytest.mark.parametrize("before", ["0", "1"])
def test_afterwards_all_is_as_before_also_when_the_first_agent_was_killed(before: str) -> None:
    script = f"""
SETTING.write_text("{before}")
sh("iptables -A INPUT -d 127.0.0.0/8 -i docker0 -j DROP")
def all_rules(): return [sh(f"iptables -t {{table}} -S") for table in ("nat", "filter")]
first = all_rules()
do("put"); do("put"); do("remove")
print(SETTING.read_text().strip(), all_rules() == first)
"""
    assert in_namespace(BRIDGE + script).stdout.split() == [before, "True"]


@needs_namespaces
def test_a_bridge_that_has_gone_meanwhile_leaves_no_rule_behind() -> None:
    done = in_namespace(BRIDGE + 'do("put")\nsh("ip link del docker0")\ndo("remove")\nprint(rules())')
    assert (done.stdout, done.stderr) == ("[]\n", "")


@needs_namespaces
def test_without_the_bridge_tasks_in_the_hosts_network_are_still_served() -> None:
    script = """
try:
    do("put")
except RedirectFailed as error:
    print(error)
print(len(rules()))
do("remove")
print(len(rules()))
"""
    told = in_namespace(script).stdout.splitlines()
    assert told == ["there is no network interface docker0, which network mode bridge has", "2", "0"]


def a_program(folder: Path, script: str) -> str:
    path = folder / "iptables"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'iptables: you must be' >&2; echo root >&2; exit 4", "iptables: you must be root"),
        ("exit 3", "iptables ended with exit code 3"),
    ],
)
def test_a_refusal_is_told(tmp_path: Path, script: str, told: str) -> None:
    redirect = Redirect(port=1, iptables=[a_program(tmp_path, script)], settings=tmp_path)
    with pytest.raises(RedirectFailed, match=f"{told}$"):
        asyncio.run(redirect.put())


def test_a_missing_program_is_told_and_nothing_to_remove_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    redirect = Redirect(port=1, iptables=[str(tmp_path / "iptables")], settings=tmp_path)
    with pytest.raises(RedirectFailed, match="iptables: No such file or directory"):
        asyncio.run(redirect.put())
    asyncio.run(redirect.remove())
    assert "rules of the firewall are left behind" in caplog.text


def test_a_rule_that_cannot_be_taken_away_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = a_program(tmp_path, 'case "$*" in *" -D "*) echo denied >&2; exit 4;; esac')
    asyncio.run(Redirect(port=1, iptables=[program], settings=tmp_path).remove())
    assert "left behind: denied" in caplog.text


def test_a_setting_that_cannot_be_changed_is_told(tmp_path: Path) -> None:
    (tmp_path / "docker0" / "route_localnet").mkdir(parents=True)
    redirect = Redirect(port=1, iptables=[a_program(tmp_path, "exit 0")], settings=tmp_path)
    with pytest.raises(RedirectFailed, match="route_localnet: Is a directory"):
        asyncio.run(redirect.put())


@needs_namespaces
def test_a_kernel_whose_settings_are_read_only_serves_the_hosts_network(tmp_path: Path) -> None:
    script = """
sh("mount -t proc -o ro proc /proc")
try:
    do("put")
except RedirectFailed as error:
    print(error)
print(len(rules()))
"""
    told = in_namespace(BRIDGE + script).stdout.splitlines()
    assert told == ["/proc/sys/net/ipv4/conf/docker0/route_localnet: Read-only file system", "2"]


@needs_namespaces
def test_the_bridge_of_awsvpc_tasks_has_a_way_of_its_own_before_that_of_all() -> None:
    """Another agent may have the way of all bridges, and have laid it first; each takes away only its own."""
    script = """
from ecscope.agent.servers.taskmetadata.redirect import BridgeRedirect
ways = [BridgeRedirect(bridge=name, address=address, port=51679)
        for name, address in (("ecs-1", "10.213.0.1"), ("ecs-2", "10.213.16.1"))]
do("put")
for way in (*ways, *ways):
    asyncio.run(way.put())
def order():
    print(*[line.split("--to-destination ")[1] for line in sh("iptables -t nat -S PREROUTING").splitlines()
            if "DNAT" in line])
order()
asyncio.run(ways[0].remove())
asyncio.run(ways[0].remove())
order()
do("remove")
order()
"""
    assert in_namespace(BRIDGE + script).stdout.splitlines() == [
        "10.213.16.1:51679 10.213.0.1:51679 127.0.0.1:51679", "10.213.16.1:51679 127.0.0.1:51679", "10.213.16.1:51679",
    ]  # fmt: skip

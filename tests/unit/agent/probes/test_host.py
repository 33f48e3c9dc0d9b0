"""What is read of a host: of a made one, and of this one where only the kernel can answer."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecscope.agent.diagnosis.doctor.facts import PortHolder
from ecscope.agent.probes import host

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:C9DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:C9DF 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 00000000:C9E0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A host with 51678 held by process 42, 51679 only connected, 51680 held by somebody unseen."""
    files = {
        "proc/self/net/tcp": TCP,
        "proc/42/comm": "agent\n",
        "proc/42/limits": "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       4096     files\n",
        "proc/42/environ": "ECS_CLUSTER=a=b\0HOME=/root\0",
        "proc/42/cmdline": "python\0-m\0ecscope\0agent\0--tasks\0./tasks\0",
        "proc/sys/fs/file-nr": "2000\t0\t100000\n",
        "proc/sys/net/ipv4/ip_forward": "0\n",
        "proc/sys/net/netfilter/nf_conntrack_count": "9\n",
        "proc/sys/net/netfilter/nf_conntrack_max": "10\n",
        "proc/sys/kernel/pid_max": "32768\n",
        "proc/loadavg": "0.1 0.2 0.3 2/345 999\n",
        "proc/meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  10 kB\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    descriptors = tmp_path / "proc/42/fd"
    descriptors.mkdir()
    for number, target in enumerate(("/dev/null", "socket:[4711]", "anon_inode:inotify")):
        (descriptors / str(number)).symlink_to(target)
    return tmp_path


def test_who_listens(made: Path) -> None:
    found = host.ports((51677, 51678, 51679, 51680), made)
    assert found.holders == {51678: (PortHolder(pid=42, command="agent"),), 51680: (PortHolder(),)}


def test_a_listener_of_this_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (holder,) = host.ports((port,)).holders[port]
    assert holder.pid == os.getpid()


def test_limits(made: Path) -> None:
    found = host.limits(42, made)
    assert (found.open_files_soft, found.open_files_used) == (1024, 3)
    assert (found.files_allocated, found.files_max) == (2000, 100000)
    assert found.ip_forward is False
    assert (found.conntrack_used, found.conntrack_max) == (9, 10)
    assert (found.processes, found.pid_max) == (345, 32768)
    assert (found.memory_total_bytes, found.memory_available_bytes) == (1000 * 1024, 10 * 1024)
    assert found.inotify_instances is None  # not in this kernel
    assert found.inotify_instances_used == 1


def test_what_the_kernel_does_not_show_is_not_known(tmp_path: Path) -> None:
    found = host.limits(42, tmp_path)
    assert found.open_files_soft is None
    assert found.ip_forward is None
    assert found.conntrack_max is None
    assert found.inotify_instances_used is None


def test_environment_and_command_of_the_agent(made: Path) -> None:
    assert host.environment_of(42, made) == {"ECS_CLUSTER": "a=b", "HOME": "/root"}
    assert host.command_of(42, made)[-2:] == ["--tasks", "./tasks"]


def test_a_disk_is_judged_by_the_directory_that_exists(tmp_path: Path) -> None:
    found = host.disk(tmp_path / "not" / "there")
    assert found.path == str(tmp_path)
    assert 0 < found.free_bytes <= found.total_bytes


def test_data_directories(tmp_path: Path) -> None:
    assert not host.data_directory(tmp_path / "none", is_kept=True).exists
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert "chmod go-w" in host.data_directory(open_to_all, is_kept=True).problem
    damaged = tmp_path / "damaged"
    damaged.mkdir(mode=0o700)
    (damaged / "ecscope.db").write_bytes(b"no database at all" * 100)
    assert "damaged" in host.data_directory(damaged, is_kept=True).state_problem
    assert host.data_directory(damaged, is_kept=False).state_problem == ""


def test_the_firewall_by_what_iptables_prints(tmp_path: Path) -> None:
    def rules(nat: str, filters: str) -> str:
        program = tmp_path / "iptables"
        program.write_text(f"#!/bin/sh\ncase $4 in nat) printf -- '{nat}';; *) printf -- '{filters}';; esac\n")
        program.chmod(0o755)
        return str(program)

    ours = r"-N DOCKER\n-A OUTPUT -m comment --comment ecscope -j REDIRECT\n"
    sound = host.firewall(iptables=rules(ours, r"-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"))
    assert (sound.has_docker_chain, sound.has_task_role_rules, sound.drops_forwarded) == (True, True, False)
    flushed = host.firewall(iptables=rules("", r"-P FORWARD DROP\n"))
    assert (flushed.has_docker_chain, flushed.has_task_role_rules, flushed.drops_forwarded) == (False, False, True)
    assert "no program" in host.firewall(iptables=str(tmp_path / "missing")).failure


def test_a_kernel_log_that_may_not_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in host.kernel_log(tmp_path).failure


def test_when_a_process_was_started(tmp_path: Path) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/uptime").write_text("100.00 1.0\n")
    (tmp_path / "proc/7/stat").write_text(f"7 (a ) b) S {' '.join('0' * 18)} {90 * os.sysconf('SC_CLK_TCK')} 0 0\n")
    assert host.started_at(7, now, tmp_path) == now - timedelta(seconds=10)
    assert host.started_at(8, now, tmp_path) is None
    mine = host.started_at(os.getpid(), datetime.now(UTC))
    assert mine is not None and mine < datetime.now(UTC)

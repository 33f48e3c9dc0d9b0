"""Each check of `ecscope doctor` on a host where it finds nothing, and on one where its subject is broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ecscope.agent.diagnosis.doctor.checks import CHECKS, examine
from ecscope.agent.diagnosis.doctor.facts import (
    AgentFact,
    CallFact,
    ClockFact,
    CredentialsFact,
    DataDirectoryFact,
    DiskFact,
    DockerFact,
    Facts,
    FirewallFact,
    InstanceMetadataFact,
    KernelLogFact,
    LeftoversFact,
    LimitsFact,
    NamesFact,
    NotKnown,
    PortHolder,
    PortsFact,
    ProxyFact,
    SettingsFact,
    TaskContainer,
    VersionsFact,
)
from ecscope.agent.diagnosis.doctor.findings import Finding, Severity
from ecscope.model.container_instance import ObstacleKind

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
GIB = 1024**3
AGENT = 700
DISK = DiskFact(path="/d", total_bytes=100 * GIB, free_bytes=50 * GIB, total_inodes=1000, free_inodes=800)
SOUND = Facts(
    settings=SettingsFact(log_drivers=("json-file", "none"), task_roles=True, is_local=True),
    agent=AgentFact(pid=AGENT, answers_51678=True, answers_51680=True),
    credentials=CredentialsFact(source="instance role app", expires_at=NOW + timedelta(hours=5), now=NOW),
    call=CallFact(endpoint="https://ecs.eu-west-1.amazonaws.com", took_s=0.02),
    names=NamesFact(host="ecs.eu-west-1.amazonaws.com", addresses=3),
    proxy=ProxyFact(),
    clock=ClockFact(offset_s=0.4),
    instance_metadata=InstanceMetadataFact(instance_id="i-1"),
    docker=DockerFact(
        endpoint="unix:///var/run/docker.sock",
        version="28.5.2",
        api_version="1.51",
        min_api_version="1.24",
        latencies_s=(0.001, 0.002, 3.0),
        cgroup_version="2",
        cgroup_driver="systemd",
        storage_driver="overlay2",
        root="/var/lib/docker",
        log_drivers=("json-file", "awslogs"),
    ),
    leftovers=LeftoversFact(
        containers=(TaskContainer(docker_id="a" * 64, name="ecs-web-1-app", task_arn="arn", state="running"),),
        known_docker_ids=frozenset({"a" * 64}),
        volumes=("ecs-web-1-data",),
        known_volumes=frozenset({"ecs-web-1-data"}),
    ),
    docker_disk=DISK,
    data_disk=DISK,
    data_directory=DataDirectoryFact(path="/d"),
    ports=PortsFact(
        holders={port: (PortHolder(pid=AGENT, command="agent"),) for port in (51678, 51679, 51680)}
        | {51677: (PortHolder(pid=699, command="ecscope"),)}
    ),
    limits=LimitsFact(
        open_files_soft=65536,
        open_files_used=40,
        files_allocated=2000,
        files_max=1_000_000,
        ip_forward=True,
        conntrack_used=10,
        conntrack_max=65536,
        inotify_instances=128,
        inotify_instances_used=3,
        pid_max=32768,
        processes=200,
        memory_total_bytes=8 * GIB,
        memory_available_bytes=4 * GIB,
    ),
    firewall=FirewallFact(),
    versions=VersionsFact(ecscope="v1 (a)", agent="v1 (a)", python="3.11.7", kernel="Linux 6.1"),
    kernel_log=KernelLogFact(),
)
E_, W = Severity.ERROR, Severity.WARNING
THIEF = {51678: (PortHolder(pid=33, command="nginx"),)}

# check, fact, what is broken in it, severity, a part of the text or of the fix
BROKEN: list[tuple[str, str, dict[str, Any], Severity, str]] = [
    ("settings", "settings", {"errors": ("ECS_CLUSTER='a b' is wrong",)}, E_, "ECS_CLUSTER='a b'"),
    ("settings", "settings", {"warnings": ("ECS_LOGLEVEL=loud",)}, W, "ecscope config"),
    ("agent", "agent", {"pid": None}, E_, "ecscope up"),
    ("agent", "agent", {"answers_51678": False, "why_not": "connection refused"}, E_, "connection refused"),
    ("registration", "agent", {"obstacle": ObstacleKind.DEREGISTERED, "obstacle_message": "gone"}, E_, "remove its"),
    ("registration", "agent", {"obstacle": ObstacleKind.STARTING, "obstacle_since": "12:00"}, W, "since 12:00"),
    ("credentials", "credentials", {"failure": "no AWS credentials were found"}, E_, "attach an IAM role"),
    ("credentials-expiry", "credentials", {"expires_at": NOW - timedelta(seconds=1)}, E_, "at 2026-12-01T11:59:59Z"),
    ("credentials-expiry", "credentials", {"expires_at": NOW + timedelta(minutes=4)}, W, "have not been renewed"),
    ("permissions", "call", {"failure": ObstacleKind.ACCESS_DENIED, "message": "not authorized"}, E_, "not authorized"),
    ("permissions", "agent", {"obstacle": ObstacleKind.ACCESS_DENIED, "obstacle_message": "no right"}, E_, "no right"),
    ("endpoint", "call", {"failure": ObstacleKind.ENDPOINT_UNREACHABLE, "message": "refused"}, E_, "refused"),
    ("endpoint", "call", {"failure": ObstacleKind.SERVER_ERROR, "message": "500"}, W, "500"),
    ("dns", "names", {"failure": "Name or service not known"}, E_, "ecs.eu-west-1.amazonaws.com cannot be resolved"),
    ("proxy", "proxy", {"failure": "the proxy http://p:3128 does not answer"}, E_, "HTTPS_PROXY"),
    ("proxy", "proxy", {"proxy": "http://p", "metadata_goes_through": ("169.254.169.254",)}, W, "NO_PROXY"),
    ("clock", "clock", {"offset_s": -301.0}, E_, "301 s behind"),
    ("clock", "clock", {"offset_s": 61.0}, W, "61 s ahead of"),
    ("docker", "docker", {"failure": "permission denied"}, E_, "permission denied"),
    ("docker-latency", "docker", {"latencies_s": (0.3, 0.3, 0.001)}, W, "300 ms"),
    ("docker-latency", "docker", {"latencies_s": (1.2,)}, E_, "1200 ms"),
    ("docker-api", "docker", {"is_supported": False}, E_, "newer Docker Engine"),
    ("docker-limits", "docker", {"has_memory_limit": False}, E_, "cgroup_enable=memory"),
    ("docker-limits", "docker", {"warnings": ("WARNING: No swap limit support",)}, W, "No swap limit support"),
    ("cgroups", "docker", {"cgroup_driver": "cgroupfs"}, W, "systemd"),
    ("cgroups", "docker", {"cgroup_driver": "none"}, E_, "not enforced"),
    ("storage-driver", "docker", {"storage_driver": "vfs"}, W, "overlay2"),
    ("bridge", "docker", {"has_bridge": False}, E_, "daemon.json"),
    ("log-drivers", "docker", {"log_drivers": ("local",)}, W, "json-file"),
    ("leftover-containers", "leftovers", {"known_docker_ids": frozenset()}, W, "docker rm -f aaaaaaaaaaaa"),
    ("leftover-volumes", "leftovers", {"known_volumes": frozenset()}, W, "docker volume rm ecs-web-1-data"),
    ("docker-disk", "docker_disk", {"free_bytes": GIB}, E_, "docker system prune"),
    ("docker-disk", "docker_disk", {"total_bytes": 5 * GIB, "free_bytes": GIB // 2}, W, "512.0 MiB"),
    ("docker-inodes", "docker_disk", {"free_inodes": 20}, E_, "20 of 1,000 inodes"),
    ("data-disk", "data_disk", {"is_read_only": True}, E_, "read-only"),
    ("data-inodes", "data_disk", {"free_inodes": 90}, W, "90 of 1,000 inodes"),
    ("data-directory", "data_directory", {"problem": "/d: others may write"}, E_, "mode 700"),
    ("data-directory", "data_directory", {"exists": False}, W, "does not exist"),
    ("state-file", "data_directory", {"is_kept": False}, W, "ECS_CHECKPOINT"),
    ("state-file", "data_directory", {"state_problem": "the state file is damaged"}, E_, "damaged"),
    ("port-51677", "ports", {"holders": {}}, W, "does not listen"),
    ("port-51678", "ports", {"holders": THIEF}, W, "nginx (process 33)"),
    ("port-51679", "ports", {"holders": {51679: (PortHolder(),)}}, W, "may not see"),
    ("port-51680", "ports", {"holders": {}}, W, "diagnostics is not served"),
    ("open-files", "limits", {"open_files_soft": 1024}, W, "LimitNOFILE"),
    ("open-files", "limits", {"open_files_used": 65000}, E_, "65000 of 65536"),
    ("file-table", "limits", {"files_allocated": 990_000}, E_, "fs.file-max"),
    ("conntrack", "limits", {"conntrack_used": 65000}, E_, "drops packets"),
    ("inotify", "limits", {"inotify_instances_used": 120}, E_, "max_user_instances"),
    ("processes", "limits", {"processes": 32000}, E_, "pid_max"),
    ("memory", "limits", {"memory_available_bytes": GIB // 4}, W, "ECS_RESERVED_MEMORY"),
    ("forwarding", "limits", {"ip_forward": False}, E_, "ip_forward=1"),
    ("firewall", "firewall", {"failure": "there is no program iptables"}, W, "install iptables"),
    ("firewall", "firewall", {"has_docker_chain": False}, E_, "systemctl restart docker"),
    ("firewall", "firewall", {"drops_forwarded": True}, W, "DOCKER-USER"),
    ("task-role-rules", "firewall", {"has_task_role_rules": False}, E_, "169.254.170.2"),
    ("kernel-log", "kernel_log", {"failure": "the kernel's log cannot be read"}, W, "dmesg_restrict"),
    ("versions", "versions", {"agent": "v0 (b)"}, W, "start the agent again"),
]  # fmt: skip


def finding(facts: Facts, check: str) -> Finding:
    return next(one for one in examine(facts) if one.check == check)


def test_a_sound_host_has_no_finding() -> None:
    found = {one.check: one for one in examine(SOUND) if one.severity is not Severity.OK}
    assert set(found) == {"instance-metadata"}
    assert found["instance-metadata"].severity is Severity.NOT_NEEDED
    assert len(CHECKS) >= 25
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_each_check_finds_what_is_broken_and_says_what_to_do() -> None:
    for check, fact, change, severity, words in BROKEN:
        broken = msgspec.structs.replace(SOUND, **{fact: msgspec.structs.replace(getattr(SOUND, fact), **change)})
        found = finding(broken, check)
        assert found.severity is severity, (check, change, found)
        assert words in f"{found.text} {found.fix}", (check, found)
        assert found.fix, f"{check} does not say what to do"
    on_ec2 = msgspec.structs.replace(
        SOUND,
        settings=msgspec.structs.replace(SOUND.settings, is_local=False),
        instance_metadata=InstanceMetadataFact(failure="no answer"),
    )
    assert finding(on_ec2, "instance-metadata").severity is W
    assert {check for check, *_ in BROKEN} | {"instance-metadata"} == {check.name for check in CHECKS}


@pytest.mark.parametrize("fact", Facts.__struct_fields__)
def test_what_is_not_known_is_no_finding_of_an_error(fact: str) -> None:
    unknown = msgspec.structs.replace(SOUND, **{fact: NotKnown(why="no answer within 1.5 s")})
    touched = [check.name for check in CHECKS if fact in check.needs]
    assert touched
    for check in touched:
        found = finding(unknown, check)
        assert (found.severity, found.text, found.fix) == (Severity.NOT_KNOWN, "no answer within 1.5 s", "")


def test_an_agent_without_a_cluster_needs_no_aws() -> None:
    alone = msgspec.structs.replace(
        SOUND,
        settings=msgspec.structs.replace(SOUND.settings, joins_cluster=False),
        credentials=CredentialsFact(failure="none", now=NOW),
        call=CallFact(endpoint="e", failure=ObstacleKind.NO_CREDENTIALS, message="none"),
    )
    for check in ("registration", "credentials", "credentials-expiry", "permissions", "endpoint", "dns"):
        assert finding(alone, check).severity is Severity.NOT_NEEDED, check


def test_one_cause_is_one_error() -> None:
    """Without credentials, neither the permissions nor the endpoint are called broken."""
    without = msgspec.structs.replace(
        SOUND,
        credentials=CredentialsFact(failure="none were found", now=NOW),
        call=CallFact(endpoint="e", failure=ObstacleKind.NO_CREDENTIALS, message="none were found"),
    )
    assert [one.check for one in examine(without) if one.severity is Severity.ERROR] == ["credentials"]
    no_docker = msgspec.structs.replace(SOUND, docker=DockerFact(endpoint="e", failure="it does not answer"))
    assert [one.check for one in examine(no_docker) if one.severity is Severity.ERROR] == ["docker"]

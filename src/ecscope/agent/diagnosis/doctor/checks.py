"""The checks of `ecscope doctor`, one small rule each: facts in, a finding out. Pure.

A rule never sees a fact that is not known: its finding is then "not known", with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

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
    PortsFact,
    ProxyFact,
    SettingsFact,
    VersionsFact,
)
from ecscope.agent.diagnosis.doctor.findings import Finding, Severity
from ecscope.model.container_instance import ObstacleKind

CLOCK_WARNING_S = 60.0
CLOCK_ERROR_S = 300.0
"""AWS refuses signatures that are five minutes off. Source: agent-protocol.md §2.3."""
CREDENTIALS_SOON = timedelta(minutes=5)
SLOW_DOCKER_S = 0.25
VERY_SLOW_DOCKER_S = 1.0
DISK_WARNING, DISK_ERROR = 0.15, 0.03
"""Parts of a file system that are free."""
DISK_WARNING_BYTES = 2 * 1024**3
"""At least this much is always enough to start with, however large the disk is."""
DISK_ERROR_BYTES = 64 * 1024**2
FULL_TABLE = 0.9
FEW_OPEN_FILES = 4096
LITTLE_MEMORY = 0.05
_SLOW_DRIVERS = ("vfs", "devicemapper")
_DENIED = (ObstacleKind.ACCESS_DENIED, ObstacleKind.INVALID_CREDENTIALS)
_UNREACHABLE = (ObstacleKind.ENDPOINT_UNREACHABLE, ObstacleKind.CERTIFICATE_REFUSED)

Outcome = tuple[Severity, str] | tuple[Severity, str, str]
"""Severity, text, and what to do."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: which facts it needs, and its rule over them."""

    name: str
    needs: tuple[str, ...]
    rule: Callable[..., Outcome]

    def find(self, facts: Facts) -> Finding:
        given = [getattr(facts, name) for name in self.needs]
        missing = next((fact for fact in given if isinstance(fact, NotKnown)), None)
        if missing is not None:
            return Finding(check=self.name, severity=Severity.NOT_KNOWN, text=missing.why)
        severity, text, *fix = self.rule(*given)
        return Finding(check=self.name, severity=severity, text=text, fix=fix[0] if fix else "")


def examine(facts: Facts) -> tuple[Finding, ...]:
    """The findings of all checks, in their order."""
    return tuple(check.find(facts) for check in CHECKS)


CHECKS: Final[list[Check]] = []


def _check(name: str, *needs: str) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        CHECKS.append(Check(name=name, needs=needs, rule=rule))
        return rule

    return register


def _listed(words: Sequence[str], limit: int = 3) -> str:
    shown = ", ".join(words[:limit])
    return f"{shown} and {len(words) - limit} more" if len(words) > limit else shown


def _size(number: int) -> str:
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} bytes"


# --- the agent and ECS --------------------------------------------------------------------------


@_check("settings", "settings")
def _settings(fact: SettingsFact) -> Outcome:
    fix = "run `ecscope config`: it shows each setting, its value and its source"
    if fact.errors:
        return Severity.ERROR, f"the agent does not start: {_listed(fact.errors, 1)}", fix
    if fact.warnings:
        return Severity.WARNING, _listed(fact.warnings, 1), fix
    return Severity.OK, "all settings are valid"


@_check("agent", "agent", "settings")
def _agent(agent: AgentFact, settings: SettingsFact) -> Outcome:
    if agent.pid is None:
        fix = "start it: `systemctl start ecs`, `ecscope agent`, or `ecscope up` for ECS on this machine"
        return Severity.ERROR, "no agent runs with this data directory", fix
    if not agent.answers_51678 and agent.obstacle is None:
        fix = "see the agent's log; `ecscope tasks --endpoint URL` asks another address"
        return Severity.ERROR, f"process {agent.pid} runs, and port 51678 does not answer: {agent.why_not}", fix
    what = "the agent of `ecscope up`" if settings.is_local else "the agent"
    return Severity.OK, f"{what} runs (process {agent.pid})"


@_check("registration", "agent", "settings")
def _registration(agent: AgentFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster:
        return Severity.NOT_NEEDED, "this agent joins no cluster: its tasks come from files"
    if agent.pid is None:
        return Severity.NOT_KNOWN, "no agent runs"
    if agent.obstacle is None:
        return Severity.OK, "the container instance is registered"
    if agent.obstacle is ObstacleKind.STARTING:
        return Severity.WARNING, f"registration is under way since {agent.obstacle_since}", "ask again in a moment"
    fix = {
        ObstacleKind.DEREGISTERED: "end the agent, remove its data directory, and start it again to register anew",
        ObstacleKind.CLUSTER_NOT_FOUND: "create the cluster, or correct ECS_CLUSTER",
        ObstacleKind.REGISTRATION_REFUSED: "correct what ECS names, then start the agent again",
    }.get(agent.obstacle, "see the checks below for the cause")
    return Severity.ERROR, f"not registered since {agent.obstacle_since}: {agent.obstacle_message}", fix


@_check("credentials", "credentials", "settings")
def _credentials(fact: CredentialsFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster:
        return Severity.NOT_NEEDED, "an agent without a cluster needs no AWS credentials"
    if fact.failure:
        fix = "attach an IAM role with the policy AmazonEC2ContainerServiceforEC2Role to the instance"
        return Severity.ERROR, fact.failure, fix
    return Severity.OK, f"found in {fact.source}"


@_check("credentials-expiry", "credentials", "settings")
def _credentials_expiry(fact: CredentialsFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster or fact.failure:
        return Severity.NOT_NEEDED, "there are no credentials to expire"
    if fact.expires_at is None:
        return Severity.OK, "they do not expire"
    left = fact.expires_at - fact.now
    at = f"{fact.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    if left <= timedelta():
        fix = f"renew them in {fact.source}; compare the clock of this host as well"
        return Severity.ERROR, f"they expired at {at}", fix
    if left < CREDENTIALS_SOON:
        return Severity.WARNING, f"they expire at {at} and have not been renewed", f"look at {fact.source}"
    return Severity.OK, f"valid until {at}"


@_check("permissions", "call", "agent", "settings")
def _permissions(call: CallFact, agent: AgentFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster:
        return Severity.NOT_NEEDED, "an agent without a cluster calls no action of ECS"
    fix = "attach the policy AmazonEC2ContainerServiceforEC2Role to the role of the instance"
    if agent.obstacle in _DENIED:
        return Severity.ERROR, f"the agent's last call was refused: {agent.obstacle_message}", fix
    if call.failure in _DENIED:
        return Severity.ERROR, call.message, fix
    if call.failure is not None:
        return Severity.NOT_KNOWN, "no signed call reached ECS"
    return Severity.OK, "ECS answers ecs:DiscoverPollEndpoint, and has not refused a call of the agent"


@_check("endpoint", "call", "settings")
def _endpoint(call: CallFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster:
        return Severity.NOT_NEEDED, "an agent without a cluster calls no endpoint"
    if call.failure in _UNREACHABLE:
        fix = "allow outgoing HTTPS to it: a NAT gateway, VPC endpoints (ecs, ecs-agent, ecs-telemetry) or a proxy"
        if settings.is_local:
            fix = "is `ecscope up` running? `ecscope env` shows its address"
        return Severity.ERROR, call.message, fix
    if call.failure in (ObstacleKind.SERVER_ERROR, ObstacleKind.THROTTLED):
        return Severity.WARNING, call.message, "the agent tries again by itself"
    if call.failure is ObstacleKind.NO_CREDENTIALS:
        return Severity.NOT_KNOWN, "without credentials nothing can be asked"
    return Severity.OK, f"{call.endpoint} answers in {call.took_s * 1000:.0f} ms"


@_check("dns", "names", "settings")
def _dns(fact: NamesFact, settings: SettingsFact) -> Outcome:
    if not settings.joins_cluster:
        return Severity.NOT_NEEDED, "an agent without a cluster looks up no endpoint"
    if fact.failure:
        return (
            Severity.ERROR,
            f"{fact.host} cannot be resolved: {fact.failure}",
            "see /etc/resolv.conf and the VPC's DNS settings",
        )
    return Severity.OK, f"{fact.host} has {fact.addresses} address{'es' if fact.addresses != 1 else ''}"


@_check("proxy", "proxy")
def _proxy(fact: ProxyFact) -> Outcome:
    if fact.failure:
        return Severity.ERROR, fact.failure, "correct HTTPS_PROXY or HTTP_PROXY of the agent"
    if fact.proxy and fact.metadata_goes_through:
        through = ", ".join(fact.metadata_goes_through)
        fix = "add 169.254.169.254,169.254.170.2,/var/run/docker.sock to NO_PROXY"
        return Severity.WARNING, f"{through} would be asked through the proxy {fact.proxy}", fix
    return Severity.OK, f"{fact.proxy} is used" if fact.proxy else "none is used"


@_check("clock", "clock")
def _clock(fact: ClockFact) -> Outcome:
    ahead = "ahead of" if fact.offset_s > 0 else "behind"
    text = f"{abs(fact.offset_s):.0f} s {ahead} the endpoint's clock"
    fix = "set up time synchronisation: `systemctl enable --now chronyd` (or systemd-timesyncd)"
    if abs(fact.offset_s) >= CLOCK_ERROR_S:
        return Severity.ERROR, f"{text}: AWS refuses signatures that are 5 minutes off", fix
    if abs(fact.offset_s) >= CLOCK_WARNING_S:
        return Severity.WARNING, text, fix
    return Severity.OK, "agrees with the endpoint's" if abs(fact.offset_s) < 2 else text


@_check("instance-metadata", "instance_metadata", "settings")
def _instance_metadata(fact: InstanceMetadataFact, settings: SettingsFact) -> Outcome:
    if not settings.may_ask_imds or not settings.joins_cluster or settings.is_local:
        return Severity.NOT_NEEDED, "this agent does not ask it"
    if fact.failure:
        fix = "enable it with a hop limit of 2, or set AWS_EC2_METADATA_DISABLED=true (ECS_EXTERNAL=true) off EC2"
        return Severity.WARNING, fact.failure, fix
    return Severity.OK, f"this is instance {fact.instance_id}"


# --- Docker ---------------------------------------------------------------------------------------


@_check("docker", "docker")
def _docker(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.ERROR, fact.failure, "start it: `systemctl start docker`; DOCKER_HOST names another endpoint"
    return Severity.OK, f"Docker Engine {fact.version} answers at {fact.endpoint}"


@_check("docker-latency", "docker")
def _docker_latency(fact: DockerFact) -> Outcome:
    if fact.failure or not fact.latencies_s:
        return Severity.NOT_KNOWN, "Docker does not answer"
    middle = sorted(fact.latencies_s)[len(fact.latencies_s) // 2]
    text = f"a call takes {middle * 1000:.0f} ms"
    fix = "look for a slow disk under Docker's root directory, and for many containers with health checks"
    if middle >= VERY_SLOW_DOCKER_S:
        return Severity.ERROR, text, fix
    return (Severity.WARNING, text, fix) if middle >= SLOW_DOCKER_S else (Severity.OK, text)


@_check("docker-api", "docker")
def _docker_api(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    spoken = f"API {fact.min_api_version} to {fact.api_version}"
    if not fact.is_supported:
        return Severity.ERROR, f"it speaks {spoken}, which the agent does not", "use a newer Docker Engine"
    return Severity.OK, spoken


@_check("docker-limits", "docker")
def _docker_limits(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    if not fact.has_memory_limit:
        fix = "start the kernel with cgroup_enable=memory"
        return Severity.ERROR, "the kernel enforces no memory limits", fix
    warnings = [text.removeprefix("WARNING: ") for text in fact.warnings]
    if warnings:
        return Severity.WARNING, f"Docker warns: {_listed(warnings, 2)}", "see `docker info`"
    return Severity.OK, "the kernel enforces limits of memory and CPU"


@_check("cgroups", "docker")
def _cgroups(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    text = f"version {fact.cgroup_version or '1'} with the driver {fact.cgroup_driver}"
    if fact.cgroup_driver == "none":
        fix = "run Docker as root, or enable cgroup delegation for rootless Docker"
        return Severity.ERROR, f"{text}: limits of tasks are not enforced", fix
    if fact.cgroup_version == "2" and fact.cgroup_driver == "cgroupfs":
        fix = "set native.cgroupdriver=systemd in daemon.json (exec-opts), or ECS_ENABLE_TASK_CPU_MEM_LIMIT=false"
        return Severity.WARNING, f"{text}: limits of whole tasks need the driver systemd", fix
    return Severity.OK, text


@_check("storage-driver", "docker")
def _storage_driver(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    if fact.storage_driver in _SLOW_DRIVERS:
        fix = 'set "storage-driver": "overlay2" in /etc/docker/daemon.json; images have to be pulled again'
        return Severity.WARNING, f"{fact.storage_driver} copies whole layers and is slow", fix
    return Severity.OK, fact.storage_driver


@_check("bridge", "docker")
def _bridge(fact: DockerFact) -> Outcome:
    if fact.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    if not fact.has_bridge:
        return (
            Severity.ERROR,
            "Docker has no default bridge network: tasks in network mode bridge fail",
            'remove "bridge": "none" from /etc/docker/daemon.json',
        )
    return Severity.OK, "Docker's default bridge network is there"


@_check("log-drivers", "docker", "settings")
def _log_drivers(docker: DockerFact, settings: SettingsFact) -> Outcome:
    if docker.failure:
        return Severity.NOT_KNOWN, "Docker does not answer"
    offered = [name for name in settings.log_drivers if name not in ("none", "awsfirelens")]
    missing = [name for name in offered if name not in docker.log_drivers]
    if missing:
        fix = "take them out of ECS_AVAILABLE_LOGGING_DRIVERS, or install their Docker plugins"
        return Severity.WARNING, f"offered to ECS, and unknown to Docker: {_listed(missing)}", fix
    return Severity.OK, f"Docker has {_listed(offered, 5) or 'what is offered'}"


@_check("leftover-containers", "leftovers")
def _leftover_containers(fact: LeftoversFact) -> Outcome:
    unknown = [one for one in fact.containers if one.docker_id not in fact.known_docker_ids]
    if unknown:
        names = _listed([one.name for one in unknown], 2)
        fix = (
            "if no other agent uses this engine: "
            + f"`docker rm -f {' '.join(one.docker_id[:12] for one in unknown[:3])}`"
        )
        return Severity.WARNING, f"{len(unknown)} containers of tasks are unknown to the agent: {names}", fix
    return Severity.OK, f"the agent knows all {len(fact.containers)} containers of tasks"


@_check("leftover-volumes", "leftovers")
def _leftover_volumes(fact: LeftoversFact) -> Outcome:
    unknown = [name for name in fact.volumes if name not in fact.known_volumes]
    if unknown:
        fix = "if no other agent uses this engine: " + f"`docker volume rm {' '.join(unknown[:3])}`"
        return Severity.WARNING, f"{len(unknown)} volumes of tasks are unknown to the agent: {_listed(unknown, 2)}", fix
    return Severity.OK, "no volume of a task is left over"


# --- the host -------------------------------------------------------------------------------------


def _space(fact: DiskFact, what: str, fix: str) -> Outcome:
    free = f"{_size(fact.free_bytes)} of {_size(fact.total_bytes)} are free under {fact.path}"
    if fact.is_read_only:
        return (
            Severity.ERROR,
            f"{fact.path} is on a read-only file system",
            "mount it with write access; see `dmesg` for errors of the disk",
        )
    if fact.free_bytes < max(DISK_ERROR_BYTES, DISK_ERROR * min(fact.total_bytes, 20 * DISK_WARNING_BYTES)):
        return Severity.ERROR, f"{free}: {what}", fix
    if fact.free_bytes < min(DISK_WARNING_BYTES, DISK_WARNING * fact.total_bytes):
        return Severity.WARNING, free, fix
    return Severity.OK, free


def _inodes(fact: DiskFact, fix: str) -> Outcome:
    if not fact.total_inodes:
        return Severity.OK, f"the file system of {fact.path} has no fixed number of inodes"
    part = fact.free_inodes / fact.total_inodes
    text = f"{fact.free_inodes:,} of {fact.total_inodes:,} inodes are free under {fact.path}"
    if part < DISK_ERROR:
        return Severity.ERROR, text, fix
    return (Severity.WARNING, text, fix) if part < 1 - FULL_TABLE else (Severity.OK, text)


_DOCKER_ROOM = (
    "remove what is unused: `docker system prune`; ECS_IMAGE_CLEANUP_INTERVAL sets how often images are cleaned up"
)


@_check("docker-disk", "docker_disk")
def _docker_disk(fact: DiskFact) -> Outcome:
    return _space(fact, "pulls and new containers fail", _DOCKER_ROOM)


@_check("docker-inodes", "docker_disk")
def _docker_inodes(fact: DiskFact) -> Outcome:
    return _inodes(fact, _DOCKER_ROOM)


@_check("data-disk", "data_disk")
def _data_disk(fact: DiskFact) -> Outcome:
    return _space(
        fact, "the agent cannot save, and starts nothing until it can", f"make room on the disk of {fact.path}"
    )


@_check("data-inodes", "data_disk")
def _data_inodes(fact: DiskFact) -> Outcome:
    return _inodes(fact, f"remove files on the disk of {fact.path}")


@_check("data-directory", "data_directory")
def _data_directory(fact: DataDirectoryFact) -> Outcome:
    if fact.problem:
        return Severity.ERROR, fact.problem, f"make {fact.path} a directory of the agent's user with mode 700"
    if not fact.exists:
        return (
            Severity.WARNING,
            f"{fact.path} does not exist yet",
            "the agent makes it when it starts; --data-dir names another",
        )
    return Severity.OK, fact.path


@_check("state-file", "data_directory")
def _state_file(fact: DataDirectoryFact) -> Outcome:
    if not fact.is_kept:
        fix = "set ECS_CHECKPOINT=true: without state, running tasks are lost when the agent restarts"
        return Severity.WARNING, "no state is kept (ECS_CHECKPOINT=false)", fix
    if fact.problem or not fact.exists:
        return Severity.NOT_KNOWN, "there is no data directory to read"
    if fact.state_problem:
        return Severity.ERROR, fact.state_problem, "the agent salvages what it can when it starts"
    return Severity.OK, "it can be read"


def _port(number: int, serves: str, needed: Callable[[SettingsFact], bool]) -> None:
    @_check(f"port-{number}", "ports", "agent", "settings")
    def rule(ports: PortsFact, agent: AgentFact, settings: SettingsFact) -> Outcome:
        holders = ports.holders.get(number, ())
        others = [one for one in holders if agent.pid is None or one.pid != agent.pid]
        ours = len(holders) > len(others)
        if ours or (number == 51677 and settings.is_local and holders):
            return Severity.OK, f"served ({serves})"
        if others:
            who = others[0].command or "a process that this user may not see"
            who = f"{who} (process {others[0].pid})" if others[0].pid else who
            severity = Severity.WARNING if needed(settings) else Severity.OK
            fix = f"end process {others[0].pid}" if others[0].pid else "run `ecscope doctor` as root to see who it is"
            return severity, f"taken by {who}; ecscope does not serve {serves} there", fix
        if agent.pid is None or not needed(settings):
            return Severity.OK, "free"
        if number == 51678 and agent.obstacle is not None:
            return Severity.OK, "closed until the container instance is registered"
        return Severity.WARNING, f"the agent does not listen: {serves} is not served", "see the agent's log"


_port(51677, "the API of `ecscope up`", lambda settings: settings.is_local)
_port(51678, "introspection", lambda _: True)
_port(51679, "task metadata and credentials", lambda settings: settings.task_roles)
_port(51680, "diagnostics", lambda _: True)


@_check("open-files", "limits")
def _open_files(fact: LimitsFact) -> Outcome:
    if fact.open_files_soft is None:
        return Severity.NOT_KNOWN, "the limit of the process may not be read"
    fix = "raise LimitNOFILE of the service to 65536"
    text = f"{fact.open_files_used if fact.open_files_used is not None else '?'} of {fact.open_files_soft} are used"
    if fact.open_files_used is not None and fact.open_files_used >= FULL_TABLE * fact.open_files_soft:
        return Severity.ERROR, text, fix
    if fact.open_files_soft < FEW_OPEN_FILES:
        return Severity.WARNING, f"the limit is {fact.open_files_soft}", fix
    return Severity.OK, text


def _table(used: int | None, limit: int | None, what: str, fix: str) -> Outcome:
    if used is None or not limit:
        return Severity.NOT_KNOWN, "the kernel does not show it here"
    text = f"{used:,} of {limit:,} {what}"
    return (Severity.ERROR, text, fix) if used >= FULL_TABLE * limit else (Severity.OK, text)


@_check("file-table", "limits")
def _file_table(fact: LimitsFact) -> Outcome:
    return _table(
        fact.files_allocated, fact.files_max, "files of the host are open", "raise it: `sysctl -w fs.file-max=…`"
    )


@_check("conntrack", "limits")
def _conntrack(fact: LimitsFact) -> Outcome:
    if fact.conntrack_max is None:
        return Severity.NOT_NEEDED, "connections are not tracked on this host"
    return _table(
        fact.conntrack_used, fact.conntrack_max, "tracked connections",
        "raise it: `sysctl -w net.netfilter.nf_conntrack_max=…`; a full table drops packets",
    )  # fmt: skip


@_check("inotify", "limits")
def _inotify(fact: LimitsFact) -> Outcome:
    return _table(
        fact.inotify_instances_used, fact.inotify_instances, "inotify instances of this user",
        "raise it: `sysctl -w fs.inotify.max_user_instances=1024`; new task files are noticed late without one",
    )  # fmt: skip


@_check("processes", "limits")
def _processes(fact: LimitsFact) -> Outcome:
    return _table(
        fact.processes, fact.pid_max, "process IDs", "raise it: `sysctl -w kernel.pid_max=4194304`; find what forks"
    )


@_check("memory", "limits")
def _memory(fact: LimitsFact) -> Outcome:
    if fact.memory_total_bytes is None or fact.memory_available_bytes is None:
        return Severity.NOT_KNOWN, "the kernel does not show it here"
    text = f"{_size(fact.memory_available_bytes)} of {_size(fact.memory_total_bytes)} are available"
    if fact.memory_available_bytes < LITTLE_MEMORY * fact.memory_total_bytes:
        fix = "the kernel may kill containers soon: give tasks memory limits, and the host ECS_RESERVED_MEMORY"
        return Severity.WARNING, text, fix
    return Severity.OK, text


@_check("forwarding", "limits")
def _forwarding(fact: LimitsFact) -> Outcome:
    if fact.ip_forward is None:
        return Severity.NOT_KNOWN, "the kernel does not show it here"
    if not fact.ip_forward:
        fix = "`sysctl -w net.ipv4.ip_forward=1`; Docker sets it when it starts, something has switched it off since"
        return Severity.ERROR, "net.ipv4.ip_forward is 0: containers in network mode bridge reach nothing", fix
    return Severity.OK, "the host forwards packets of containers"


@_check("firewall", "firewall")
def _firewall(fact: FirewallFact) -> Outcome:
    if fact.failure:
        return Severity.WARNING, fact.failure, "install iptables; Docker needs it for ports of containers"
    if not fact.has_docker_chain:
        fix = "`systemctl restart docker` makes its rules anew; a reload of the firewall removes them"
        return Severity.ERROR, "Docker's rules are missing: ports of containers are not reachable", fix
    if fact.drops_forwarded:
        return (
            Severity.WARNING,
            "packets of containers are dropped by the policy of FORWARD",
            "`iptables -P FORWARD ACCEPT`, or a rule in DOCKER-USER",
        )
    return Severity.OK, "Docker's rules are there"


@_check("task-role-rules", "firewall", "agent", "settings")
def _task_role_rules(fact: FirewallFact, agent: AgentFact, settings: SettingsFact) -> Outcome:
    if not settings.task_roles or agent.pid is None:
        return Severity.NOT_NEEDED, "no agent with task roles runs"
    if fact.failure:
        return Severity.NOT_KNOWN, fact.failure
    if not fact.has_task_role_rules:
        fix = "start the agent again as root: it sets the rules from 169.254.170.2 to port 51679"
        return Severity.ERROR, "containers do not reach their credentials: the rules for 169.254.170.2 are missing", fix
    return Severity.OK, "containers reach 169.254.170.2"


@_check("kernel-log", "kernel_log")
def _kernel_log(fact: KernelLogFact) -> Outcome:
    if fact.failure:
        fix = "run as root, or `sysctl -w kernel.dmesg_restrict=0`: it proves what was killed for want of memory"
        return Severity.WARNING, fact.failure, fix
    return Severity.OK, "it can be read"


@_check("versions", "versions")
def _versions(fact: VersionsFact) -> Outcome:
    text = f"ecscope {fact.ecscope}, Python {fact.python}, {fact.kernel}"
    if fact.agent and fact.agent != fact.ecscope:
        return (
            Severity.WARNING,
            f"this command is {fact.ecscope}, the agent that runs {fact.agent}",
            "start the agent again",
        )
    return Severity.OK, text

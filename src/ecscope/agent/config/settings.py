"""The agent's settings: one table. Each field has its names, form and bounds in its annotation, its meaning below it.

``docs/reference/config.md`` is generated from this table. How the values are loaded: ``load``.

Source: configuration.md §1-§4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_type_hints

import msgspec

from ecscope.agent.config import values as form
from ecscope.agent.config.setting_type import LOGGING_DRIVERS, Bounds, OutOfBounds, Setting, TagSource
from ecscope.agent.config.values import Secret
from ecscope.agent.core.capabilities import Offer
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.agent.pause.program import has_pause_program
from ecscope.log import LogFile, LogFormat, LogLevel, LogRollover
from ecscope.model.network import TaskNetwork
from ecscope.model.runtime import EngineInfo


def _at_least(minimum: float, beyond: OutOfBounds, *, is_fatal_in_file: bool = False) -> Bounds:
    return Bounds(minimum=minimum, beyond=beyond, is_fatal_in_file=is_fatal_in_file)


_PULL_NUMBERS = {
    0: PullBehavior.DEFAULT,
    1: PullBehavior.ALWAYS,
    2: PullBehavior.ONCE,
    3: PullBehavior.PREFER_CACHED,
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting. Durations in seconds; ``""`` and empty collections mean none."""

    cluster: Annotated[
        str,
        Setting(
            section="3.1",
            variable="ECS_CLUSTER",
            json_keys=("Cluster",),
            deprecated_key="ClusterArn",
            form=form.CLUSTER,
            is_fatal=True,
        ),
    ] = "default"
    """Name or ARN of the cluster to join. Where none is given, `default`, which is made if it does not exist."""
    cluster_is_configured: bool = False
    """A source gives ``cluster``: then a cluster that does not exist is a mistake, and is not made."""
    api_endpoint: Annotated[
        str, Setting(section="3.1", variable="ECS_BACKEND_HOST", json_keys=("APIEndpoint",), form=form.URL)
    ] = ""
    """Base URL of the ECS API; `https` is assumed without a scheme. Empty: the region's own endpoint."""
    region: Annotated[
        str, Setting(section="3.1", variable="AWS_DEFAULT_REGION", json_keys=("AWSRegion",), form=form.TRIMMED)
    ] = ""
    """Region for ARNs, calls and signing. If it is not given, the instance metadata service is asked. Needed to join a
    cluster; not needed with `--tasks`."""
    aws_access_key_id: Annotated[str, Setting(section="3.1", variable="AWS_ACCESS_KEY_ID", form=form.TEXT)] = ""
    """AWS access key."""
    aws_secret_access_key: Annotated[
        Secret, Setting(section="3.1", variable="AWS_SECRET_ACCESS_KEY", form=form.SECRET, is_secret=True)
    ] = Secret()
    """Its secret. Never shown."""
    aws_session_token: Annotated[
        Secret, Setting(section="3.1", variable="AWS_SESSION_TOKEN", form=form.SECRET, is_secret=True)
    ] = Secret()
    """Its session token. Never shown."""
    aws_shared_credentials_file: Annotated[
        str, Setting(section="3.1", variable="AWS_SHARED_CREDENTIALS_FILE", form=form.TEXT)
    ] = ""
    """Path of a shared credentials file."""
    aws_profile: Annotated[str, Setting(section="3.1", variable="AWS_PROFILE", form=form.TEXT)] = ""
    """Profile in it."""
    aws_endpoint: Annotated[str, Setting(section="ecscope", variable="AWS_ENDPOINT_URL", form=form.TRIMMED)] = ""
    """Base URL of Secrets Manager, Systems Manager and CloudWatch Logs, where none is set for one of them. Empty: the
    region's own endpoints."""
    secrets_manager_endpoint: Annotated[
        str, Setting(section="ecscope", variable="AWS_ENDPOINT_URL_SECRETS_MANAGER", form=form.TRIMMED)
    ] = ""
    """Base URL of Secrets Manager, from which the values of `secrets` and `repositoryCredentials` are fetched."""
    systems_manager_endpoint: Annotated[
        str, Setting(section="ecscope", variable="AWS_ENDPOINT_URL_SSM", form=form.TRIMMED)
    ] = ""
    """Base URL of Systems Manager, from whose Parameter Store the values of `secrets` are fetched."""
    logs_endpoint: Annotated[
        str, Setting(section="ecscope", variable="AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", form=form.TRIMMED)
    ] = ""
    """Base URL of CloudWatch Logs, which Docker's log driver `awslogs` gets too: Docker must reach it. `ecscope up`
    sets all of these to itself."""
    imds_endpoint: Annotated[
        str, Setting(section="3.1", variable="AWS_EC2_METADATA_SERVICE_ENDPOINT", form=form.TRIMMED)
    ] = ""
    """Address of the instance metadata service, if it is not the usual one."""
    imds_disabled: Annotated[bool, Setting(section="3.1", variable="AWS_EC2_METADATA_DISABLED", form=form.BOOL)] = False
    """Never ask the instance metadata service."""
    alternate_credential_profile: Annotated[
        str, Setting(section="3.1", variable="ECS_ALTERNATE_CREDENTIAL_PROFILE", form=form.TRIMMED)
    ] = "default"
    """Profile in the rotating credentials file, which the SSM agent keeps fresh."""
    external: Annotated[
        bool, Setting(section="3.1", variable="ECS_EXTERNAL", json_keys=("External",), form=form.BOOL)
    ] = False
    """ECS Anywhere: not on EC2; `AWS_DEFAULT_REGION` has to be set."""
    no_iid: Annotated[bool, Setting(section="3.1", json_keys=("NoIID",), form=form.BOOL)] = False
    """Do not send the instance identity document. True with `ECS_EXTERNAL`."""
    instance_attributes: Annotated[
        Mapping[str, str],
        Setting(
            section="3.1",
            variable="ECS_INSTANCE_ATTRIBUTES",
            json_keys=("InstanceAttributes",),
            form=form.TEXT_MAP,
            is_fatal=True,
        ),
    ] = {}
    """Custom attributes, sent with the first registration only."""
    container_instance_tags: Annotated[
        Mapping[str, str],
        Setting(
            section="3.1",
            variable="ECS_CONTAINER_INSTANCE_TAGS",
            json_keys=("ContainerInstanceTags",),
            form=form.TEXT_MAP,
            is_fatal=True,
        ),
    ] = {}
    """Tags for the container instance."""
    propagate_tags_from: Annotated[
        TagSource,
        Setting(
            section="3.1",
            variable="ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
            json_keys=("ContainerInstancePropagateTagsFrom",),
            form=form.choice(
                TagSource, numbers={0: TagSource.NONE, 1: TagSource.EC2_INSTANCE}, otherwise=TagSource.NONE
            ),
            waits_for="copying the tags of the EC2 instance",
        ),
    ] = TagSource.NONE
    """Give the container instance the tags of its EC2 instance as well; another word means `none`."""
    detailed_os_family: Annotated[str, Setting(section="3.1", variable="ECS_DETAILED_OS_FAMILY", form=form.TRIMMED)] = (
        "LINUX"
    )
    """What is registered as `ecs.os-type-detailed`."""
    http_proxy: Annotated[str, Setting(section="3.1", variable="HTTP_PROXY", form=form.PROXY)] = ""
    """Proxy for outbound HTTP."""
    https_proxy: Annotated[str, Setting(section="3.1", variable="HTTPS_PROXY", form=form.PROXY)] = ""
    """Proxy for outbound HTTPS."""
    no_proxy: Annotated[str, Setting(section="3.1", variable="NO_PROXY", form=form.TEXT)] = (
        "169.254.169.254,169.254.170.2"
    )
    """Hosts that are reached without the proxy. By default the metadata services, and the host of `DOCKER_HOST`."""

    data_dir: Annotated[str, Setting(section="3.2", variable="ECS_DATADIR", json_keys=("DataDir",), form=form.TEXT)] = (
        "/data/"
    )
    """Directory for state. With `--tasks` the default is `/var/lib/ecscope`."""
    checkpoint: Annotated[
        bool, Setting(section="3.2", variable="ECS_CHECKPOINT", json_keys=("Checkpoint",), form=form.BOOL)
    ] = False
    """Save state and take it up again after a restart. By default true if `ECS_DATADIR` is set, and with `--tasks`."""
    host_data_dir: Annotated[
        str,
        Setting(
            section="3.2",
            variable="ECS_HOST_DATA_DIR",
            json_keys=("DataDirOnHost",),
            form=form.TEXT,
        ),
    ] = "/var/lib/ecs"
    """Path on the host behind the data directory, where the agent itself runs in a container."""
    docker_host: Annotated[
        str,
        Setting(
            section="3.2", variable="DOCKER_HOST", json_keys=("DockerEndpoint",), form=form.DOCKER_HOST, is_fatal=True
        ),
    ] = "unix:///var/run/docker.sock"
    """Address of the Docker Engine: `unix:///path` or `tcp://host:port`."""
    reserved_ports_tcp: Annotated[
        tuple[int, ...],
        Setting(section="3.2", variable="ECS_RESERVED_PORTS", json_keys=("ReservedPorts",), form=form.PORT_LIST),
    ] = (22, 2375, 2376, 51678, 51679)
    """TCP ports that no task may have. Each from 0 to 65535."""
    reserved_ports_udp: Annotated[
        tuple[int, ...],
        Setting(section="3.2", variable="ECS_RESERVED_PORTS_UDP", json_keys=("ReservedPortsUDP",), form=form.PORT_LIST),
    ] = ()
    """UDP ports that no task may have. Each from 0 to 65535."""
    reserved_memory_mib: Annotated[
        int,
        Setting(
            section="3.2",
            variable="ECS_RESERVED_MEMORY",
            json_keys=("ReservedMemory",),
            form=form.integer_between(0, 65535),
        ),
    ] = 0
    """MiB withheld from tasks, 0 to 65535; more than the host has stops the start."""
    dynamic_host_port_range: Annotated[
        tuple[int, int], Setting(section="3.2", variable="ECS_DYNAMIC_HOST_PORT_RANGE", form=form.PORT_RANGE)
    ] = (49153, 65535)
    """First and last of the host ports that are chosen automatically. By default what the kernel uses
    (`/proc/sys/net/ipv4/ip_local_port_range`), and the value shown if that cannot be read."""
    available_logging_drivers: Annotated[
        tuple[str, ...],
        Setting(
            section="3.2",
            variable="ECS_AVAILABLE_LOGGING_DRIVERS",
            json_keys=("AvailableLoggingDrivers",),
            form=form.known_words(*LOGGING_DRIVERS),
            is_fatal=True,
        ),
    ] = ("json-file", "none")
    """Log drivers that are advertised. An unknown name stops the start."""
    privileged_disabled: Annotated[
        bool,
        Setting(section="3.2", variable="ECS_DISABLE_PRIVILEGED", json_keys=("PrivilegedDisabled",), form=form.BOOL),
    ] = False
    """Do not advertise privileged containers."""
    selinux_capable: Annotated[
        bool, Setting(section="3.2", variable="ECS_SELINUX_CAPABLE", json_keys=("SELinuxCapable",), form=form.BOOL)
    ] = False
    """Advertise SELinux."""
    apparmor_capable: Annotated[
        bool, Setting(section="3.2", variable="ECS_APPARMOR_CAPABLE", json_keys=("AppArmorCapable",), form=form.BOOL)
    ] = False
    """Advertise AppArmor."""
    task_cpu_mem_limit: Annotated[
        bool,
        Setting(
            section="3.2", variable="ECS_ENABLE_TASK_CPU_MEM_LIMIT", json_keys=("TaskCPUMemLimit",), form=form.BOOL
        ),
    ] = True
    """Task-level limits by a cgroup per task."""
    cgroup_path: Annotated[
        str, Setting(section="3.2", variable="ECS_CGROUP_PATH", json_keys=("CgroupPath",), form=form.TEXT)
    ] = "/sys/fs/cgroup"
    """Where cgroups are mounted."""
    engine_auth_type: Annotated[
        str,
        Setting(
            section="3.2",
            variable="ECS_ENGINE_AUTH_TYPE",
            json_keys=("EngineAuthType",),
            form=form.words("docker", "dockercfg"),
        ),
    ] = ""
    """Form of the registry credentials."""
    engine_auth_data: Annotated[
        Secret,
        Setting(
            section="3.2",
            variable="ECS_ENGINE_AUTH_DATA",
            json_keys=("EngineAuthData",),
            form=form.SECRET_OBJECT,
            is_secret=True,
        ),
    ] = Secret()
    """Registry credentials, a JSON object. Never shown."""
    warm_pools_check: Annotated[
        bool,
        Setting(
            section="3.2",
            variable="ECS_WARM_POOLS_CHECK",
            json_keys=("WarmPoolsSupport",),
            form=form.BOOL,
            waits_for="waiting in a warm pool",
        ),
    ] = False
    """Do not register as long as the instance is in a warm pool."""
    spot_instance_draining: Annotated[
        bool,
        Setting(
            section="3.2",
            variable="ECS_ENABLE_SPOT_INSTANCE_DRAINING",
            json_keys=("SpotInstanceDrainingEnabled",),
            form=form.BOOL,
        ),
    ] = False
    """Drain when EC2 announces that it takes a spot instance back."""

    cleanup_wait_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
            json_keys=("TaskCleanupWaitDuration",),
            form=form.DURATION,
            bounds=_at_least(1, OutOfBounds.DEFAULT),
        ),
    ] = 3 * 3600.0
    """How long a stopped task and its containers are kept."""
    cleanup_jitter_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
            json_keys=("TaskCleanupWaitDurationJitter",),
            form=form.DURATION,
        ),
    ] = 0.0
    """A random part of this is added to it."""
    stop_timeout_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_CONTAINER_STOP_TIMEOUT",
            json_keys=("DockerStopTimeout",),
            form=form.DURATION,
            bounds=_at_least(1, OutOfBounds.CLAMP, is_fatal_in_file=True),
        ),
    ] = 30.0
    """From SIGTERM to SIGKILL, for containers that set no `stopTimeout`."""
    container_start_timeout_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_CONTAINER_START_TIMEOUT",
            json_keys=("ContainerStartTimeout",),
            form=form.DURATION,
            bounds=_at_least(45, OutOfBounds.CLAMP, is_fatal_in_file=True),
        ),
    ] = 180.0
    """Limit for starting a container."""
    container_create_timeout_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_CONTAINER_CREATE_TIMEOUT",
            json_keys=("ContainerCreateTimeout",),
            form=form.DURATION,
            bounds=_at_least(60, OutOfBounds.CLAMP),
        ),
    ] = 240.0
    """Limit for creating a container."""
    manifest_pull_timeout_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_MANIFEST_PULL_TIMEOUT",
            json_keys=("ManifestPullTimeout",),
            form=form.DURATION,
            bounds=_at_least(30, OutOfBounds.CLAMP),
        ),
    ] = 60.0
    """Limit for asking a registry for an image's digest."""
    image_pull_timeout_s: Annotated[
        float,
        Setting(section="3.3", variable="ECS_IMAGE_PULL_TIMEOUT", json_keys=("ImagePullTimeout",), form=form.DURATION),
    ] = 2 * 3600.0
    """Limit for a whole pull."""
    image_pull_inactivity_timeout_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
            json_keys=("ImagePullInactivityTimeout",),
            form=form.DURATION,
            bounds=_at_least(60, OutOfBounds.CLAMP),
        ),
    ] = 60.0
    """A pull without progress for this long is aborted."""
    image_pull_behavior: Annotated[
        PullBehavior,
        Setting(
            section="3.3",
            variable="ECS_IMAGE_PULL_BEHAVIOR",
            json_keys=("ImagePullBehavior",),
            form=form.choice(PullBehavior, numbers=_PULL_NUMBERS),
        ),
    ] = PullBehavior.DEFAULT
    """When images are pulled. In the JSON file 0, 1, 2, 3, in the order of the words."""
    pull_dependents_upfront: Annotated[
        bool,
        Setting(
            section="3.3",
            variable="ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT",
            json_keys=("DependentContainersPullUpfront",),
            form=form.BOOL,
        ),
    ] = False
    """Pull an image before what its container depends on is there."""
    image_cleanup_disabled: Annotated[
        bool,
        Setting(
            section="3.3", variable="ECS_DISABLE_IMAGE_CLEANUP", json_keys=("ImageCleanupDisabled",), form=form.BOOL
        ),
    ] = False
    """Never remove images."""
    image_cleanup_interval_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_IMAGE_CLEANUP_INTERVAL",
            json_keys=("ImageCleanupInterval",),
            form=form.DURATION,
            bounds=_at_least(600, OutOfBounds.DEFAULT),
        ),
    ] = 1800.0
    """Time between two rounds of image removal."""
    image_minimum_age_s: Annotated[
        float,
        Setting(
            section="3.3",
            variable="ECS_IMAGE_MINIMUM_CLEANUP_AGE",
            json_keys=("MinimumImageDeletionAge",),
            form=form.DURATION,
        ),
    ] = 3600.0
    """Images that were pulled more recently stay."""
    images_per_cycle: Annotated[
        int,
        Setting(
            section="3.3",
            variable="ECS_NUM_IMAGES_DELETE_PER_CYCLE",
            json_keys=("NumImagesToDeletePerCycle",),
            form=form.INTEGER,
            bounds=_at_least(1, OutOfBounds.DEFAULT),
        ),
    ] = 5
    """Images removed in one round, at most."""
    images_excluded: Annotated[
        tuple[str, ...],
        Setting(
            section="3.3",
            variable="ECS_EXCLUDE_UNTRACKED_IMAGE",
            json_keys=("ImageCleanupExclusionList",),
            form=form.COMMA_LIST,
        ),
    ] = ()
    """Images that are never removed."""
    docker_health_check_disabled: Annotated[
        bool,
        Setting(
            section="3.3",
            variable="ECS_DISABLE_DOCKER_HEALTH_CHECK",
            json_keys=("DisableDockerHealthCheck",),
            form=form.BOOL,
        ),
    ] = False
    """Do not advertise container health checks."""
    container_metadata_enabled: Annotated[
        bool,
        Setting(
            section="3.3",
            variable="ECS_ENABLE_CONTAINER_METADATA",
            json_keys=("ContainerMetadataEnabled",),
            form=form.BOOL,
        ),
    ] = False
    """Give each container a metadata file, which `ECS_CONTAINER_METADATA_FILE` names there."""
    exclude_ipv6_port_binding: Annotated[
        bool,
        Setting(
            section="3.3",
            variable="ECS_EXCLUDE_IPV6_PORTBINDING",
            json_keys=("ShouldExcludeIPv6PortBinding",),
            form=form.BOOL,
        ),
    ] = True
    """Leave bindings to `::` out of what is reported."""

    task_iam_role_enabled: Annotated[
        bool,
        Setting(section="3.4", variable="ECS_ENABLE_TASK_IAM_ROLE", json_keys=("TaskIAMRoleEnabled",), form=form.BOOL),
    ] = False
    """Serve the credentials of task roles."""
    task_iam_role_enabled_for_network_host: Annotated[
        bool,
        Setting(
            section="3.4",
            variable="ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST",
            json_keys=("TaskIAMRoleEnabledForNetworkHost",),
            form=form.BOOL,
        ),
    ] = False
    """The same for tasks in the host's network."""
    awslogs_execution_role_override: Annotated[
        bool,
        Setting(
            section="3.4",
            variable="ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE",
            json_keys=("OverrideAWSLogsExecutionRole",),
            form=form.BOOL,
        ),
    ] = False
    """Log driver awslogs uses the execution role."""
    audit_log_file: Annotated[
        str,
        Setting(section="3.4", variable="ECS_AUDIT_LOGFILE", json_keys=("CredentialsAuditLogFile",), form=form.TEXT),
    ] = "/log/audit.log"
    """Log of requests for credentials."""
    audit_log_disabled: Annotated[
        bool,
        Setting(
            section="3.4",
            variable="ECS_AUDIT_LOGFILE_DISABLED",
            json_keys=("CredentialsAuditLogDisabled",),
            form=form.BOOL,
        ),
    ] = False
    """Do not write that log."""
    task_metadata_rates: Annotated[
        tuple[int, int],
        Setting(
            section="3.4",
            variable="ECS_TASK_METADATA_RPS_LIMIT",
            json_keys=("TaskMetadataSteadyStateRate", "TaskMetadataBurstRate"),
            form=form.RATES,
        ),
    ] = (40, 60)
    """Requests per second that port 51679 answers to one client for one path: steady, and in a burst. 0 and less: the
    default."""
    task_metadata_az_disabled: Annotated[
        bool,
        Setting(
            section="3.4",
            variable="ECS_DISABLE_TASK_METADATA_AZ",
            json_keys=("TaskMetadataAZDisabled",),
            form=form.BOOL,
        ),
    ] = False
    """Leave the availability zone out of task metadata."""

    metrics_disabled: Annotated[
        bool, Setting(section="3.5", variable="ECS_DISABLE_METRICS", json_keys=("DisableMetrics",), form=form.BOOL)
    ] = False
    """No container metrics."""
    poll_metrics: Annotated[
        bool, Setting(section="3.5", variable="ECS_POLL_METRICS", json_keys=("PollMetrics",), form=form.BOOL)
    ] = False
    """Ask Docker for statistics from time to time instead of having them streamed."""
    polling_metrics_wait_s: Annotated[
        float,
        Setting(
            section="3.5",
            variable="ECS_POLLING_METRICS_WAIT_DURATION",
            json_keys=("PollingMetricsWaitDuration",),
            form=form.DURATION,
            bounds=Bounds(minimum=5, maximum=20, beyond=OutOfBounds.CLAMP, only_with="poll_metrics"),
        ),
    ] = 10.0
    """How often, if so. From 5s to 20s."""
    log_level: Annotated[LogLevel, Setting(section="3.5", variable="ECS_LOGLEVEL", form=form.choice(LogLevel))] = (
        LogLevel.INFO
    )
    """Least important lines on the console (standard error)."""
    log_level_on_instance: Annotated[
        LogLevel, Setting(section="3.5", variable="ECS_LOGLEVEL_ON_INSTANCE", form=form.choice(LogLevel))
    ] = LogLevel.INFO
    """The same for the log file. By default as `ECS_LOGLEVEL`, but `none` where `ECS_LOG_DRIVER` is set."""
    log_file: Annotated[str, Setting(section="3.5", variable="ECS_LOGFILE", form=form.TEXT)] = ""
    """Log file, in addition to the console."""
    log_format: Annotated[
        LogFormat, Setting(section="3.5", variable="ECS_LOG_OUTPUT_FORMAT", form=form.choice(LogFormat))
    ] = LogFormat.LOGFMT
    """Form of a log line."""
    log_rollover: Annotated[
        LogRollover,
        Setting(
            section="3.5", variable="ECS_LOG_ROLLOVER_TYPE", form=form.choice(LogRollover, otherwise=LogRollover.HOURLY)
        ),
    ] = LogRollover.SIZE
    """When the log file is rotated; any other word means `hourly`."""
    log_max_file_size_mb: Annotated[
        float, Setting(section="3.5", variable="ECS_LOG_MAX_FILE_SIZE_MB", form=form.NUMBER)
    ] = 5.0
    """Size at which that happens, in MB (1,000,000 bytes)."""
    log_max_roll_count: Annotated[
        int, Setting(section="3.5", variable="ECS_LOG_MAX_ROLL_COUNT", form=form.integer_between(0, 10_000))
    ] = 24
    """Old log files that are kept, at most 10000."""
    healthcheck_host: Annotated[
        str,
        Setting(
            section="3.5",
            variable="ECS_AGENT_HEALTHCHECK_HOST",
            form=form.TRIMMED,
            waits_for="the self-check of the container image",
        ),
    ] = "localhost"
    """Host that the agent's self-check asks."""
    runtime_stats: Annotated[
        bool,
        Setting(section="3.5", variable="ECS_ENABLE_RUNTIME_STATS", json_keys=("EnableRuntimeStats",), form=form.BOOL),
    ] = False
    """Serve the profiling paths on port 51678."""
    allow_offhost_introspection: Annotated[
        bool, Setting(section="3.5", variable="ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS", form=form.BOOL)
    ] = False
    """Answer other hosts, and containers of any network, on port 51678. It shows images, ports and ARNs to anyone
    who can reach it."""

    introspection_addresses: Annotated[
        tuple[str, ...],
        Setting(section="ecscope", variable="ECSCOPE_INTROSPECTION_ADDRESS", form=form.ADDRESSES, is_fatal=True),
    ] = form.EVERY_INTERFACE
    """IP addresses of this host on which port 51678 listens; `*`: all. Wherever it listens, it answers this host and
    containers on Docker's default bridge only, unless `ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS` is true."""
    report_health_at_once: Annotated[
        bool, Setting(section="ecscope", variable="ECSCOPE_REPORT_HEALTH_AT_ONCE", form=form.BOOL)
    ] = False
    """Report the health of containers as soon as it changes, and not only every 20 s as the official agent does. The
    agent of `ecscope up` does."""
    task_endpoint_port: Annotated[
        int,
        Setting(
            section="ecscope",
            variable="ECSCOPE_TASK_ENDPOINT_PORT",
            form=form.INTEGER,
            bounds=Bounds(minimum=0, maximum=65535, beyond=OutOfBounds.DEFAULT),
        ),
    ] = 0
    """Port of this host at which the programs in containers find AWS: they get `AWS_ENDPOINT_URL`,
    `AWS_ENDPOINT_URL_ECS` and `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS` with an address that their task reaches, unless the
    task definition or the image sets one. 0: they get none. `ecscope up` sets it."""
    docker_config: Annotated[
        str,
        Setting(section="ecscope", variable="ECSCOPE_DOCKER_CONFIG", form=form.TRIMMED),
    ] = ""
    """A `config.json` of Docker, whose logins images are pulled with where `ECS_ENGINE_AUTH_DATA` has none for their
    registry. Programs that it names run as the owner of the file. `ecscope up` sets that of the user who started it."""
    local_images: Annotated[
        Mapping[str, str],
        Setting(section="ecscope", variable="ECSCOPE_LOCAL_IMAGES", form=form.IMAGE_MAP, is_fatal=True),
    ] = {}
    """Local images that are used, without asking a registry, in place of those that task definitions name: a JSON
    object of repositories, or of single tags of them, and local images. `ecscope up --image` sets it."""
    task_bridge: Annotated[
        str, Setting(section="ecscope", variable="ECSCOPE_TASK_BRIDGE", form=form.BRIDGE, is_fatal=True)
    ] = ""
    """Name of the bridge, and of the Docker network over it, on which tasks in network mode `awsvpc` get their
    addresses; both are made where they are not there. Without it and `ECSCOPE_TASK_SUBNET` such tasks are refused.
    `ecscope up` sets both."""
    task_subnet: Annotated[
        str, Setting(section="ecscope", variable="ECSCOPE_TASK_SUBNET", form=form.SUBNET, is_fatal=True)
    ] = ""
    """Subnet of that bridge, such as `10.213.0.0/20`. Its first address is this host's; the others are given to tasks
    by the control plane."""
    logs_as_instance: Annotated[
        bool, Setting(section="ecscope", variable="ECSCOPE_AWSLOGS_WITH_AGENT_KEYS", form=form.BOOL)
    ] = False
    """Log driver awslogs uses the agent's own keys where a task has no execution role; else Docker looks for some by
    itself. They have to be in AWS_ACCESS_KEY_ID and so on. The agent of `ecscope up` does."""
    drain_on_sigterm: Annotated[
        bool, Setting(section="ecscope", variable="ECSCOPE_DRAIN_ON_SIGTERM", form=form.BOOL)
    ] = False
    """On SIGTERM set the container instance to DRAINING before the agent ends. ECS then starts its services' tasks
    elsewhere; it has to be set to ACTIVE again by an operator."""

    def __repr__(self) -> str:
        """Only what is not the default: short enough for a log line."""
        changed = [
            f"{setting.field}={setting.form.write(getattr(self, setting.field))!r}"
            for setting in SETTINGS
            if getattr(self, setting.field) != getattr(_DEFAULTS, setting.field)
        ]
        return f"Config({', '.join(changed)})"

    @property
    def may_ask_imds(self) -> bool:
        """The instance metadata service may be asked about the instance."""
        return not self.external and not self.imds_disabled

    @property
    def task_network(self) -> TaskNetwork | None:
        """On which awsvpc tasks have their addresses; ``None``: there are no such tasks here."""
        if not (self.task_bridge and self.task_subnet):
            return None
        return TaskNetwork(bridge=self.task_bridge, subnet=self.task_subnet)

    def aws_environment(self) -> dict[str, str]:
        """The variables of AWS's own tools that name credentials, from any source: for the credential chain."""
        given = {
            "AWS_ACCESS_KEY_ID": self.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws_secret_access_key.text,
            "AWS_SESSION_TOKEN": self.aws_session_token.text,
            "AWS_SHARED_CREDENTIALS_FILE": self.aws_shared_credentials_file,
            "AWS_PROFILE": self.aws_profile,
        }
        return {name: value for name, value in given.items() if value}

    def offer(
        self, engine: EngineInfo, *, volume_plugins: tuple[str, ...], has_task_limits: bool, outpost_arn: str = ""
    ) -> Offer:
        """What is registered, together with what the engine and the host have. ``has_task_limits``: cgroups work."""
        return Offer(
            api_version=engine.api_version,
            architecture=engine.architecture,
            volume_plugins=volume_plugins,
            logging_drivers=self.available_logging_drivers,
            has_task_limits=has_task_limits,
            has_task_network=self.task_network is not None,
            has_pause_image=has_pause_program(engine.architecture),
            has_task_roles=self.task_iam_role_enabled,
            has_task_roles_in_host_network=self.task_iam_role_enabled_for_network_host,
            has_logs_as_execution_role=self.awslogs_execution_role_override,
            is_external=self.external,
            is_privileged_disabled=self.privileged_disabled,
            is_health_check_disabled=self.docker_health_check_disabled,
            is_selinux_capable=self.selinux_capable,
            is_apparmor_capable=self.apparmor_capable,
            detailed_os_family=self.detailed_os_family,
            outpost_arn=outpost_arn,
            custom_attributes=self.instance_attributes,
        )

    def core_settings(self) -> Settings:
        """The part that decisions depend on.

        Docker takes the stop time-out in whole seconds; a fraction is cut off.
        """
        return Settings(
            pull_behavior=self.image_pull_behavior,
            pull_dependents_upfront=self.pull_dependents_upfront,
            task_network=self.task_network,
            stop_timeout_s=int(self.stop_timeout_s),
            cleanup_wait_s=self.cleanup_wait_s,
            cleanup_jitter_s=self.cleanup_jitter_s,
            image_cleanup_enabled=not self.image_cleanup_disabled,
            image_cleanup_interval_s=self.image_cleanup_interval_s,
            image_minimum_age_s=self.image_minimum_age_s,
            images_per_cycle=self.images_per_cycle,
            images_excluded=frozenset(self.images_excluded),
            local_images=self.local_images,
        )

    def log_target(self) -> LogFile | None:
        """The log file to write, ``None`` for the console alone."""
        if not self.log_file:
            return None
        return LogFile(
            path=self.log_file,
            level=self.log_level_on_instance,
            rollover=self.log_rollover,
            max_size_mb=self.log_max_file_size_mb,
            max_roll_count=self.log_max_roll_count,
        )


_DEFAULTS = Config()


def _settings() -> tuple[Setting, ...]:
    hints = get_type_hints(Config, include_extras=True)
    return tuple(
        msgspec.structs.replace(note, field=field)
        for field, hint in hints.items()
        for note in getattr(hint, "__metadata__", ())
        if isinstance(note, Setting)
    )


SETTINGS: tuple[Setting, ...] = _settings()
"""The annotated fields of ``Config``, in their order."""

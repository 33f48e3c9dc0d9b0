"""Every setting: what it is called in each source, its form, its bounds, and what a bad value does.

A table and nothing else. Meaning, type and default of a setting stand at the field of ``Config``
that carries it; ``docs/reference/config.md`` is made of both.

Source: configuration.md §3, §4.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ecscope.agent.config import values as form
from ecscope.agent.core.state import PullBehavior
from ecscope.log import LogFormat, LogLevel, LogRollover

LOGGING_DRIVERS = (
    "json-file",
    "syslog",
    "journald",
    "gelf",
    "fluentd",
    "awslogs",
    "splunk",
    "logentries",
    "sumologic",
    "awsfirelens",
    "none",
)
"""Source: agent-protocol.md, the capabilities ``logging-driver.<driver>``."""


class TagSource(Enum):
    """``ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM``."""

    NONE = "none"
    EC2_INSTANCE = "ec2_instance"


class OutOfBounds(Enum):
    """What becomes of a number that is too small (or too large)."""

    CLAMP = "clamp"
    """The bound is used instead."""
    DEFAULT = "default"
    """The default is used instead."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that hold for the value wherever it comes from, in the field's own unit."""

    minimum: float
    maximum: float | None = None
    beyond: OutOfBounds
    is_fatal_in_file: bool = False
    """In the JSON file a value that is too small stops the start instead."""
    only_with: str = ""
    """Field that must be true for the bounds to hold; ``""``: they always do."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    field: str
    """Of ``Config``."""
    section: str
    """Of configuration.md; ``ecscope``: not known to the official agent."""
    variable: str = ""
    """``""``: not from the environment."""
    json_keys: tuple[str, ...] = ()
    """Of the JSON file; two keys give a pair. None: not from the file."""
    deprecated_key: str = ""
    """Of the JSON file, taken where ``json_keys`` gives nothing; ``""``: none."""
    form: form.Form
    bounds: Bounds | None = None
    is_fatal: bool = False
    """A bad value in the environment stops the start; otherwise it warns and counts as not set."""
    is_secret: bool = False
    waits_for: str = ""
    """What has to exist before the setting has an effect; ``""``: it has one now."""

    @property
    def name(self) -> str:
        """By which people know it."""
        return self.variable or self.json_keys[0]


def _at_least(minimum: float, beyond: OutOfBounds, *, is_fatal_in_file: bool = False) -> Bounds:
    return Bounds(minimum=minimum, beyond=beyond, is_fatal_in_file=is_fatal_in_file)


_METADATA_FILE = "the container metadata file"
_PULL_NUMBERS = {
    0: PullBehavior.DEFAULT,
    1: PullBehavior.ALWAYS,
    2: PullBehavior.ONCE,
    3: PullBehavior.PREFER_CACHED,
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        field="cluster",
        section="3.1",
        variable="ECS_CLUSTER",
        json_keys=("Cluster",),
        deprecated_key="ClusterArn",
        form=form.TRIMMED,
    ),
    Setting(
        field="api_endpoint",
        section="3.1",
        variable="ECS_BACKEND_HOST",
        json_keys=("APIEndpoint",),
        form=form.URL,
    ),
    Setting(field="region", section="3.1", variable="AWS_DEFAULT_REGION", json_keys=("AWSRegion",), form=form.TRIMMED),
    Setting(field="aws_access_key_id", section="3.1", variable="AWS_ACCESS_KEY_ID", form=form.TEXT),
    Setting(
        field="aws_secret_access_key",
        section="3.1",
        variable="AWS_SECRET_ACCESS_KEY",
        form=form.SECRET,
        is_secret=True,
    ),
    Setting(
        field="aws_session_token",
        section="3.1",
        variable="AWS_SESSION_TOKEN",
        form=form.SECRET,
        is_secret=True,
    ),
    Setting(
        field="aws_shared_credentials_file",
        section="3.1",
        variable="AWS_SHARED_CREDENTIALS_FILE",
        form=form.TEXT,
    ),
    Setting(field="aws_profile", section="3.1", variable="AWS_PROFILE", form=form.TEXT),
    Setting(
        field="imds_endpoint",
        section="3.1",
        variable="AWS_EC2_METADATA_SERVICE_ENDPOINT",
        form=form.TRIMMED,
    ),
    Setting(
        field="imds_disabled",
        section="3.1",
        variable="AWS_EC2_METADATA_DISABLED",
        form=form.BOOL,
    ),
    Setting(
        field="alternate_credential_profile",
        section="3.1",
        variable="ECS_ALTERNATE_CREDENTIAL_PROFILE",
        form=form.TRIMMED,
    ),
    Setting(
        field="external",
        section="3.1",
        variable="ECS_EXTERNAL",
        json_keys=("External",),
        form=form.BOOL,
    ),
    Setting(field="no_iid", section="3.1", json_keys=("NoIID",), form=form.BOOL),
    Setting(
        field="instance_attributes",
        section="3.1",
        variable="ECS_INSTANCE_ATTRIBUTES",
        json_keys=("InstanceAttributes",),
        form=form.TEXT_MAP,
        is_fatal=True,
    ),
    Setting(
        field="container_instance_tags",
        section="3.1",
        variable="ECS_CONTAINER_INSTANCE_TAGS",
        json_keys=("ContainerInstanceTags",),
        form=form.TEXT_MAP,
        is_fatal=True,
    ),
    Setting(
        field="propagate_tags_from",
        section="3.1",
        variable="ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
        json_keys=("ContainerInstancePropagateTagsFrom",),
        form=form.choice(TagSource, numbers={0: TagSource.NONE, 1: TagSource.EC2_INSTANCE}, otherwise=TagSource.NONE),
        waits_for="copying the tags of the EC2 instance",
    ),
    Setting(field="detailed_os_family", section="3.1", variable="ECS_DETAILED_OS_FAMILY", form=form.TRIMMED),
    Setting(field="http_proxy", section="3.1", variable="HTTP_PROXY", form=form.PROXY),
    Setting(field="https_proxy", section="3.1", variable="HTTPS_PROXY", form=form.PROXY),
    Setting(field="no_proxy", section="3.1", variable="NO_PROXY", form=form.TEXT),
    Setting(field="data_dir", section="3.2", variable="ECS_DATADIR", json_keys=("DataDir",), form=form.TEXT),
    Setting(field="checkpoint", section="3.2", variable="ECS_CHECKPOINT", json_keys=("Checkpoint",), form=form.BOOL),
    Setting(
        field="host_data_dir",
        section="3.2",
        variable="ECS_HOST_DATA_DIR",
        json_keys=("DataDirOnHost",),
        form=form.TEXT,
        waits_for=_METADATA_FILE,
    ),
    Setting(
        field="docker_host",
        section="3.2",
        variable="DOCKER_HOST",
        json_keys=("DockerEndpoint",),
        form=form.DOCKER_HOST,
        is_fatal=True,
    ),
    Setting(
        field="reserved_ports_tcp",
        section="3.2",
        variable="ECS_RESERVED_PORTS",
        json_keys=("ReservedPorts",),
        form=form.PORT_LIST,
    ),
    Setting(
        field="reserved_ports_udp",
        section="3.2",
        variable="ECS_RESERVED_PORTS_UDP",
        json_keys=("ReservedPortsUDP",),
        form=form.PORT_LIST,
    ),
    Setting(
        field="reserved_memory_mib",
        section="3.2",
        variable="ECS_RESERVED_MEMORY",
        json_keys=("ReservedMemory",),
        form=form.integer_between(0, 65535),
    ),
    Setting(
        field="dynamic_host_port_range",
        section="3.2",
        variable="ECS_DYNAMIC_HOST_PORT_RANGE",
        form=form.PORT_RANGE,
    ),
    Setting(
        field="available_logging_drivers",
        section="3.2",
        variable="ECS_AVAILABLE_LOGGING_DRIVERS",
        json_keys=("AvailableLoggingDrivers",),
        form=form.known_words(*LOGGING_DRIVERS),
        is_fatal=True,
    ),
    Setting(
        field="privileged_disabled",
        section="3.2",
        variable="ECS_DISABLE_PRIVILEGED",
        json_keys=("PrivilegedDisabled",),
        form=form.BOOL,
    ),
    Setting(
        field="selinux_capable",
        section="3.2",
        variable="ECS_SELINUX_CAPABLE",
        json_keys=("SELinuxCapable",),
        form=form.BOOL,
    ),
    Setting(
        field="apparmor_capable",
        section="3.2",
        variable="ECS_APPARMOR_CAPABLE",
        json_keys=("AppArmorCapable",),
        form=form.BOOL,
    ),
    Setting(
        field="task_cpu_mem_limit",
        section="3.2",
        variable="ECS_ENABLE_TASK_CPU_MEM_LIMIT",
        json_keys=("TaskCPUMemLimit",),
        form=form.BOOL,
    ),
    Setting(
        field="cgroup_path",
        section="3.2",
        variable="ECS_CGROUP_PATH",
        json_keys=("CgroupPath",),
        form=form.TEXT,
    ),
    Setting(
        field="engine_auth_type",
        section="3.2",
        variable="ECS_ENGINE_AUTH_TYPE",
        json_keys=("EngineAuthType",),
        form=form.words("docker", "dockercfg"),
    ),
    Setting(
        field="engine_auth_data",
        section="3.2",
        variable="ECS_ENGINE_AUTH_DATA",
        json_keys=("EngineAuthData",),
        form=form.SECRET_OBJECT,
        is_secret=True,
    ),
    Setting(
        field="warm_pools_check",
        section="3.2",
        variable="ECS_WARM_POOLS_CHECK",
        json_keys=("WarmPoolsSupport",),
        form=form.BOOL,
        waits_for="waiting in a warm pool",
    ),
    Setting(
        field="spot_instance_draining",
        section="3.2",
        variable="ECS_ENABLE_SPOT_INSTANCE_DRAINING",
        json_keys=("SpotInstanceDrainingEnabled",),
        form=form.BOOL,
    ),
    Setting(
        field="cleanup_wait_s",
        section="3.3",
        variable="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
        json_keys=("TaskCleanupWaitDuration",),
        form=form.DURATION,
        bounds=_at_least(1, OutOfBounds.DEFAULT),
    ),
    Setting(
        field="cleanup_jitter_s",
        section="3.3",
        variable="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
        json_keys=("TaskCleanupWaitDurationJitter",),
        form=form.DURATION,
    ),
    Setting(
        field="stop_timeout_s",
        section="3.3",
        variable="ECS_CONTAINER_STOP_TIMEOUT",
        json_keys=("DockerStopTimeout",),
        form=form.DURATION,
        bounds=_at_least(1, OutOfBounds.CLAMP, is_fatal_in_file=True),
    ),
    Setting(
        field="container_start_timeout_s",
        section="3.3",
        variable="ECS_CONTAINER_START_TIMEOUT",
        json_keys=("ContainerStartTimeout",),
        form=form.DURATION,
        bounds=_at_least(45, OutOfBounds.CLAMP, is_fatal_in_file=True),
    ),
    Setting(
        field="container_create_timeout_s",
        section="3.3",
        variable="ECS_CONTAINER_CREATE_TIMEOUT",
        json_keys=("ContainerCreateTimeout",),
        form=form.DURATION,
        bounds=_at_least(60, OutOfBounds.CLAMP),
    ),
    Setting(
        field="manifest_pull_timeout_s",
        section="3.3",
        variable="ECS_MANIFEST_PULL_TIMEOUT",
        json_keys=("ManifestPullTimeout",),
        form=form.DURATION,
        bounds=_at_least(30, OutOfBounds.CLAMP),
    ),
    Setting(
        field="image_pull_timeout_s",
        section="3.3",
        variable="ECS_IMAGE_PULL_TIMEOUT",
        json_keys=("ImagePullTimeout",),
        form=form.DURATION,
    ),
    Setting(
        field="image_pull_inactivity_timeout_s",
        section="3.3",
        variable="ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
        json_keys=("ImagePullInactivityTimeout",),
        form=form.DURATION,
        bounds=_at_least(60, OutOfBounds.CLAMP),
    ),
    Setting(
        field="image_pull_behavior",
        section="3.3",
        variable="ECS_IMAGE_PULL_BEHAVIOR",
        json_keys=("ImagePullBehavior",),
        form=form.choice(PullBehavior, numbers=_PULL_NUMBERS),
    ),
    Setting(
        field="pull_dependents_upfront",
        section="3.3",
        variable="ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT",
        json_keys=("DependentContainersPullUpfront",),
        form=form.BOOL,
    ),
    Setting(
        field="image_cleanup_disabled",
        section="3.3",
        variable="ECS_DISABLE_IMAGE_CLEANUP",
        json_keys=("ImageCleanupDisabled",),
        form=form.BOOL,
    ),
    Setting(
        field="image_cleanup_interval_s",
        section="3.3",
        variable="ECS_IMAGE_CLEANUP_INTERVAL",
        json_keys=("ImageCleanupInterval",),
        form=form.DURATION,
        bounds=_at_least(600, OutOfBounds.DEFAULT),
    ),
    Setting(
        field="image_minimum_age_s",
        section="3.3",
        variable="ECS_IMAGE_MINIMUM_CLEANUP_AGE",
        json_keys=("MinimumImageDeletionAge",),
        form=form.DURATION,
    ),
    Setting(
        field="images_per_cycle",
        section="3.3",
        variable="ECS_NUM_IMAGES_DELETE_PER_CYCLE",
        json_keys=("NumImagesToDeletePerCycle",),
        form=form.INTEGER,
        bounds=_at_least(1, OutOfBounds.DEFAULT),
    ),
    Setting(
        field="images_excluded",
        section="3.3",
        variable="ECS_EXCLUDE_UNTRACKED_IMAGE",
        json_keys=("ImageCleanupExclusionList",),
        form=form.COMMA_LIST,
    ),
    Setting(
        field="docker_health_check_disabled",
        section="3.3",
        variable="ECS_DISABLE_DOCKER_HEALTH_CHECK",
        json_keys=("DisableDockerHealthCheck",),
        form=form.BOOL,
    ),
    Setting(
        field="container_metadata_enabled",
        section="3.3",
        variable="ECS_ENABLE_CONTAINER_METADATA",
        json_keys=("ContainerMetadataEnabled",),
        form=form.BOOL,
        waits_for=_METADATA_FILE,
    ),
    Setting(
        field="exclude_ipv6_port_binding",
        section="3.3",
        variable="ECS_EXCLUDE_IPV6_PORTBINDING",
        json_keys=("ShouldExcludeIPv6PortBinding",),
        form=form.BOOL,
    ),
    Setting(
        field="task_iam_role_enabled",
        section="3.4",
        variable="ECS_ENABLE_TASK_IAM_ROLE",
        json_keys=("TaskIAMRoleEnabled",),
        form=form.BOOL,
    ),
    Setting(
        field="task_iam_role_enabled_for_network_host",
        section="3.4",
        variable="ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST",
        json_keys=("TaskIAMRoleEnabledForNetworkHost",),
        form=form.BOOL,
    ),
    Setting(
        field="awslogs_execution_role_override",
        section="3.4",
        variable="ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE",
        json_keys=("OverrideAWSLogsExecutionRole",),
        form=form.BOOL,
        waits_for="writing logs with the execution role",
    ),
    Setting(
        field="audit_log_file",
        section="3.4",
        variable="ECS_AUDIT_LOGFILE",
        json_keys=("CredentialsAuditLogFile",),
        form=form.TEXT,
    ),
    Setting(
        field="audit_log_disabled",
        section="3.4",
        variable="ECS_AUDIT_LOGFILE_DISABLED",
        json_keys=("CredentialsAuditLogDisabled",),
        form=form.BOOL,
    ),
    Setting(
        field="task_metadata_rates",
        section="3.4",
        variable="ECS_TASK_METADATA_RPS_LIMIT",
        json_keys=("TaskMetadataSteadyStateRate", "TaskMetadataBurstRate"),
        form=form.RATES,
    ),
    Setting(
        field="metrics_disabled",
        section="3.5",
        variable="ECS_DISABLE_METRICS",
        json_keys=("DisableMetrics",),
        form=form.BOOL,
    ),
    Setting(
        field="poll_metrics",
        section="3.5",
        variable="ECS_POLL_METRICS",
        json_keys=("PollMetrics",),
        form=form.BOOL,
    ),
    Setting(
        field="polling_metrics_wait_s",
        section="3.5",
        variable="ECS_POLLING_METRICS_WAIT_DURATION",
        json_keys=("PollingMetricsWaitDuration",),
        form=form.DURATION,
        bounds=Bounds(minimum=5, maximum=20, beyond=OutOfBounds.CLAMP, only_with="poll_metrics"),
    ),
    Setting(field="log_level", section="3.5", variable="ECS_LOGLEVEL", form=form.choice(LogLevel)),
    Setting(
        field="log_level_on_instance",
        section="3.5",
        variable="ECS_LOGLEVEL_ON_INSTANCE",
        form=form.choice(LogLevel),
    ),
    Setting(field="log_file", section="3.5", variable="ECS_LOGFILE", form=form.TEXT),
    Setting(field="log_format", section="3.5", variable="ECS_LOG_OUTPUT_FORMAT", form=form.choice(LogFormat)),
    Setting(
        field="log_rollover",
        section="3.5",
        variable="ECS_LOG_ROLLOVER_TYPE",
        form=form.choice(LogRollover, otherwise=LogRollover.HOURLY),
    ),
    Setting(field="log_max_file_size_mb", section="3.5", variable="ECS_LOG_MAX_FILE_SIZE_MB", form=form.NUMBER),
    Setting(
        field="log_max_roll_count",
        section="3.5",
        variable="ECS_LOG_MAX_ROLL_COUNT",
        form=form.integer_between(0, 10_000),
    ),
    Setting(
        field="healthcheck_host",
        section="3.5",
        variable="ECS_AGENT_HEALTHCHECK_HOST",
        form=form.TRIMMED,
        waits_for="the self-check of the container image",
    ),
    Setting(
        field="runtime_stats",
        section="3.5",
        variable="ECS_ENABLE_RUNTIME_STATS",
        json_keys=("EnableRuntimeStats",),
        form=form.BOOL,
    ),
    Setting(
        field="introspection_addresses",
        section="ecscope",
        variable="ECSCOPE_INTROSPECTION_ADDRESS",
        form=form.ADDRESSES,
        is_fatal=True,
    ),
    Setting(field="drain_on_sigterm", section="ecscope", variable="ECSCOPE_DRAIN_ON_SIGTERM", form=form.BOOL),
)

UNSUPPORTED: dict[str, tuple[str, ...]] = {
    "3.1": ("ECS_INSTANCE_IP_COMPATIBILITY",),
    "3.2": (
        "ECS_CGROUP_CPU_PERIOD",
        "ECS_TASK_PIDS_LIMIT",
        "ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2",
    ),
    "3.3": (
        "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP",
        "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
        "NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE",
        "ECS_SHARED_VOLUME_MATCH_FULL_CONFIG",
        "ECS_VOLUME_PLUGIN_CAPABILITIES",
        "ECS_ENABLE_FIRELENS_ASYNC",
    ),
    "3.4": (
        "ECS_DISABLE_TASK_METADATA_AZ",
        "ECS_ENABLE_TASK_ENI",
        "ECS_ENABLE_HIGH_DENSITY_ENI",
        "ECS_CNI_PLUGINS_PATH",
        "ECS_AWSVPC_BLOCK_IMDS",
        "ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES",
        "ECS_PAUSE_LABELS",
        "ECS_CNI_LOGLEVEL",
        "ECS_CNI_LOG_FILE",
    ),
    "3.5": ("ECS_ENABLE_PROMETHEUS_METRICS",),
    "3.6": (
        "ECS_UPDATES_ENABLED",
        "ECS_UPDATE_DOWNLOAD_DIR",
        "ECS_ENABLE_GPU_SUPPORT",
        "ECS_NVIDIA_RUNTIME",
        "ECS_ENABLE_INF_SUPPORT",
        "ECS_EBSTA_SUPPORTED",
        "ECS_GMSA_SUPPORTED",
        "CREDENTIALS_FETCHER_HOST",
        "CREDENTIALS_FETCHER_HOST_DIR",
        "CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA",
        "ECS_DOMAIN_JOINED_LINUX_INSTANCE",
        "ECS_FSX_WINDOWS_FILE_SERVER_SUPPORTED",
        "ECS_ENABLE_CPU_UNBOUNDED_WINDOWS_WORKAROUND",
        "ECS_ENABLE_MEMORY_UNBOUNDED_WINDOWS_WORKAROUND",
    ),
    "4": (
        "ECS_SKIP_LOCALHOST_TRAFFIC_FILTER",
        "ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS",
        "ECS_OFFHOST_INTROSPECTION_INTERFACE_NAME",
        "ECS_AGENT_LABELS",
        "ECS_AGENT_APPARMOR_PROFILE",
        "ECS_AGENT_PID_NAMESPACE_HOST",
        "ECS_AGENT_RUN_PRIVILEGED",
        "ECS_LOG_DRIVER",
        "ECS_LOG_OPTS",
        "ECS_INIT_DOCKER_LOG_FILE_SIZE",
        "ECS_INIT_DOCKER_LOG_FILE_NUM",
    ),
}
"""Variables of the official agent that are known and have no effect here yet, by section of configuration.md.

``SSL_CERT_DIR`` is not among them: the TLS library reads it by itself.
"""

UNSUPPORTED_KEYS: tuple[str, ...] = (
    "TaskPidsLimit",
    "PropagateTaskMemoryLimitCgroupV2",
    "DeleteNonECSImagesEnabled",
    "NonECSMinimumImageDeletionAge",
    "NumNonECSContainersToDeletePerCycle",
    "SharedVolumeMatchFullConfig",
    "VolumePluginCapabilities",
    "FirelensAsyncEnabled",
    "TaskMetadataAZDisabled",
    "TaskENIEnabled",
    "CNIPluginsPath",
    "AWSVPCBlockInstanceMetdata",
    "AWSVPCAdditionalLocalRoutes",
    "OverrideAWSVPCLocalIPv4Address",
    "ENIPauseContainerCleanupDelaySeconds",
    "InstanceENIDNSServerList",
    "PauseContainerImageName",
    "PauseContainerTag",
    "PauseContainerTarballPath",
    "RuntimeStatsLogFile",
    "UpdatesEnabled",
    "UpdateDownloadDir",
    "GPUSupportEnabled",
    "NvidiaRuntime",
    "InferentiaSupportEnabled",
    "EBSTASupportEnabled",
    "CSIDriverSocketPath",
    "NodeStageTimeout",
    "NodeUnstageTimeout",
    "FSxWindowsFileServerCapable",
    "PlatformVariables",
)
"""Keys of the JSON file that are known and have no effect here yet."""

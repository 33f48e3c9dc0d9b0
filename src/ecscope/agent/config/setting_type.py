"""What a setting is: its names in each source, its form, its bounds, and what a bad value does.

Each one is a field of ``Config`` (``settings``), annotated with its ``Setting``. The variables of the official
agent that have no field are listed here.

Source: configuration.md §3, §4.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ecscope.agent.config import values as form

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
    """Annotates a field of ``Config``."""

    field: str = ""
    """Of ``Config``; filled in by ``config.SETTINGS``."""
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

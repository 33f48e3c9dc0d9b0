"""Every setting: its default, each source, their order, its bounds, and what a wrong value does and says."""

import re
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path

import msgspec
import pytest

from ecscope.agent.config.load import LoadedConfig, load_config
from ecscope.agent.config.setting_type import UNSUPPORTED, UNSUPPORTED_KEYS, Setting, TagSource
from ecscope.agent.config.settings import SETTINGS, Config
from ecscope.agent.config.sources import DEFAULT_JSON_FILE, ENVIRONMENT_FILE, PORT_RANGE_FILE, InstanceData, OriginKind
from ecscope.agent.config.values import Secret
from ecscope.agent.core.state import PullBehavior
from ecscope.log import LogFormat, LogLevel, LogRollover
from tests.tables import each_row

SHEET = Path(__file__).parents[4] / "docs" / "facts" / "configuration.md"
ROWS = {setting.name: setting for setting in SETTINGS}


def load(
    environ: Mapping[str, str] | None = None,
    *,
    json_file: object | None = None,
    ecs_config: str | None = None,
    files: Mapping[str, str] | None = None,
    standalone: bool = True,
    overrides: Mapping[str, tuple[str, str]] | None = None,
    instance_data: InstanceData | None = None,
) -> LoadedConfig:
    """``load_config`` on files that exist in this call only; with ``--tasks`` unless told otherwise."""
    texts = dict(files or {})
    if json_file is not None:
        texts[DEFAULT_JSON_FILE] = msgspec.json.encode(json_file).decode()
    if ecs_config is not None:
        texts[ENVIRONMENT_FILE] = ecs_config
    return load_config(
        environ or {},
        standalone=standalone,
        overrides=overrides or {},
        file_reader=texts.get,
        instance_data=instance_data,
    )


# One row per setting: variable, its text, the value; JSON key, its value (as the variable's unless other), the default.
# Written from the fact sheet, not from the table under test.
NANOSECONDS = 1_000_000_000
VALUES: list[tuple[str, str, object, str, object, object]] = [
    ("ECS_CLUSTER", " prod ", "prod", "Cluster", " prod ", "default"),
    ("ECS_BACKEND_HOST", "ecs.example.com", "https://ecs.example.com", "APIEndpoint", "ecs.example.com", ""),
    ("AWS_DEFAULT_REGION", " eu-west-1", "eu-west-1", "AWSRegion", "eu-west-1 ", ""),
    ("AWS_ACCESS_KEY_ID", "AKIA", "AKIA", "", None, ""),
    ("AWS_SECRET_ACCESS_KEY", "hush", Secret("hush"), "", None, Secret()),
    ("AWS_SESSION_TOKEN", "hush", Secret("hush"), "", None, Secret()),
    ("AWS_SHARED_CREDENTIALS_FILE", "/c", "/c", "", None, ""),
    ("AWS_PROFILE", "p", "p", "", None, ""),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "http://127.0.0.1:1", "", None, ""),
    ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1", "http://127.0.0.1:1", "", None, ""),
    ("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1", "http://127.0.0.1:1", "", None, ""),
    ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:1", "http://127.0.0.1:1", "", None, ""),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", "http://127.0.0.1:1", "", None, ""),
    ("AWS_EC2_METADATA_DISABLED", "true", True, "", None, False),
    ("ECS_ALTERNATE_CREDENTIAL_PROFILE", "p", "p", "", None, "default"),
    ("ECS_EXTERNAL", "true", True, "External", True, False),
    ("ECS_INSTANCE_ATTRIBUTES", '{"a":"b"}', {"a": "b"}, "InstanceAttributes", {"a": "b"}, {}),
    ("ECS_CONTAINER_INSTANCE_TAGS", '{"a":"b"}', {"a": "b"}, "ContainerInstanceTags", {"a": "b"}, {}),
    (
        "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
        "ec2_instance",
        TagSource.EC2_INSTANCE,
        "ContainerInstancePropagateTagsFrom",
        1,
        TagSource.NONE,
    ),
    ("ECS_DETAILED_OS_FAMILY", "DEBIAN_12", "DEBIAN_12", "", None, "LINUX"),
    ("HTTP_PROXY", "http://p:1", "http://p:1", "", None, ""),
    ("HTTPS_PROXY", "http://p:1", "http://p:1", "", None, ""),
    ("NO_PROXY", "a,b", "a,b", "", None, "169.254.169.254,169.254.170.2"),
    ("ECS_DATADIR", "/d", "/d", "DataDir", "/d", "/data/"),
    ("ECS_CHECKPOINT", "true", True, "Checkpoint", True, False),
    ("ECS_HOST_DATA_DIR", "/h", "/h", "DataDirOnHost", "/h", "/var/lib/ecs"),
    ("DOCKER_HOST", "tcp://d:1", "tcp://d:1", "DockerEndpoint", "tcp://d:1", "unix:///var/run/docker.sock"),
    ("ECS_RESERVED_PORTS", "[22,80]", (22, 80), "ReservedPorts", [22, 80], (22, 2375, 2376, 51678, 51679)),
    ("ECS_RESERVED_PORTS_UDP", "[53]", (53,), "ReservedPortsUDP", [53], ()),
    ("ECS_RESERVED_MEMORY", "32", 32, "ReservedMemory", 32, 0),
    ("ECS_DYNAMIC_HOST_PORT_RANGE", "40000-50000", (40000, 50000), "", None, (49153, 65535)),
    (
        "ECS_AVAILABLE_LOGGING_DRIVERS",
        '["awslogs","none"]',
        ("awslogs", "none"),
        "AvailableLoggingDrivers",
        ["awslogs", "none"],
        ("json-file", "none"),
    ),
    ("ECS_DISABLE_PRIVILEGED", "true", True, "PrivilegedDisabled", True, False),
    ("ECS_SELINUX_CAPABLE", "true", True, "SELinuxCapable", True, False),
    ("ECS_APPARMOR_CAPABLE", "true", True, "AppArmorCapable", True, False),
    ("ECS_ENABLE_TASK_CPU_MEM_LIMIT", "false", False, "TaskCPUMemLimit", False, True),
    ("ECS_CGROUP_PATH", "/c", "/c", "CgroupPath", "/c", "/sys/fs/cgroup"),
    ("ECS_ENGINE_AUTH_TYPE", " docker ", "docker", "EngineAuthType", "docker", ""),
    ("ECS_ENGINE_AUTH_DATA", '{"a":1}', Secret('{"a":1}'), "EngineAuthData", {"a": 1}, Secret()),
    ("ECS_WARM_POOLS_CHECK", "true", True, "WarmPoolsSupport", True, False),
    ("ECS_ENABLE_SPOT_INSTANCE_DRAINING", "true", True, "SpotInstanceDrainingEnabled", True, False),
    (
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
        "1h30m",
        5400.0,
        "TaskCleanupWaitDuration",
        5400 * NANOSECONDS,
        10800.0,
    ),
    (
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
        "10m",
        600.0,
        "TaskCleanupWaitDurationJitter",
        600 * NANOSECONDS,
        0.0,
    ),
    ("ECS_CONTAINER_STOP_TIMEOUT", "1m", 60.0, "DockerStopTimeout", 60 * NANOSECONDS, 30.0),
    ("ECS_CONTAINER_START_TIMEOUT", "1m", 60.0, "ContainerStartTimeout", 60 * NANOSECONDS, 180.0),
    ("ECS_CONTAINER_CREATE_TIMEOUT", "2m", 120.0, "ContainerCreateTimeout", 120 * NANOSECONDS, 240.0),
    ("ECS_MANIFEST_PULL_TIMEOUT", "45s", 45.0, "ManifestPullTimeout", 45 * NANOSECONDS, 60.0),
    ("ECS_IMAGE_PULL_TIMEOUT", "1h", 3600.0, "ImagePullTimeout", 3600 * NANOSECONDS, 7200.0),
    ("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", "2m", 120.0, "ImagePullInactivityTimeout", 120 * NANOSECONDS, 60.0),
    ("ECS_IMAGE_PULL_BEHAVIOR", "once", PullBehavior.ONCE, "ImagePullBehavior", 2, PullBehavior.DEFAULT),
    ("ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT", "true", True, "DependentContainersPullUpfront", True, False),
    ("ECS_DISABLE_IMAGE_CLEANUP", "true", True, "ImageCleanupDisabled", True, False),
    ("ECS_IMAGE_CLEANUP_INTERVAL", "1h", 3600.0, "ImageCleanupInterval", 3600 * NANOSECONDS, 1800.0),
    ("ECS_IMAGE_MINIMUM_CLEANUP_AGE", "2h", 7200.0, "MinimumImageDeletionAge", 7200 * NANOSECONDS, 3600.0),
    ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "7", 7, "NumImagesToDeletePerCycle", 7, 5),
    ("ECS_EXCLUDE_UNTRACKED_IMAGE", "a:1, b:2", ("a:1", "b:2"), "ImageCleanupExclusionList", ["a:1", "b:2"], ()),
    ("ECS_DISABLE_DOCKER_HEALTH_CHECK", "true", True, "DisableDockerHealthCheck", True, False),
    ("ECS_ENABLE_CONTAINER_METADATA", "true", True, "ContainerMetadataEnabled", True, False),
    ("ECS_EXCLUDE_IPV6_PORTBINDING", "false", False, "ShouldExcludeIPv6PortBinding", False, True),
    ("ECS_ENABLE_TASK_IAM_ROLE", "true", True, "TaskIAMRoleEnabled", True, False),
    ("ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST", "true", True, "TaskIAMRoleEnabledForNetworkHost", True, False),
    ("ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE", "true", True, "OverrideAWSLogsExecutionRole", True, False),
    ("ECS_AUDIT_LOGFILE", "/a", "/a", "CredentialsAuditLogFile", "/a", "/log/audit.log"),
    ("ECS_AUDIT_LOGFILE_DISABLED", "true", True, "CredentialsAuditLogDisabled", True, False),
    ("ECS_TASK_METADATA_RPS_LIMIT", "10, 20", (10, 20), "", None, (40, 60)),
    ("ECS_DISABLE_TASK_METADATA_AZ", "true", True, "TaskMetadataAZDisabled", True, False),
    ("ECS_DISABLE_METRICS", "true", True, "DisableMetrics", True, False),
    ("ECS_POLL_METRICS", "true", True, "PollMetrics", True, False),
    ("ECS_POLLING_METRICS_WAIT_DURATION", "15s", 15.0, "PollingMetricsWaitDuration", 15 * NANOSECONDS, 10.0),
    ("ECS_LOGLEVEL", "warn", LogLevel.WARN, "", None, LogLevel.INFO),
    ("ECS_LOGLEVEL_ON_INSTANCE", "crit", LogLevel.CRIT, "", None, LogLevel.INFO),
    ("ECS_LOGFILE", "/l", "/l", "", None, ""),
    ("ECS_LOG_OUTPUT_FORMAT", "json", LogFormat.JSON, "", None, LogFormat.LOGFMT),
    ("ECS_LOG_ROLLOVER_TYPE", "daily", LogRollover.HOURLY, "", None, LogRollover.SIZE),
    ("ECS_LOG_MAX_FILE_SIZE_MB", "0.5", 0.5, "", None, 5.0),
    ("ECS_LOG_MAX_ROLL_COUNT", "3", 3, "", None, 24),
    ("ECS_AGENT_HEALTHCHECK_HOST", "h", "h", "", None, "localhost"),
    ("ECS_ENABLE_RUNTIME_STATS", "true", True, "EnableRuntimeStats", True, False),
    ("ECSCOPE_INTROSPECTION_ADDRESS", "10.0.0.1, ::1", ("10.0.0.1", "::1"), "", None, ("0.0.0.0", "::")),
    ("ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS", "true", True, "", None, False),
    ("ECSCOPE_DOCKER_CONFIG", "/home/me/.docker/config.json", "/home/me/.docker/config.json", "", None, ""),
    ("ECSCOPE_LOCAL_IMAGES", '{"r.example/a": "a:dev"}', {"r.example/a": "a:dev"}, "", None, {}),
    ("ECSCOPE_TASK_ENDPOINT_PORT", "51677", 51677, "", None, 0),
    ("ECSCOPE_TASK_BRIDGE", " ecs-1 ", "ecs-1", "", None, ""),
    ("ECSCOPE_TASK_SUBNET", "10.213.0.0/20", "10.213.0.0/20", "", None, ""),
    ("ECSCOPE_AWSLOGS_WITH_AGENT_KEYS", "true", True, "", None, False),
    ("ECSCOPE_DRAIN_ON_SIGTERM", "true", True, "", None, False),
    ("ECSCOPE_REPORT_HEALTH_AT_ONCE", "true", True, "", None, False),
]
IDS = [row[0] for row in VALUES]


def field_of(variable: str) -> str:
    return ROWS[variable].field


def value_of(loaded: LoadedConfig, variable: str) -> object:
    return getattr(loaded.config, field_of(variable))


def test_every_row_is_tested_here() -> None:
    assert set(IDS) | {"NoIID"} == set(ROWS)
    assert {setting.field for setting in SETTINGS} | {"cluster_is_configured"} == set(Config.__struct_fields__)


each_setting = each_row("variable, text, value, key, json_value, default", VALUES, name=itemgetter(0))


class TestEverySetting:
    @each_setting
    def test_default(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        loaded = load(standalone=False)
        assert value_of(loaded, variable) == default
        assert loaded.origins[field_of(variable)].kind is OriginKind.DEFAULT

    @each_setting
    def test_environment(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        loaded = load({variable: text}, ecs_config=f"{variable}=other")
        assert value_of(loaded, variable) == value
        assert type(value_of(loaded, variable)) is type(value)
        origin = loaded.origins[field_of(variable)]
        assert (origin.kind, origin.name) == (OriginKind.ENVIRONMENT, variable)
        assert not loaded.errors

    @each_setting
    def test_ecs_config_is_the_weakest(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        loaded = load(ecs_config=f"# comment={text}\n\n  {variable}={text}\nnonsense\n")
        assert value_of(loaded, variable) == value
        assert loaded.origins[field_of(variable)].place == ENVIRONMENT_FILE

    @each_setting
    def test_json_file(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        if not key:
            assert ROWS[variable].json_keys == () or len(ROWS[variable].json_keys) == 2
            return
        loaded = load(json_file={key: json_value}, ecs_config=f"{variable}=other")
        assert value_of(loaded, variable) == value
        assert type(value_of(loaded, variable)) is type(value)
        origin = loaded.origins[field_of(variable)]
        assert (origin.kind, origin.name, origin.place) == (OriginKind.JSON_FILE, key, DEFAULT_JSON_FILE)

    @each_setting
    def test_environment_wins_over_the_json_file(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        loaded = load({variable: text}, json_file={key: json_value} if key else {})
        assert loaded.origins[field_of(variable)].kind is OriginKind.ENVIRONMENT

    @each_setting
    def test_empty_lets_the_next_source_through(
        self, variable: str, text: str, value: object, key: str, json_value: object, default: object
    ) -> None:
        loaded = load({variable: ""}, json_file={key: None} if key else None, ecs_config=f"{variable}={text}")
        assert value_of(loaded, variable) == value


BAD = [
    # variable, bad text, fatal, words of the advice
    ("ECS_CHECKPOINT", "yes", False, "write true or false"),
    ("ECS_CHECKPOINT", "tRuE", False, "write true or false"),
    ("ECS_CONTAINER_STOP_TIMEOUT", "30", False, "such as 300ms, 10s"),
    ("ECS_IMAGE_PULL_TIMEOUT", "-1s", False, "cannot be negative"),
    ("ECS_RESERVED_MEMORY", "65536", False, "from 0 to 65535"),
    ("ECS_RESERVED_MEMORY", "lots", False, "a whole number"),
    ("ECS_RESERVED_PORTS", "22,80", False, "such as [22,80]"),
    ("ECS_RESERVED_PORTS", "[70000]", False, "from 0 to 65535"),
    ("ECS_RESERVED_PORTS", "[true]", False, "from 0 to 65535"),
    ("ECS_RESERVED_PORTS_UDP", "{}", False, "such as [22,80]"),
    ("ECS_DYNAMIC_HOST_PORT_RANGE", "50000-40000", False, "such as 49153-65535"),
    ("ECS_DYNAMIC_HOST_PORT_RANGE", "1-70000", False, "such as 49153-65535"),
    ("ECS_AVAILABLE_LOGGING_DRIVERS", '["jsonfile"]', True, "'jsonfile' is not known; known are json-file"),
    ("ECS_AVAILABLE_LOGGING_DRIVERS", "json-file", True, 'such as ["json-file","awslogs"]'),
    ("ECS_INSTANCE_ATTRIBUTES", "{", True, 'such as {"stack":"prod"}'),
    ("ECS_INSTANCE_ATTRIBUTES", '{"a":1}', True, 'such as {"stack":"prod"}'),
    ("ECS_CONTAINER_INSTANCE_TAGS", "[]", True, 'such as {"stack":"prod"}'),
    ("ECS_ENGINE_AUTH_TYPE", "ecr", False, "write one of docker, dockercfg"),
    ("ECS_IMAGE_PULL_BEHAVIOR", "never", False, "write one of default, always, once, prefer-cached"),
    ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "1.5", False, "such as 5"),
    ("ECS_TASK_METADATA_RPS_LIMIT", "40", False, "as 40,60"),
    ("ECS_TASK_METADATA_RPS_LIMIT", "0,60", False, "above 0"),
    ("ECS_LOGLEVEL", "loud", False, "debug, info, warn, error, crit, none"),
    ("ECS_LOG_OUTPUT_FORMAT", "xml", False, "logfmt, json"),
    ("ECS_LOG_MAX_FILE_SIZE_MB", "big", False, "such as 5 or 0.5"),
    ("ECS_LOG_MAX_FILE_SIZE_MB", "-1", False, "not negative"),
    ("ECS_LOG_MAX_FILE_SIZE_MB", "nan", False, "not negative"),
    ("ECS_LOG_MAX_ROLL_COUNT", "-1", False, "from 0 to"),
    ("DOCKER_HOST", "/var/run/docker.sock", True, "write unix:///path/to/docker.sock or tcp://host:port"),
    ("ECSCOPE_LOCAL_IMAGES", "[]", True, 'such as {"stack":"prod"}'),
    ("ECSCOPE_LOCAL_IMAGES", '{"r.example/A": "a"}', True, "has a bad name"),
    ("ECSCOPE_INTROSPECTION_ADDRESS", "localhost", True, "or * for all"),
    ("ECSCOPE_INTROSPECTION_ADDRESS", "*,127.0.0.1", True, "or * for all"),
]


@each_row("variable, text, is_fatal, advice", BAD)
def test_a_bad_value_is_told_with_what_would_be_right(variable: str, text: str, is_fatal: bool, advice: str) -> None:
    loaded = load({variable: text})
    mistakes = loaded.errors if is_fatal else loaded.warnings
    told = [mistake for mistake in mistakes if mistake.name == variable and mistake.reason != ""]
    mine = [mistake for mistake in told if advice in mistake.reason]
    assert len(mine) == 1
    assert str(mine[0]).startswith(f"{variable}={text} (environment): ")
    assert is_fatal == bool(loaded.errors)
    assert value_of(loaded, variable) == value_of(load(), variable)


def test_a_bad_value_lets_the_next_source_through() -> None:
    loaded = load({"ECS_CONTAINER_STOP_TIMEOUT": "soon"}, json_file={"DockerStopTimeout": 5 * NANOSECONDS})
    assert loaded.config.stop_timeout_s == 5
    assert [mistake.name for mistake in loaded.warnings] == ["ECS_CONTAINER_STOP_TIMEOUT"]


@each_row(
    "variable, zero",
    [
        ("ECS_CONTAINER_STOP_TIMEOUT", "0s"),
        ("ECS_RESERVED_MEMORY", "0"),
        ("ECS_RESERVED_PORTS", "[]"),
        ("ECS_RESERVED_PORTS", "null"),
        ("ECS_INSTANCE_ATTRIBUTES", "{}"),
        ("ECS_AVAILABLE_LOGGING_DRIVERS", "[]"),
        ("ECS_EXCLUDE_UNTRACKED_IMAGE", " , "),
        ("ECS_CLUSTER", "  "),
        ("ECS_CHECKPOINT", "  "),
        ("ECS_LOG_MAX_FILE_SIZE_MB", "0"),
        ("ECS_ENGINE_AUTH_DATA", "{}"),
    ],
)
def test_zero_counts_as_not_set(variable: str, zero: str) -> None:
    row = next(row for row in VALUES if row[0] == variable)
    loaded = load({variable: zero}, ecs_config=f"{variable}={row[1]}")
    assert value_of(loaded, variable) == row[2]
    assert not [mistake for mistake in loaded.warnings if "supported" not in mistake.reason]


@each_row("word", ["1", "t", "T", "TRUE", "true", "True", " true "])
def test_the_go_spellings_of_true(word: str) -> None:
    assert load({"ECS_DISABLE_METRICS": word}).config.metrics_disabled is True


@each_row("word", ["0", "f", "F", "FALSE", "false", "False", " false\t"])
def test_the_go_spellings_of_false_are_set_and_hold(word: str) -> None:
    loaded = load({"ECS_ENABLE_TASK_CPU_MEM_LIMIT": word}, json_file={"TaskCPUMemLimit": True})
    assert loaded.config.task_cpu_mem_limit is False


BOUNDS = [
    # variable, too small or large, what is used, the text of the limit
    ("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", "999ms", 10800.0, "at least 1s. 3h0m0s is used"),
    ("ECS_CONTAINER_STOP_TIMEOUT", "10ms", 1.0, "at least 1s. 1s is used"),
    ("ECS_CONTAINER_START_TIMEOUT", "44s", 45.0, "at least 45s. 45s is used"),
    ("ECS_CONTAINER_CREATE_TIMEOUT", "59s", 60.0, "at least 1m0s. 1m0s is used"),
    ("ECS_MANIFEST_PULL_TIMEOUT", "29s", 30.0, "at least 30s. 30s is used"),
    ("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", "59s", 60.0, "at least 1m0s. 1m0s is used"),
    ("ECS_IMAGE_CLEANUP_INTERVAL", "9m59s", 1800.0, "at least 10m0s. 30m0s is used"),
    ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "-3", 5, "at least 1. 5 is used"),
]


@each_row("variable, text, used, sentence", BOUNDS)
def test_bounds_of_a_variable(variable: str, text: str, used: object, sentence: str) -> None:
    loaded = load({variable: text})
    assert value_of(loaded, variable) == used
    assert [str(mistake) for mistake in loaded.warnings] == [f"{variable}={text} (environment): must be {sentence}"]


@pytest.mark.parametrize("key", ["DockerStopTimeout", "ContainerStartTimeout"])
def test_two_bounds_are_fatal_in_the_json_file(key: str) -> None:
    loaded = load(json_file={key: 5})
    assert [mistake.name for mistake in loaded.errors] == [key]
    assert f"{key}=5 ({DEFAULT_JSON_FILE}): must be at least " in str(loaded.errors[0])


def test_other_bounds_hold_in_the_json_file_as_in_the_environment() -> None:
    loaded = load(json_file={"ContainerCreateTimeout": 5, "TaskCleanupWaitDuration": 5})
    assert (loaded.config.container_create_timeout_s, loaded.config.cleanup_wait_s) == (60.0, 10800.0)
    assert not loaded.errors


@pytest.mark.parametrize(("text", "used"), [("4s", 5.0), ("21s", 20.0), ("5s", 5.0), ("20s", 20.0)])
def test_the_poll_interval_is_clamped_only_when_polling(text: str, used: float) -> None:
    variable = "ECS_POLLING_METRICS_WAIT_DURATION"
    assert load({variable: text, "ECS_POLL_METRICS": "true"}).config.polling_metrics_wait_s == used
    assert load({variable: text}).config.polling_metrics_wait_s == float(text[:-1])


BAD_JSON = [
    ("Cluster", 5, "write a text in quotes"),
    ("Checkpoint", "true", "without quotes"),
    ("DockerStopTimeout", "30s", "30000000000 for 30s"),
    ("DockerStopTimeout", 1.5, "30000000000 for 30s"),
    ("DockerStopTimeout", -1, "cannot be negative"),
    ("ReservedMemory", "5", "without quotes"),
    ("ReservedMemory", 70000, "from 0 to 65535"),
    ("ReservedPorts", [1.5], "[22,80]"),
    ("ReservedPorts", "[22]", "[22,80]"),
    ("AvailableLoggingDrivers", ["json-file", 1], '["json-file","awslogs"]'),
    ("AvailableLoggingDrivers", ["nope"], "'nope' is not known"),
    ("InstanceAttributes", {"a": 1}, '{"stack":"prod"}'),
    ("InstanceAttributes", [], '{"stack":"prod"}'),
    ("ImagePullBehavior", "once", "2 (once)"),
    ("ImagePullBehavior", 4, "3 (prefer-cached)"),
    ("ImageCleanupExclusionList", "a,b", "JSON list"),
    ("TaskMetadataSteadyStateRate", 10, "both rates"),
    ("EngineAuthData", "x", "a JSON object"),
]


@each_row("key, value, advice", BAD_JSON)
def test_a_value_of_a_wrong_type_in_the_json_file_stops_the_start(key: str, value: object, advice: str) -> None:
    loaded = load(json_file={key: value})
    assert len(loaded.errors) == 1
    assert key in loaded.errors[0].name
    assert advice in loaded.errors[0].reason
    assert loaded.errors[0].origin == DEFAULT_JSON_FILE


def test_the_rates_stand_under_two_json_keys() -> None:
    rates = {"TaskMetadataSteadyStateRate": 10, "TaskMetadataBurstRate": 20}
    assert load(json_file=rates).config.task_metadata_rates == (10, 20)
    assert load(json_file={**rates, "TaskMetadataBurstRate": 0}).config.task_metadata_rates == (40, 60)


def test_json_keys_are_matched_as_go_matches_them() -> None:
    assert load(json_file={"cluster": "prod"}).config.cluster == "prod"


@pytest.mark.parametrize("text", ["", " \n", "{}", "null"])
def test_a_blank_json_file_is_fine(text: str) -> None:
    loaded = load(files={DEFAULT_JSON_FILE: text})
    assert not loaded.errors
    assert not loaded.warnings


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000, '{"a":\n'])
def test_a_json_file_that_is_none_stops_the_start(text: str) -> None:
    loaded = load(files={DEFAULT_JSON_FILE: text})
    assert [mistake.name for mistake in loaded.errors] == [DEFAULT_JSON_FILE]
    assert "not JSON" in loaded.errors[0].reason or "not a JSON object" in loaded.errors[0].reason


def test_the_path_of_the_json_file_comes_from_the_environment_or_ecs_config() -> None:
    files = {"/a.json": '{"Cluster":"a"}', "/b.json": '{"Cluster":"b"}', DEFAULT_JSON_FILE: '{"Cluster":"c"}'}
    assert load({"ECS_AGENT_CONFIG_FILE_PATH": "/a.json"}, files=files).config.cluster == "a"
    assert load(files=files, ecs_config="ECS_AGENT_CONFIG_FILE_PATH=/b.json").config.cluster == "b"
    assert load(files=files).config.cluster == "c"


def test_a_file_that_cannot_be_read_stops_the_start() -> None:
    def read(path: str) -> str | None:
        if path == ENVIRONMENT_FILE:
            raise PermissionError(13, "Permission denied", path)
        if path == DEFAULT_JSON_FILE:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return None

    loaded = load_config({}, standalone=True, file_reader=read)
    assert [str(mistake) for mistake in loaded.errors] == [
        f"{ENVIRONMENT_FILE}: cannot be read (Permission denied): let the agent's user read it, or take it away",
        f"{DEFAULT_JSON_FILE}: is not UTF-8 text: save it as UTF-8",
    ]


def test_real_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "agent.json"
    file.write_text('{"Cluster": "from-a-file"}')
    loaded = load_config({"ECS_AGENT_CONFIG_FILE_PATH": str(file)}, standalone=True)
    assert loaded.config.cluster == "from-a-file"
    assert not load_config({"ECS_AGENT_CONFIG_FILE_PATH": str(tmp_path / "none")}, standalone=True).errors


def test_all_mistakes_are_told_together() -> None:
    loaded = load(
        {"ECS_INSTANCE_ATTRIBUTES": "{", "ECS_AVAILABLE_LOGGING_DRIVERS": "x", "ECS_CHECKPOINT": "x"},
        json_file={"ReservedMemory": "x"},
        standalone=False,
        instance_data=InstanceData(),
    )
    assert {mistake.name for mistake in loaded.errors} == {
        "ECS_INSTANCE_ATTRIBUTES",
        "ECS_AVAILABLE_LOGGING_DRIVERS",
        "ReservedMemory",
        "AWS_DEFAULT_REGION",
    }
    assert "ECS_CHECKPOINT" in {mistake.name for mistake in loaded.warnings}


class TestRegion:
    def test_it_is_mandatory_only_when_joining_a_cluster(self) -> None:
        missing = load(standalone=False, instance_data=InstanceData()).errors
        assert len(missing) == 1
        assert "Missing required fields: AWSRegion" in str(missing[0])
        assert "instance metadata service gave none" in str(missing[0])
        assert not load(standalone=True).errors
        for loaded in (
            load({"AWS_DEFAULT_REGION": "eu-west-1"}, standalone=False, instance_data=InstanceData()),
            load(json_file={"AWSRegion": "eu-west-1"}, standalone=False, instance_data=InstanceData()),
        ):
            assert not loaded.errors

    def test_it_is_not_missed_before_the_instance_metadata_service_was_asked(self) -> None:
        loaded = load(standalone=False)
        assert loaded.asks_imds
        assert not loaded.errors
        assert not load(standalone=False, instance_data=InstanceData()).asks_imds
        assert not load(standalone=True).asks_imds

    def test_without_the_instance_metadata_service_it_is_missed_at_once(self) -> None:
        loaded = load({"AWS_EC2_METADATA_DISABLED": "true"}, standalone=False)
        assert not loaded.asks_imds
        assert "instance metadata service is not to be asked" in str(loaded.errors[0])

    @pytest.mark.parametrize("source", [{"environ": {"ECS_EXTERNAL": "true"}}, {"json_file": {"External": True}}])
    def test_external_needs_it_from_the_user(self, source: dict[str, Mapping[str, str]]) -> None:
        loaded = load(**source, standalone=False)  # type: ignore[arg-type]  # one source or the other
        assert not loaded.asks_imds
        assert not loaded.config.may_ask_imds
        (mistake,) = loaded.errors
        assert mistake.name == "AWS_DEFAULT_REGION"
        assert mistake.reason.startswith("AWS_DEFAULT_REGION has to be set when running on external capacity")
        assert not load({"ECS_EXTERNAL": "1", "AWS_DEFAULT_REGION": "r"}, standalone=False).errors

    def test_the_order_of_its_sources(self) -> None:
        data = InstanceData(user_data='{"ECSAgentConfiguration":{"AWSRegion":"user-data"}}', region="imds")
        sources: list[tuple[dict[str, object], str, OriginKind]] = [
            ({"environ": {"AWS_DEFAULT_REGION": "environment"}}, "environment", OriginKind.ENVIRONMENT),
            ({"json_file": {"AWSRegion": "json"}}, "json", OriginKind.JSON_FILE),
            ({"ecs_config": "AWS_DEFAULT_REGION=file"}, "file", OriginKind.ENVIRONMENT_FILE),
            ({"instance_data": data}, "user-data", OriginKind.USER_DATA),
            ({"instance_data": InstanceData(region="imds")}, "imds", OriginKind.IMDS),
        ]
        given: dict[str, object] = {}
        for source, region, kind in reversed(sources):
            given |= source
            loaded = load(**given, standalone=False)  # type: ignore[arg-type]  # sources by name
            assert (loaded.config.region, loaded.origins["region"].kind) == (region, kind)


class TestUserData:
    def test_it_may_hold_every_key_of_the_json_file_and_is_the_weakest_source(self) -> None:
        data = InstanceData(user_data='{"ecsAgentConfiguration":{"cluster":"ud","DockerStopTimeout":5000000000}}')
        loaded = load(instance_data=data)
        assert (loaded.config.cluster, loaded.config.stop_timeout_s) == ("ud", 5.0)
        assert loaded.config.cluster_is_configured
        assert str(loaded.origins["cluster"]) == "EC2 user data"
        assert load(ecs_config="ECS_CLUSTER=file", instance_data=data).config.cluster == "file"

    @each_row("text", ["", "#!/bin/sh\necho", "{}", "[1]", '{"ECSAgentConfiguration":[]}', "\x1f\x8b"])
    def test_other_user_data_is_none_of_our_business(self, text: str) -> None:
        assert load(instance_data=InstanceData(user_data=text)) == load()

    def test_a_bad_value_in_it_is_ignored_with_a_warning(self) -> None:
        data = InstanceData(user_data='{"ECSAgentConfiguration":{"Cluster":7,"InstanceAttributes":{"a":1}}}')
        loaded = load(instance_data=data)
        assert not loaded.errors
        assert [(mistake.name, mistake.origin) for mistake in loaded.warnings] == [
            ("Cluster", "EC2 user data"),
            ("InstanceAttributes", "EC2 user data"),
        ]
        assert loaded.config.cluster == "default"


class TestCluster:
    @pytest.mark.parametrize(
        ("environ", "json_file", "is_configured"),
        [
            ({}, {}, False),
            ({"ECS_CLUSTER": " "}, {}, False),
            ({"ECS_CLUSTER": "default"}, {}, True),
            ({}, {"Cluster": "prod"}, True),
        ],
    )
    def test_whether_one_was_given(self, environ: dict[str, str], json_file: object, is_configured: bool) -> None:
        assert load(environ, json_file=json_file).config.cluster_is_configured is is_configured

    def test_the_old_key_still_counts_and_is_warned_about(self) -> None:
        loaded = load(json_file={"ClusterArn": " old "})
        assert (loaded.config.cluster, loaded.config.cluster_is_configured) == ("old", True)
        assert loaded.origins["cluster"].name == "ClusterArn"
        assert [str(mistake) for mistake in loaded.warnings] == [
            f"ClusterArn ({DEFAULT_JSON_FILE}): deprecated: write Cluster instead. It is used all the same"
        ]
        both = load(json_file={"ClusterArn": "old", "Cluster": "new"})
        assert (both.config.cluster, both.warnings) == ("new", ())
        assert load({"ECS_CLUSTER": "env"}, json_file={"ClusterArn": "old"}).config.cluster == "env"


@pytest.mark.parametrize("word", ["none", "ec2", "EC2_INSTANCE"])
def test_another_source_of_tags_is_none(word: str) -> None:
    loaded = load({"ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM": word})
    assert loaded.config.propagate_tags_from is TagSource.NONE


SECRETS = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "ECS_ENGINE_AUTH_DATA"]


@pytest.mark.parametrize("variable", SECRETS)
@pytest.mark.parametrize("text", ['{"registry":"hunter2"}', "hunter2"])
def test_a_secret_is_never_printed(variable: str, text: str) -> None:
    for loaded in (
        load({variable: text}),
        load(ecs_config=f"{variable}={text}"),
        load(json_file={"EngineAuthData": text}),
        load(json_file={"EngineAuthData": {"a": text}}),
    ):
        assert "hunter2" not in repr(loaded)
        assert "hunter2" not in f"{loaded.config} {[str(m) for m in (*loaded.warnings, *loaded.errors)]}"


def test_the_password_of_a_proxy_is_never_printed() -> None:
    loaded = load({"HTTP_PROXY": "http://me:hunter2@proxy:1", "DOCKER_HOST": "http://me:hunter2@docker:1"})
    assert loaded.config.http_proxy == "http://me:hunter2@proxy:1"
    assert "hunter2" not in repr(loaded.config) + repr(loaded.origins) + repr(loaded.errors)


def test_a_long_bad_value_is_cut() -> None:
    loaded = load({"ECS_CHECKPOINT": "x" * 10_000})
    assert len(str(loaded.warnings[0])) < 500


class TestDerived:
    def test_standalone_keeps_state_in_a_directory_of_its_own(self) -> None:
        config = load(standalone=True).config
        assert (config.checkpoint, config.data_dir) == (True, "/var/lib/ecscope")
        assert load({"ECS_CHECKPOINT": "false"}, standalone=True).config.checkpoint is False
        assert load({"ECS_DATADIR": "/d"}, standalone=True).config.data_dir == "/d"
        assert str(load(standalone=True).origins["data_dir"]) == "derived from --tasks"

    def test_joining_a_cluster_keeps_state_only_if_ecs_datadir_is_set(self) -> None:
        assert load(standalone=False).config.checkpoint is False
        assert load({"ECS_DATADIR": "/data/"}, standalone=False).config.checkpoint is True
        assert load(ecs_config="ECS_DATADIR=/data", standalone=False).config.checkpoint is True
        assert load(json_file={"DataDir": "/d"}, standalone=False).config.checkpoint is False
        both = {"ECS_DATADIR": "/data/", "ECS_CHECKPOINT": "false"}
        assert load(both, standalone=False).config.checkpoint is False

    def test_external_sends_no_identity_document(self) -> None:
        assert load({"ECS_EXTERNAL": "true"}).config.no_iid is True
        assert load().config.no_iid is False
        assert load(json_file={"NoIID": True}).config.no_iid is True

    def test_the_level_of_the_file(self) -> None:
        assert load({"ECS_LOGLEVEL": "debug"}).config.log_level_on_instance is LogLevel.DEBUG
        assert load({"ECS_LOG_DRIVER": "awslogs"}).config.log_level_on_instance is LogLevel.NONE
        level = {"ECS_LOG_DRIVER": "awslogs", "ECS_LOGLEVEL_ON_INSTANCE": "warn", "ECS_LOGLEVEL": "debug"}
        assert load(level).config.log_level_on_instance is LogLevel.WARN

    def test_the_kernel_says_which_ports_are_dynamic(self) -> None:
        loaded = load(files={PORT_RANGE_FILE: "32768\t60999\n"})
        assert loaded.config.dynamic_host_port_range == (32768, 60999)
        assert loaded.origins["dynamic_host_port_range"].place == PORT_RANGE_FILE
        given = load({"ECS_DYNAMIC_HOST_PORT_RANGE": "1-2"}, files={PORT_RANGE_FILE: "32768\t60999\n"})
        assert given.config.dynamic_host_port_range == (1, 2)

    @each_row("text", ["", "1", "a b", "5 4", "0 9", "1 70000", "1 2 3"])
    def test_a_kernel_that_says_nothing_useful_leaves_the_default(self, text: str) -> None:
        assert load(files={PORT_RANGE_FILE: text}).config.dynamic_host_port_range == (49153, 65535)

    def test_a_docker_host_elsewhere_is_reached_without_the_proxy(self) -> None:
        loaded = load({"DOCKER_HOST": "tcp://docker.internal:2375"})
        assert loaded.config.no_proxy == "169.254.169.254,169.254.170.2,docker.internal"
        assert load({"DOCKER_HOST": "tcp://d:1", "NO_PROXY": "x"}).config.no_proxy == "x"


class TestCommandLine:
    def test_it_wins(self) -> None:
        loaded = load(
            {"ECS_DATADIR": "/env", "ECS_LOGLEVEL": "warn"},
            overrides={"data_dir": ("--data-dir", "/cli"), "log_level": ("--log-level", "debug")},
        )
        assert (loaded.config.data_dir, loaded.config.log_level) == ("/cli", LogLevel.DEBUG)
        assert str(loaded.origins["data_dir"]) == "command line"

    def test_a_mistake_on_it_stops_the_start(self) -> None:
        loaded = load(overrides={"log_level": ("--log-level", "loud")})
        assert str(loaded.errors[0]).startswith("--log-level=loud (command line): write one of debug, ")


class TestKnownNames:
    def test_unsupported_ones_share_one_line_per_place(self) -> None:
        loaded = load(
            {"ECS_ENABLE_GPU_SUPPORT": "true", "ECS_UPDATES_ENABLED": "true", "ECS_ENABLE_TASK_ENI": ""},
            json_file={"GPUSupportEnabled": True, "PlatformVariables": {}},
            ecs_config="ECS_AWSVPC_BLOCK_IMDS=true",
        )
        assert [str(mistake) for mistake in loaded.warnings] == [
            "ECS_UPDATES_ENABLED, ECS_ENABLE_GPU_SUPPORT (environment): known but not supported yet; without effect",
            f"GPUSupportEnabled, PlatformVariables ({DEFAULT_JSON_FILE}): known but not supported yet; without effect",
            f"ECS_AWSVPC_BLOCK_IMDS ({ENVIRONMENT_FILE}): known but not supported yet; without effect",
        ]
        assert not loaded.errors

    def test_settings_that_wait_for_a_later_part_are_among_them(self) -> None:
        loaded = load({"ECS_WARM_POOLS_CHECK": "true", "AWS_ACCESS_KEY_ID": "AKIA", "HTTP_PROXY": "http://p:1"})
        assert [mistake.name for mistake in loaded.warnings] == ["ECS_WARM_POOLS_CHECK"]

    def test_unknown_official_names_are_ignored_silently(self) -> None:
        loaded = load({"ECS_WHATEVER": "1", "ZZZ_X_NOT_SUPPORTED_IN_PRODUCTION": "1"}, json_file={"Whatever": 1})
        assert loaded == load()

    def test_an_unknown_name_of_our_own_is_a_slip_of_the_pen(self) -> None:
        loaded = load({"ECSCOPE_INTROSPECTION_ADRESS": "*", "ECSCOPE_ENDPOINT": "http://x"})
        assert [mistake.name for mistake in loaded.warnings] == ["ECSCOPE_INTROSPECTION_ADRESS"]


def sheet_rows() -> list[tuple[list[str], list[str], str]]:
    """(variables, JSON keys, class) of every table row of the fact sheet's sections 3 and 4."""
    rows = []
    section = SHEET.read_text().split("## 3. Agent settings")[1].split("Values the init service presets")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) not in {4, 7} or cells[-1] not in {"must", "should", "later", "plat"}:
            continue
        variables = re.findall(r"`([A-Z][A-Z0-9_]+)`", cells[0])
        keys = re.findall(r"`([A-Z]\w+)`", cells[1]) if len(cells) == 7 else []
        rows.append((variables, keys, cells[-1]))
    return rows


def test_the_fact_sheet_was_read() -> None:
    assert len(sheet_rows()) > 100


def test_every_must_and_should_of_the_fact_sheet_has_a_field() -> None:
    variables = {setting.variable for setting in SETTINGS}
    keys = {key for setting in SETTINGS for key in (*setting.json_keys, setting.deprecated_key)}
    for row_variables, row_keys, kind in sheet_rows():
        if kind in {"must", "should"}:
            assert set(row_variables) <= variables
            assert set(row_keys) <= keys


def test_every_later_and_plat_of_the_fact_sheet_is_known_by_name() -> None:
    known = {name for names in UNSUPPORTED.values() for name in names} | {setting.variable for setting in SETTINGS}
    known_keys = {
        *UNSUPPORTED_KEYS,
        *(key for setting in SETTINGS for key in (*setting.json_keys, setting.deprecated_key)),
    }
    for row_variables, row_keys, kind in sheet_rows():
        if kind in {"later", "plat"}:
            assert set(row_variables) - {"SSL_CERT_DIR"} <= known
            assert set(row_keys) <= known_keys


@each_row("setting", SETTINGS, name=lambda setting: setting.field)
def test_what_is_written_is_read_back(setting: Setting) -> None:
    if setting.is_secret or not setting.variable:
        return
    value = getattr(Config(), setting.field)
    text = setting.form.write(value)
    read = setting.form.read_text(text)
    assert read == value or (read is None and not value)


@pytest.mark.parametrize(("text", "addresses"), [("*", ("0.0.0.0", "::")), ("::1,::1", ("::1",))])
def test_where_introspection_listens(text: str, addresses: tuple[str, ...]) -> None:
    assert load({"ECSCOPE_INTROSPECTION_ADDRESS": text}).config.introspection_addresses == addresses


@pytest.mark.parametrize(("text", "allows"), [("true", True), ("1", True), ("yes", False), ("", False)])
def test_offhost_introspection(text: str, *, allows: bool) -> None:
    """A word that is no boolean opens nothing. Source: introspection-api.md §1.3."""
    assert load({"ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS": text}).config.allow_offhost_introspection is allows

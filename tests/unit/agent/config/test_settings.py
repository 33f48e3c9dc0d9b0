"""What other parts get of the settings: the offer, the credential chain, the core, the log; and how a config prints."""

from ecscope.agent.config.settings import SETTINGS, Config
from ecscope.agent.config.values import Secret
from ecscope.agent.core.capabilities import Offer
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.log import LogFile, LogLevel, LogRollover
from ecscope.model.network import TaskNetwork
from ecscope.model.runtime import EngineInfo


def test_each_setting_annotates_a_field_and_knows_it() -> None:
    fields = {setting.field for setting in SETTINGS}
    assert fields < set(Config.__struct_fields__)
    assert set(Config.__struct_fields__) - fields == {"cluster_is_configured"}


def test_the_offer_of_the_instance_follows_every_setting_that_touches_it() -> None:
    engine = EngineInfo(version="27", api_version="1.47", cpus=1, memory_bytes=1, architecture="aarch64")
    plain = Config().offer(engine, volume_plugins=("local",), has_task_limits=True)
    assert plain == Offer(
        api_version="1.47",
        architecture="aarch64",
        volume_plugins=("local",),
        logging_drivers=("json-file", "none"),
        has_task_limits=True,
        has_pause_image=True,
    )
    config = Config(
        available_logging_drivers=("awslogs",),
        external=True,
        privileged_disabled=True,
        docker_health_check_disabled=True,
        selinux_capable=True,
        apparmor_capable=True,
        task_iam_role_enabled=True,
        task_iam_role_enabled_for_network_host=True,
        detailed_os_family="DEBIAN_12",
        instance_attributes={"a": "b"},
        task_bridge="ecs-1",
        task_subnet="10.213.0.0/20",
    )
    assert config.offer(engine, volume_plugins=(), has_task_limits=False, outpost_arn="arn:o") == Offer(
        api_version="1.47",
        architecture="aarch64",
        volume_plugins=(),
        logging_drivers=("awslogs",),
        has_task_limits=False,
        has_task_network=True,
        has_pause_image=True,
        has_task_roles=True,
        has_task_roles_in_host_network=True,
        is_external=True,
        is_privileged_disabled=True,
        is_health_check_disabled=True,
        is_selinux_capable=True,
        is_apparmor_capable=True,
        detailed_os_family="DEBIAN_12",
        outpost_arn="arn:o",
        custom_attributes={"a": "b"},
    )


def test_the_credential_chain_gets_what_is_configured() -> None:
    config = Config(aws_profile="p", aws_access_key_id="AKIA", aws_secret_access_key=Secret("hush"))
    assert config.aws_environment() == {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_PROFILE": "p",
    }
    assert Config().aws_environment() == {}


def test_the_core_gets_its_part() -> None:
    assert Config().core_settings() == Settings()
    config = Config(
        image_pull_behavior=PullBehavior.ONCE,
        pull_dependents_upfront=True,
        stop_timeout_s=2.5,
        cleanup_wait_s=1.0,
        cleanup_jitter_s=2.0,
        image_cleanup_disabled=True,
        image_cleanup_interval_s=700.0,
        image_minimum_age_s=4.0,
        images_per_cycle=6,
        images_excluded=("a", "b"),
        task_bridge="ecs-1",
        task_subnet="10.213.0.0/20",
    )
    assert config.core_settings() == Settings(
        pull_behavior=PullBehavior.ONCE,
        pull_dependents_upfront=True,
        stop_timeout_s=2,
        cleanup_wait_s=1.0,
        cleanup_jitter_s=2.0,
        image_cleanup_enabled=False,
        image_cleanup_interval_s=700.0,
        image_minimum_age_s=4.0,
        images_per_cycle=6,
        images_excluded=frozenset({"a", "b"}),
        task_network=TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20"),
    )
    assert Config(task_bridge="ecs-1").task_network is None


def test_the_log_gets_its_part() -> None:
    assert Config().log_target() is None
    config = Config(
        log_file="/l",
        log_level_on_instance=LogLevel.WARN,
        log_rollover=LogRollover.HOURLY,
        log_max_file_size_mb=1.5,
        log_max_roll_count=2,
    )
    assert config.log_target() == LogFile(
        path="/l", level=LogLevel.WARN, rollover=LogRollover.HOURLY, max_size_mb=1.5, max_roll_count=2
    )

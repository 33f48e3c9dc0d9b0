"""The registered attributes are the recorded ones but for what this agent does not do, each with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecscope.agent.core.capabilities import Offer, attributes
from ecscope.model.container_instance import Attribute
from tests.tables import each_row

RECORDED = json.loads(
    (Path(__file__).parents[3] / "fixtures/official-agent/traffic/register-container-instance.json").read_text()
)["body"]

NO_FIRELENS = "no FireLens log router"
LEFT_OUT = {
    "ecs.capability.env-files.s3": "environment files are not fetched from S3",
    "ecs.capability.firelens.fluentd": NO_FIRELENS,
    "ecs.capability.firelens.fluentbit": NO_FIRELENS,
    "com.amazonaws.ecs.capability.logging-driver.awsfirelens": NO_FIRELENS,
    "ecs.capability.logging-driver.awsfirelens.log-driver-buffer-limit": NO_FIRELENS,
    "ecs.capability.firelens.non-root-user": NO_FIRELENS,
    "ecs.capability.firelens.options.config.file": NO_FIRELENS,
    "ecs.capability.firelens.options.config.s3": NO_FIRELENS,
    "ecs.capability.efs": "EFS volumes are refused",
    "ecs.capability.storage.s3-files": "S3 Files volumes are refused",
    "ecs.capability.ipv6-only": "an instance without IPv4 was never tried",
}
"""Recorded attribute → why we do not register it."""

NEVER = (
    "task-eni.ipv6", "task-eni-trunking", "execute-command", "service-connect", "fault-injection",
    "aws-appmesh", "task-eia", "ebs", "gmsa", "nvidia", "gpu", "efsAuth", "firelens",
)  # fmt: skip
"""Parts of names of what this agent does not do, whatever is configured."""


def an_offer(**fields: object) -> Offer:
    """The machine and the settings of the recording."""
    recorded: dict[str, object] = {
        "api_version": "1.41",
        "architecture": "x86_64",
        "volume_plugins": ("local",),
        "logging_drivers": ("json-file", "none"),
        "has_task_limits": False,
        "is_external": True,
    }
    return Offer(**{**recorded, **fields})  # type: ignore[arg-type]  # made from names and values


def names(offer: Offer) -> list[str]:
    return [attribute.name for attribute in attributes(offer, is_first_registration=True)]


def test_all_recorded_attributes_in_their_order_but_those_left_out() -> None:
    recorded = [Attribute(name=one["name"], value=one.get("value")) for one in RECORDED["attributes"]]
    assert set(LEFT_OUT) <= {attribute.name for attribute in recorded}
    kept = [attribute for attribute in recorded if attribute.name not in LEFT_OUT]
    assert list(attributes(an_offer(), is_first_registration=True)) == kept


@each_row(
    "fields, gone",
    [
        ({"is_privileged_disabled": True}, "com.amazonaws.ecs.capability.privileged-container"),
        ({"is_health_check_disabled": True}, "ecs.capability.container-health-check"),
        ({"is_external": False}, "ecs.capability.external"),
        ({"is_external": False}, "ecs.cpu-architecture"),
        ({"architecture": ""}, "ecs.cpu-architecture"),
        ({"architecture": "riscv64"}, "ecs.cpu-architecture"),
        ({"logging_drivers": ()}, "com.amazonaws.ecs.capability.logging-driver.json-file"),
        ({"volume_plugins": ()}, "ecs.capability.docker-plugin.local"),
        ({"api_version": "1.24"}, "com.amazonaws.ecs.capability.docker-remote-api.1.25"),
    ],
)
def test_what_takes_an_attribute_away(fields: dict[str, object], gone: str) -> None:
    assert gone in names(an_offer())
    assert gone not in names(an_offer(**fields))


@each_row(
    "fields, new",
    [
        ({"is_selinux_capable": True}, ["com.amazonaws.ecs.capability.selinux"]),
        ({"is_apparmor_capable": True}, ["com.amazonaws.ecs.capability.apparmor"]),
        ({"has_task_roles": True}, ["com.amazonaws.ecs.capability.task-iam-role"]),
        (
            {"has_task_roles_in_host_network": True},
            ["com.amazonaws.ecs.capability.task-iam-role-network-host"],
        ),
        ({"has_task_roles": True, "has_task_roles_in_host_network": True, "api_version": "1.18"}, []),
        (
            {"has_task_limits": True},
            ["ecs.capability.task-cpu-mem-limit", "ecs.capability.increased-task-cpu-limit"],
        ),
        (
            {"logging_drivers": ("awslogs", "json-file", "none")},
            ["com.amazonaws.ecs.capability.logging-driver.awslogs"],
        ),
        ({"has_logs_as_execution_role": True}, ["ecs.capability.execution-role-awslogs"]),
        ({"outpost_arn": "arn:aws:outposts:x"}, ["ecs.outpost-arn"]),
        ({"has_pause_image": True}, ["ecs.capability.pid-ipc-namespace-sharing"]),
        (
            {"has_pause_image": True, "has_task_network": True},
            [
                "ecs.capability.task-eni",
                "ecs.capability.pid-ipc-namespace-sharing",
            ],
        ),
        ({"has_task_network": True}, []),
        (
            {"volume_plugins": ("local", "rexray/ebs:0.11", "a/b:latest")},
            [
                "ecs.capability.docker-plugin.rexray/ebs.0.11",
                "ecs.capability.docker-plugin.a/b",
                "ecs.capability.docker-plugin.a/b.latest",
            ],
        ),
        ({"logging_drivers": ("json-file", "none", "awsfirelens")}, []),
        ({"api_version": "1.55"}, []),
        ({"volume_plugins": ("local", "local")}, []),
    ],
)
def test_what_adds_attributes(fields: dict[str, object], new: list[str]) -> None:
    before = names(an_offer())
    after = names(an_offer(**fields))
    assert [name for name in after if name not in before] == new
    assert len(after) == len(set(after))


def test_where_tasks_of_fargate_run_the_architecture_is_registered() -> None:
    assert "ecs.cpu-architecture" not in names(an_offer(is_external=False))
    assert "ecs.cpu-architecture" in names(an_offer(is_external=False, has_task_network=True))


def test_selinux_to_health_check_stand_in_the_official_order() -> None:
    told = names(an_offer(is_selinux_capable=True, is_apparmor_capable=True, has_task_roles=True, has_task_limits=True))
    first = told.index("com.amazonaws.ecs.capability.selinux")
    assert told[first : first + 8] == [
        "com.amazonaws.ecs.capability.selinux",
        "com.amazonaws.ecs.capability.apparmor",
        "com.amazonaws.ecs.capability.task-iam-role",
        "ecs.capability.task-cpu-mem-limit",
        "ecs.capability.increased-task-cpu-limit",
        "com.amazonaws.ecs.capability.ecr-auth",
        "ecs.capability.execution-role-ecr-pull",
        "ecs.capability.container-health-check",
    ]


@pytest.mark.parametrize(
    ("driver", "api"),
    [("syslog", "1.18"), ("awslogs", "1.21"), ("logentries", "1.25"), ("sumologic", "1.29")],
)
def test_a_logging_driver_needs_its_api(driver: str, api: str) -> None:
    name = f"com.amazonaws.ecs.capability.logging-driver.{driver}"
    before = f"1.{int(api.split('.')[1]) - 1}"
    assert name in names(an_offer(logging_drivers=(driver,), api_version=api))
    assert name not in names(an_offer(logging_drivers=(driver,), api_version=before))


def test_custom_attributes_come_first_and_once() -> None:
    offer = an_offer(custom_attributes={"stack": "prod", "empty": ""})
    first = attributes(offer, is_first_registration=True)
    again = attributes(offer, is_first_registration=False)
    assert first[:2] == (Attribute(name="stack", value="prod"), Attribute(name="empty", value=""))
    assert first[2:] == again


def test_the_detailed_os_family() -> None:
    told = attributes(an_offer(detailed_os_family="DEBIAN_12"), is_first_registration=False)
    assert Attribute(name="ecs.os-type-detailed", value="DEBIAN_12") in told


@pytest.mark.parametrize(("machine", "told"), [("aarch64", "arm64"), ("x86_64", "x86_64"), ("i686", "i386")])
def test_the_architecture(machine: str, told: str) -> None:
    last = attributes(an_offer(architecture=machine), is_first_registration=True)[-1]
    assert last == Attribute(name="ecs.cpu-architecture", value=told)


def test_what_we_do_not_do_is_never_told() -> None:
    everything = an_offer(
        has_task_limits=True,
        has_task_roles=True,
        has_task_roles_in_host_network=True,
        logging_drivers=("json-file", "syslog", "awslogs", "fluentd", "awsfirelens", "none"),
        is_selinux_capable=True,
        is_apparmor_capable=True,
    )
    assert [name for name in names(everything) if any(part in name for part in NEVER)] == []

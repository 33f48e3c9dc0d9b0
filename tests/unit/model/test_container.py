"""A container value answers simple questions about itself, never changes, and survives being saved."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.model.arn import DockerId
from ecscope.model.container import (
    Container,
    ContainerInspection,
    ContainerKind,
    Dependency,
    DependencyCondition,
    Health,
    ImageInspection,
    Mount,
    MountPoint,
    NamedError,
    PortBinding,
    PortMapping,
    RestartPolicy,
    VolumeFrom,
)
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from tests.builders import AT, a_container
from tests.tables import each_row


def test_an_error_reads_as_its_name_a_colon_and_its_text() -> None:
    """engine.md §3.2: ``<ErrorName>: <text>``."""
    error = NamedError(name="OutOfMemoryError", message="Container killed due to memory usage")
    assert str(error) == "OutOfMemoryError: Container killed due to memory usage"


def test_name_and_essential_are_those_of_the_definition() -> None:
    container = a_container("db", essential=False)
    assert container.name == "db"
    assert container.is_essential is False
    assert a_container().is_essential is True


@each_row("status", list(ContainerStatus))
def test_running_means_running_or_provisioned_and_stopped_means_stopped(status: ContainerStatus) -> None:
    """engine.md §1.1."""
    container = a_container(known=status)
    assert container.is_running is (status.value in ("RUNNING", "RESOURCES_PROVISIONED"))
    assert container.is_stopped is (status.value == "STOPPED")


@pytest.mark.parametrize(
    ("kind", "is_agents_own", "steady"),
    [("NORMAL", False, "RUNNING"), ("CNI_PAUSE", True, "RESOURCES_PROVISIONED"), ("NAMESPACE_PAUSE", True, "RUNNING")],
)
def test_each_kind_of_container(kind: str, is_agents_own: bool, steady: str) -> None:
    """engine.md §1.1; what the agent made up is never essential, whatever its definition says."""
    container = a_container(kind=ContainerKind(kind), essential=True)
    assert (container.is_agents_own, container.is_essential) == (is_agents_own, not is_agents_own)
    for status in ContainerStatus:
        came_to = a_container(kind=ContainerKind(kind), known=status)
        assert came_to.is_steady is (came_to.is_running and status >= ContainerStatus(steady))
        assert (came_to.task_status is TaskStatus.RUNNING) is came_to.is_steady


@pytest.mark.parametrize(
    ("policy", "restarts"), [(None, False), (RestartPolicy(enabled=False), False), (RestartPolicy(enabled=True), True)]
)
def test_only_an_enabled_restart_policy_counts(policy: RestartPolicy | None, restarts: bool) -> None:
    assert a_container(restart_policy=policy).restarts is restarts


def test_the_default_restart_attempt_period_is_five_minutes() -> None:
    assert RestartPolicy().restart_attempt_period_s == 300


def test_a_container_with_everything_in_it_is_the_same_after_it_was_saved() -> None:
    container = a_container(
        "web",
        command=("serve", "--port", "80"),
        entry_point=("/bin/sh",),
        environment={"A": "1"},
        links=("db:database",),
        volumes_from=(VolumeFrom(source_container="db", read_only=True),),
        mount_points=(MountPoint(source_volume="data", container_path="/data"),),
        port_mappings=(PortMapping(container_port=80, host_port=8080), PortMapping(container_port_range="90-92")),
        depends_on=tuple(Dependency(container_name="db", condition=c) for c in DependencyCondition),
        restart_policy=RestartPolicy(enabled=True, ignored_exit_codes=(0, 3)),
        known=ContainerStatus.RUNNING,
        in_flight=ContainerStatus.STOPPED,
        docker_id=DockerId("a" * 64),
        error=NamedError(name="CannotPullContainerError", message="no"),
        bindings=(PortBinding(container_port=80, host_port=8080, host_ip="::"),),
        mounts=(Mount(name="v", source="/s", destination="/d"),),
        last_restarted_at=AT,
        health=Health(status=HealthStatus.UNHEALTHY, output="x", exit_code=1),
        exit_code=0,
    )
    assert msgspec.json.decode(msgspec.json.encode(container), type=Container) == container


def test_inspections_are_the_same_after_they_were_logged() -> None:
    inspection = ContainerInspection(docker_id=DockerId("a"), status=ContainerStatus.CREATED, exit_code=None)
    image = ImageInspection(image_id="sha256:1", environment_names=frozenset({"PATH"}))
    assert msgspec.json.decode(msgspec.json.encode(inspection), type=ContainerInspection) == inspection
    assert msgspec.json.decode(msgspec.json.encode(image), type=ImageInspection) == image


def test_a_container_is_replaced_and_never_changed() -> None:
    with pytest.raises(AttributeError):
        a_container().known = ContainerStatus.STOPPED  # type: ignore[misc]

"""A container answers simple questions about itself."""

import pytest

from ecscope.model.container import NamedError, RestartPolicy
from ecscope.model.status import ContainerStatus
from tests.builders import a_container


def test_an_error_reads_as_ecs_writes_it() -> None:
    error = NamedError(name="CannotStartContainerError", message="no such file")
    assert str(error) == "CannotStartContainerError: no such file"


@pytest.mark.parametrize("status", ContainerStatus)
def test_running_and_stopped(status: ContainerStatus) -> None:
    container = a_container(known=status)
    assert container.is_running == (status.value in ("RUNNING", "RESOURCES_PROVISIONED"))
    assert container.is_stopped == (status.value == "STOPPED")


def test_name_and_essential_are_the_definitions() -> None:
    container = a_container("sidecar", essential=False)
    assert (container.name, container.is_essential) == ("sidecar", False)
    assert a_container(essential=True).is_essential


@pytest.mark.parametrize(
    ("policy", "restarts"), [(None, False), (RestartPolicy(enabled=False), False), (RestartPolicy(enabled=True), True)]
)
def test_only_an_enabled_policy_restarts(policy: RestartPolicy | None, restarts: bool) -> None:
    assert a_container(restart_policy=policy).restarts is restarts

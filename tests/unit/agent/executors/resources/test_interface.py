"""What a provider raises says what the core keeps of it."""

from __future__ import annotations

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.model.container import NamedError


def test_a_failure_reads_as_its_error() -> None:
    error = NamedError(name="CannotCreateVolumeError", message="no space left on device")
    failure = ResourceFailure(error)
    assert failure.error is error
    assert str(failure) == str(error)

"""The values that pass the runtime's door: secrets stay out of texts, failures say what ECS says."""

from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure
from ecscope.model.container import NamedError

SECRETS = ("hunter2", "robot", "robot@example.com")


def test_credentials_are_never_printed() -> None:
    auth = RegistryAuth(username="robot", password="hunter2", email="robot@example.com", server_address="registry.test")
    for text in (repr(auth), str(auth), f"{auth}", repr([auth]), str(RuntimeError(auth))):
        assert not any(secret in text for secret in SECRETS)
    assert "registry.test" in repr(auth)


def test_a_failure_reads_as_its_error_and_defaults_to_no_special_case() -> None:
    failure = RuntimeFailure(NamedError(name="CannotCreateContainerError", message="no space"))
    assert str(failure) == "CannotCreateContainerError: no space"
    assert not (failure.is_unreachable or failure.is_timeout or failure.is_not_found or failure.is_conflict)


def test_a_failure_keeps_what_it_was_told() -> None:
    failure = RuntimeFailure(NamedError(name="DockerTimeoutError", message="4 minutes"), is_timeout=True)
    assert failure.is_timeout
    assert failure.error.name == "DockerTimeoutError"

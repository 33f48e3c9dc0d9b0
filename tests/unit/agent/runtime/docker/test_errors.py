"""Every way a call can fail gets ECS's name and sentence, and its flags."""

from __future__ import annotations

import json

import pytest

from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.interface import RuntimeFailure
from tests.tables import each_row
from tests.unit.agent.runtime.docker.recordings import VERSIONS, recorded

STORAGE_URL = "https://prod-us-west-2-starport-layer-bucket.s3.us-west-2.amazonaws.com/x?X-Amz-Signature=SECRET"


def flags(failure: RuntimeFailure) -> set[str]:
    return {
        name
        for name in ("is_unreachable", "is_timeout", "is_not_found", "is_conflict")
        if getattr(failure, name) is True
    }


@pytest.mark.parametrize(
    ("status", "expected"), [(400, set()), (404, {"is_not_found"}), (409, {"is_conflict"}), (500, set())]
)
def test_a_refusal(status: int, expected: set[str]) -> None:
    failure = errors.refused(errors.CREATE, status, b'{"message":"No such image: x:latest\\n"}')
    assert str(failure) == "CannotCreateContainerError: Error response from daemon: No such image: x:latest"
    assert flags(failure) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "HTTP status 500 without a message"),
        (b"plain \xff words\n", "plain � words"),
        (b'{"other":1}', '{"other":1}'),
        (b'{"message":"\xff"}', '{"message":"�"}'),
        (b"x" * 5000, "x" * 4096 + "…"),
    ],
)
def test_a_body_that_is_not_the_engines_own_is_kept_short(body: bytes, text: str) -> None:
    failure = errors.refused(errors.START, 500, body)
    assert failure.error.message == f"Error response from daemon: {text}"


def test_other_failures() -> None:
    assert str(errors.no_such_container("ab")) == "NoSuchContainerError: Container not found: ab"
    assert flags(errors.no_such_container("ab")) == {"is_not_found"}
    assert str(errors.reported(errors.PULL, "no")) == "CannotPullContainerError: Error response from daemon: no"
    assert flags(errors.reported(errors.PULL, "no")) == set()
    assert str(errors.unusable(errors.LIST, "odd")) == "CannotListContainersError: odd"


def test_nobody_there() -> None:
    failure = errors.cannot_connect(errors.PING, "unix:///x.sock", FileNotFoundError())
    assert str(failure) == (
        "CannotGetDockerclientError: Cannot connect to the Docker daemon at unix:///x.sock. "
        "Is the docker daemon running?"
    )
    assert flags(failure) == {"is_unreachable"}
    forbidden = errors.cannot_connect(errors.PING, "unix:///x.sock", PermissionError())
    assert str(forbidden).endswith("at unix:///x.sock. Run the agent as a user of the docker group.")


def test_a_lost_connection_ends_in_eof() -> None:
    failure = errors.connection_lost(errors.START, "POST /v1.41/containers/x/start")
    assert str(failure) == ("CannotStartContainerError: error during connect: POST /v1.41/containers/x/start: EOF")
    assert flags(failure) == {"is_unreachable"}


@each_row(
    "operation, state, after_s, duration, expected",
    [
        (errors.PULL, "pulled", 7200.0, "2h0m0s", {"is_timeout"}),
        (errors.PULL_BEGIN, "pullBegin", 300.0, "5m0s", {"is_timeout"}),
        (errors.CREATE, "created", 240.0, "4m0s", {"is_timeout"}),
        (errors.START, "started", 180.0, "3m0s", {"is_timeout"}),
        (errors.STOP, "stopped", 150.0, "2m30s", {"is_timeout"}),
        (errors.INSPECT, "inspecting", 30.0, "30s", {"is_timeout"}),
        (errors.REMOVE, "removing", 300.0, "5m0s", {"is_timeout"}),
        (errors.MANIFEST, "MANIFEST_PULLED", 60.0, "1m0s", {"is_timeout"}),
        (errors.PING, "pinged", 5.0, "5s", {"is_timeout", "is_unreachable"}),
    ],
)
def test_no_answer_in_time(
    operation: errors.Operation, state: str, after_s: float, duration: str, expected: set[str]
) -> None:
    failure = errors.timed_out(operation, after_s)
    assert str(failure) == (f"DockerTimeoutError: Could not transition to {state}; timed out after waiting {duration}")
    assert flags(failure) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "denied: User: arn:aws:sts::1:role/r is not authorized to perform: ecr:BatchGetImage on resource: x",
            "The task can’t pull the image. Check that the role has the permissions to pull images from the registry. ",
        ),
        (
            "pull access denied for x: denied: requested access to the resource is denied",
            "The task can’t pull the image. Check whether the image exists. ",
        ),
        (
            "net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
            "The task can’t pull the image. Check your network configuration. ",
        ),
        ("manifest unknown", ""),
    ],
)
def test_hints_stand_before_the_original_text(text: str, hint: str) -> None:
    failure = errors.with_pull_hint(errors.reported(errors.PULL, text), "x")
    assert str(failure) == f"CannotPullContainerError: {hint}Error response from daemon: {text}"


def test_storage_urls_never_leave() -> None:
    text = f'Get "{STORAGE_URL}": dial tcp: i/o timeout'
    pull = errors.with_pull_hint(errors.reported(errors.PULL, text), "app:1")
    manifest = errors.without_storage_urls(errors.refused(errors.MANIFEST, 404, text.encode()), "app:1")
    for failure in (pull, manifest):
        assert failure.error.message == (
            "Error response from daemon: Get REDACTED ECR URL related to app:1: dial tcp: i/o timeout"
        )
    assert flags(manifest) == {"is_not_found"}


def test_an_image_name_is_put_in_as_it_is() -> None:
    assert errors.redact_storage_urls(STORAGE_URL, r"a\1") == r"REDACTED ECR URL related to a\1"


@pytest.mark.parametrize("version", VERSIONS)
def test_refusals_of_each_engine(version: str) -> None:
    """The agent takes "not found" and "conflict" from the status, which the engines agree on; their words differ."""
    kinds = {
        "start of a container that is not there": {"is_not_found"},
        "inspection of a container that is not there": {"is_not_found"},
        "stop of a container that is not there": {"is_not_found"},
        "stats of a container that is not there": {"is_not_found"},
        "create without its image": {"is_not_found"},
        "create with a name that is taken": {"is_conflict"},
        "create with a host path that is not one": set(),
        "removal of a running container": {"is_conflict"},
        "inspection of an image that is not there": {"is_not_found"},
        "removal of an image in use": {"is_conflict"},
        "inspection of a volume that is not there": {"is_not_found"},
        "a volume of a driver that is not there": {"is_not_found"},
    }
    found = {}
    for refusal in json.loads(recorded(version, "refusals.json")):
        failure = errors.refused(errors.CREATE, refusal["status"], refusal["body"].encode())
        assert failure.error.message == f"Error response from daemon: {json.loads(refusal['body'])['message']}"
        found[refusal["call"]] = flags(failure)
    assert found == kinds

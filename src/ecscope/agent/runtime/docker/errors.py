"""What goes wrong between the agent and the Docker Engine, in ECS's words.

Pure: takes a status, a text or a duration and makes a ``RuntimeFailure``. Each operation
has its official error name and, for time-outs, the state it was to lead to.

Source: engine.md §3, §10.5.
"""

from __future__ import annotations

import re

import msgspec

from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.container import NamedError
from ecscope.model.duration import format_go_duration


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of call, as its failures name it."""

    error_name: str
    state: str
    """``Could not transition to <state>; …`` without an answer in time."""
    asks_who_is_there: bool = False
    """No answer at all then means that the runtime cannot be talked to."""


CONNECT = Operation(error_name="CannotGetDockerclientError", state="connected", asks_who_is_there=True)
PING = Operation(error_name="CannotGetDockerclientError", state="pinged", asks_who_is_there=True)
EVENTS = Operation(error_name="CannotReadEventsError", state="listening", asks_who_is_there=True)
MANIFEST = Operation(error_name="CannotPullImageManifestError", state="MANIFEST_PULLED")
PULL = Operation(error_name="CannotPullContainerError", state="pulled")
PULL_BEGIN = Operation(error_name="CannotPullContainerError", state="pullBegin")
TAG = Operation(error_name="CannotTagImageError", state="tagged")
INSPECT_IMAGE = Operation(error_name="CannotInspectImageError", state="inspecting")
LOAD_IMAGE = Operation(error_name="CannotLoadImageError", state="loading image")
REMOVE_IMAGE = Operation(error_name="CannotRemoveImageError", state="removing image")
CREATE = Operation(error_name="CannotCreateContainerError", state="created")
START = Operation(error_name="CannotStartContainerError", state="started")
STOP = Operation(error_name="CannotStopContainerError", state="stopped")
INSPECT = Operation(error_name="CannotInspectContainerError", state="inspecting")
REMOVE = Operation(error_name="CannotRemoveContainerError", state="removing")
LIST = Operation(error_name="CannotListContainersError", state="listing")
LIST_PLUGINS = Operation(error_name="CannotListPluginsError", state="listing plugins")
STATS = Operation(error_name="CannotReadStatsError", state="reading stats")
CREATE_VOLUME = Operation(error_name="CannotCreateVolumeError", state="creating volume")
INSPECT_VOLUME = Operation(error_name="CannotInspectVolumeError", state="inspecting volume")
REMOVE_VOLUME = Operation(error_name="CannotRemoveVolumeError", state="removing volume")
CREATE_NETWORK = Operation(error_name="CannotCreateNetworkError", state="creating network")
INSPECT_NETWORK = Operation(error_name="CannotInspectNetworkError", state="inspecting network")
REMOVE_NETWORK = Operation(error_name="CannotRemoveNetworkError", state="removing network")

_MESSAGE_LIMIT = 4096
"""Characters kept of a body that is not the engine's own error JSON."""

_ECR_URL = re.compile(r'"?https?://[^\s"]*starport-layer-bucket[^\s"]*"?')

_DENIED_BY_POLICY = re.compile(r"denied: User: .* is not authorized to perform: ecr:BatchGetImage on resource", re.S)

_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        _DENIED_BY_POLICY,
        "The task can’t pull the image. Check that the role has the permissions to pull images from the registry. ",
    ),
    (
        re.compile("denied: requested access to the resource is denied"),
        "The task can’t pull the image. Check whether the image exists. ",
    ),
    (
        re.compile("request canceled while waiting for connection"),
        "The task can’t pull the image. Check your network configuration. ",
    ),
)


class _EngineMessage(msgspec.Struct):
    message: str


def daemon_text(message: str) -> str:
    """An engine's message as its own clients print it."""
    return f"Error response from daemon: {message}"


def message_of(body: bytes) -> str:
    """The engine's message out of an error body, or the body itself, cut, where it is something else."""
    try:
        return msgspec.json.decode(body, type=_EngineMessage).message.strip()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace").strip()
        return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]}…"


def refused(operation: Operation, status: int, body: bytes) -> RuntimeFailure:
    """The engine answered with an error status."""
    text = daemon_text(message_of(body) or f"HTTP status {status} without a message")
    return RuntimeFailure(
        NamedError(name=operation.error_name, message=text), is_not_found=status == 404, is_conflict=status == 409
    )


def no_such_container(docker_id: str) -> RuntimeFailure:
    """``NoSuchContainerError``. Source: engine.md §10.5."""
    return RuntimeFailure(
        NamedError(name="NoSuchContainerError", message=f"Container not found: {docker_id}"), is_not_found=True
    )


def reported(operation: Operation, message: str) -> RuntimeFailure:
    """The engine began well (status 200) and reported an error further on."""
    return RuntimeFailure(NamedError(name=operation.error_name, message=daemon_text(message)))


def unusable(operation: Operation, text: str) -> RuntimeFailure:
    """Something on this side of the socket forbids the call or the answer."""
    return RuntimeFailure(NamedError(name=operation.error_name, message=text))


def unreachable(operation: Operation, text: str) -> RuntimeFailure:
    """The engine could not be talked to: nothing is known about the outcome."""
    return RuntimeFailure(NamedError(name=operation.error_name, message=text), is_unreachable=True)


def cannot_connect(operation: Operation, endpoint: str, cause: OSError | None = None) -> RuntimeFailure:
    """No connection came about; the text is that of Docker's own clients, with what helps."""
    if isinstance(cause, PermissionError):
        return unreachable(
            operation,
            f"permission denied while trying to connect to the Docker daemon socket at {endpoint}. "
            "Run the agent as a user of the docker group.",
        )
    return unreachable(operation, f"Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?")


def connection_lost(operation: Operation, what: str) -> RuntimeFailure:
    """The connection broke off. What came of the call is unknown, and the listing after the next connect says it."""
    return unreachable(operation, f"error during connect: {what}: EOF")


def timed_out(operation: Operation, after_s: float) -> RuntimeFailure:
    """No answer in time: ``DockerTimeoutError``. Source: engine.md §10.5."""
    return RuntimeFailure(
        NamedError(
            name="DockerTimeoutError",
            message=f"Could not transition to {operation.state}; timed out after waiting {format_go_duration(after_s)}",
        ),
        is_timeout=True,
        is_unreachable=operation.asks_who_is_there,
    )


def with_pull_hint(failure: RuntimeFailure, image: str) -> RuntimeFailure:
    """A pull's failure with ECS's hint in front, where one fits, and without storage URLs. Source: engine.md §10.5."""
    text = failure.error.message
    hint = next((hint for pattern, hint in _HINTS if pattern.search(text)), "")
    return _with_message(failure, hint + redact_storage_urls(text, image))


def without_storage_urls(failure: RuntimeFailure, image: str) -> RuntimeFailure:
    """A manifest's failure, which gets no hint."""
    return _with_message(failure, redact_storage_urls(failure.error.message, image))


def redact_storage_urls(text: str, image: str) -> str:
    """``text`` without the signed URLs of ECR's storage. Source: engine.md §10.5."""
    return _ECR_URL.sub(lambda _: f"REDACTED ECR URL related to {image}", text)


def _with_message(failure: RuntimeFailure, message: str) -> RuntimeFailure:
    return RuntimeFailure(
        NamedError(name=failure.error.name, message=message),
        is_unreachable=failure.is_unreachable,
        is_timeout=failure.is_timeout,
        is_not_found=failure.is_not_found,
        is_conflict=failure.is_conflict,
    )

"""Docker's inspections as values of the model. Pure.

Names only the members that are used, so that decoding skips the rest. Docker's times stay
text; its zero time is ``""``.

A start that the engine gave up because its client had gone (26 and later do) leaves the error of that and exit
code 128 in ``State``: neither says anything of the container, so they become ``start_dropped``.

Source: engine.md §7, §10.1, §10.4, §12.
"""

from __future__ import annotations

import msgspec

from ecscope.model.arn import DockerId
from ecscope.model.container import (
    ContainerInspection,
    ContainerNetwork,
    Health,
    ImageInspection,
    Mount,
    NamedError,
    PortBinding,
)
from ecscope.model.names import CONTAINER_NAME_LABEL, TASK_ARN_LABEL
from ecscope.model.status import ContainerStatus, HealthStatus

HEALTH_OUTPUT_LIMIT = 1024
"""Characters. Source: engine.md §10.1."""

_CLIENT_GONE = "context canceled"
"""In the error of a start that was abandoned: the whole text in 26.1, after ``Canceled: `` in 28.5."""

_ZERO_TIME = "0001-01-01T00:00:00Z"

_HEALTH = {"healthy": HealthStatus.HEALTHY, "unhealthy": HealthStatus.UNHEALTHY}


class _Check(msgspec.Struct, rename="pascal"):
    end: str = ""
    exit_code: int = 0
    output: str = ""


class _Health(msgspec.Struct, rename="pascal"):
    status: str = ""
    log: list[_Check] | None = None


class _State(msgspec.Struct, rename="pascal"):
    running: bool = False
    dead: bool = False
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    started_at: str = ""
    finished_at: str = ""
    health: _Health | None = None


class _Config(msgspec.Struct, rename="pascal"):
    labels: dict[str, str] | None = None
    env: list[str] | None = None


class _Binding(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class _Network(msgspec.Struct):
    ipv4: str = msgspec.field(name="IPAddress", default="")
    ipv6: str = msgspec.field(name="GlobalIPv6Address", default="")


class _NetworkSettings(_Network, rename="pascal"):
    ports: dict[str, list[_Binding] | None] | None = None
    networks: dict[str, _Network | None] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    network_mode: str = ""


class _Mount(msgspec.Struct, rename="pascal"):
    name: str = ""
    source: str = ""
    destination: str = ""


class _Container(msgspec.Struct, rename="pascal"):
    id: str
    name: str = ""
    image: str = ""
    created: str = ""
    state: _State = msgspec.field(default_factory=_State)
    config: _Config = msgspec.field(default_factory=_Config)
    network_settings: _NetworkSettings = msgspec.field(default_factory=_NetworkSettings)
    host_config: _HostConfig = msgspec.field(default_factory=_HostConfig)
    mounts: list[_Mount] | None = None


class _Image(msgspec.Struct, rename="pascal"):
    id: str
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None
    size: int = 0
    config: _Config | None = None


_decode_container = msgspec.json.Decoder(_Container).decode
_decode_image = msgspec.json.Decoder(_Image).decode


def container_inspection(body: bytes) -> ContainerInspection:
    """Translate the answer to a container inspection.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    container = _decode_container(body)
    state, labels = container.state, container.config.labels or {}
    started_at, finished_at = _time(state.started_at), _time(state.finished_at)
    start_dropped = not state.running and _CLIENT_GONE in state.error
    if start_dropped:
        state = msgspec.structs.replace(state, error="")
    return ContainerInspection(
        docker_id=DockerId(container.id),
        docker_name=container.name.removeprefix("/"),
        image_id=container.image,
        status=_status(state, has_started=bool(started_at)),
        created_at=_time(container.created),
        started_at=started_at,
        finished_at=finished_at,
        exit_code=state.exit_code if finished_at and not state.running and not start_dropped else None,
        start_dropped=start_dropped,
        oom_killed=state.oom_killed,
        error=_error(state),
        bindings=_bindings(container.network_settings.ports or {}),
        mounts=tuple(
            Mount(name=mount.name, source=mount.source, destination=mount.destination)
            for mount in container.mounts or ()
        ),
        networks=_networks(container),
        labels=labels,
        health=_container_health(state.health),
        task_arn=labels.get(TASK_ARN_LABEL, ""),
        container_name=labels.get(CONTAINER_NAME_LABEL, ""),
    )


def image_inspection(body: bytes) -> ImageInspection:
    """Translate the answer to an image inspection.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    image = _decode_image(body)
    environment = (image.config.env if image.config else None) or ()
    return ImageInspection(
        image_id=image.id,
        repo_tags=tuple(image.repo_tags or ()),
        repo_digests=tuple(image.repo_digests or ()),
        environment_names=frozenset(entry.partition("=")[0] for entry in environment),
        size_bytes=image.size,
    )


def _time(text: str) -> str:
    return "" if text == _ZERO_TIME else text


def _status(state: _State, *, has_started: bool) -> ContainerStatus:
    if state.running:
        return ContainerStatus.RUNNING
    if state.dead:
        return ContainerStatus.STOPPED
    if not has_started and not state.error:
        return ContainerStatus.CREATED
    return ContainerStatus.STOPPED


def _error(state: _State) -> NamedError | None:
    if state.oom_killed:
        return NamedError(name="OutOfMemoryError", message="Container killed due to memory usage")
    if state.error:
        return NamedError(name="DockerStateError", message=state.error)
    return None


def _bindings(ports: dict[str, list[_Binding] | None]) -> tuple[PortBinding, ...]:
    bindings = []
    for key, bound in ports.items():
        port, _, protocol = key.partition("/")
        for binding in bound or ():
            if port.isdecimal() and binding.host_port.isdecimal():
                bindings.append(
                    PortBinding(
                        container_port=int(port),
                        host_port=int(binding.host_port),
                        protocol=protocol or "tcp",
                        host_ip=binding.host_ip,
                    )
                )
    return tuple(bindings)


def _networks(container: _Container) -> tuple[ContainerNetwork, ...]:
    """Where none is listed, the mode of the host config and the address beside it. Source: task-metadata-api.md §10."""
    settings = container.network_settings
    listed = settings.networks or {}
    if not listed:
        mode = container.host_config.network_mode
        return (ContainerNetwork(name=mode, ipv4=settings.ipv4, ipv6=settings.ipv6),) if mode else ()
    return tuple(
        ContainerNetwork(name=name, ipv4=network.ipv4 if network else "", ipv6=network.ipv6 if network else "")
        for name, network in sorted(listed.items())
    )


def _container_health(health: _Health | None) -> Health:
    if health is None:
        return Health()
    status = _HEALTH.get(health.status, HealthStatus.UNKNOWN)
    if not health.log:
        return Health(status=status)
    last = health.log[-1]
    return Health(
        status=status, since=_time(last.end), output=last.output[:HEALTH_OUTPUT_LIMIT], exit_code=last.exit_code
    )

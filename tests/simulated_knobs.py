"""``FakeRuntime``: the simulated runtime with the knobs that tests turn.

Calls that fail, hang or lose their connection; an engine that goes away; what people do to containers by hand; and a
look at what is inside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ecscope.agent.core.container_config import ContainerConfig
from ecscope.agent.runtime.docker import errors
from ecscope.agent.runtime.docker.errors import Operation
from ecscope.agent.runtime.docker.timeouts import Timeouts
from ecscope.agent.runtime.interface import RuntimeFailure, VolumeSpec
from ecscope.agent.runtime.simulated.containers import SIGKILL, SimulatedContainer
from ecscope.agent.runtime.simulated.engine import CALLS, SimulatedEngine, gone
from ecscope.agent.runtime.simulated.images import Images, SimulatedImage
from ecscope.agent.runtime.simulated.names import tagged
from ecscope.agent.runtime.simulated.programs import EXIT_BY_SIGKILL, Program
from ecscope.agent.runtime.simulated.runtime import SimulatedRuntime
from ecscope.model.arn import DockerId
from ecscope.model.container import ContainerInspection
from ecscope.model.runtime import EngineInfo, RuntimeNotice


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was made."""

    name: str
    """Name of the method."""
    subject: str
    """Image, container name (of a create), Docker ID or volume; ``""``: none."""
    at_s: float
    """On the loop's clock."""


class _Trouble(msgspec.Struct):
    failure: RuntimeFailure | None
    """``None``: the call hangs until its limit."""
    takes_effect: bool


class FakeEngine(SimulatedEngine):
    """Keeps every call that was made, and has trouble with those that it is told to have trouble with."""

    def __init__(self, *, timeouts: Timeouts | None, epoch_ns: int | None) -> None:
        super().__init__(timeouts=timeouts, epoch_ns=epoch_ns)
        self.latency_s: dict[str, float] = {}
        self.calls: list[Call] = []
        self.troubles: dict[str, deque[_Trouble]] = {}
        self.is_away = False

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    @asynccontextmanager
    async def call(self, name: str, subject: str = "", *, limit_s: float = 0.0) -> AsyncIterator[None]:
        operation, limit_s = CALLS[name][0], limit_s or self.limit_s(name)
        self.now_ns()
        self.calls.append(Call(name=name, subject=subject, at_s=asyncio.get_running_loop().time()))
        if self.is_away:
            raise gone(operation)
        queue = self.troubles.get(name)
        trouble = queue.popleft() if queue else None
        try:
            async with asyncio.timeout(limit_s):
                await self.wait(self.latency_s.get(name, 0.0), operation)
                if trouble is not None and not trouble.takes_effect:
                    await self._suffer(trouble, operation)
                yield
                if trouble is not None:
                    await self._suffer(trouble, operation)
        except TimeoutError as error:
            raise errors.timed_out(operation, limit_s) from error

    def notify(self, notice: RuntimeNotice) -> None:
        if not self.is_away:
            super().notify(notice)

    async def _suffer(self, trouble: _Trouble, operation: Operation) -> None:
        if trouble.failure is not None:
            raise trouble.failure
        await self.until(asyncio.get_running_loop().create_future(), operation)


class FakeRuntime(SimulatedRuntime):
    """See the module docstring.

    Args:
        images: references of images that are local and can be pulled as well.
        info: what ``connect`` answers.
        timeouts: limits of calls that hang.
        epoch_ns: wall-clock time at the first call; ``None``: that of the machine.
        seed: makes Docker IDs of two fakes different.
    """

    def __init__(
        self,
        *,
        images: Iterable[str] = (),
        info: EngineInfo | None = None,
        timeouts: Timeouts | None = None,
        epoch_ns: int | None = None,
        seed: str = "",
    ) -> None:
        self._knobs = FakeEngine(timeouts=timeouts, epoch_ns=epoch_ns)
        self._programs: dict[tuple[str, str], Sequence[Program]] = {}
        super().__init__(
            info=info
            or EngineInfo(
                version="20.10.24-fake",
                api_version="1.41",
                cpus=4,
                memory_bytes=8 * 1024**3,
                cgroup_driver="cgroupfs",
                architecture="x86_64",
            ),
            images=Images(),
            program=self._program,
            seed=seed,
            engine=self._knobs,
        )
        for reference in images:
            self._images.add(reference)

    @property
    def latency_s(self) -> dict[str, float]:
        """Call → how long the engine takes for it."""
        return self._knobs.latency_s

    @latency_s.setter
    def latency_s(self, latency_s: dict[str, float]) -> None:
        self._knobs.latency_s = latency_s

    @property
    def calls(self) -> list[Call]:
        """Every call since the fake was made, in order."""
        return self._knobs.calls

    def add_pullable(self, reference: str, **fields: Any) -> SimulatedImage:
        """Put an image into the registry; takes the fields of ``SimulatedImage``."""
        return self._images.add_pullable(reference, **fields)

    def add_local(self, reference: str, **fields: Any) -> SimulatedImage:
        """Put an image into the local store only: it cannot be pulled."""
        return self._images.add_local(reference, **fields)

    def behave(self, *programs: Program, image: str = "", command: Sequence[str] = (), container: str = "") -> None:
        """What containers do: the first start runs the first program, and so on, the last one for all later ones.

        Exactly one of ``container`` (name in the task definition), ``command`` and ``image`` says
        which containers; where several fit, they count in this order. Others run until stopped.
        """
        keys = [("container", container), ("command", "\0".join(command)), ("image", image and tagged(image))]
        given = [key for key in keys if key[1]]
        if len(given) != 1 or not programs:
            raise ValueError("say programs, and exactly one of container, command and image")
        self._programs[given[0]] = programs

    def fail_next(self, call: str, error: str | RuntimeFailure, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name fail; a text becomes an answer of the engine, named as the call asks.

        ``takes_effect``: the engine did what was asked; only the answer is bad.
        """
        failure = errors.reported(_operation(call), error) if isinstance(error, str) else error
        self._trouble(call, _Trouble(failure, takes_effect), times)

    def drop_next(self, call: str, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name lose their connection."""
        self._trouble(call, _Trouble(errors.connection_lost(_operation(call), call), takes_effect), times)

    def hang_next(self, call: str, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next ``times`` calls of that name get no answer and run into their limit."""
        _operation(call)
        self._trouble(call, _Trouble(None, takes_effect), times)

    def go_away(self, *, with_containers: bool = False) -> None:
        """The engine is gone: calls under way and streams break, new calls find nobody.

        Containers go on (as with Docker's live restore), unless ``with_containers``.
        """
        self._knobs.is_away = True
        self._knobs.break_off("the engine went away")
        if with_containers:
            for container in self._containers:
                if container.running:
                    self._containers.end(container, EXIT_BY_SIGKILL)

    def come_back(self) -> None:
        """The engine answers again. What happened meanwhile is not told by any stream."""
        self._knobs.is_away = False

    def kill(self, container: str, *, signal: int = SIGKILL, exit_code: int = EXIT_BY_SIGKILL) -> None:
        """End a container from outside; ``container`` is its Docker ID, Docker name or name in the definition."""
        found = self._find(container)
        if found is not None and found.running:
            found.last_signal = signal
            self._containers.end(found, exit_code)

    def start_by_hand(self, container: str) -> None:
        """Start a container from outside, as ``docker start`` does."""
        found = self._find(container)
        if found is not None and not found.running:
            self._containers.start(found)

    def remove_by_hand(self, container: str) -> None:
        """Remove a container from outside, as ``docker rm -f`` does."""
        found = self._find(container)
        if found is not None:
            self._containers.remove(found)

    def find(self, container: str) -> DockerId | None:
        """Docker ID of the newest container of that Docker ID, Docker name or name in the definition."""
        found = self._find(container)
        return None if found is None else found.docker_id

    def _find(self, container: str) -> SimulatedContainer | None:
        for entry in self._containers.newest_first():
            if container in (entry.docker_id, entry.name, entry.config.container_name):
                return entry
        return None

    def calls_of(self, name: str) -> list[Call]:
        """The calls of one method, in order."""
        return [call for call in self.calls if call.name == name]

    @property
    def containers(self) -> tuple[ContainerInspection, ...]:
        """All containers that exist, as inspections."""
        return tuple(self._containers.inspection(container) for container in self._containers)

    @property
    def configs(self) -> Mapping[DockerId, ContainerConfig]:
        """What each container that exists was created from."""
        return {container.docker_id: container.config for container in self._containers}

    @property
    def volumes(self) -> Mapping[str, VolumeSpec]:
        """All volumes that exist, by name."""
        return {volume.name: volume for volume in self._volumes}

    @property
    def images(self) -> frozenset[str]:
        """All local names, with tag or digest."""
        return self._images.names

    @property
    def is_idle(self) -> bool:
        """No call is under way."""
        return self._knobs.is_idle

    def _program(self, config: ContainerConfig, start: int) -> Program:
        for key in (
            ("container", config.container_name),
            ("command", "\0".join(config.command or ())),
            ("image", tagged(config.image)),
        ):
            programs = self._programs.get(key)
            if programs is not None:
                return programs[min(start, len(programs) - 1)]
        return Program()

    def _trouble(self, call: str, trouble: _Trouble, times: int) -> None:
        self._knobs.troubles.setdefault(call, deque()).extend([trouble] * times)


def _operation(call: str) -> Operation:
    if call not in CALLS:
        raise ValueError(f"there is no call {call!r}; there are {', '.join(CALLS)}")
    return CALLS[call][0]

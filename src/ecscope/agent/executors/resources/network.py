"""The Docker network of awsvpc tasks: made when a task needs it and it is not there (any more).

Source: docs/adr/0027.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.runtime.interface import NetworkSpec, Runtime
from ecscope.model.container import NamedError
from ecscope.model.names import TASK_NETWORK_LABEL
from ecscope.model.network import TaskNetwork
from ecscope.model.task import Task
from ecscope.model.task_resource import TaskResource


def network_spec(network: TaskNetwork) -> NetworkSpec:
    """What Docker is asked for."""
    return NetworkSpec(
        name=network.bridge,
        bridge=network.bridge,
        subnet=network.subnet,
        gateway=network.gateway,
        labels={TASK_NETWORK_LABEL: "tasks"},
    )


class TaskNetworkProvider:
    """Holds to ``ResourceProvider``. Docker's refusals go on in its own words, as ``RuntimeFailure``."""

    def __init__(
        self, runtime: Runtime, network: TaskNetwork | None, *, made: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """``network`` ``None``: there is none here. ``made``: called whenever it had to be made."""
        self._runtime = runtime
        self._network = network
        self._made = made

    async def create(self, task: Task, resource: TaskResource) -> None:
        """Make it; one that is there is used."""
        del task, resource  # it is the same for all
        if self._network is None:
            message = "there is no network for awsvpc tasks here any more: ECSCOPE_TASK_BRIDGE is not set"
            raise ResourceFailure(NamedError(name="ResourceInitializationError", message=message))
        if await self._runtime.create_network(network_spec(self._network)) and self._made is not None:
            await self._made()

    async def remove(self, task: Task, resource: TaskResource) -> None:
        """It outlives each task."""

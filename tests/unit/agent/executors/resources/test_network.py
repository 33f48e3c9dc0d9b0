"""The network of awsvpc tasks is made when it is not there, and who has to know of that is told."""

from __future__ import annotations

import pytest

from ecscope.agent.core.pauses import wanted
from ecscope.agent.core.state import Settings
from ecscope.agent.executors.resources.interface import ResourceFailure
from ecscope.agent.executors.resources.network import TaskNetworkProvider
from ecscope.agent.runtime.interface import RuntimeFailure
from ecscope.model.network import TaskNetwork
from tests.builders import a_task, an_interface
from tests.simulated_knobs import FakeRuntime

NETWORK = TaskNetwork(bridge="ecs-1", subnet="10.213.0.0/20")
TASK = a_task(interface=an_interface())
(RESOURCE,) = wanted(Settings(task_network=NETWORK), TASK)


async def test_it_is_made_once_and_again_if_somebody_removed_it() -> None:
    runtime, made = FakeRuntime(), []

    async def note() -> None:
        made.append(await runtime.subnets())

    provider = TaskNetworkProvider(runtime, NETWORK, made=note)
    await provider.create(TASK, RESOURCE)
    await provider.create(TASK, RESOURCE)
    await provider.remove(TASK, RESOURCE)
    assert made == [{"ecs-1": ("10.213.0.0/20",)}]
    await runtime.remove_network("ecs-1")
    await provider.create(TASK, RESOURCE)
    assert len(made) == 2


async def test_a_subnet_that_another_network_has_is_docker_s_to_refuse() -> None:
    runtime = FakeRuntime()
    await TaskNetworkProvider(runtime, TaskNetwork(bridge="other", subnet="10.213.8.0/24")).create(TASK, RESOURCE)
    with pytest.raises(RuntimeFailure, match="Pool overlaps with other one on this address space"):
        await TaskNetworkProvider(runtime, NETWORK).create(TASK, RESOURCE)


async def test_an_agent_that_has_no_such_network_any_more() -> None:
    with pytest.raises(ResourceFailure, match="ECSCOPE_TASK_BRIDGE is not set"):
        await TaskNetworkProvider(FakeRuntime(), None).create(TASK, RESOURCE)

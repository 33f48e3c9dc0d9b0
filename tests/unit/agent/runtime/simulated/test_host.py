"""The simulated runtime has every image, runs until it is stopped, is healthy where asked, and hides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from ecscope.agent.core.container_config import ContainerConfig, container_config
from ecscope.agent.runtime.simulated.host import simulated_runtime
from ecscope.agent.runtime.simulated.programs import EXIT_BY_SIGTERM
from ecscope.agent.runtime.simulated.runtime import SimulatedRuntime
from ecscope.model.status import HealthStatus
from tests.builders import a_container, a_task
from tests.loop_clock import Clock

LIMIT_S = 240.0
DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    with Clock(asyncio.get_running_loop()) as made:
        yield made


def spec(**definition: object) -> ContainerConfig:
    container = a_container("app", docker_name="ecs-sample-1-app-00", image="nginx:1.25", **definition)
    return container_config(
        task=a_task(container),
        container=container,
        host_ports={},
        cluster="default",
        region="",
        image_environment_names=frozenset(),
    )


async def pulled(clock: Clock, reference: str) -> SimulatedRuntime:
    runtime = simulated_runtime()
    await clock.run(runtime.pull_image(reference, None, lambda progress: None))
    return runtime


async def test_it_tells_what_it_is(clock: Clock) -> None:
    info = await clock.run(simulated_runtime().connect())
    assert info.version == "simulated"
    assert (info.cpus, info.memory_bytes) == (4, 8 * 1024**3)


@pytest.mark.parametrize("reference", ["nginx", "nginx:1.25", f"registry.example/team/app@{DIGEST}"])
async def test_every_image_is_there(clock: Clock, reference: str) -> None:
    runtime = await pulled(clock, reference)
    assert await clock.run(runtime.inspect_image(reference)) is not None
    digest = await clock.run(runtime.resolve_digest(reference, None))
    assert digest == DIGEST if "@" in reference else digest.startswith("sha256:")


async def test_a_container_runs_until_it_is_stopped(clock: Clock) -> None:
    runtime = await pulled(clock, "nginx:1.25")
    docker_id = await clock.run(runtime.create_container(spec(), timeout_s=LIMIT_S))
    await clock.run(runtime.start_container(docker_id, timeout_s=LIMIT_S))
    await clock.run(asyncio.sleep(3600))
    before = await clock.run(runtime.inspect_container(docker_id))
    assert before.health.status is HealthStatus.UNKNOWN
    await clock.run(runtime.stop_container(docker_id, grace_s=30))
    after = await clock.run(runtime.inspect_container(docker_id))
    assert (before.exit_code, after.exit_code) == (None, EXIT_BY_SIGTERM)


async def test_a_health_check_succeeds(clock: Clock) -> None:
    runtime = await pulled(clock, "nginx:1.25")
    checked = spec(health_check_is_docker=True, docker_config='{"Healthcheck": {"Test": ["CMD", "true"]}}')
    docker_id = await clock.run(runtime.create_container(checked, timeout_s=LIMIT_S))
    await clock.run(runtime.start_container(docker_id, timeout_s=LIMIT_S))
    await clock.run(asyncio.sleep(2))
    container = await clock.run(runtime.inspect_container(docker_id))
    assert container.health.status is HealthStatus.HEALTHY


async def test_nothing_grows_with_every_call(clock: Clock) -> None:
    runtime = await pulled(clock, "nginx:1.25")

    def in_memory() -> int:
        return len(msgspec.json.encode({name: str(part) for name, part in vars(runtime._engine).items()}))

    before = in_memory()
    for _ in range(50):
        await clock.run(runtime.ping())
    assert in_memory() == before


async def test_two_are_not_the_same(clock: Clock) -> None:
    one, other = await pulled(clock, "nginx:1.25"), await pulled(clock, "nginx:1.25")
    made = [await clock.run(runtime.create_container(spec(), timeout_s=LIMIT_S)) for runtime in (one, other)]
    assert made[0] != made[1]


def test_it_has_no_switches_of_tests() -> None:
    runtime = simulated_runtime()
    assert type(runtime) is SimulatedRuntime
    assert not {"fail_next", "go_away", "calls", "behave"} & set(dir(runtime))

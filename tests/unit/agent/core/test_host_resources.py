"""What a task takes of the instance, and the queue in front of it: first in, first out, without a word to ECS."""

from __future__ import annotations

import pytest

from ecscope.agent.core import host_resources
from ecscope.agent.core.actions import PullImage, ResolveManifest
from ecscope.agent.core.events import CleanupRequested
from ecscope.agent.core.host_resources import host_of, needs_of, shortage
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import PortMapping
from ecscope.model.network import NetworkMode
from ecscope.model.resources import HostResources
from ecscope.model.runtime import EngineInfo
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld
from tests.builders import AT, a_container
from tests.tables import each_row
from tests.unit.agent.core.scenes import ONE, THREE, TWO, a_task, a_world, calls_of, exits, running, statuses, told
from tests.world import INSTANCE, World

WEB = PortMapping(container_port=80, host_port=8080)


def ports(*numbers: int, protocol: str = "tcp") -> tuple[PortMapping, ...]:
    return tuple(PortMapping(container_port=80, host_port=n, protocol=protocol) for n in numbers)


# --- needs: engine.md §2.2, the table ---


@pytest.mark.parametrize(
    ("vcpu", "units"),
    [(0.0, 300), (0.25, 256), (2.0, 2048), (0.1, 102)],
)
def test_cpu_is_the_task_limit_or_else_the_sum_of_its_containers(vcpu: float, units: int) -> None:
    task = a_task(a_container("a", cpu_units=100), a_container("b", cpu_units=200), cpu_vcpu=vcpu)
    assert needs_of(task).cpu_units == units


@each_row(
    "host_config, counted",
    [
        ("{}", 512),
        ("", 512),
        ('{"MemoryReservation": 134217728}', 128),
        ('{"memoryreservation": 134217728}', 128),  # member names are matched without case. engine.md §6.4
        ('{"Dns": [], "MemoryReservation": 0}', 512),
        ('{"MemoryReservation": "much"}', 512),
        ("[1]", 512),
        ("not json", 512),  # it fails at create, with its own error
    ],
)
def test_memory_is_the_sum_of_reservations_or_else_limits(host_config: str, counted: int) -> None:
    task = a_task(a_container("a", memory_mib=512, docker_host_config=host_config), a_container("b", memory_mib=64))
    assert needs_of(task).memory_mib == counted + 64


def test_a_task_memory_limit_comes_before_its_containers() -> None:
    assert needs_of(a_task(a_container(memory_mib=512), memory_mib=1024)).memory_mib == 1024


def test_ports_are_those_that_are_asked_for_by_protocol() -> None:
    mappings = (*ports(0, 8080, 8081), *ports(53, protocol="udp"))
    needs = needs_of(a_task(a_container(port_mappings=mappings)))
    assert needs.ports_tcp == {8080, 8081}
    assert needs.ports_udp == {53}


def test_an_awsvpc_task_takes_no_port_of_the_host() -> None:
    needs = needs_of(a_task(a_container(port_mappings=ports(8080), cpu_units=1), network_mode=NetworkMode.AWSVPC))
    assert needs == HostResources(cpu_units=1)


def test_a_fargate_task_takes_nothing() -> None:
    assert needs_of(a_task(a_container(cpu_units=1, memory_mib=1), launch_type="FARGATE")) == HostResources()


def test_the_host_has_what_docker_says_less_what_is_reserved() -> None:
    info = EngineInfo(version="20.10", api_version="1.41", cpus=2, memory_bytes=4096 * 1024 * 1024)
    host = host_of(info, reserved_memory_mib=96, reserved_ports_tcp=frozenset({22}), reserved_ports_udp=frozenset({53}))
    assert host == HostResources(cpu_units=2048, memory_mib=4000, ports_tcp=frozenset({22}), ports_udp=frozenset({53}))


HOST = HostResources(cpu_units=10, memory_mib=10, ports_tcp=frozenset({22}), ports_udp=frozenset({53}))
TAKEN = HostResources(cpu_units=8, memory_mib=10, ports_tcp=frozenset({80, 81}), ports_udp=frozenset({5000}))


@each_row(
    "needs, text",
    [
        (HostResources(cpu_units=2), ""),
        (HostResources(cpu_units=3), "3 CPU units, 2 free"),
        (HostResources(memory_mib=1), "1 MiB of memory, 0 free"),
        (HostResources(ports_tcp=frozenset({80, 81})), "TCP port 80, 81, held by another task"),
        (HostResources(ports_udp=frozenset({5000})), "UDP port 5000, held by another task"),
        (HostResources(ports_tcp=frozenset({22})), "TCP port 22, reserved on this instance"),
        (HostResources(ports_udp=frozenset({53})), "UDP port 53, reserved on this instance"),
        (HostResources(ports_tcp=frozenset({5000, 53}), ports_udp=frozenset({80, 22})), ""),
        (
            HostResources(cpu_units=9, ports_udp=frozenset({53})),
            "9 CPU units, 2 free; UDP port 53, reserved on this instance",
        ),
    ],
)
def test_what_is_lacking_is_said_in_one_clause(needs: HostResources, text: str) -> None:
    assert shortage(needs, host=HOST, taken=TAKEN) == text


# --- the queue ---


def test_a_task_whose_port_is_held_waits_and_blocks_every_later_task() -> None:
    """engine.md §2.2, Seen running 15."""
    world = running(a_task(a_container(port_mappings=(WEB,)), number=1))
    world.submit(a_task(a_container(port_mappings=(WEB,)), number=2))
    world.submit(a_task(a_container(), number=3))
    world.run_calls()
    assert world.state.waiting == (TWO, THREE)
    assert statuses(world, TWO) == statuses(world, THREE) == {"app": "NONE"}
    assert told(world, history.TaskWaitsForHostResources) == [
        "waits for host resources: needs TCP port 8080, held by another task",
        f"waits behind {TWO}, first in the queue for host resources",
    ]


def test_two_tasks_that_want_one_port_run_one_after_the_other() -> None:
    world = running(a_task(a_container(port_mappings=(WEB,)), number=1))
    world.submit(a_task(a_container(port_mappings=(WEB,)), number=2))
    world.stop(ONE)
    assert world.task(TWO).host_resources is HostResourcesHeld.WAITING, "the old one is still stopping"
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.STOPPED
    assert world.task(TWO).known is TaskStatus.RUNNING
    assert world.state.taken == world.task(TWO).needs


def test_there_is_no_time_out() -> None:
    """engine.md §2.2: without a limit, and nothing is reported meanwhile."""
    world = a_world()
    world.submit(a_task(a_container(memory_mib=1_000_000)))
    world.run_calls()
    world.advance(7 * 24 * 3600)
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.NONE
    assert world.task(ONE).desired is TaskStatus.RUNNING


def test_a_stop_request_ends_the_wait_with_neither_exit_code_nor_docker_id() -> None:
    """engine.md §2.2, Seen running 7."""
    world = a_world()
    world.submit(a_task(a_container(memory_mib=1_000_000), number=1))
    world.submit(a_task(a_container(), number=2))
    world.stop(ONE)
    task = world.task(ONE)
    assert task.known is TaskStatus.STOPPED
    assert (task.containers[0].exit_code, task.containers[0].docker_id) == (None, "")
    assert task.terminal_reason == ""
    world.run_calls()
    assert world.task(TWO).known is TaskStatus.RUNNING, "the next in the queue goes on"


def test_a_stop_request_in_the_middle_of_the_queue_leaves_the_others_in_order() -> None:
    world = running(a_task(a_container(port_mappings=(WEB,)), number=1))
    world.submit(a_task(a_container(port_mappings=(WEB,)), number=2))
    world.submit(a_task(a_container(), number=3))
    world.stop(THREE)
    assert world.state.waiting == (TWO,)
    assert world.task(THREE).known is TaskStatus.STOPPED


def test_what_a_stopped_task_held_is_free_and_given_back_once() -> None:
    world = running(a_task(a_container(cpu_units=100, port_mappings=(WEB,))))
    assert world.state.taken == HostResources(cpu_units=100, ports_tcp=frozenset({8080}))
    exits(world)
    assert world.state.taken == HostResources()
    task = world.task(ONE)
    assert task.host_resources is HostResourcesHeld.RELEASED
    step = Step(world.state, CleanupRequested(id="x", at=AT))
    assert host_resources.release(step, task) is task
    assert step.decision().state is world.state, "releasing again changes nothing"


def test_without_docker_a_task_waits_and_says_so() -> None:
    world = World()
    world.submit(a_task())
    assert told(world, history.TaskWaitsForHostResources) == ["waits until Docker is connected"]
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_a_task_that_fits_is_let_in_at_once_without_a_word_about_waiting() -> None:
    world = a_world()
    world.submit(a_task())
    assert world.task(ONE).host_resources is HostResourcesHeld.HELD
    assert told(world, history.TaskWaitsForHostResources) == []
    assert calls_of(world, ResolveManifest)


def test_a_fargate_task_does_not_queue() -> None:
    """engine.md §2.2."""
    world = a_world()
    world.submit(a_task(a_container(memory_mib=1_000_000), number=1))
    world.submit(a_task(a_container(memory_mib=1_000_000), number=2, launch_type="FARGATE"))
    world.run_calls()
    assert world.task(ONE).known is TaskStatus.NONE
    assert world.task(TWO).known is TaskStatus.RUNNING


def test_running_tasks_hold_their_share_again_after_a_restart_without_queueing() -> None:
    """engine.md §2.2, §13: also when the instance could not take them any more."""
    world = running(a_task(a_container(memory_mib=5000), number=1))
    world.submit(a_task(a_container(memory_mib=5000), number=2))
    world.restart_agent()
    assert world.state.taken.memory_mib == 5000
    assert world.state.waiting == (TWO,)
    world.run_calls()
    assert not calls_of(world, PullImage)
    assert world.task(ONE).known is TaskStatus.RUNNING


def test_a_queue_entry_whose_task_needs_nothing_more_is_passed_over() -> None:
    world = a_world()
    world.submit(a_task(a_container(memory_mib=1_000_000), number=1))
    world.submit(a_task(a_container(), number=2))
    step = Step(world.state, CleanupRequested(id="x", at=AT))
    step.drop(step.tasks[ONE])
    host_resources.serve_queue(step)
    assert step.waiting == ()
    assert step.tasks[TWO].host_resources is HostResourcesHeld.HELD


def test_a_restored_task_that_was_to_stop_leaves_the_queue_and_stops() -> None:
    """A state in which the stop was saved and the end was not."""
    world = World()
    stopping = a_task(a_container(desired=ContainerStatus.STOPPED), desired=TaskStatus.STOPPED)
    world.state = restored_state(instance=INSTANCE, settings=world.settings, tasks=[stopping, a_task(number=2)])
    assert world.state.waiting == (ONE, TWO)
    world.run_calls()
    assert (world.task(ONE).known, world.task(TWO).known) == (TaskStatus.STOPPED, TaskStatus.RUNNING)
    assert world.state.waiting == ()

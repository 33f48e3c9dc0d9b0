"""Ports of awsvpc tasks on 127.0.0.1 are said once, of many tasks a few, and of none that has no address of its own."""

from __future__ import annotations

import msgspec

from ecscope.control.core.records import Task
from ecscope.control.core.statuses import LastStatus
from ecscope.model.arn import TaskArn
from ecscope.model.network import TaskInterface
from ecscope.up.ports import PortWatch, ports_on_loopback
from tests.builders import an_interface
from tests.control_builders import a_control_task

BOUND = {"bindIP": "127.0.0.1", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
RANGE = {"bindIP": "127.0.0.1", "containerPortRange": "90-91", "hostPortRange": "40000-40001", "protocol": "udp"}
INTERFACE = an_interface()


def a_bound_task(number: int, *, interface: TaskInterface | None = INTERFACE, **fields: object) -> Task:
    task = a_control_task(number, interface=interface, **fields)
    (container,) = task.containers
    bound = msgspec.structs.replace(container, network_bindings=(BOUND,))
    return msgspec.structs.replace(task, containers=(bound,))


def test_each_task_is_said_once_and_many_are_counted() -> None:
    tasks: dict[TaskArn, Task] = {}
    said: list[str] = []

    def look(*more: Task) -> list[str]:
        nonlocal tasks
        tasks = {**tasks, **{task.arn: task for task in more}}
        said.clear()
        watch.look()
        return said

    tasks[a_bound_task(1).arn] = a_bound_task(1)
    watch = PortWatch(tasks=lambda: tasks, say=said.append)
    assert look() == [], "of an earlier run"
    assert look(a_control_task(2, interface=INTERFACE)) == [], "nothing is published yet"
    assert look(a_bound_task(2)) == [f"task {2:032x} (sample:1): app 127.0.0.1:32768->80/tcp"]
    assert look(a_bound_task(2, is_acknowledged=True)) == []
    assert look(a_bound_task(3, last_status=LastStatus.STOPPED), a_bound_task(4, interface=None)) == []
    assert look(*map(a_bound_task, range(10, 15)))[2:] == [
        f"task {12:032x} (sample:1): app 127.0.0.1:32768->80/tcp",
        "2 more of sample:1: `ecscope tasks` shows their ports",
    ]


def test_a_range_is_shown_as_one() -> None:
    task = a_bound_task(1)
    (container,) = task.containers
    both = msgspec.structs.replace(container, network_bindings=(BOUND, RANGE))
    ports = ports_on_loopback(msgspec.structs.replace(task, containers=(both,)))
    assert ports == ["app 127.0.0.1:32768->80/tcp", "app 127.0.0.1:40000-40001->90-91/udp"]

"""Too many tasks: which go first."""

from __future__ import annotations

from typing import Any

from ecscope.control.core.records import Service, Task
from ecscope.control.core.scale_in import first_to_go
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from tests.control_builders import AT, a_control_task, a_request, a_service, an_instance


def a_task(number: int, on: int = 1, **fields: Any) -> Task:
    return a_control_task(
        number, **{"instance_arn": an_instance(on).arn, "last_status": "RUNNING", "started_at": AT, **fields}
    )


def gone(tasks: list[Task], count: int, service: Service | None = None) -> list[int]:
    """Numbers of the tasks that go; instances 1 and 2 are in zone a, 3 is in zone b."""
    step = Step(ControlState(), a_request("UpdateService"))
    for number in (1, 2, 3):
        zone = Attribute(name="ecs.availability-zone", value="b" if number == 3 else "a")
        step.instances.put(an_instance(number).arn, an_instance(number, reported_attributes=(zone,)))
    for task in tasks:
        step.put_task(task)
    return [int(task.arn[-2:], 16) for task in first_to_go(step, service or a_service(), tasks, count)]


def by(*rules: dict[str, str]) -> Service:
    return a_service(body={"placementStrategy": list(rules)})


def test_of_equals_the_newest_goes() -> None:
    assert gone([a_task(1), a_task(2), a_task(3)], 2) == [3, 2]
    assert gone([a_task(1)], 5) == [1]
    assert gone([a_task(1)], 0) == []


def test_what_does_not_run_goes_first() -> None:
    assert gone([a_task(1), a_task(2, last_status="PENDING"), a_task(3)], 1) == [2]


def test_by_default_zones_and_then_instances_stay_even() -> None:
    assert gone([a_task(1, 1), a_task(2, 1), a_task(3, 2), a_task(4, 3)], 3) == [2, 3, 4]


def test_a_spread_over_something_else_evens_that_out() -> None:
    assert gone(
        [a_task(1, 1), a_task(2, 2), a_task(3, 2), a_task(4, 3)], 1, by({"type": "spread", "field": "host"})
    ) == [3]


def test_binpack_empties_the_instance_with_the_most_left() -> None:
    big = HostResources(cpu_units=500, memory_mib=10)
    tasks = [a_task(1, 1, needs=big), a_task(2, 2)]
    assert gone(tasks, 1, by({"type": "binpack", "field": "cpu"})) == [2]
    assert gone(tasks, 1, by({"type": "binpack", "field": "memory"})) == [1]


def test_random_prefers_nothing_and_an_unknown_instance_does_no_harm() -> None:
    assert gone([a_task(1, 3), a_task(2, 1)], 1, by({"type": "random"})) == [2]
    assert gone([a_task(1, 9), a_task(2, 9)], 1) == [2]
    assert gone([a_task(1, 9), a_task(2, 9)], 1, by({"type": "binpack", "field": "cpu"})) == [2]

"""The next moves of a service, for each kind of task that it can have."""

from __future__ import annotations

from typing import Any

from ecscope.control.core.deployments import with_deployment, with_primary
from ecscope.control.core.records import Service, Task, TaskContainer
from ecscope.control.core.rollout import Plan, daemon_plan, replica_plan
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from ecscope.model.status import HealthStatus
from tests.control_builders import AT, a_control_task, a_request, a_service, an_instance

NEW, OLD = "new", "old"
HERE, THERE = an_instance(1).arn, an_instance(2).arn


def a_step(**settings: Any) -> Step:
    """Instance 1 is ACTIVE, 2 too, 3 drains and 4's agent is away."""
    step = Step(ControlState(settings=Settings(**{"healthy_after_s": 0, **settings})), a_request("UpdateService"))
    for instance in (
        an_instance(1),
        an_instance(2),
        an_instance(3, status="DRAINING"),
        an_instance(4, connection_id=""),
    ):
        step.instances.put(instance.arn, instance)
    return step


def wanting(desired: int, minimum: int = 100, maximum: int = 200, **fields: Any) -> Service:
    percents = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
    service = a_service(desired_count=desired, body={"deploymentConfiguration": percents}, **fields)
    return with_primary(with_deployment(a_step(), service, definition_arn="d", settings={}), id=NEW)


def a_task(number: int, deployment: str = NEW, on: int = 1, **fields: Any) -> Task:
    running = {"last_status": "RUNNING", "started_at": AT, "deployment_id": deployment}
    return a_control_task(number, **{**running, "instance_arn": an_instance(on).arn, **fields})


def ailing(number: int, deployment: str = NEW, **fields: Any) -> Task:
    container = TaskContainer(name="app", arn="a", image="i", has_health_check=True)
    return a_task(number, deployment, containers=(container,), health=HealthStatus.UNHEALTHY, **fields)


def plan(service: Service, *tasks: Task, may_start: bool = True, has_room: bool = True, **settings: Any) -> Plan:
    return replica_plan(a_step(**settings), service, tasks, may_start=may_start, has_room=has_room)


def numbers(tasks: tuple[Task, ...]) -> list[int]:
    return [int(task.arn[-2:], 16) for task in tasks]


def test_what_is_missing_is_started() -> None:
    assert plan(wanting(3), a_task(1)) == Plan(starts=("", ""), missing=2)
    assert plan(wanting(3), a_task(1), may_start=False) == Plan(missing=2)
    assert plan(wanting(3), a_task(1), has_room=False) == Plan(missing=2)
    assert plan(wanting(1), a_task(1)) == Plan()


def test_no_more_are_started_than_the_upper_limit_allows() -> None:
    old = [a_task(number, OLD) for number in (1, 2, 3)]
    assert len(plan(wanting(3, maximum=150), *old).starts) == 1
    told = [a_task(number, OLD, desired_status="STOPPED") for number in (4,)]
    assert plan(wanting(3, maximum=150), *old, *told).starts == ()


def test_a_stop_that_an_absent_agent_does_not_hear_of_holds_nothing_up() -> None:
    told = a_task(1, desired_status="STOPPED", on=4)
    assert plan(wanting(1, maximum=100), told).starts == ("",)
    here = a_task(1, desired_status="STOPPED")
    assert plan(wanting(1, maximum=100), here).starts == ()


def test_old_tasks_go_as_new_ones_are_healthy() -> None:
    old = [a_task(1, OLD), a_task(2, OLD)]
    assert plan(wanting(2), *old, a_task(3, last_status="PENDING"), a_task(4, last_status="PENDING")).stops == ()
    assert numbers(plan(wanting(2), *old, a_task(3), a_task(4, last_status="PENDING")).stops) == [1]
    assert numbers(plan(wanting(2), *old, a_task(3), a_task(4)).stops) == [1, 2]


def test_old_tasks_that_never_ran_go_at_once_and_those_not_yet_healthy_stay_for_others() -> None:
    waiting = [a_task(1, OLD, last_status="PENDING"), a_task(2, OLD)]
    assert numbers(plan(wanting(2), *waiting, healthy_after_s=40).stops) == [1]


def test_tasks_on_an_instance_that_drains_are_replaced() -> None:
    leaving = a_task(1, on=3)
    assert plan(wanting(1), leaving) == Plan(starts=("",), missing=1)
    assert numbers(plan(wanting(1), leaving, a_task(2)).stops) == [1]


def test_limits_that_allow_nothing() -> None:
    assert plan(wanting(1, 100, 100), a_task(1, OLD)) == Plan(missing=1, is_blocked=True)
    assert not plan(wanting(1, 100, 100), a_task(1, OLD), healthy_after_s=40).is_blocked
    assert not plan(wanting(1, 100, 100), a_task(1, OLD), may_start=False).is_blocked


def test_after_a_deployment_was_given_up_the_old_ones_hold_the_line() -> None:
    given_up = with_primary(wanting(2, 50), rollout_state="FAILED")
    assert plan(given_up, a_task(1, OLD), a_task(2, OLD), may_start=False).stops == ()


def test_surplus_goes_but_for_what_is_protected() -> None:
    until = AT.replace(hour=13)
    shield = {"is_protected": True, "protected_until": until}
    found = plan(wanting(1), a_task(1), a_task(2, **shield), a_task(3, **shield))
    assert (numbers(found.stops), numbers(found.protected)) == ([1], [2, 3])
    found = plan(wanting(1), a_task(1, OLD, **shield), a_task(2))
    assert (numbers(found.stops), numbers(found.protected)) == ([], [1])


def test_ailing_tasks_go_when_others_serve_or_one_by_one_when_there_is_no_room() -> None:
    assert plan(wanting(1), ailing(1)) == Plan(starts=("",), missing=1)
    assert numbers(plan(wanting(1), ailing(1), a_task(2)).ailing) == [1]
    assert numbers(plan(wanting(2, 0, 100), ailing(1), ailing(2)).ailing) == [1]
    assert plan(wanting(2, 0, 100), ailing(1), a_task(2, desired_status="STOPPED")).ailing == ()
    assert plan(wanting(2, 0, 100), ailing(1), a_task(2, last_status="PENDING")).ailing == ()
    assert numbers(plan(wanting(1), ailing(1), has_room=False).ailing) == [1]


def daemon(*tasks: Task, minimum: int = 0, may_start: bool = True) -> Plan:
    service = wanting(2, minimum, 100, scheduling_strategy="DAEMON")
    return daemon_plan(a_step(), service, tasks, (HERE, THERE), may_start=may_start)


def test_a_daemon_starts_where_none_is() -> None:
    assert daemon(a_task(1)) == Plan(starts=(THERE,), missing=1)
    assert daemon(may_start=False) == Plan(missing=2)
    assert daemon(a_task(1), a_task(2, on=2)) == Plan()


def test_a_daemon_waits_for_the_last_one_to_end() -> None:
    assert daemon(a_task(1), a_task(2, on=2, desired_status="STOPPED")) == Plan(missing=1)
    found = daemon(a_task(1), a_task(2, OLD, on=2))
    assert (found.starts, numbers(found.stops)) == ((), [2])


def test_a_daemon_keeps_so_many_healthy() -> None:
    assert numbers(daemon(a_task(1, OLD), a_task(2, OLD, on=2), minimum=50).stops) == [1]
    assert numbers(daemon(a_task(1, OLD), a_task(2, OLD, on=2), minimum=100).stops) == []


def test_a_daemon_leaves_where_it_does_not_belong_and_stands_alone() -> None:
    assert numbers(daemon(a_task(1), a_task(2, on=2), a_task(3, on=3), a_task(4), minimum=100).stops) == [4, 3]


def test_an_ailing_daemon_is_stopped_one_at_a_time() -> None:
    assert numbers(daemon(ailing(1), ailing(2, instance_arn=THERE)).ailing) == [1]
    assert daemon(ailing(1), a_task(2, on=2, desired_status="STOPPED")).ailing == ()

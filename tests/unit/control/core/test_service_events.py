"""A service speaks in ECS's words, and does not repeat itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from ecscope.control.core.records import Service
from ecscope.control.core.service_events import (
    EVENTS_KEPT,
    complain,
    content,
    protected,
    say,
    say_explained,
    say_started,
    say_steady,
    say_stopped,
    say_unhealthy,
    unplaced,
)
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step
from ecscope.model.arn import task_id
from tests.control_builders import AT, a_control_task, a_request, a_service


def a_step(hours: float = 0) -> Step:
    request = a_request("UpdateService", int(hours * 10) + 1)
    return Step(ControlState(), msgspec.structs.replace(request, at=AT + timedelta(hours=hours)))


def messages(service: Service) -> list[str]:
    return [event.message for event in service.events]


def test_every_sentence() -> None:
    task, service = a_control_task(), a_service()
    name = task_id(task.arn)
    assert messages(say_started(a_step(), service, [task, task])) == [
        f"(service web) has started 2 tasks: (task {name}) (task {name})."
    ]
    assert messages(say_stopped(a_step(), service, [task])) == [
        f"(service web) has stopped 1 running tasks: (task {name})."
    ]
    assert messages(say_unhealthy(a_step(), service, task)) == [
        f"(service web) (task {name}) failed container health checks."
    ]
    assert messages(say_explained(a_step(), service, task, code="exit.error", sentence="app ended with 3")) == [
        f"(service web) (task {name}) failed: exit.error: app ended with 3"
    ]
    assert messages(say_steady(a_step(), service)) == ["(service web) has reached a steady state."]
    assert protected(2) == "was unable to scale in due to (reason 2 tasks under protection)"
    nowhere = "was unable to place a task because no container instance met all of its requirements. "
    closest = "The closest matching (container-instance 89ab) has insufficient memory available."
    assert unplaced(closest) == nowhere + closest
    none = "No Container Instances were found in your cluster."
    assert unplaced(none) == f"{nowhere}Reason: {none}"


def test_nothing_is_said_of_no_tasks_and_ten_tasks_are_one_event() -> None:
    assert say_started(a_step(), a_service(), []).events == ()
    many = say_started(a_step(), a_service(), [a_control_task(number) for number in range(1, 26)])
    assert [message.split(":")[0] for message in messages(many)] == [
        "(service web) has started 5 tasks",
        "(service web) has started 10 tasks",
        "(service web) has started 10 tasks",
    ]


def test_the_newest_hundred_stay_newest_first() -> None:
    service, step = a_service(), a_step()
    for number in range(EVENTS_KEPT + 5):
        service = say(step, service, f"says {number}")
    assert len(service.events) == EVENTS_KEPT
    assert service.events[0].message == "(service web) says 104"
    assert len({event.id for event in service.events}) == EVENTS_KEPT


def test_a_complaint_is_repeated_after_six_hours_or_when_it_has_changed() -> None:
    service = complain(a_step(), a_service(), "is ill.")
    assert complain(a_step(5.9), service, "is ill.") is service
    assert len(complain(a_step(6), service, "is ill.").events) == 2
    assert len(complain(a_step(1), service, "is worse.").events) == 2
    well = content(service)
    assert (well.last_problem, well.last_problem_at) == ("", None)
    assert len(complain(a_step(1), well, "is ill.").events) == 2
    assert content(well) is well


def test_another_instance_that_lacks_the_same_is_nothing_new() -> None:
    clause = "The closest matching (container-instance {}) has insufficient memory available."
    service = complain(a_step(), a_service(), unplaced(clause.format("89ab")))
    assert complain(a_step(1), service, unplaced(clause.format("cdef"))) is service
    cause = clause.format("89ab").replace("memory", "CPU units")
    assert len(complain(a_step(1), service, unplaced(cause)).events) == 2


def test_a_steady_state_is_told_again_after_six_hours() -> None:
    service = say_steady(a_step(), a_service())
    assert say_steady(a_step(5.9), service) is service
    assert len(say_steady(a_step(6), service).events) == 2

"""A step changes nothing but its own copy, keeps its books, and names every record that is to be saved."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from tests.control_builders import AT, a_cluster, a_control_task, a_request, a_service, a_task_definition, an_instance


def a_step(state: ControlState | None = None, number: int = 1) -> Step:
    return Step(state or ControlState(), a_request("RunTask", number))


def test_a_step_without_changes_gives_the_same_state() -> None:
    state = ControlState()
    decision = a_step(state).decision({"tasks": []})
    assert decision.state is state
    assert decision.records == {}
    assert decision.answer == {"tasks": []}


def test_the_state_before_is_left_alone() -> None:
    state = ControlState(clusters={"default": a_cluster()})
    step = a_step(state)
    step.clusters.put("other", a_cluster("other"))
    step.clusters.drop("default")
    step.clusters.drop("never was")
    decision = step.decision()
    assert list(state.clusters) == ["default"]
    assert list(decision.state.clusters) == ["other"]
    assert decision.records == {"clusters": {"other": a_cluster("other"), "default": None}}


def test_ids_are_decided_by_the_event_and_never_the_same() -> None:
    first, again, other = a_step(), a_step(), a_step(number=2)
    ids = [first.new_id() for _ in range(3)]
    assert ids == [again.new_id() for _ in range(3)]
    assert len({*ids, other.new_id()}) == 4
    assert len(first.new_digits(19)) == 19
    assert len(first.new_uuid()) == 36


def test_sequence_numbers_rise_over_a_clock_set_back() -> None:
    ahead = int(AT.timestamp()) + 1000
    step = a_step(ControlState(sequence=ahead))
    assert [step.next_sequence(), step.next_sequence()] == [ahead + 1, ahead + 2]
    decision = step.decision()
    assert decision.state.sequence == ahead + 2
    assert decision.records == {"meta": {"sequence": ahead + 2}}
    assert a_step().next_sequence() == int(AT.timestamp())


def test_the_books_follow_every_task() -> None:
    task, service = a_control_task(service_arn=a_service().arn), a_service()
    step = a_step(ControlState(services={service.arn: service}))
    step.put_task(task)
    assert step.tasks_on[task.instance_arn] == {task.arn}
    assert step.tasks_of[service.arn] == {task.arn}
    assert step.taken[task.instance_arn] == task.needs
    assert step.groups_on[task.instance_arn] == {task.group: 1}
    assert service.arn in step.touched_services
    step.put_task(msgspec.structs.replace(task, last_status="RUNNING"))
    assert step.taken[task.instance_arn] == task.needs, "counted once"
    stopped = step.put_task(msgspec.structs.replace(task, last_status="STOPPED"))
    assert not any((step.taken, step.tasks_on, step.groups_on, step.tasks_of)), "nothing is left of it"
    step.drop_task(stopped)
    assert not step.tasks
    with pytest.raises(AssertionError):
        step.drop_task(task)


def test_a_restart_works_the_books_out_anew() -> None:
    service = a_service()
    tasks = [a_control_task(1, service_arn=service.arn), a_control_task(2), a_control_task(3, last_status="STOPPED")]
    step = a_step(ControlState(instances={an_instance().arn: an_instance()}, services={service.arn: service}))
    for task in tasks:
        step.put_task(task)
    for revision in (1, 3):
        step.put_task_definition(a_task_definition(revision=revision))
    state = step.decision().state
    restored = restored_state(
        settings=Settings(),
        task_definitions=state.task_definitions.values(),
        instances=state.instances.values(),
        tasks=state.tasks.values(),
        services=state.services.values(),
    )
    assert restored.tasks_on == state.tasks_on
    assert restored.tasks_of == state.tasks_of
    assert restored.taken == state.taken
    assert restored.groups_on == state.groups_on
    assert restored.revisions == {"sample": 3}
    assert not restored.instances[an_instance().arn].is_connected, "no connection outlives the process"


def test_a_revision_is_never_given_twice() -> None:
    step = a_step()
    assert step.newest_revision("sample") == 0
    step.put_task_definition(a_task_definition(revision=2))
    step.put_task_definition(a_task_definition(revision=1, status="INACTIVE"))
    assert step.newest_revision("sample") == 2


def test_it_tells_what_became_of_tasks() -> None:
    old, gone, new = a_control_task(1), a_control_task(2, last_status="STOPPED"), a_control_task(3)
    step = a_step(ControlState(tasks={old.arn: old, gone.arn: gone}))
    assert not list(step.changed_tasks())
    running = step.put_task(msgspec.structs.replace(old, last_status="RUNNING"))
    step.put_task(new)
    step.drop_task(gone)
    assert list(step.changed_tasks()) == [(old, running), (None, new), (gone, None)]

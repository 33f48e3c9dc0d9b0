"""A step collects what one decision changes, wants and remembers, and touches nothing it was given."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from ecscope.agent.core.actions import InspectContainer, ListContainers
from ecscope.agent.core.events import RuntimeDisconnected
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import AgentState, Settings
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.arn import DockerId
from ecscope.model.resources import HostResources
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus
from tests.builders import AT, a_container, a_source, an_image_record
from tests.unit.agent.core.scenes import ONE, TWO, a_task
from tests.world import INSTANCE

ID = DockerId("a" * 64)
EVENT = RuntimeDisconnected(id="event-7", at=AT + timedelta(seconds=1), reason="x")


@pytest.fixture
def state() -> AgentState:
    container = a_container("app", docker_id=ID, docker_name="ecs-app", known=ContainerStatus.RUNNING)
    return restored_state(
        instance=INSTANCE,
        settings=Settings(stop_timeout_s=7),
        tasks=[a_task(container), a_task(number=2)],
        images=[an_image_record()],
        sources=[a_source()],
        lost_task_arns=["lost"],
    )


def test_a_step_that_changes_nothing_gives_the_state_back_itself(state: AgentState) -> None:
    decision = Step(state, EVENT).decision()
    assert decision.state is state
    assert (decision.actions, decision.notes, decision.tasks) == ((), (), ())


def test_a_changed_task_is_named_once_and_the_old_state_is_as_it_was(state: AgentState) -> None:
    before = msgspec.json.encode(state)
    step = Step(state, EVENT)
    task = step.put(msgspec.structs.replace(state.tasks[ONE], family="new"))
    step.put(task)
    decision = step.decision()
    assert decision.tasks == (ONE,)
    assert decision.state.tasks[ONE].family == "new"
    assert decision.state.tasks[TWO] is state.tasks[TWO]
    assert msgspec.json.encode(state) == before


def test_one_container_of_a_task_is_replaced(state: AgentState) -> None:
    step = Step(state, EVENT)
    task = step.put_container(state.tasks[ONE], a_container("app", exit_code=3))
    assert [c.exit_code for c in task.containers] == [3]
    unknown = step.put_container(task, a_container("nobody"))
    assert [c.name for c in unknown.containers] == ["app"]


def test_a_dropped_task_is_named_and_its_docker_ids_with_it(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.put(state.tasks[ONE])
    step.drop(step.tasks[ONE])
    step.drop(step.tasks[TWO])
    decision = step.decision()
    assert decision.tasks == (ONE, TWO)
    assert (dict(decision.state.tasks), dict(decision.state.docker_ids)) == ({}, {})
    assert step.next_dirty() is None
    assert list(state.tasks) == [ONE, TWO]


def test_a_task_can_be_dropped_first_of_all(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.drop(state.tasks[ONE])
    assert list(step.tasks) == [TWO]
    assert list(state.tasks) == [ONE, TWO]


def test_tasks_whose_rules_are_to_run_come_in_their_order_once_each(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.touch(TWO)
    step.put(state.tasks[ONE])
    step.touch(TWO)
    step.touch("nobody")  # type: ignore[arg-type]  # an ARN is text
    found = [step.next_dirty(), step.next_dirty(), step.next_dirty()]
    assert [task.arn if task is not None else None for task in found] == [TWO, ONE, None]
    assert step.decision().tasks == (ONE,), "what is only touched need not be saved"


def test_a_touched_task_that_was_dropped_from_the_map_is_passed_over(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.touch(ONE)
    step._tasks.drop(ONE)
    assert step.next_dirty() is None


def test_a_docker_id_is_indexed_once(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.index_docker_id(ID, ONE, "app")
    assert step.docker_ids is state.docker_ids
    step.index_docker_id(DockerId("b"), TWO, "app")
    assert step.decision().state.docker_ids == {ID: (ONE, "app"), "b": (TWO, "app")}


def test_changed_and_dropped_records_are_named(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.put_image(an_image_record("new"))
    step.drop_image(an_image_record().name)
    step.put_source(a_source("/new"))
    step.drop_source(a_source().key)
    decision = step.decision()
    assert decision.images == ("new", an_image_record().name)
    assert decision.sources == ("/new", a_source().key)
    assert list(decision.state.images) == ["new"]
    assert list(decision.state.sources) == ["/new"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("waiting", ()),
        ("host", HostResources(cpu_units=1)),
        ("taken", HostResources(cpu_units=1)),
        ("runtime_connected", True),
        ("reconciled", True),
    ],
)
def test_whatever_else_changes_is_in_the_new_state(state: AgentState, field: str, value: object) -> None:
    step = Step(state, EVENT)
    setattr(step, field, value)
    assert getattr(step.decision().state, field) == value


def test_a_note_carries_the_id_the_time_and_the_kind_of_its_event(state: AgentState) -> None:
    step = Step(state, EVENT)
    task = state.tasks[ONE]
    step.note(history.ImagePullStarted(image="a:1"), task=task, container=task.containers[0])
    step.note(history.NoChange(why="alone"))
    one, two = step.decision().notes
    assert (one.at, one.event_id, one.cause) == (EVENT.at, "event-7", "RuntimeDisconnected")
    assert (one.task_arn, one.container_name, one.text, one.detail) == (ONE, "app", "pulling a:1", {"image": "a:1"})
    assert (two.task_arn, two.container_name, two.text) == ("", "", "alone")


def test_actions_are_kept_in_the_order_in_which_they_were_wanted(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.runtime_connected = True
    step.act(ListContainers())
    step.look_at(ID, seen=RuntimeAction.DIE, exit_code=3)
    assert step.decision().actions == (
        ListContainers(),
        InspectContainer(docker_id=ID, seen=RuntimeAction.DIE, exit_code=3),
    )


def test_without_a_runtime_nothing_is_looked_at(state: AgentState) -> None:
    step = Step(state, EVENT)
    step.look_at(ID, seen=None)
    assert step.decision().actions == ()


@pytest.mark.parametrize(("connected", "reconciled"), [(True, True), (True, False), (False, False)])
def test_the_runtime_may_be_called_when_it_is_there_and_listed(
    state: AgentState, connected: bool, reconciled: bool
) -> None:
    step = Step(msgspec.structs.replace(state, runtime_connected=connected, reconciled=reconciled), EVENT)
    assert step.may_call_runtime is (connected and reconciled)


def test_the_step_shows_the_settings_the_lost_tasks_and_the_time(state: AgentState) -> None:
    step = Step(state, EVENT)
    assert (step.settings.stop_timeout_s, step.lost_task_arns, step.at) == (7, {"lost"}, EVENT.at)

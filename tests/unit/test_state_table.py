"""What is put into a draft is in the new state, whatever the field; the old state is never touched."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from ecscope.agent.core.events import CleanupRequested
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.core.step import Step as AgentStep
from ecscope.control.core.events import TimePassed
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step as ControlStep
from ecscope.state_table import Draft, Table
from tests.builders import AT
from tests.world import INSTANCE


class Small(msgspec.Struct, frozen=True):
    rows: Mapping[str, int] = {}
    queue: tuple[str, ...] = ()
    fixed: int = 1


class SmallDraft(Draft[Small]):
    def __init__(self, state: Small) -> None:
        super().__init__(state)
        self.numbers = self.table("rows", state.rows)
        self.queue = state.queue


def test_a_table_is_copied_when_it_is_first_changed() -> None:
    rows = {"a": 1, "b": 2}
    table: Table[str, int] = Table(rows)
    assert (table.rows is rows, list(table), len(table), "a" in table, table["b"], table.get("c")) == (
        True, [1, 2], 2, True, 2, None,
    )  # fmt: skip
    table.drop("c")
    assert (table.rows is rows, list(table.changed)) == (True, []), "nothing was there to drop"
    assert table.put("c", 3) == 3
    own = table.rows
    table.drop("a")
    table.put("c", 4)
    assert (table.rows is own, table.rows, table.before) == (True, {"b": 2, "c": 4}, {"a": 1, "b": 2})
    assert list(table.changed) == ["c", "a"]


def test_a_draft_gives_back_the_state_itself_or_one_with_all_that_was_changed() -> None:
    state = Small(rows={"a": 1}, queue=("x",))
    draft = SmallDraft(state)
    assert draft.new_state() is state
    draft.numbers.put("b", 2)
    draft.queue = ()
    assert draft.new_state() == Small(rows={"a": 1, "b": 2}, queue=())
    assert state == Small(rows={"a": 1}, queue=("x",))


def test_a_table_of_no_field_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="no field numbers"):
        SmallDraft(Small()).table("numbers", {})


STEPS = {
    "agent": (
        AgentStep(restored_state(instance=INSTANCE, settings=Settings()), CleanupRequested(id="", at=AT)),
        {"settings", "lost_task_arns"},
    ),
    "control": (ControlStep(ControlState(), TimePassed(id="", at=AT)), {"settings"}),
}  # fmt: skip


@pytest.mark.parametrize("side", STEPS)
def test_each_field_of_the_state_can_be_changed_but_those_that_are_settled_at_the_start(side: str) -> None:
    step, fixed = STEPS[side]
    fields = step.before.__struct_fields__
    assert {field for field in fields if field not in step._tables and field not in vars(step)} == fixed

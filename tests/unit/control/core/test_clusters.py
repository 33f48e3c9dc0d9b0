"""A deleted cluster is seen for a day."""

from __future__ import annotations

from datetime import timedelta

from ecscope.control.core import clusters
from ecscope.control.core.events import TimePassed
from ecscope.control.core.step import Step
from tests.control_builders import AT, a_cluster, a_state


def test_a_deleted_cluster_is_forgotten_after_a_day() -> None:
    gone = a_cluster("gone", status="INACTIVE", deleted_at=AT - clusters.INACTIVE_KEPT)
    going = a_cluster("going", status="INACTIVE", deleted_at=AT - timedelta(hours=23))
    step = Step(a_state(gone, going, a_cluster()), TimePassed(id="1" * 32, at=AT))
    clusters.expire(step)
    decision = step.decision()
    assert set(decision.state.clusters) == {"going", "default"}
    assert decision.records == {"clusters": {"gone": None}}


def test_of_one_that_an_older_release_deleted_the_day_begins_now() -> None:
    state = a_state(a_cluster("old", status="INACTIVE"))
    for days, names in ((0, ["old"]), (1, [])):
        step = Step(state, TimePassed(id=f"{days:032x}", at=AT + timedelta(days=days)))
        clusters.expire(step)
        state = step.decision().state
        assert list(state.clusters) == names

"""What was saved is there again, and nobody is connected."""

from __future__ import annotations

from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import Settings
from tests.control_builders import a_cluster, an_instance


def test_what_was_saved_is_there_again() -> None:
    state = restored_state(
        settings=Settings(region="eu-west-1"),
        clusters=[a_cluster()],
        instances=[an_instance()],
        account_settings={"default/taskLongArnFormat": "enabled"},
        sequence=7,
    )
    assert state.clusters == {"default": a_cluster()}
    assert state.instances[an_instance().arn].connection_id == ""
    assert state.sequence == 7
    assert state.settings.region == "eu-west-1"
    assert not state.tasks_on

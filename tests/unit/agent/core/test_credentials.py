"""Credentials are replaced under their ID, acknowledged, never saved, and dropped with their task."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import AcknowledgeCredentials
from ecscope.agent.core.state import Settings
from ecscope.model.credentials import RoleType
from tests.builders import a_task, an_arn, some_credentials
from tests.world import World

TASK_ROLE = some_credentials()
EXECUTION_ROLE = some_credentials(role_type=RoleType.TASK_EXECUTION, credentials_id="execution")


@pytest.fixture
def world() -> World:
    made = World(settings=Settings(joins_cluster=True, cleanup_wait_s=600.0))
    made.connect()
    made.register()
    made.payload(
        a_task(credentials_id=TASK_ROLE.credentials_id, execution_credentials_id="execution"),
        credentials=(TASK_ROLE, EXECUTION_ROLE),
    )
    made.run_calls()
    made.acs.clear()
    return made


def give(world: World, credentials: object) -> None:
    world.send(ev.CredentialsReceived(**world.head(), message_id="c1", credentials=credentials))


def test_newer_credentials_take_the_place_of_older_ones(world: World) -> None:
    newer = some_credentials(secret_access_key="new", expiration="2031-01-01T00:00:00Z")
    give(world, newer)
    assert world.state.credentials[newer.credentials_id] == newer
    assert world.acs == [
        AcknowledgeCredentials(message_id="c1", credentials_id=newer.credentials_id, expiration="2031-01-01T00:00:00Z")
    ]


def test_credentials_of_an_unknown_task_get_no_answer(world: World) -> None:
    give(world, some_credentials(task_arn=an_arn(9), credentials_id="nine"))
    assert not world.acs
    assert "nine" not in world.state.credentials


def test_the_task_role_goes_when_the_task_has_stopped_the_execution_role_with_the_task(world: World) -> None:
    world.exits(world.box(an_arn(1), "app"), 0)
    world.run_calls()
    assert set(world.state.credentials) == {"execution"}
    world.accept_all()
    world.advance(4000)
    world.run_calls()
    assert not world.state.credentials


def test_no_secret_is_in_a_record_or_a_note(world: World) -> None:
    give(world, TASK_ROLE)
    saved = msgspec.json.encode([*world.state.tasks.values(), *world.notes]).decode()
    for secret in (TASK_ROLE.access_key_id, TASK_ROLE.secret_access_key, TASK_ROLE.session_token):
        assert secret not in saved


def test_a_restart_forgets_them(world: World) -> None:
    world.restart_agent()
    assert not world.state.credentials

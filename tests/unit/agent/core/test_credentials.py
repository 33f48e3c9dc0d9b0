"""Credentials are replaced under their ID, acknowledged, never saved, and dropped with their task."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.core import actions as act
from ecscope.agent.core import credentials
from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import AcknowledgeCredentials
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.model.container import RegistryLogin
from ecscope.model.credentials import RoleType
from ecscope.model.status import ContainerStatus
from tests.builders import SAMPLE_IMAGE, a_container, a_task, an_arn, some_credentials
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


def test_nothing_stays_of_what_came_under_another_id_or_too_late(world: World) -> None:
    give(world, some_credentials(credentials_id="unknown-to-the-task"))
    world.exits(world.box(an_arn(1), "app"), 0)
    world.run_calls()
    assert set(world.state.credentials) == {"execution"}
    give(world, TASK_ROLE)
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


# --- pulls that need the execution role -----------------------------------------------------------

ECR = RegistryLogin(kind="ecr", use_execution_role=True)


def pulling(
    login: RegistryLogin | None,
    *,
    image: str = "web:1",
    execution: str = "execution",
    joins_cluster: bool = True,
    pull_behavior: PullBehavior = PullBehavior.DEFAULT,
) -> World:
    """A task for whose execution role no credentials are known yet, as after a restart."""
    world = World(settings=Settings(joins_cluster=joins_cluster, pull_behavior=pull_behavior))
    world.connect()
    world.submit(a_task(a_container(image=image, registry_login=login), execution_credentials_id=execution))
    while looks := [call for call in world.calls if isinstance(call, act.InspectImage | act.ListContainers)]:
        world.finish(looks[0])
    return world


@pytest.mark.parametrize("login", [ECR, RegistryLogin(kind="asm")])
def test_a_pull_waits_for_the_execution_role(login: RegistryLogin) -> None:
    world = pulling(login)
    assert not world.calls
    give(world, EXECUTION_ROLE)
    assert [type(call) for call in world.calls] == [act.ResolveManifest]
    world.finish(world.calls[0])
    assert [type(call) for call in world.calls] == [act.PullImage]


def test_the_pull_itself_waits_too() -> None:
    world = pulling(ECR, image=f"web@sha256:{'a' * 64}")
    assert world.task(an_arn()).containers[0].known is ContainerStatus.MANIFEST_PULLED
    assert not world.calls
    give(world, EXECUTION_ROLE)
    assert [type(call) for call in world.calls] == [act.PullImage]


@pytest.mark.parametrize(
    ("login", "joins_cluster", "execution"),
    [
        (None, True, "execution"),
        (RegistryLogin(kind="ecr"), True, "execution"),
        (ECR, True, ""),
        (ECR, False, "execution"),
    ],
    ids=["own login", "instance's role", "no execution role", "no cluster"],
)
def test_what_needs_none_or_will_never_get_any_does_not_wait(
    login: RegistryLogin | None, joins_cluster: bool, execution: str
) -> None:
    world = pulling(login, joins_cluster=joins_cluster, execution=execution)
    assert [type(call) for call in world.calls] == [act.ResolveManifest]


def test_a_local_image_needs_no_credentials() -> None:
    world = pulling(ECR, image=SAMPLE_IMAGE, pull_behavior=PullBehavior.PREFER_CACHED)
    assert [type(call) for call in world.calls] == [act.CreateContainer]


def test_the_agents_own_keys_have_an_id_that_stays() -> None:
    made = [
        credentials.of_instance(access_key_id="AKID", secret_access_key=key, session_token="t")
        for key in ("a", "a", "b")
    ]
    assert made[0] == made[1]
    assert made[0].credentials_id != made[2].credentials_id
    assert len(made[0].credentials_id) == 36

"""Registration opens the gate; each obstacle says what is wrong and what helps; what is final is told from the rest."""

from __future__ import annotations

import msgspec
import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core import registration
from ecscope.agent.core.actions import ConnectToCluster
from ecscope.agent.core.registration import Next, after_failure, obstacle_of
from ecscope.agent.core.state import Settings
from ecscope.model import history
from ecscope.model.container_instance import ObstacleKind
from tests.builders import AT, a_failure, an_obstacle
from tests.tables import each_row
from tests.world import INSTANCE, World


@pytest.fixture
def world() -> World:
    return World(settings=Settings(joins_cluster=True))


def test_the_gate_is_closed_until_the_instance_is_registered(world: World) -> None:
    assert world.state.obstacle is not None
    assert world.state.obstacle.kind is ObstacleKind.STARTING
    world.register()
    assert world.state.obstacle is None


def test_who_the_instance_is_is_saved(world: World) -> None:
    decision = world.send(
        ev.InstanceRegistered(**world.head(), container_instance_arn="arn:i", availability_zone="us-west-2a")
    )
    assert world.state.instance.arn == "arn:i"
    assert world.state.instance.availability_zone == "us-west-2a"
    assert ConnectToCluster() in decision.actions, "only now, when it will have been saved"
    assert decision.metadata == {
        "registered-container-instance-arn": "arn:i",
        "registered-cluster": INSTANCE.cluster,
        "availability-zone": "us-west-2a",
    }


def test_an_obstacle_is_noted_once_and_keeps_its_beginning(world: World) -> None:
    first = an_obstacle()
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=first))
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=an_obstacle(since=AT.replace(hour=13))))
    assert world.state.obstacle == first
    assert len([n for n in world.notes if type(n.what) is history.InstanceNotRegistered]) == 1
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=an_obstacle(message="another")))
    assert world.state.obstacle.message == "another"


def test_words_with_the_time_in_them_are_no_news(world: World) -> None:
    first = an_obstacle(kind=ObstacleKind.CLOCK_SKEW, message="expired at 12:00")
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=first))
    later = an_obstacle(kind=ObstacleKind.CLOCK_SKEW, message="expired at 12:01", since=AT.replace(hour=13))
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=later))
    assert len([n for n in world.notes if type(n.what) is history.InstanceNotRegistered]) == 1
    assert world.state.obstacle.message == "expired at 12:01", "the newest words, and yet"
    assert world.state.obstacle.since == AT, "since when it began"


def test_it_is_introspected_as_soon_as_there_is_an_instance_to_show(world: World) -> None:
    world.state = msgspec.structs.replace(
        world.state, instance=msgspec.structs.replace(INSTANCE, arn=""), obstacle=registration.starting(AT)
    )
    assert not registration.is_introspected(world.state)
    world.register()
    assert registration.is_introspected(world.state)


def test_a_saved_registration_is_introspected_whatever_stands_in_the_way(world: World) -> None:
    assert world.state.instance.arn
    for kind in ObstacleKind:
        if kind is not ObstacleKind.DEREGISTERED:
            world.send(ev.InstanceNotRegistered(**world.head(), obstacle=an_obstacle(kind=kind)))
            assert registration.is_introspected(world.state)


def test_without_a_cluster_it_is_always_introspected() -> None:
    assert registration.is_introspected(World().state)


@pytest.mark.parametrize("was_registered", [True, False])
def test_an_inactive_instance_is_not_introspected_and_that_is_saved(world: World, *, was_registered: bool) -> None:
    if was_registered:
        world.register()
    decision = world.send(ev.InstanceNotRegistered(**world.head(), obstacle=registration.deregistered("gone", AT)))
    assert not registration.is_introspected(world.state)
    assert world.state.obstacle.kind is ObstacleKind.DEREGISTERED
    assert decision.metadata == {"container-instance-inactive": "true"}
    assert type(world.notes[-1].what) is history.InstanceNotRegistered
    again = world.send(ev.InstanceNotRegistered(**world.head(), obstacle=registration.deregistered("gone", AT)))
    assert again.metadata == {}
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=an_obstacle()))
    assert not registration.is_introspected(world.state), "nothing but ECS can take that back"
    decision = world.send(ev.InstanceRegistered(**world.head(), container_instance_arn="arn:i"))
    assert registration.is_introspected(world.state)
    assert decision.metadata["container-instance-inactive"] == ""
    assert world.state.obstacle is None


def test_what_has_been_waited_for_is_shown_no_longer_and_is_no_news(world: World) -> None:
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=registration.instance_metadata_unavailable(AT)))
    assert world.state.obstacle.kind is ObstacleKind.INSTANCE_METADATA_UNAVAILABLE
    world.send(ev.InstanceNotRegistered(**world.head(), obstacle=registration.registering(AT)))
    assert world.state.obstacle == registration.registering(AT)
    assert type(world.notes[-1].what) is history.NoChange


@each_row(
    "kind, configured, created, expected",
    [
        (ObstacleKind.CLUSTER_NOT_FOUND, False, False, Next.CREATE_CLUSTER),
        (ObstacleKind.CLUSTER_NOT_FOUND, False, True, Next.RETRY),
        (ObstacleKind.CLUSTER_NOT_FOUND, True, False, Next.RETRY),
        (ObstacleKind.REGISTRATION_REFUSED, True, False, Next.GIVE_UP),
        (ObstacleKind.ACCESS_DENIED, True, False, Next.RETRY),
        (ObstacleKind.THROTTLED, True, False, Next.RETRY),
        (ObstacleKind.ENDPOINT_UNREACHABLE, True, False, Next.RETRY),
    ],
)
def test_what_follows_a_failure(kind: ObstacleKind, configured: bool, created: bool, expected: Next) -> None:
    failure = a_failure(kind=kind)
    assert after_failure(failure, is_cluster_configured=configured, has_created_cluster=created) is expected


@each_row(
    "fields, says",
    [
        (
            {"kind": ObstacleKind.NO_CREDENTIALS, "looked_in": ("environment: nothing", "IMDS: no role")},
            "Looked in: environment: nothing; IMDS: no role.",
        ),
        (
            {
                "kind": ObstacleKind.ACCESS_DENIED,
                "action": "ecs:RegisterContainerInstance",
                "role_arn": "arn:aws:sts::012345678910:assumed-role/ecs/i-1",
            },
            "AWS denies ecs:RegisterContainerInstance to arn:aws:sts::012345678910:assumed-role/ecs/i-1.",
        ),
        (
            {"kind": ObstacleKind.ACCESS_DENIED, "operation": "CreateCluster"},
            "AWS denies ecs:CreateCluster to the role",
        ),
        ({"kind": ObstacleKind.INVALID_CREDENTIALS}, "AWS does not accept the credentials."),
        ({"kind": ObstacleKind.CLOCK_SKEW, "skew_s": 3600.4}, "The clock of this host is 3600 seconds fast"),
        ({"kind": ObstacleKind.CLOCK_SKEW, "skew_s": -400.0}, "The clock of this host is 400 seconds slow"),
        ({"kind": ObstacleKind.CLOCK_SKEW}, "The clock of this host is off"),
        ({"kind": ObstacleKind.ENDPOINT_UNREACHABLE, "endpoint": "https://e"}, "The ECS endpoint https://e cannot"),
        ({"kind": ObstacleKind.CERTIFICATE_REFUSED, "endpoint": "https://e"}, "The certificate of https://e cannot"),
        ({"kind": ObstacleKind.CLUSTER_NOT_FOUND}, "There is no cluster web."),
        ({"kind": ObstacleKind.THROTTLED}, "AWS is throttling"),
        ({"kind": ObstacleKind.REGISTRATION_REFUSED}, "AWS refuses the registration: InvalidParameterException"),
        ({"kind": ObstacleKind.REGISTRATION_REFUSED}, ". Correct what it names and start the agent again."),
        (
            {"kind": ObstacleKind.REGISTRATION_REFUSED, "message": "The specified container instance is inactive."},
            "is inactive. The saved state is that of an instance which was deregistered: remove it (ECS_DATADIR) and",
        ),
        (
            {
                "kind": ObstacleKind.REGISTRATION_REFUSED,
                "message": "Container instance type changes are not supported.",
            },
            "remove it (ECS_DATADIR)",
        ),
        ({"kind": ObstacleKind.SERVER_ERROR, "endpoint": "https://e"}, "https://e answered with a failure"),
    ],
)
def test_each_obstacle_says_what_is_wrong(fields: dict[str, object], says: str) -> None:
    obstacle = obstacle_of(a_failure(**fields), cluster="web", at=AT)
    assert says in obstacle.message
    assert obstacle.kind is fields["kind"]
    assert obstacle.detail["operation"]


def test_the_other_obstacles_say_what_helps() -> None:
    assert "DOCKER_HOST" in registration.docker_unavailable("connection refused", AT).message
    assert "a, b" in registration.attributes_not_echoed(("a", "b"), AT).message
    assert "no reason given" in registration.deregistered("", AT).message
    assert "inactive: it is gone. It was" in registration.deregistered("it is gone.", AT).message
    assert registration.obstacle_of(a_failure(skew_s=12.6), cluster="x", at=AT).detail["skewSeconds"] == 13

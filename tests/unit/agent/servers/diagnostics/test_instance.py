"""Each obstacle has its answer, with the keys of the API and every fact for programs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from ecscope.agent.core.state import AgentState, Settings
from ecscope.agent.servers import go_json
from ecscope.agent.servers.diagnostics.instance import instance, not_registered
from ecscope.model.container_instance import ContainerInstance, Obstacle, ObstacleKind
from tests.tables import each_row

AT = datetime(2026, 11, 26, 21, 5, 9, 999999, tzinfo=UTC)


def test_the_body_to_the_byte() -> None:
    obstacle = Obstacle(
        kind=ObstacleKind.CLOCK_SKEW,
        message="the clock is <310 s> behind",
        since=AT,
        detail={"skewSeconds": -310.5, "lookedIn": "environment & files", "role": None},
    )
    assert go_json.encode(not_registered(obstacle)) == (
        b'{"Error":"ContainerInstanceNotRegistered","Reason":"ClockSkew",'
        b'"Message":"the clock is \\u003c310 s\\u003e behind",'
        b'"Detail":{"SkewSeconds":-310.5,"LookedIn":"environment \\u0026 files","Role":null},'
        b'"Since":"2026-11-26T21:05:09Z"}'
    )


@each_row("kind", ObstacleKind)
def test_every_kind_is_told_by_its_own_word(kind: ObstacleKind) -> None:
    body = go_json.encode(not_registered(Obstacle(kind=kind, message="m", since=AT)))
    assert b'"Reason":"' + kind.value.encode() + b'"' in body
    assert b'"Detail":{}' in body


@pytest.mark.parametrize(("joins_cluster", "status"), [(True, "Registered"), (False, "Standalone")])
def test_where_nothing_is_missing_it_says_who_the_instance_is(status: str, *, joins_cluster: bool) -> None:
    state = AgentState(
        instance=ContainerInstance(cluster="web", arn="arn:i", agent_version="v"),
        settings=Settings(joins_cluster=joins_cluster),
    )
    assert go_json.encode(instance(state)) == (
        b'{"Status":"%b","Cluster":"web","ContainerInstanceArn":"arn:i","Version":"v"}' % status.encode()
    )


def test_an_obstacle_comes_before_a_saved_registration() -> None:
    obstacle = Obstacle(kind=ObstacleKind.ENDPOINT_UNREACHABLE, message="m", since=AT)
    state = AgentState(instance=ContainerInstance(cluster="web", arn="arn:i", agent_version="v"))
    assert instance(msgspec.structs.replace(state, obstacle=obstacle)) == not_registered(obstacle)

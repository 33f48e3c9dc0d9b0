"""What is wrong with an agent now comes before what is over; every obstacle that AWS puts up has its code."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ecscope.agent.diagnosis.why.agent import AgentStory, CallSeen, answer, is_sound
from ecscope.agent.diagnosis.why.story import DockerSeen
from ecscope.agent.diagnosis.why.verdict import Certainty
from ecscope.model import history as h
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.history import HistoryEntry
from tests.unit.agent.diagnosis.why.stories import at

STARTED = h.AgentStarted(version="1", saved_tasks=2)
REGISTERED = h.InstanceRegistered(container_instance_arn="arn:x", cluster="c")


def entry(moment: datetime, what: h.Happening) -> HistoryEntry:
    return HistoryEntry(at=moment, event_id="e", cause="", what=what, task_arn="", container_name="")  # type: ignore[arg-type]


def story(*whats: h.Happening, pid: int | None = 7, **more: object) -> AgentStory:
    entries = tuple(entry(at(n), what) for n, what in enumerate(whats))
    return AgentStory(data_dir="/d", pid=pid, entries=entries, **more)  # type: ignore[arg-type]


def code(*whats: h.Happening, **more: object) -> str:
    return answer(story(*whats, **more)).verdict.code  # type: ignore[arg-type]


def test_an_agent_that_is_sound() -> None:
    sound = story(STARTED, REGISTERED, docker=DockerSeen(endpoint="unix:///d.sock"))
    found = answer(sound)
    assert (found.verdict.code, found.verdict.certainty) == ("unknown", Certainty.UNKNOWN)
    assert found.subject == {"agent": "/d", "status": "runs as process 7"}
    assert is_sound(sound)


def test_each_obstacle_has_its_code() -> None:
    codes = {
        kind: code(STARTED, h.InstanceNotRegistered(obstacle=kind.value, message="no"))
        for kind in ObstacleKind
        if kind is not ObstacleKind.STARTING
    }
    assert "unknown" not in codes.values()
    assert codes[ObstacleKind.ACCESS_DENIED] == "link.role_denied"
    assert codes[ObstacleKind.CLOCK_SKEW] == "link.clock"
    assert codes[ObstacleKind.ENDPOINT_UNREACHABLE] == "link.unreachable"
    assert codes[ObstacleKind.INVALID_CREDENTIALS] == "link.credentials_invalid"


def test_expired_is_not_merely_invalid() -> None:
    kind = ObstacleKind.INVALID_CREDENTIALS.value
    expired = h.InstanceNotRegistered(obstacle=kind, message="no", facts={"awsCode": "ExpiredTokenException"})
    invalid = h.InstanceNotRegistered(obstacle=kind, message="no", facts={"awsCode": "UnrecognizedClientException"})
    assert code(STARTED, expired) == "link.credentials_expired"
    assert code(STARTED, invalid) == "link.credentials_invalid"


def test_the_refused_action_and_role_are_named() -> None:
    facts = {"action": "ecs:Poll", "role": "arn:aws:iam::1:role/r"}
    denied = h.InstanceNotRegistered(obstacle=ObstacleKind.ACCESS_DENIED.value, message="no", facts=facts)
    found = answer(story(STARTED, denied))
    assert (found.verdict.culprit.action, found.verdict.culprit.role) == ("ecs:Poll", "arn:aws:iam::1:role/r")
    assert '"Action": "ecs:Poll"' in found.actions[0]


def test_what_was_an_obstacle_is_none_once_registered() -> None:
    denied = h.InstanceNotRegistered(obstacle=ObstacleKind.ACCESS_DENIED.value, message="no")
    assert code(STARTED, denied, REGISTERED) == "unknown"
    call = CallSeen(kind=ObstacleKind.CLOCK_SKEW, message="no", facts={"skewSeconds": -1200})
    found = answer(story(STARTED, REGISTERED, call=call)).verdict
    assert (found.code, "20 min behind" in found.sentence) == ("link.clock", True)


def test_docker_down_is_not_docker_hung() -> None:
    down = DockerSeen(endpoint="unix:///d.sock", failure="refused")
    assert code(STARTED, REGISTERED, docker=down) == "agent.docker_down"
    hung = DockerSeen(endpoint="unix:///d.sock", failure="no answer", hangs=True)
    assert code(STARTED, REGISTERED, docker=hung) == "agent.docker_hung"


def test_a_killed_agent_and_one_that_was_stopped() -> None:
    killed = answer(story(STARTED, REGISTERED, STARTED)).verdict
    assert (killed.code, "took 2 tasks over" in killed.sentence) == ("agent.killed", True)
    assert code(STARTED, h.AgentStopped(), STARTED) == "unknown"
    assert code(STARTED, h.AgentStopped(), pid=None) == "agent.stopped"
    assert code(STARTED, REGISTERED, pid=None) == "agent.killed"


def test_every_further_obstacle() -> None:
    wanted = {
        ObstacleKind.NO_CREDENTIALS: "link.no_credentials",
        ObstacleKind.CLUSTER_NOT_FOUND: "link.cluster_missing",
        ObstacleKind.DEREGISTERED: "link.deregistered",
        ObstacleKind.THROTTLED: "link.throttled",
        ObstacleKind.SERVER_ERROR: "link.server_error",
        ObstacleKind.REGISTRATION_REFUSED: "link.registration_refused",
        ObstacleKind.INSTANCE_METADATA_UNAVAILABLE: "link.instance_metadata",
        ObstacleKind.CERTIFICATE_REFUSED: "link.unreachable",
        ObstacleKind.STARTING: "unknown",
    }
    for kind, expected in wanted.items():
        assert code(STARTED, h.InstanceNotRegistered(obstacle=kind.value, message="no")) == expected


def test_records_that_were_set_aside() -> None:
    aside = h.RecordSetAside(record="task", key="arn:x", set_aside_as="bad-1.json", reason="not JSON")
    found = answer(story(aside, STARTED, REGISTERED)).verdict
    assert (found.code, found.culprit.path) == ("agent.state_damaged", "bad-1.json")
    long_ago = story(STARTED, REGISTERED)
    before = entry(at(-3600), aside)
    assert answer(msgspec.structs.replace(long_ago, entries=(before, *long_ago.entries))).verdict.code == "unknown"

"""The root is named, not the symptom; what nobody saw is not proven."""

from __future__ import annotations

import msgspec

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.story import Observed, StoppedBy, story_of
from ecscope.agent.diagnosis.why.verdict import Certainty
from ecscope.model import history as h
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.waiting import Waiting, WaitingReason
from tests.builders import a_container, a_task
from tests.unit.agent.diagnosis.why.stories import (
    ARN,
    T0,
    a_story,
    at,
    died,
    entry,
    failed,
    ns,
    started,
    stopped,
    stopping,
)

NEVER = (
    "dependency graph: failed to resolve container ordering dependency [db(x) (CREATED->STOPPED)] for target [app(x)"
    " (CREATED->RUNNING)] because dependency will never start"
)
ASKED = entry(3, h.TaskStopRequested(requested_by="ACS payload 7"), "")


def test_a_dependency_that_cannot_start_is_the_root() -> None:
    start = 'exec: "/no": stat /no: no such file or directory'
    task = a_task(a_container("app"), a_container("db", essential=False), known=TaskStatus.STOPPED)
    story = a_story(failed(2, "start", start, "db"), stopped(3, reason=NEVER), stopped(2, container="db"), task=task)
    found = answer(story)
    assert (found.verdict.code, found.verdict.culprit.container) == ("start.entrypoint_not_found", "db")
    assert any("will never start" in piece.text for piece in found.evidence)


def test_who_asked_for_the_stop_comes_before_how_it_ended() -> None:
    entries = (started(), ASKED, stopping(3.1, grace_s=2), died(5.2, 137, signal=9), stopped(6, 137))
    by_user = answer(a_story(*entries, stopped_by=StoppedBy(stop_code="UserInitiated", reason="too dear")))
    assert by_user.verdict.code == "stop.user"
    assert "137: SIGKILL by the agent" in by_user.verdict.sentence
    unknown = answer(a_story(*entries)).verdict
    assert (unknown.code, unknown.certainty) == ("stop.requested", Certainty.LIKELY)
    scheduler = StoppedBy(stop_code="ServiceSchedulerInitiated", reason="Scaling activity initiated by (deployment x)")
    assert answer(a_story(*entries, stopped_by=scheduler)).verdict.code in ("stop.scale_in", "stop.deployment")


def test_a_container_that_failed_before_the_stop_was_asked_is_the_cause() -> None:
    entries = (started(), died(2, 1), stopped(2.5, 1), ASKED)
    assert answer(a_story(*entries)).verdict.code == "exit.error"


def test_an_unhealthy_task_that_its_service_replaced() -> None:
    probe = h.ContainerHealthChanged(before=HealthStatus.HEALTHY, to=HealthStatus.UNHEALTHY, output="500", exit_code=1)
    entries = (started(), entry(2, probe), ASKED, stopping(3.1), died(3.3, 143, signal=15), stopped(4, 143))
    said = StoppedBy(stop_code="ServiceSchedulerInitiated", reason="Task failed container health checks")
    found = answer(a_story(*entries, stopped_by=said))
    assert found.verdict.code == "health.command_failed"
    assert any("failed container health checks" in piece.text for piece in found.evidence)


def test_a_sidecar_that_ends_first() -> None:
    task = a_task(a_container("app"), a_container("proxy"))
    entries = [started(), started(container="proxy"), died(2, 2, container="proxy"), stopped(2.1, 2, "proxy")]
    entries += [stopping(2.5), died(2.8, 143, signal=15), stopped(3, 143)]
    story = msgspec.structs.replace(
        story_of(ARN, task, entries, Observed()), known=TaskStatus.STOPPED, desired=TaskStatus.STOPPED
    )
    found = answer(story).verdict
    assert (found.code, found.culprit.container) == ("exit.sidecar_first", "proxy")
    oom = entry(2, h.ContainerOutOfMemory(time_ns=ns(2)), "proxy")
    entries[2:4] = [oom, died(2, 137, container="proxy"), stopped(2.1, 137, "proxy")]
    story = msgspec.structs.replace(
        story_of(ARN, task, entries, Observed()), known=TaskStatus.STOPPED, desired=TaskStatus.STOPPED
    )
    root = answer(story).verdict
    assert (root.code, root.culprit.container) == ("exit.oom_container", "proxy")
    assert root.sentence.endswith("it is essential, so the agent stopped app too")


def test_what_happened_while_nobody_watched_is_not_proven() -> None:
    story = a_story(started(), stopped(50, 0, finished_at="2026-12-01T12:00:30Z"))
    assert answer(story).verdict.certainty is Certainty.PROVEN
    watched_again = msgspec.structs.replace(story, gaps=((at(10), at(50)),))
    found = answer(watched_again)
    assert found.verdict.certainty is Certainty.LIKELY
    assert "no agent watched" in found.evidence[-1].text


def test_no_evidence_gives_unknown() -> None:
    found = answer(a_story())
    assert (found.verdict.code, found.verdict.certainty) == ("unknown", Certainty.UNKNOWN)


def test_a_task_that_was_refused() -> None:
    refused = entry(1, h.TaskRefused(reason="GPUs are not supported", requested_by="ACS payload 1"), "")
    found = answer(story_of(ARN, None, [refused])).verdict
    assert (found.code, "GPUs" in found.sentence) == ("task.refused", True)


def test_pending() -> None:
    def code(reason: WaitingReason, on: str, *, of_task: bool = False) -> str:
        waiting = Waiting(reason=reason, on=on, since=T0)
        task = a_task(a_container(waiting=None if of_task else waiting), waiting=waiting if of_task else None)
        return answer(story_of(ARN, task, [])).verdict.code

    assert code(WaitingReason.CALL, ContainerStatus.PULLED.value) == "pending.pull"
    assert code(WaitingReason.CALL, ContainerStatus.MANIFEST_PULLED.value) == "pending.manifest"
    assert code(WaitingReason.DEPENDENCY, "db HEALTHY") == "pending.dependency"
    assert code(WaitingReason.RESOURCE, "volume data") == "pending.resource"
    assert code(WaitingReason.QUEUE, ARN, of_task=True) == "pending.queue_head"


def test_restarts_in_place() -> None:
    again = [entry(n, h.ContainerRestarted(exit_code=5, restart_count=n, oom_killed=False)) for n in (1, 2, 3, 4)]
    story = story_of(ARN, a_task(a_container(known=ContainerStatus.RUNNING)), again)
    found = answer(story).verdict
    assert (found.code, "4 times" in found.sentence, "with 5" in found.sentence) == ("restart.loop", True, True)
    assert answer(story_of(ARN, a_task(a_container()), again[:2])).verdict.code != "restart.loop"


def test_what_a_health_check_says_is_not_what_the_engine_says() -> None:
    def code(output: str, exit_code: int) -> str:
        probe = h.ContainerHealthChanged(
            before=HealthStatus.HEALTHY, to=HealthStatus.UNHEALTHY, output=output, exit_code=exit_code
        )
        return answer(a_story(started(), entry(2, probe)), "app").verdict.code

    assert code("curl: (22) The requested URL returned error: 404 Not Found", 22) == "health.command_failed"
    assert code("wget: server returned error: HTTP/1.1 404 Not Found", 1) == "health.command_failed"
    assert code("sh: curl: not found", 127) == "health.command_missing"
    assert (
        code('OCI runtime exec failed: exec: "curl": executable file not found in $PATH', -1)
        == "health.command_missing"
    )
    assert code("Health check exceeded timeout (2s)", -1) == "health.timeout"

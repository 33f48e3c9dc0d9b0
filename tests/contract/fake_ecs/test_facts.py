"""Facts of recordings: what they say of the official agent's, and that they tell two runs apart."""

from __future__ import annotations

import copy
from pathlib import Path

from fake_ecs.facts import ContainerFact, TaskFacts, answers, connects, differences, task_facts
from fake_ecs.replay import recorded

TRAFFIC = Path(__file__).parents[2] / "fixtures/official-agent/traffic"
OUTCOMES = recorded(TRAFFIC / "outcomes-state-changes.jsonl")
SEQUENCE = recorded(TRAFFIC / "sequence-start-to-stop.jsonl")


def ended(exit_code: int | None, **more: object) -> ContainerFact:
    return ContainerFact(status="STOPPED", exit_code=exit_code, **{"has_runtime_id": True, **more})


RUNNING = ContainerFact(status="RUNNING", has_runtime_id=True)


def of(suffix: str) -> TaskFacts:
    found = task_facts(OUTCOMES)
    return next(facts for arn, facts in found.items() if arn.endswith(suffix))


def test_of_tasks_that_end() -> None:
    assert of("c003") == TaskFacts(
        statuses=("RUNNING", "STOPPED"),
        reasons={"RUNNING": "", "STOPPED": ""},
        times={"RUNNING": (), "STOPPED": ("executionStoppedAt",)},
        containers={"e": (RUNNING, ended(3)), "side": (RUNNING, ended(0))},
    )


def test_of_a_status_that_a_drained_message_repeats() -> None:
    facts = of("c006")
    assert facts.statuses == ("RUNNING",)
    assert facts.containers == {"main": (RUNNING,), "one": (RUNNING, ended(7))}


def test_of_errors_and_of_containers_that_never_were() -> None:
    assert of("c005").containers["e"][0].reason.startswith("CannotStartContainerError: Error response from daemon: ")
    pull = of("c004")
    assert pull.times == {"STOPPED": ("executionStoppedAt", "pullStartedAt", "pullStoppedAt")}
    assert not pull.containers["e"][0].has_runtime_id


def test_a_host_port_that_docker_chose_is_any() -> None:
    assert of("c001").containers["app"][0].bindings == (("0.0.0.0", 8080, "dynamic", "tcp"),)


def test_the_official_agent_has_no_oddities_and_a_changed_run_has() -> None:
    assert not [facts.oddities for facts in task_facts(OUTCOMES + SEQUENCE).values() if facts.oddities]
    twice = copy.deepcopy(OUTCOMES)
    lines = [line for line in twice if line["kind"] == "api" and line["body"]["task"].endswith("c003")]
    lines[1]["body"]["containers"][0]["runtimeId"] = "other"
    lines[1]["body"]["containers"][1]["exitCode"] = 1
    twice.append(lines[1])
    expected, got = task_facts(OUTCOMES), task_facts(twice)
    arn = lines[0]["body"]["task"]
    assert got[arn].oddities == ("e is told STOPPED twice", "side is told STOPPED twice", "e has 2 runtime IDs")
    assert differences(expected, expected) == []
    told = differences(expected, got)
    assert all(line.startswith(f"[{arn}]") for line in told)
    assert any(".containers[side]: expected" in line for line in told)


def test_of_the_session() -> None:
    assert [query["sendCredentials"] for query in connects(SEQUENCE, "acs")] == ["true", "false", "false"]
    said = answers(SEQUENCE)
    assert [kind for kind, _ in said["manifest-1"]] == ["AckRequest"]
    assert [kind for kind, _ in said["manifest-2"]] == ["AckRequest", "TaskStopVerificationMessage"]

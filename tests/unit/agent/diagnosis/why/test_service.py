"""A service's trouble is that of its tasks where they fail, and its newest complaint where it starts none."""

from __future__ import annotations

from ecscope.agent.diagnosis.why.service import (
    Deployment,
    DeploymentConfiguration,
    Replaced,
    Service,
    ServiceEvent,
    ServiceStory,
    answer,
    of_family,
)
from ecscope.agent.diagnosis.why.story import Neighbour
from ecscope.agent.diagnosis.why.verdict import Answer, Certainty, Culprit, Verdict
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import Task
from tests.builders import a_container, a_task
from tests.unit.agent.diagnosis.why.stories import at

UNPLACED = "(service web) was unable to place a task because no container instance met all of its requirements. "
CLOSEST = "The closest matching (container-instance 0123) "


def service(*messages: str, running: int = 0, desired: int = 1, **more: object) -> Service:
    events = tuple(ServiceEvent(at=at(-n), message=message) for n, message in enumerate(messages))
    return Service(
        service_name="web",
        status="ACTIVE",
        desired_count=desired,
        running_count=running,
        events=events,
        **more,  # type: ignore[arg-type]
    )


def why(code: str, sentence: str = "it failed") -> Answer:
    verdict = Verdict(code=code, sentence=sentence, certainty=Certainty.PROVEN, culprit=Culprit(container="app"))
    return Answer(subject={}, verdict=verdict, evidence=(), considered=(), actions=())


def stopped(number: int, deployment: str = "ecs-svc/1") -> Replaced:
    return Replaced(arn=f"t{number}", last_status="STOPPED", started_by=deployment, stopped_at=at(number))


def code(*messages: str, **more: object) -> str:
    return answer(ServiceStory(service=service(*messages), **more)).verdict.code  # type: ignore[arg-type]


def test_each_complaint_about_placement_has_its_code() -> None:
    assert code(UNPLACED + "Reason: No Container Instances were found in your cluster.") == "placement.no_instance"
    assert code(UNPLACED + CLOSEST + "does not have an active agent.") == "placement.agent"
    assert code(UNPLACED + CLOSEST + 'encountered error "AGENT".') == "placement.agent"
    assert code(UNPLACED + CLOSEST + "has insufficient CPU units available.") == "placement.cpu"
    assert code(UNPLACED + CLOSEST + "has insufficient memory available.") == "placement.memory"
    assert code(UNPLACED + CLOSEST + "is already using a port required by your task.") == "placement.ports"
    assert code(UNPLACED + CLOSEST + "is missing an attribute required by your task.") == "placement.attribute"
    assert code(UNPLACED + CLOSEST + 'encountered error "MemberOf placement constraint unsatisfied.".') == (
        "placement.constraint"
    )


def test_a_complaint_that_is_over_is_none() -> None:
    assert code("(service web) has reached a steady state.", UNPLACED + CLOSEST + "x") == "unknown"


def test_who_holds_the_port_is_the_culprit() -> None:
    said = UNPLACED + CLOSEST + "is already using a port required by your task."
    holders = (
        Neighbour(arn="a/other", family="db:1", ports=(81,)),
        Neighbour(arn="a/first", family="old:1", ports=(80,)),
    )
    found = answer(ServiceStory(service=service(said), neighbours=holders, wanted_ports=(80,))).verdict
    assert (found.culprit.task, found.culprit.port, found.culprit.instance) == ("a/first", 80, "0123")


def test_tasks_that_died_alike_are_one_answer() -> None:
    tasks = tuple(stopped(n) for n in (1, 2, 3, 4))
    answers = {"t1": why("stop.deployment"), **{f"t{n}": why("exit.error", f"end {n}") for n in (2, 3, 4)}}
    found = answer(ServiceStory(service=service(), tasks=tasks, answers=answers)).verdict
    assert found.code == "exit.error"
    assert found.sentence == "3 of 4 stopped tasks of service web ended alike: end 4"
    assert found.culprit.task == "t4"


def test_stops_that_were_asked_for_are_no_failures() -> None:
    tasks, answers = (stopped(1), stopped(2)), {"t1": why("stop.deployment"), "t2": why("stop.user")}
    assert answer(ServiceStory(service=service(), tasks=tasks, answers=answers)).verdict.code == "unknown"


def test_a_service_that_runs_all_is_not_blamed_for_what_its_tasks_did_before() -> None:
    tasks, answers = (stopped(1),), {"t1": why("exit.error")}
    fine = service("(service web) has reached a steady state.", running=1)
    assert answer(ServiceStory(service=fine, tasks=tasks, answers=answers)).verdict.code == "unknown"
    failed = service(running=1, deployments=(Deployment(id="ecs-svc/1", rollout_state="FAILED"),))
    assert answer(ServiceStory(service=failed, tasks=tasks, answers=answers)).verdict.code == "exit.error"


def test_a_deployment_has_its_own_tasks_only() -> None:
    tasks = (stopped(1, "ecs-svc/1"), stopped(2, "ecs-svc/2"))
    answers = {"t1": why("exit.error", "one"), "t2": why("exit.segfault", "two")}
    story = ServiceStory(service=service(running=1), deployment="ecs-svc/1", tasks=tasks, answers=answers)
    assert answer(story).verdict.code == "exit.error"
    assert answer(story).subject["deployment"] == "ecs-svc/1"


def test_the_arithmetic_of_a_deployment_without_room() -> None:
    rule = DeploymentConfiguration(minimum_healthy_percent=100, maximum_percent=100)
    said = "(service web) was unable to stop or start tasks during a deployment because of …"
    story = ServiceStory(service=service(said, running=1, deployment_configuration=rule))
    found = answer(story)
    assert found.verdict.code == "deploy.no_room"
    assert "no fewer than 1 (100 % of 1) and no more than 1 tasks (100 %)" in found.verdict.sentence


def test_what_waits_is_the_answer_where_nothing_failed() -> None:
    pending = Replaced(arn="t1", last_status="PENDING")
    story = ServiceStory(service=service(), tasks=(pending,), answers={"t1": why("pending.pull", "it pulls")})
    assert answer(story).verdict.sentence == "a task of service web is PENDING: it pulls"


def test_a_service_that_is_to_run_none() -> None:
    assert answer(ServiceStory(service=service(desired=0))).verdict.code == "deploy.desired_zero"


def test_other_complaints() -> None:
    assert code("(service web) was unable to scale in due to (reason 2 tasks under protection)") == "deploy.protected"
    assert code("(service web) operations are being throttled on elb.") == "deploy.throttled"
    assert code("(service web) (deployment ecs-svc/1) deployment failed: tasks failed to start.") == "deploy.breaker"
    assert code(UNPLACED + "Reason: The task definition is inactive.") == "placement.inactive_definition"
    assert code("(service web) was painted green.") == "unknown"


def test_causes_that_are_not_shared_are_named_beside_the_newest() -> None:
    tasks = tuple(stopped(n) for n in (1, 2, 3))
    answers = {"t1": why("exit.segfault"), "t2": why("exit.error"), "t3": why("exit.error")}
    found = answer(ServiceStory(service=service(), tasks=tasks, answers=answers))
    assert found.verdict.sentence.startswith("2 of 3 stopped tasks")
    assert (found.considered[-1].code, "exit.segfault 1×" in found.considered[-1].why_not) == (
        "deploy.tasks_fail",
        True,
    )


def test_a_service_that_was_deleted() -> None:
    gone = Service(service_name="web", status="INACTIVE")
    assert answer(ServiceStory(service=gone)).verdict.code == "stop.service_deleted"


def test_tasks_of_a_family_that_ended_alike() -> None:
    def task(number: int, exit_code: int, **fields: object) -> Task:
        ended = a_container(known=ContainerStatus.STOPPED, exit_code=exit_code)
        return a_task(ended, number=number, known=TaskStatus.STOPPED, **fields)

    tasks = (task(1, 3), task(2, 3), task(3, 4), task(4, 3, version="9"), task(5, 3, stop_requested_by="ACS payload 1"))
    found = of_family(why("exit.error", "app ended with 3"), tasks[0], tasks)
    assert found.verdict.sentence == "2 of 3 failed tasks of sample:1 ended alike: app ended with 3"
    alone = why("exit.error", "app ended with 4")
    assert of_family(alone, tasks[2], tasks) == alone

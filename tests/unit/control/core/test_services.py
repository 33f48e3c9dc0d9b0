"""Services get what they want, step by step: told with a cluster whose agents do what the test says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.control.core.deployments import Limits, limits
from ecscope.control.core.events import TaskExplained
from ecscope.control.core.state import Settings
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import lose
from ecscope.model.arn import TaskArn, task_id
from ecscope.model.resources import HostResources
from ecscope.model.status import HealthStatus
from tests.control_builders import AT_ONCE, a_task_definition, an_instance
from tests.examples import examples
from tests.service_world import World, definition_of

LASTING = Settings()
"""A task must last for a while before it counts as healthy."""
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def a_world(desired: int = 2, *, instances: int = 3, settings: Settings = AT_ONCE, **body: Any) -> World:
    """With a service ``web`` of ``sample:1`` that runs and is steady."""
    world = World(instances=instances, settings=settings)
    world.ask("CreateService", serviceName="web", taskDefinition="sample:1", desiredCount=desired, **body)
    world.obey_until_quiet()
    world.pass_time(world.state.settings.healthy_after_s)
    assert world.is_stable()
    return world


def percents(minimum: int, maximum: int, **more: Any) -> dict[str, Any]:
    return {"minimumHealthyPercent": minimum, "maximumPercent": maximum, **more}


def test_a_service_says_why_its_task_failed() -> None:
    world = a_world(1)
    (task,) = world.tasks()

    def told(arn: str) -> None:
        event = TaskExplained(id="f" * 32, at=world.at, task_arn=TaskArn(arn), code="exit.error", sentence="it ended")
        world.hear(event)

    told(task.arn)
    assert world.messages()[-1].endswith(f"(task {task_id(task.arn)}) failed: exit.error: it ended")
    before = world.messages()
    told("arn:of:none")
    assert world.messages() == before


# --- the desired count ------------------------------------------------------------------------------


def test_a_new_service_starts_its_tasks_and_reaches_a_steady_state() -> None:
    world = World(instances=3)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=3)
    first, second, third = world.tasks()
    assert {first.instance_arn, second.instance_arn, third.instance_arn} == set(world.state.instances)
    assert (first.group, first.started_by) == ("service:web", world.deployment().id)
    assert not world.is_stable()
    world.run(first, second)
    assert world.deployment().rollout_state == "IN_PROGRESS"
    world.run(third)
    assert world.is_stable()
    deployment = world.deployment()
    assert (deployment.rollout_state, deployment.rollout_reason) == (
        "COMPLETED",
        f"ECS deployment {deployment.id} completed.",
    )
    assert world.messages()[1:] == [
        f"(deployment {deployment.id}) deployment completed.",
        "has reached a steady state.",
    ]
    assert world.messages()[0].startswith("has started 3 tasks: (task ")


def test_a_service_of_nothing_is_steady_at_once() -> None:
    world = World()
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=0)
    assert world.is_stable()
    assert world.deployment().rollout_state == "COMPLETED"


def test_what_ends_is_replaced_and_what_is_too_much_is_stopped() -> None:
    world = a_world(2)
    world.user_stops(world.running()[0])
    assert len(world.pending()) == 1  # at once: 200 % are allowed
    world.obey_until_quiet()
    assert len(world.running()) == 2
    world.ask("UpdateService", service="web", desiredCount=5)
    world.obey_until_quiet()
    assert (len(world.running()), len(world.service().deployments)) == (5, 1)
    world.ask("UpdateService", service="web", desiredCount=1)
    deployment = world.deployment()
    assert len(world.stopping()) == 4
    assert {task.stop_code for task in world.stopping()} == {"ServiceSchedulerInitiated"}
    assert {task.stopped_reason for task in world.stopping()} == {
        f"Scaling activity initiated by (deployment {deployment.id})"
    }
    world.obey_until_quiet()
    assert world.is_stable()
    assert world.messages()[-1] == "has reached a steady state."


def test_the_steady_state_is_told_again_after_six_hours() -> None:
    world = a_world(1)
    assert world.messages().count("has reached a steady state.") == 1
    world.pass_time(6 * 3600 - 60)
    assert world.messages().count("has reached a steady state.") == 1
    world.pass_time(60)
    assert world.messages().count("has reached a steady state.") == 2


# --- rolling updates --------------------------------------------------------------------------------


def test_a_rolling_update_of_three_step_by_step() -> None:
    world = a_world(3)
    old = world.deployment()
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    assert (len(world.running()), len(world.pending())) == (3, 3)
    assert [(one.status, one.rollout_state) for one in world.service().deployments] == [
        ("PRIMARY", "IN_PROGRESS"),
        ("ACTIVE", "COMPLETED"),
    ]
    world.run(world.pending()[0])
    assert [definition_of(task) for task in world.stopping()] == ["sample:1"]
    shown = world.described()["deployments"]
    assert [(one["desiredCount"], one["runningCount"], one["pendingCount"]) for one in shown] == [(3, 1, 2), (2, 3, 0)]
    world.exit(*world.stopping(), code=0)
    world.run(*world.pending())
    assert not world.pending()
    assert len(world.stopping()) == 2
    assert not world.is_stable()
    world.exit(*world.stopping(), code=0)
    assert world.is_stable()
    assert {definition_of(task) for task in world.tasks()} == {"sample:2"}
    assert [(one.id, one.status) for one in world.service().past_deployments] == [(old.id, "INACTIVE")]
    assert world.messages()[-2:] == [
        f"(deployment {world.deployment().id}) deployment completed.",
        "has reached a steady state.",
    ]


def test_without_room_for_more_the_old_ones_go_first() -> None:
    world = a_world(2, deploymentConfiguration=percents(50, 100))
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    assert (len(world.running()), len(world.pending()), len(world.stopping())) == (1, 0, 1)
    world.exit(*world.stopping(), code=0)
    assert (len(world.running()), len(world.pending()), len(world.stopping())) == (1, 1, 0)
    world.obey_until_quiet()
    assert world.is_stable()


def test_limits_that_allow_nothing_are_told_once_and_nothing_is_started() -> None:
    world = a_world(1, deploymentConfiguration=percents(100, 100))
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    world.pass_time(600)
    assert [definition_of(task) for task in world.running()] == ["sample:1"]
    assert (world.pending(), world.stopping()) == ([], [])
    blocked = [message for message in world.messages() if "was unable to stop or start tasks" in message]
    assert len(blocked) == 1
    world.ask("UpdateService", service="web", deploymentConfiguration={"maximumPercent": 200})
    world.obey_until_quiet()
    assert [definition_of(task) for task in world.running()] == ["sample:2"]
    assert world.is_stable()


@pytest.mark.parametrize("desired", [1, 2, 3, 10])
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_a_rolling_update_keeps_its_limits_and_ends(desired: int, data: st.DataObject) -> None:
    minimum = data.draw(st.integers(0, 100), label="minimum")
    maximum = data.draw(st.integers(100, 250), label="maximum")
    world = a_world(desired, deploymentConfiguration=percents(minimum, maximum))
    allowed = limits(world.service(), desired)
    assert allowed == Limits(lower=-(-desired * minimum // 100), upper=desired * maximum // 100)

    def check() -> None:
        assert len(world.running()) >= allowed.lower
        assert len(world.tasks()) <= allowed.upper

    world.ask("UpdateService", service="web", forceNewDeployment=True)
    check()
    for _ in range(10 * desired):
        told = world.pending() + world.stopping()
        if not told:
            break
        task = data.draw(st.sampled_from(told))
        if task.desired_status == "RUNNING":
            world.run(task)
        else:
            world.exit(task, code=0)
        check()
    if allowed.lower < desired or allowed.upper > desired:
        assert world.is_stable()
        assert world.deployment().rollout_state == "COMPLETED"
    else:
        assert "was unable to stop or start tasks during a deployment" in world.messages()[-1]


def test_an_update_over_an_update_leaves_only_the_newest() -> None:
    world = a_world(2)
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    world.run(world.pending()[0])
    world.ask("UpdateService", service="web", taskDefinition="sample:1")
    assert [one.status for one in world.service().deployments] == ["PRIMARY", "ACTIVE", "ACTIVE"]
    world.obey_until_quiet()
    assert world.is_stable()
    assert {task.deployment_id for task in world.running()} == {world.deployment().id}


def test_a_task_is_healthy_only_after_a_while_when_so_set() -> None:
    world = a_world(1, settings=Settings(healthy_after_s=40), instances=1)
    world.pass_time(40)
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    world.run(*world.pending())
    world.pass_time(39)
    assert len(world.running()) == 2
    world.pass_time(1)
    assert [definition_of(task) for task in world.stopping()] == ["sample:1"]


# --- health checks ----------------------------------------------------------------------------------


def an_unchecked_world(desired: int, **body: Any) -> World:
    """Its tasks have a health check that has not told anything yet."""
    world = World(instances=3)
    checked = a_task_definition("checked")
    container = {**checked.body["containerDefinitions"][0], "healthCheck": {"command": ["CMD", "true"]}}
    checked = msgspec.structs.replace(checked, body={**checked.body, "containerDefinitions": [container]})
    world.do(lambda step: step.put_task_definition(checked))
    world.ask("CreateService", serviceName="web", taskDefinition="checked", desiredCount=desired, **body)
    world.run(*world.pending())
    return world


def a_checked_world(desired: int, **body: Any) -> World:
    """Its tasks have a health check, and are HEALTHY."""
    world = an_unchecked_world(desired, **body)
    assert world.deployment().rollout_state == "IN_PROGRESS"
    for task in world.running():
        world.heal(task, HealthStatus.HEALTHY)
    assert world.deployment().rollout_state == "COMPLETED"
    return world


def test_an_unhealthy_task_is_replaced_first_and_stopped_then() -> None:
    world = a_checked_world(2)
    ailing = world.running()[0]
    world.heal(ailing, HealthStatus.UNHEALTHY)
    assert (len(world.pending()), world.stopping()) == (1, [])
    (replacement,) = world.pending()
    world.run(replacement)
    assert world.stopping() == []
    world.heal(replacement, HealthStatus.HEALTHY)
    (stopped,) = world.stopping()
    assert stopped.arn == ailing.arn
    assert (stopped.stop_code, stopped.stopped_reason) == (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
    )
    assert any(message.endswith("failed container health checks.") for message in world.messages())


def test_without_room_unhealthy_tasks_are_stopped_one_by_one() -> None:
    world = a_checked_world(3, deploymentConfiguration=percents(0, 100))
    for task in world.running():
        world.heal(task, HealthStatus.UNHEALTHY)
    assert len(world.stopping()) == 1
    world.exit(*world.stopping(), code=0)
    assert (len(world.running()), len(world.pending()), len(world.stopping())) == (2, 0, 0)
    world.pass_time(1)  # it failed
    assert (len(world.running()), len(world.pending()), len(world.stopping())) == (2, 1, 0)
    (replacement,) = world.pending()
    world.run(replacement)
    world.heal(replacement, HealthStatus.HEALTHY)
    assert len(world.stopping()) == 1


def test_old_tasks_that_never_turned_healthy_do_not_take_the_room_of_new_ones_for_ever() -> None:
    """Their health check has told nothing yet, and they are as many as there may be at most."""
    world = an_unchecked_world(4)
    world.ask("UpdateService", service="web", taskDefinition="sample:1", desiredCount=2)
    assert (len(world.running()), len(world.stopping()), len(world.pending())) == (2, 2, 0), "two still run"
    world.obey_until_quiet()
    assert world.is_stable()
    assert [definition_of(task) for task in world.running()] == ["sample:1", "sample:1"]


def test_a_task_that_turns_healthy_resets_the_failed_ones() -> None:
    world = a_checked_world(2, deploymentConfiguration=BREAKER)
    world.ask("UpdateService", service="web", forceNewDeployment=True)
    first, second = world.pending()
    world.exit(first)
    world.run(second)
    world.pass_time(0.5)
    assert world.deployment().failed_tasks == 1
    world.heal(second, HealthStatus.HEALTHY)
    assert world.deployment().failed_tasks == 0


def test_a_grace_period_holds_no_failed_check_against_a_task() -> None:
    world = a_checked_world(1, healthCheckGracePeriodSeconds=60)
    (task,) = world.running()
    world.heal(task, HealthStatus.UNHEALTHY)
    world.pass_time(59)
    assert world.pending() == []
    world.pass_time(1)
    assert len(world.pending()) == 1


# --- what fails --------------------------------------------------------------------------------------


def die_for(world: World, seconds: float, *, after_s: float = 0.0) -> int:
    """Every task that is started ends by itself, ``after_s`` after it ran; how many did."""
    ends_at, dead = world.at.timestamp() + seconds, 0
    while world.at.timestamp() < ends_at:
        for task in world.pending():
            if after_s:
                world.run(task)
        world.pass_time(after_s)
        for task in [task for task in world.wanted() if task.last_status == "RUNNING" or not after_s]:
            world.exit(task)
            dead += 1
        world.pass_time(0.25)
    return dead


@pytest.mark.parametrize("after_s", [0.0, 1.0])
@pytest.mark.parametrize("desired", [1, 4])
def test_a_task_that_dies_at_once_for_ten_minutes_is_no_runaway(desired: int, after_s: float) -> None:
    world = World(instances=3)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=desired)
    dead = die_for(world, 600, after_s=after_s)
    assert 10 * desired <= dead <= 17 * desired  # 1, 2, 4, …, 32 and then 60 s between tries
    said = world.messages()
    assert said.count("is unable to consistently start tasks successfully.") == 1
    assert said.count("has reached a steady state.") <= 1
    assert len(said) <= 40
    world.pass_time(60)
    world.obey_until_quiet()
    world.pass_time(61)  # it has run for long enough: all is forgotten
    assert world.is_stable()
    assert world.messages()[-1] == "has reached a steady state."
    assert (world.deployment().starts_failed, world.service().last_problem) == (0, "")
    world.exit(world.running()[0])
    world.pass_time(1)
    assert len(world.pending()) == 1


def test_failures_are_forgotten_when_nothing_is_wanted_any_more() -> None:
    world = World()
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=1)
    world.exit(*world.pending())
    world.ask("UpdateService", service="web", desiredCount=0)
    world.pass_time(60)
    assert world.messages()[-1] == "has reached a steady state."
    assert world.deployment().starts_failed == 0


def test_the_circuit_breaker_gives_up_and_goes_back() -> None:
    world = a_world(4, settings=LASTING, deploymentConfiguration=BREAKER)
    good = world.deployment()
    stayed = world.running()
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    bad = world.deployment()
    dead = 0
    while world.deployment().id == bad.id:
        for task in world.pending():
            world.exit(task)
            dead += 1
        world.pass_time(1)
        assert dead <= 8
    assert world.deployment().id == good.id
    assert (world.deployment().rolls_back, world.deployment().rollout_state) == (bad.id, "COMPLETED")
    world.obey_until_quiet()
    world.pass_time(5)
    assert world.is_stable()
    assert [task.arn for task in world.running()] == [task.arn for task in stayed]  # no task was lost on the way
    failed = world.service().past_deployments[0]
    assert (failed.id, failed.rollout_state, failed.rollout_reason, failed.failed_tasks >= 3) == (
        bad.id,
        "FAILED",
        "ECS deployment circuit breaker: tasks failed to start.",
        True,
    )
    assert f"(deployment {bad.id}) deployment failed: tasks failed to start." in world.messages()
    assert f"rolling back to deployment {good.id}." in world.messages()


def test_a_deployment_that_is_given_up_with_its_last_task_is_gone_at_once() -> None:
    world = a_world(1, settings=LASTING, deploymentConfiguration=BREAKER)
    good = world.deployment().id
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    die_for_pending(world, 10)
    assert [(one.id, one.rollout_state) for one in world.service().deployments] == [(good, "COMPLETED")]
    assert world.is_stable()
    assert world.messages()[-1] == "has reached a steady state."


def test_the_circuit_breaker_without_rollback_leaves_what_runs() -> None:
    world = a_world(
        2, settings=LASTING, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    )
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    die_for_pending(world, 30)
    assert world.deployment().rollout_state == "FAILED"
    assert world.deployment().failed_tasks >= 3
    assert [definition_of(task) for task in world.running()] == ["sample:1", "sample:1"]
    assert world.pending() == []
    world.pass_time(3600)
    assert world.pending() == []
    world.ask("UpdateService", service="web", taskDefinition="sample:1")
    world.obey_until_quiet()
    assert not world.is_stable()
    world.pass_time(5)
    world.obey_until_quiet()
    assert world.is_stable()


def die_for_pending(world: World, seconds: int) -> None:
    for _ in range(seconds):
        for task in world.pending():
            world.exit(task)
        world.pass_time(1)


def test_a_task_that_dies_soon_after_it_ran_is_a_failure_to_the_breaker() -> None:
    world = World(instances=3, settings=LASTING)
    world.ask(
        "CreateService", serviceName="web", taskDefinition="sample", desiredCount=1, deploymentConfiguration=BREAKER
    )
    die_for(world, 60, after_s=2.0)
    assert world.deployment().rollout_state == "FAILED"
    assert world.tasks() == []  # and there is nothing to go back to


def test_a_healthy_task_resets_the_failed_ones() -> None:
    world = World(instances=3, settings=LASTING)
    world.ask(
        "CreateService", serviceName="web", taskDefinition="sample", desiredCount=2, deploymentConfiguration=BREAKER
    )
    first, second = world.pending()
    world.run(first)
    world.exit(second)
    assert world.deployment().failed_tasks == 1
    world.pass_time(6)
    assert world.deployment().failed_tasks == 0


# --- tasks that do not last --------------------------------------------------------------------------


def test_a_deployment_whose_tasks_die_soon_is_not_a_success_without_a_breaker_either() -> None:
    world = World(instances=1, settings=LASTING)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=1)
    dead = die_for(world, 30, after_s=1.0)
    assert dead > 3
    assert (world.deployment().rollout_state, world.deployment().failed_tasks) == ("IN_PROGRESS", dead)
    assert "has reached a steady state." not in world.messages()
    world.obey_until_quiet()
    world.pass_time(60)
    world.obey_until_quiet()
    world.pass_time(5)
    assert (world.deployment().rollout_state, world.deployment().failed_tasks) == ("COMPLETED", 0)
    assert world.messages()[-1] == f"(deployment {world.deployment().id}) deployment completed."


# --- places ------------------------------------------------------------------------------------------


def test_without_instances_it_waits_and_says_so_once() -> None:
    world = World(instances=0)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=2)
    world.pass_time(600)
    assert world.messages() == [
        "was unable to place a task because no container instance met all of its requirements. "
        "Reason: No Container Instances were found in your cluster."
    ]
    instance = an_instance(1)
    world.do(lambda step: step.instances.put(instance.arn, instance))
    assert len(world.pending()) == 2
    world.obey_until_quiet()
    assert (world.is_stable(), world.service().last_problem) == (True, "")


def test_without_its_task_definition_it_starts_nothing_and_says_why() -> None:
    world = a_world(1)
    definition = a_task_definition()
    world.do(lambda step: step.task_definitions.drop(definition.arn))
    world.user_stops(world.running()[0])
    assert world.pending() == []
    assert world.messages()[-1].endswith(f"Reason: {definition.arn} does not exist any more.")


def test_a_daemon_tries_every_instance_though_one_is_full() -> None:
    full = an_instance(1)
    full = msgspec.structs.replace(full, resources=msgspec.structs.replace(full.resources, memory_mib=0))
    fuller = msgspec.structs.replace(an_instance(2), resources=full.resources)
    world = World(instances=[full, fuller, an_instance(3)])
    world.ask("CreateService", serviceName="web", taskDefinition="sample", schedulingStrategy="DAEMON")
    assert [task.instance_arn for task in world.pending()] == [an_instance(3).arn]
    assert sum("has insufficient memory available" in message for message in world.messages()) == 1


def test_a_decision_ends_and_the_rest_is_for_the_next_second(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr("ecscope.control.core.services._ROUNDS", 1)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=1)
    assert len(world.pending()) == 1
    assert world.service().look_at == world.alarm == world.at + timedelta(seconds=1)


def test_what_is_gone_concerns_nobody() -> None:
    world = a_world(1, instances=2)
    spare = next(arn for arn in world.state.instances if arn != world.running()[0].instance_arn)
    before = world.service()
    world.do(lambda step: step.instances.drop(spare))
    world.do(lambda step: step.touched_services.update({"no such service": None}))
    assert world.service() == before


def test_room_that_becomes_free_is_used() -> None:
    small = an_instance(1)
    small = msgspec.structs.replace(small, resources=msgspec.structs.replace(small.resources, memory_mib=64))
    world = World(instances=[small])
    world.ask("CreateService", serviceName="other", taskDefinition="sample", desiredCount=1)
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=1)
    assert world.messages()[-1].endswith("has insufficient memory available.")
    world.obey_until_quiet()
    world.ask("DeleteService", service="other", force=True)
    assert [task.group for task in world.wanted()] == []
    world.exit(*world.stopping(), code=0)
    assert [task.group for task in world.wanted()] == ["service:web"]


def test_a_rolling_update_makes_do_with_little_room() -> None:
    small = [an_instance(1), an_instance(2)]
    small = [
        msgspec.structs.replace(one, resources=msgspec.structs.replace(one.resources, memory_mib=64 * count))
        for one, count in zip(small, (3, 2), strict=True)
    ]
    world = World(instances=small)
    world.ask("CreateService", serviceName="web", taskDefinition="sample:1", desiredCount=4)
    world.obey_until_quiet()
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    assert len(world.pending()) == 1
    world.obey_until_quiet(check=lambda: len(world.running()) >= 4 or pytest.fail("below the limit"))
    assert world.is_stable()
    assert {definition_of(task) for task in world.running()} == {"sample:2"}
    assert sum("was unable to place a task" in message for message in world.messages()) == 1


def test_tasks_of_an_instance_that_is_gone_start_elsewhere() -> None:
    world = a_world(2, instances=2)
    lost = world.running()[0]
    world.do(lambda step: lose_instance(step, lost.instance_arn))
    assert [task.instance_arn != lost.instance_arn for task in world.wanted()] == [True, True]
    world.obey_until_quiet()
    assert world.is_stable()
    assert world.deployment().failed_tasks == 0


def lose_instance(step: Step, arn: str) -> None:
    for task_arn in step.tasks_on[arn]:
        lose(step, step.tasks[task_arn], code="TerminationNotice", reason="Container instance deregistered")
    step.instances.put(arn, msgspec.structs.replace(step.instances[arn], status="INACTIVE"))


def test_an_agent_that_is_away_costs_no_task() -> None:
    world = a_world(2, instances=2)
    before = [task.arn for task in world.tasks()]
    world.change_instance(world.running()[0].instance_arn, connection_id="")
    world.pass_time(3600)
    assert [task.arn for task in world.tasks()] == before


def test_a_draining_instance_is_emptied_within_the_limits() -> None:
    world = a_world(2, instances=2)
    leaving = world.running()[0].instance_arn
    world.change_instance(leaving, status="DRAINING")
    assert (len(world.running()), len(world.pending()), len(world.stopping())) == (2, 1, 0)
    world.obey_until_quiet()
    assert world.is_stable()
    assert leaving not in {task.instance_arn for task in world.tasks()}
    assert len(world.service().past_deployments) == 0


def test_a_draining_instance_without_room_elsewhere_gives_up_its_tasks_at_zero_percent() -> None:
    world = a_world(2, instances=2, deploymentConfiguration=percents(0, 100))
    leaving = world.running()[0].instance_arn
    world.change_instance(leaving, status="DRAINING")
    assert [task.instance_arn for task in world.stopping()] == [leaving]
    world.obey_until_quiet()
    assert world.is_stable()


def test_a_draining_instance_that_nothing_can_replace_is_no_steady_state() -> None:
    world = a_world(1, instances=2, deploymentConfiguration=percents(100, 100))
    world.change_instance(world.running()[0].instance_arn, status="DRAINING")
    world.pass_time(3600)
    assert "was unable to stop or start tasks" in world.messages()[-1]
    assert world.service().steady_said_at is None


# --- protection --------------------------------------------------------------------------------------


def test_protected_tasks_outlast_scale_in_and_deployments() -> None:
    world = a_world(2)
    first, second = world.running()
    until = world.at.replace(hour=13)
    for task in (first, second):
        world.do(
            lambda step, task=task: step.put_task(
                msgspec.structs.replace(step.tasks[task.arn], is_protected=True, protected_until=until)
            )
        )
    world.ask("UpdateService", service="web", desiredCount=1)
    assert world.stopping() == []
    assert world.messages()[-1] == "was unable to scale in due to (reason 2 tasks under protection)"
    world.ask("UpdateService", service="web", desiredCount=2, taskDefinition="sample:2")
    world.obey_until_quiet()
    assert [definition_of(task) for task in world.running()] == ["sample:1", "sample:1", "sample:2", "sample:2"]
    world.pass_time(3600)
    world.obey_until_quiet()
    assert world.is_stable()
    assert [definition_of(task) for task in world.running()] == ["sample:2", "sample:2"]


# --- daemons -----------------------------------------------------------------------------------------


def a_daemon_world(instances: int = 3) -> World:
    world = World(instances=instances)
    world.ask("CreateService", serviceName="web", taskDefinition="sample:1", schedulingStrategy="DAEMON")
    world.obey_until_quiet()
    assert world.is_stable()
    return world


def test_a_daemon_runs_once_on_each_instance() -> None:
    world = a_daemon_world(3)
    assert sorted(task.instance_arn for task in world.running()) == sorted(world.state.instances)
    assert world.service().desired_count == 3
    fourth = an_instance(4)
    world.do(lambda step: step.instances.put(fourth.arn, fourth))
    assert [task.instance_arn for task in world.pending()] == [fourth.arn]


def test_a_daemon_leaves_an_instance_that_drains_and_comes_back() -> None:
    world = a_daemon_world(3)
    leaving = world.running()[1].instance_arn
    world.change_instance(leaving, status="DRAINING")
    assert [task.instance_arn for task in world.stopping()] == [leaving]
    world.obey_until_quiet()
    assert (world.is_stable(), world.service().desired_count) == (True, 2)
    world.change_instance(leaving, status="ACTIVE")
    world.obey_until_quiet()
    assert (world.is_stable(), world.service().desired_count) == (True, 3)


def test_a_daemon_is_the_last_to_leave_an_instance_that_drains() -> None:
    """As in ECS: logs and metrics of a replica that stops still go somewhere."""
    world = a_daemon_world(2)
    world.ask("CreateService", serviceName="db", taskDefinition="sample:1", desiredCount=2)
    world.obey_until_quiet()
    leaving = world.running()[0].instance_arn
    world.ask("UpdateContainerInstancesState", containerInstances=[leaving], status="DRAINING")
    assert [task.group for task in world.stopping()] == []
    world.run(*world.pending())
    assert [(task.group, task.instance_arn) for task in world.stopping()] == [("service:db", leaving)]
    assert world.is_stable(), "nothing is amiss with the daemon meanwhile"
    world.exit(*world.stopping(), code=0)
    assert [(task.group, task.instance_arn) for task in world.stopping()] == [("service:web", leaving)]
    world.obey_until_quiet()
    assert (world.is_stable(), world.service().desired_count) == (True, 1)
    assert world.is_stable("db")


def test_a_daemon_that_is_updated_or_ends_does_not_stay_on_an_instance_that_drains() -> None:
    world = a_daemon_world(2)
    world.ask("CreateService", serviceName="db", taskDefinition="sample:1", desiredCount=2)
    world.obey_until_quiet()
    leaving = world.running()[0].instance_arn
    world.ask("UpdateContainerInstancesState", containerInstances=[leaving], status="DRAINING")
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    assert leaving in {task.instance_arn for task in world.stopping() if task.group == "service:web"}
    world.obey_until_quiet()
    assert (world.is_stable(), world.service().desired_count) == (True, 1)


def test_a_daemon_is_the_first_on_an_instance() -> None:
    """There is room for one task only."""
    world = World(instances=0)
    world.ask("CreateService", serviceName="db", taskDefinition="sample:1", desiredCount=5)
    world.ask("CreateService", serviceName="web", taskDefinition="sample:1", schedulingStrategy="DAEMON")
    small = an_instance(1, resources=HostResources(cpu_units=15, memory_mib=4096))
    world.do(lambda step: step.instances.put(small.arn, small))
    assert [task.group for task in world.tasks()] == ["service:web"]


def test_a_daemon_is_updated_instance_by_instance() -> None:
    world = a_daemon_world(3)
    world.ask(
        "UpdateService",
        service="web",
        taskDefinition="sample:2",
        deploymentConfiguration={"minimumHealthyPercent": 60},
    )
    seen = []
    world.obey_until_quiet(check=lambda: seen.append((len(world.running()), len(world.tasks()))))
    assert world.is_stable()
    assert min(running for running, _ in seen) == 2
    assert max(all_of_them for _, all_of_them in seen) == 3
    assert {definition_of(task) for task in world.running()} == {"sample:2"}


def test_a_daemon_goes_only_where_its_constraints_let_it() -> None:
    world = World(instances=[an_instance(1, custom_attributes={"stack": "prod"}), an_instance(2)])
    world.ask(
        "CreateService",
        serviceName="web",
        taskDefinition="sample",
        schedulingStrategy="DAEMON",
        placementConstraints=[{"type": "memberOf", "expression": "attribute:stack == prod"}],
    )
    world.obey_until_quiet()
    assert [task.instance_arn for task in world.running()] == [an_instance(1).arn]
    assert (world.is_stable(), world.service().desired_count) == (True, 1)
    world.change_instance(an_instance(1).arn, custom_attributes={})
    world.obey_until_quiet()
    assert (world.tasks(), world.service().desired_count) == ([], 0)


# --- the end -----------------------------------------------------------------------------------------


def test_deleted_while_it_deploys() -> None:
    world = a_world(2)
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    world.run(world.pending()[0])
    answer = world.ask("DeleteService", service="web", force=True)
    assert (answer["service"]["status"], answer["service"]["desiredCount"]) == ("DRAINING", 0)
    assert world.wanted() == []
    assert world.service().status == "DRAINING"
    world.exit(*world.stopping(), code=0)
    assert (world.service().status, world.service().deployments) == ("INACTIVE", ())
    world.pass_time(world.state.settings.stopped_kept_s)
    assert world.state.services == {}


def test_a_process_that_is_killed_in_the_middle_of_a_deployment_goes_on() -> None:
    world = a_world(3)
    world.ask("UpdateService", service="web", taskDefinition="sample:2")
    for _ in range(20):
        world.restart()
        told = world.pending() + world.stopping()
        if not told:
            break
        if told[0].desired_status == "RUNNING":
            world.run(told[0])
        else:
            world.exit(told[0], code=0)
    assert world.is_stable()
    assert [definition_of(task) for task in world.running()] == ["sample:2"] * 3


def test_a_wait_outlasts_a_restart() -> None:
    world = World()
    world.ask("CreateService", serviceName="web", taskDefinition="sample", desiredCount=1)
    world.exit(*world.pending())
    assert world.pending() == []
    world.restart()
    assert world.pending() == []
    world.pass_time(1)
    assert len(world.pending()) == 1


# --- the end of the control plane ----------------------------------------------------------------------


def test_services_start_nothing_at_the_end_and_go_on_at_the_next_start() -> None:
    world = a_world(desired=2)
    live = world.state.settings
    world.state = msgspec.structs.replace(world.state, settings=msgspec.structs.replace(live, is_ending=True))
    for task in world.running():
        world.ask("StopTask", task=task.arn)
    world.pass_time(60.0)
    assert len(world.tasks()) == 2, "nothing new"
    assert {task.desired_status for task in world.tasks()} == {"STOPPED"}
    world.state = msgspec.structs.replace(world.state, settings=live)
    world.restart()
    world.pass_time(1.0)
    assert len(world.wanted()) == 2

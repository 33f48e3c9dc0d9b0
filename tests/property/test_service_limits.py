"""Services under whatever comes, in any order: limits are kept at every step, and in the end each has what it wants."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecscope.control.core.deployments import is_healthy, limits, primary
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.records import Service, Task
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from ecscope.model.resources import HostResources
from ecscope.model.status import HealthStatus
from tests.control_builders import AT, AT_ONCE, a_task_definition, an_instance
from tests.examples import examples
from tests.service_world import World

NAMES = ("web", "agent")
"""A replica service, and a daemon."""
CHECKED = "checked:1"
"""A definition with a health check."""
FAMILIES = ("sample:1", "sample:2", CHECKED, "huge:1")


class RandomWorld(World):
    """Holds every step to the limits of the services that it is about."""

    def __init__(self, *, instances: int, live: bool) -> None:
        super().__init__(instances=instances, settings=Settings(healthy_after_s=40.0) if live else AT_ONCE)

        def define(step: Step) -> None:
            body = a_task_definition().body
            (app,) = body["containerDefinitions"]
            checked = {**body, "containerDefinitions": [{**app, "healthCheck": {"command": ["CMD", "true"]}}]}
            huge = {**body, "containerDefinitions": [{**app, "memory": 1500}]}
            step.put_task_definition(a_task_definition("checked", body=checked))
            step.put_task_definition(a_task_definition("huge", body=huge))

        self.do(define)

    def _take(self, decision: Any) -> Any:
        before = self.state
        taken = super()._take(decision)
        check_books(self.state)
        for arn, service in self.state.services.items():
            was = before.services.get(arn)
            if service.status == "ACTIVE":
                check_started(before, self.state, service, self.at)
                if was is not None:
                    check_stopped(before, self.state, service, self.at)
        return taken


def step_on(state: ControlState, at: Any) -> Step:
    return Step(state, ApiRequest(id="0" * 32, at=at, action="", principal_arn="", body={}))


def check_books(state: ControlState) -> None:
    """Nothing is given away twice, and nothing runs nowhere."""
    for arn, taken in state.taken.items():
        has = state.instances[arn].resources
        assert taken.cpu_units <= has.cpu_units
        assert taken.memory_mib <= has.memory_mib
        assert not taken.ports_tcp & has.ports_tcp
    for task in state.tasks.values():
        if not task.is_stopped:
            assert state.instances[task.instance_arn].status != "INACTIVE"


def check_started(before: ControlState, after: ControlState, service: Service, at: Any) -> None:
    """Whoever starts a task has room for it, on an instance that takes tasks."""
    new = [after.tasks[arn] for arn in after.tasks_of.get(service.arn, ()) if arn not in before.tasks]
    if not new:
        return
    for task in new:
        instance = after.instances[task.instance_arn]
        assert (instance.status, instance.is_connected) == ("ACTIVE", True)
        assert task.deployment_id == primary(service).id
    there = [task for task in tasks_of(after, service) if is_there(after, task)]
    if service.is_daemon:
        homes = [task.instance_arn for task in there]
        assert all(homes.count(task.instance_arn) == 1 for task in new), "one task for each instance"
    else:
        assert len(there) <= limits(service, service.desired_count).upper


def check_stopped(before: ControlState, after: ControlState, service: Service, at: Any) -> None:
    """Whoever stops a healthy task leaves enough of them."""
    if service.is_daemon:
        return
    step_before, step_after = step_on(before, at), step_on(after, at)
    stopped = [
        now
        for arn, now in after.tasks.items()
        if now.service_arn == service.arn
        and now.stop_code == "ServiceSchedulerInitiated"
        and "Scaling activity" in now.stopped_reason
        and (was := before.tasks.get(arn)) is not None
        and was.desired_status == "RUNNING"
        and was.last_status == "RUNNING"
        and is_healthy(step_before, was)
    ]
    if stopped:
        left = [task for task in tasks_of(after, service) if is_healthy(step_after, task)]
        assert len(left) >= limits(service, service.desired_count).lower
    assert not any(task.is_protected and task.protected_until and task.protected_until > at for task in stopped)


def tasks_of(state: ControlState, service: Service) -> list[Task]:
    return [state.tasks[arn] for arn in state.tasks_of.get(service.arn, ())]


def is_there(state: ControlState, task: Task) -> bool:
    return task.desired_status == "RUNNING" or state.instances[task.instance_arn].is_connected


# --- what may happen ----------------------------------------------------------------------------------


def chosen(data: st.DataObject, those: list[Any]) -> Any:
    return data.draw(st.sampled_from(those))


def try_to(ask: Callable[[], object]) -> None:
    """A refusal is an answer too."""
    with suppress(ApiError):
        ask()


def a_configuration(data: st.DataObject, name: str) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "minimumHealthyPercent": data.draw(st.sampled_from([0, 33, 50, 100])),
        "deploymentCircuitBreaker": {"enable": data.draw(st.booleans()), "rollback": data.draw(st.booleans())},
    }
    if name == "web":
        configuration["maximumPercent"] = data.draw(st.sampled_from([100, 134, 150, 200]))
    return configuration


def create(world: World, data: st.DataObject, name: str) -> None:
    daemon = {"schedulingStrategy": "DAEMON"} if name == "agent" else {"desiredCount": data.draw(st.integers(0, 6))}
    try_to(
        lambda: world.ask(
            "CreateService",
            serviceName=name,
            taskDefinition=chosen(data, list(FAMILIES)),
            deploymentConfiguration=a_configuration(data, name),
            **daemon,
        )
    )


def update(world: World, data: st.DataObject) -> None:
    name = chosen(data, list(NAMES))
    changes: dict[str, Any] = {}
    if data.draw(st.booleans()):
        changes["taskDefinition"] = chosen(data, list(FAMILIES))
    if data.draw(st.booleans()):
        changes["forceNewDeployment"] = True
    if name == "web" and data.draw(st.booleans()):
        changes["desiredCount"] = data.draw(st.integers(0, 6))
    if data.draw(st.booleans()):
        changes["deploymentConfiguration"] = a_configuration(data, name)
    try_to(lambda: world.ask("UpdateService", service=name, **changes))


def delete(world: World, data: st.DataObject) -> None:
    name = chosen(data, list(NAMES))
    try_to(lambda: world.ask("DeleteService", service=name, force=True))
    if data.draw(st.booleans()):
        world.obey()
        create(world, data, name)


def give_up(world: World, data: st.DataObject) -> None:
    listed = world.ask("ListServiceDeployments", service="web")["serviceDeployments"] if has(world, "web") else []
    if listed:
        arn = listed[0]["serviceDeploymentArn"]
        try_to(lambda: world.ask("StopServiceDeployment", serviceDeploymentArn=arn))


def has(world: World, name: str) -> bool:
    return any(service.name == name for service in world.state.services.values())


def run_some(world: World, data: st.DataObject) -> None:
    if pending := world.pending():
        world.run(*pending[: data.draw(st.integers(1, len(pending)))])


def crash(world: World, data: st.DataObject) -> None:
    if wanted := world.wanted():
        world.exit(chosen(data, wanted))


def obey_a_stop(world: World, data: st.DataObject) -> None:
    if stopping := world.stopping():
        world.exit(chosen(data, stopping), code=0)


def check_health(world: World, data: st.DataObject) -> None:
    if running := [task for task in world.running() if task.containers[0].has_health_check]:
        world.heal(chosen(data, running), chosen(data, list(HealthStatus)))


def stop_one(world: World, data: st.DataObject) -> None:
    if wanted := world.wanted():
        world.user_stops(chosen(data, wanted))


def protect(world: World, data: st.DataObject) -> None:
    if wanted := world.wanted():
        tasks = [chosen(data, wanted).arn]
        on = data.draw(st.booleans())
        world.ask("UpdateTaskProtection", cluster="default", tasks=tasks, protectionEnabled=on)


def change_an_instance(world: World, data: st.DataObject) -> None:
    here = [instance for instance in world.state.instances.values() if instance.status != "INACTIVE"]
    if not here:
        return
    instance = chosen(data, here)
    match data.draw(st.sampled_from(["state", "connection", "deregister"])):
        case "state":
            status = "ACTIVE" if instance.status == "DRAINING" else "DRAINING"
            world.ask("UpdateContainerInstancesState", containerInstances=[instance.arn], status=status)
        case "connection":
            world.change_instance(instance.arn, connection_id="" if instance.is_connected else "again")
        case _:
            world.ask("DeregisterContainerInstance", containerInstance=instance.arn, force=True)


def add_an_instance(world: World, data: st.DataObject) -> None:
    number = len(world.state.instances) + 1
    if number < 8:
        instance = an_instance(number)
        world.do(lambda step: step.instances.put(instance.arn, instance))


def run_alone(world: World, data: st.DataObject) -> None:
    try_to(
        lambda: world.ask("RunTask", taskDefinition=chosen(data, list(FAMILIES)), count=data.draw(st.integers(1, 3)))
    )


def wait(world: World, data: st.DataObject) -> None:
    world.pass_time(data.draw(st.sampled_from([0.5, 1, 5, 40, 70, 3600])))


def restart(world: World, data: st.DataObject) -> None:
    world.restart()


HAPPENINGS = [
    update,
    update,
    delete,
    give_up,
    run_some,
    run_some,
    run_some,
    crash,
    obey_a_stop,
    obey_a_stop,
    check_health,
    stop_one,
    protect,
    change_an_instance,
    add_an_instance,
    run_alone,
    wait,
    wait,
    restart,
]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), live=st.booleans())
def test_limits_are_kept_and_all_comes_to_rest(data: st.DataObject, live: bool) -> None:
    world = RandomWorld(instances=data.draw(st.integers(1, 4)), live=live)
    for name in NAMES:
        create(world, data, name)
    for happening in data.draw(st.lists(st.sampled_from(HAPPENINGS), max_size=40)):
        happening(world, data)
    come_to_rest(world)
    for service in world.state.services.values():
        if service.status == "ACTIVE":
            check_at_rest(world, service)


def come_to_rest(world: World) -> None:
    """Everybody is back, there is room, limits let it move, and nothing fails any more."""
    for number in range(20, 26):
        instance = an_instance(number, resources=HostResources(cpu_units=8192, memory_mib=32768))
        world.do(lambda step, it=instance: step.instances.put(it.arn, it))  # type: ignore[misc]  # bound early
    for arn, instance in world.state.instances.items():
        if instance.status != "INACTIVE":
            world.change_instance(arn, status="ACTIVE", connection_id=instance.connection_id or "again")
    for service in tuple(world.state.services.values()):
        if service.status != "ACTIVE":
            continue
        most = {"maximumPercent": 200} if not service.is_daemon else {}
        world.ask(
            "UpdateService",
            service=service.name,
            taskDefinition="sample:2",
            forceNewDeployment=True,
            deploymentConfiguration={"minimumHealthyPercent": 50, **most},
        )
    for _ in range(300):
        did = world.obey()
        world.pass_time(41)
        if not did and world.at.timestamp() > AT.timestamp() and not world.pending() and not world.stopping():
            break
    world.pass_time(3 * 3600)  # nobody is protected any more
    for _ in range(100):
        if not world.obey():
            break
        world.pass_time(41)


def check_at_rest(world: World, service: Service) -> None:
    alive = tasks_of(world.state, service)
    shown = world.described(service.name)
    assert shown["runningCount"] == shown["desiredCount"] == len(alive)
    assert [one["rolloutState"] for one in shown["deployments"]] == ["COMPLETED"]
    assert {task.deployment_id for task in alive} <= {service.deployments[0].id}
    if service.is_daemon:
        active = {arn for arn, instance in world.state.instances.items() if instance.status == "ACTIVE"}
        assert {task.instance_arn for task in alive} == active
    assert shown["events"][0]["message"].endswith("has reached a steady state.")

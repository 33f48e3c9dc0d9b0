"""Whatever happens to a service, in whatever order: it stays within its rules, and gets what it wants in the end."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecscope.control.core.errors import ApiError
from ecscope.control.core.invariants import check_state
from tests.examples import examples
from tests.service_world import World

MOVES = (
    "run", "run", "run", "end", "end", "obey", "wait", "wait long", "restart", "drain", "activate", "lose agent",
    "find agent", "scale", "deploy", "force", "delete", "create", "user stops", "configure",
    "die", "die", "die",
)  # fmt: skip
INSTANCES = 3
MOST = 6


def created(world: World, data: st.DataObject) -> dict[str, Any]:
    strategy = data.draw(st.sampled_from(["REPLICA", "REPLICA", "DAEMON"]), label="strategy")
    body: dict[str, Any] = {"serviceName": "web", "taskDefinition": "sample:1", "schedulingStrategy": strategy}
    if strategy == "REPLICA":
        body["desiredCount"] = data.draw(st.integers(0, MOST), label="desired")
        body["deploymentConfiguration"] = configuration(data)
    return body


def configuration(data: st.DataObject) -> dict[str, Any]:
    return {
        "minimumHealthyPercent": data.draw(st.sampled_from([0, 33, 50, 100]), label="minimum"),
        "maximumPercent": data.draw(st.sampled_from([100, 134, 150, 200]), label="maximum"),
        "deploymentCircuitBreaker": {
            "enable": data.draw(st.booleans(), label="breaker"),
            "rollback": data.draw(st.booleans(), label="rollback"),
        },
    }


def moved(world: World, data: st.DataObject, move: str) -> None:
    instance = data.draw(st.sampled_from(sorted(world.state.instances)), label="instance")
    is_replica = world.service().scheduling_strategy == "REPLICA"
    match move:
        case "run" if world.pending():
            world.run(data.draw(st.sampled_from(world.pending()), label="task"))
        case "end" if world.tasks():
            world.exit(data.draw(st.sampled_from(world.tasks()), label="task"))
        case "die":
            world.exit(*world.pending())
            world.pass_time(70)
        case "user stops" if world.wanted():
            world.user_stops(data.draw(st.sampled_from(world.wanted()), label="task"))
        case "obey":
            world.obey()
        case "wait":
            world.pass_time(1)
        case "wait long":
            world.pass_time(70)
        case "restart":
            world.restart()
        case "drain":
            world.change_instance(instance, status="DRAINING")
        case "activate":
            world.change_instance(instance, status="ACTIVE")
        case "lose agent":
            world.change_instance(instance, connection_id="")
        case "find agent":
            world.change_instance(instance, connection_id="back")
        case "scale" if is_replica:
            world.ask("UpdateService", service="web", desiredCount=data.draw(st.integers(0, MOST), label="desired"))
        case "configure" if is_replica:
            world.ask("UpdateService", service="web", deploymentConfiguration=configuration(data))
        case "deploy":
            revision = data.draw(st.sampled_from([1, 2]), label="revision")
            world.ask("UpdateService", service="web", taskDefinition=f"sample:{revision}")
        case "force":
            world.ask("UpdateService", service="web", forceNewDeployment=True)
        case "delete":
            world.ask("DeleteService", service="web", force=True)
        case "create":
            world.ask("CreateService", **created(world, data))


def nothing_more(world: World) -> None:
    """To look again without a reason finds nothing to do."""
    before = world.state
    world.do(lambda step: step.touched_services.update(dict.fromkeys(before.services)))
    assert world.state.tasks == before.tasks
    assert world.state.services == before.services


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_order_of_events_ends_well(data: st.DataObject) -> None:
    world = World(instances=INSTANCES)
    world.ask("CreateService", **created(world, data))
    for move in data.draw(st.lists(st.sampled_from(MOVES), max_size=25), label="moves"):
        try:
            moved(world, data, move)
        except ApiError as refusal:
            assert refusal.code in (
                "ServiceNotActiveException",
                "ServiceNotFoundException",
                "InvalidParameterException",
            )
        nothing_more(world)
        service = world.service()
        assert len(service.events) <= 100
        assert len([one for one in service.deployments if one.status == "PRIMARY"]) == (service.status != "INACTIVE")
        assert len(world.tasks()) <= 60

    for instance in world.state.instances:
        world.change_instance(instance, status="ACTIVE", connection_id="here")
    for _ in range(6):
        world.obey_until_quiet()
        world.pass_time(61)
    check_state(world.state)
    service = world.service()
    if service.status != "ACTIVE":
        assert (service.status, world.tasks()) == ("INACTIVE", [])
    elif service.deployments[0].rollout_state == "FAILED":
        assert world.pending() == []
    elif service.last_problem.startswith("was unable to stop or start tasks"):
        assert len(service.deployments) > 1
    else:
        assert world.is_stable()
        assert service.deployments[0].rollout_state == "COMPLETED"
        assert service.events[0].message.endswith("has reached a steady state.")

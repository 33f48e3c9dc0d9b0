"""No address of awsvpc tasks is ever used twice at once, over restarts too, and what is freed is used last."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ecscope.control.core.addresses import new_interface
from ecscope.control.core.state import Settings
from ecscope.control.core.step import Step
from tests.control_agents import ControlWorld, SimulatedAgent
from tests.control_builders import a_control_task, a_fargate_definition, a_request, a_state
from tests.examples import examples

ATTRIBUTES = ("ecs.capability.task-eni", "com.amazonaws.ecs.capability.docker-remote-api.1.17")
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def a_world(subnet: str) -> tuple[ControlWorld, SimulatedAgent]:
    world = ControlWorld(Settings(task_subnet=subnet))
    world.ask("CreateCluster", clusterName="default")
    body = a_fargate_definition().body
    world.ask("RegisterTaskDefinition", family="web", requiresCompatibilities=["FARGATE"], **body)
    agent = world.register(attributes=[{"name": name} for name in ATTRIBUTES], totalResources=[])
    world.connect(agent)
    return world, agent


def run(world: ControlWorld, count: int) -> Any:
    return world.ask("RunTask", taskDefinition="web", launchType="FARGATE", count=count, networkConfiguration=NETWORK)


def stop_all(world: ControlWorld, arns: list[str]) -> None:
    for arn in arns:
        world.ask("StopTask", task=arn)
    world.calm_down()
    world.pass_time(0)


def held(world: ControlWorld) -> list[str]:
    return [task.interface.ipv4 for task in world.state.tasks.values() if task.interface and not task.is_stopped]


def test_two_hundred_tasks_have_two_hundred_addresses_over_a_restart() -> None:
    """The invariants are checked after each decision: no two tasks have one address."""
    world, _ = a_world("10.213.0.0/20")
    arns = [task["taskArn"] for _ in range(10) for task in run(world, 10)["tasks"]]
    world.restart()
    world.calm_down()
    arns += [task["taskArn"] for _ in range(10) for task in run(world, 10)["tasks"]]
    assert len(set(held(world))) == len(arns) == 200
    assert held(world)[0] == "10.213.0.4"
    assert "10.213.0.1" not in held(world)


@settings(max_examples=examples(15))
@given(steps=st.lists(st.integers(1, 6), min_size=2, max_size=8))
def test_an_address_is_freed_when_its_task_is_stopped_and_then_used_last(steps: list[int]) -> None:
    world, _ = a_world("10.213.0.0/27")  # 27 addresses
    last: list[str] = []
    for number, count in enumerate(steps):
        made = run(world, count)["tasks"]
        now = held(world)
        assert len(now) == count
        assert not set(now) & set(last)
        stop_all(world, [task["taskArn"] for task in made])
        assert held(world) == []
        last = now
        if number % 2:
            world.restart()
            world.calm_down()


def test_all_addresses_can_be_used_and_then_none_is_left() -> None:
    world, _ = a_world("10.213.0.0/28")  # 16, of which AWS keeps five
    answers = [run(world, 10) for _ in range(2)]
    assert [len(answer["tasks"]) for answer in answers] == [10, 1]
    assert {failure["reason"] for failure in answers[1]["failures"]} == {"RESOURCE:ENI"}
    stop_all(world, [answers[0]["tasks"][3]["taskArn"]])
    assert len(run(world, 1)["tasks"]) == 1


def test_without_a_subnet_there_is_none_and_with_another_one_it_begins_anew() -> None:
    state = a_state(a_control_task())
    nowhere = msgspec.structs.replace(state, settings=Settings())
    assert new_interface(Step(nowhere, a_request("RunTask"))) is None
    moved = msgspec.structs.replace(state, settings=Settings(task_subnet="192.168.4.0/24", region="eu-west-1"))
    step = Step(msgspec.structs.replace(moved, last_address=0x0AD50009), a_request("RunTask"))
    interface = new_interface(step)
    assert interface is not None
    assert (interface.ipv4, interface.gateway, interface.subnet) == ("192.168.4.4", "192.168.4.1/24", "192.168.4.0/24")
    assert interface.private_dns_name == "ip-192-168-4-4.eu-west-1.compute.internal"

"""A task runs where it fits, and where the strategies want it; else each instance says why not."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from ecscope.control.core.errors import Failure
from ecscope.control.core.placement import (
    DISTINCT_INSTANCE,
    EXTERNAL,
    MEMBER_OF,
    choose,
    complaint,
    is_fit,
)
from ecscope.control.core.records import Instance, Task, TaskDefinition
from ecscope.control.core.step import Step
from ecscope.control.core.tasks import start
from ecscope.control.core.wanted import Wanted
from ecscope.control.core.wanted import Wanted as SameWanted
from ecscope.model.container_instance import Attribute
from ecscope.model.resources import HostResources
from tests.control_builders import (
    a_control_step,
    a_control_task,
    a_request,
    a_state,
    a_task_definition,
    a_wanted,
    an_instance,
)
from tests.tables import each_row

ZONE = "ecs.availability-zone"


def in_zone(number: int, zone: str, **fields: Any) -> Instance:
    return an_instance(number, reported_attributes=(Attribute(name=ZONE, value=zone),), **fields)


def with_ports(*ports: tuple[int, str]) -> TaskDefinition:
    mappings = [{"containerPort": 80, "hostPort": port, "protocol": protocol} for port, protocol in ports]
    container = {"name": "app", "image": "i", "cpu": 10, "memory": 64, "portMappings": mappings}
    return a_task_definition(body={"containerDefinitions": [container]})


def member_of(expression: str) -> dict[str, str]:
    return {"type": "memberOf", "expression": expression}


def why_not(wanted: Wanted, *records: Instance | Task) -> list[str]:
    chosen = choose(a_control_step(*records), wanted)
    assert isinstance(chosen, tuple)
    return [failure.reason for failure in chosen]


def where(wanted: Wanted, *records: Instance | Task) -> set[str]:
    """Every instance that chance may choose."""
    found = set()
    for number in range(40):
        chosen = choose(Step(a_state(*records), a_request("RunTask", number)), wanted)
        assert isinstance(chosen, Instance)
        found.add(chosen.ec2_instance_id[-1])
    return found


def test_those_who_start_tasks_find_wanted_beside_start() -> None:
    assert Wanted is SameWanted


# --- the filter -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "fits"),
    [
        ({}, "123"),
        ({"cpuArchitecture": "X86_64"}, "13"),
        ({"cpuArchitecture": "ARM64"}, "23"),
        ({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}, "23"),
        ({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, ""),
    ],
)
def test_a_task_goes_where_its_platform_is_or_may_be(platform: dict[str, str], fits: str) -> None:
    linux = Attribute(name="ecs.os-family", value="LINUX")
    instances = (
        an_instance(1, reported_attributes=(linux, Attribute(name="ecs.cpu-architecture", value="x86_64"))),
        an_instance(2, reported_attributes=(linux, Attribute(name="ecs.cpu-architecture", value="arm64"))),
        an_instance(3, reported_attributes=(linux,)),
    )
    body = {**a_task_definition().body, "runtimePlatform": platform}
    wanted = a_wanted(definition=a_task_definition(body=body))
    if fits:
        assert where(wanted, *instances) == set(fits)
    else:
        assert why_not(wanted, *instances) == ["ATTRIBUTE"] * 3
    for number, instance in enumerate(instances, 1):
        assert is_fit(a_control_step(*instances), wanted, instance) is (str(number) in fits)


def test_a_failure_names_the_attributes_that_are_missing() -> None:
    body = {**a_task_definition().body, "runtimePlatform": {"cpuArchitecture": "ARM64"}}
    needs = (Attribute(name="ecs.capability.execution-role-awslogs"), Attribute(name="stack", value="prod"))
    instance = an_instance(1, reported_attributes=(Attribute(name="ecs.cpu-architecture", value="x86_64"),))
    chosen = choose(
        a_control_step(instance), a_wanted(definition=a_task_definition(body=body, requires_attributes=needs))
    )
    assert isinstance(chosen, tuple)
    lacking = "ecs.capability.execution-role-awslogs, stack = prod, ecs.cpu-architecture = arm64"
    assert [failure.detail for failure in chosen] == [f"The container instance lacks {lacking}."]


@each_row(
    "wanted, instance, reason",
    [
        (a_wanted(), an_instance(connection_id=""), "AGENT"),
        (a_wanted(), an_instance(resources=HostResources(cpu_units=9, memory_mib=4096)), "RESOURCE:CPU"),
        (a_wanted(), an_instance(resources=HostResources(cpu_units=10, memory_mib=63)), "RESOURCE:MEMORY"),
        (a_wanted(definition=with_ports((22, "tcp"))), an_instance(), "RESOURCE:PORTS"),
        (
            a_wanted(definition=with_ports((53, "udp"))),
            an_instance(resources=HostResources(cpu_units=99, memory_mib=99, ports_udp=frozenset({53}))),
            "RESOURCE:PORTS",
        ),
        (
            a_wanted(definition=a_task_definition(requires_attributes=(Attribute(name="gpu"),))),
            an_instance(),
            "ATTRIBUTE",
        ),
        (
            a_wanted(definition=a_task_definition(requires_attributes=(Attribute(name="gpu", value="a"),))),
            an_instance(custom_attributes={"gpu": "b"}),
            "ATTRIBUTE",
        ),
        (a_wanted(overrides={"taskRoleArn": "arn:other"}), an_instance(), "ATTRIBUTE"),
        (a_wanted(constraints=(member_of("attribute:stack == prod"),)), an_instance(), MEMBER_OF),
        (a_wanted(constraints=(member_of("attribute:stack =="),)), an_instance(), MEMBER_OF),
        (
            a_wanted(
                definition=a_task_definition(
                    body={**a_task_definition().body, "placementConstraints": [member_of("attribute:stack exists")]}
                )
            ),
            an_instance(),
            MEMBER_OF,
        ),
        (a_wanted(instance_arn=an_instance().arn), an_instance(status="INACTIVE"), "INACTIVE"),
        (a_wanted(instance_arn=an_instance().arn), an_instance(status="DRAINING"), "INACTIVE"),
        (a_wanted(instance_arn=an_instance(7).arn), an_instance(), "MISSING"),
    ],
)
def test_an_instance_says_why_not(wanted: Wanted, instance: Instance, reason: str) -> None:
    assert why_not(wanted, instance) == [reason]


def test_of_several_reasons_the_first_check_s_is_told() -> None:
    """Resources, then attributes, then constraints, as in ECS's own order."""
    wanted = a_wanted(
        definition=a_task_definition(requires_attributes=(Attribute(name="gpu"),)),
        constraints=(member_of("attribute:stack == prod"),),
    )
    assert why_not(wanted, an_instance(connection_id="", resources=HostResources())) == ["AGENT"]
    assert why_not(wanted, an_instance(resources=HostResources())) == ["RESOURCE:CPU"]
    assert why_not(wanted, an_instance()) == ["ATTRIBUTE"]


def test_each_instance_that_was_tried_has_its_failure() -> None:
    wanted = a_wanted(constraints=({"type": "distinctInstance"},))
    gone, full = an_instance(1, connection_id=""), an_instance(2)
    task = a_control_task(instance_arn=full.arn)
    assert choose(a_control_step(gone, full, task), wanted) == (
        Failure(arn=gone.arn, reason="AGENT"),
        Failure(arn=full.arn, reason=DISTINCT_INSTANCE),
    )


def test_tasks_take_what_they_need_until_they_are_stopped() -> None:
    task = a_control_task(needs=HostResources(cpu_units=2040, memory_mib=1, ports_tcp=frozenset({8080})))
    assert why_not(a_wanted(), an_instance(), task) == ["RESOURCE:CPU"]
    stopped = msgspec.structs.replace(task, last_status="STOPPED")
    assert where(a_wanted(), an_instance(), stopped) == {"1"}
    port = msgspec.structs.replace(task, needs=HostResources(ports_tcp=frozenset({8080})))
    assert why_not(a_wanted(definition=with_ports((8080, "tcp"))), an_instance(), port) == ["RESOURCE:PORTS"]
    assert where(a_wanted(definition=with_ports((8080, "udp"))), an_instance(), port) == {"1"}


def test_only_active_instances_of_the_cluster_and_the_launch_type_are_tried() -> None:
    others = (
        an_instance(1, status="DRAINING"),
        an_instance(2, status="INACTIVE"),
        an_instance(3, cluster="other"),
        an_instance(4, reported_attributes=(Attribute(name=EXTERNAL),)),
    )
    assert choose(a_control_step(*others), a_wanted()) == ()
    assert where(a_wanted(), *others, an_instance(5)) == {"5"}
    assert where(a_wanted(launch_type="EXTERNAL"), *others, an_instance(5)) == {"4"}


def test_a_daemon_goes_by_what_does_not_pass() -> None:
    full = an_instance(resources=HostResources(), connection_id="")
    step = a_control_step(full, an_instance(2, status="DRAINING"))
    assert is_fit(step, a_wanted(), full)
    assert not is_fit(step, a_wanted(constraints=(member_of("attribute:a exists"),)), full)
    assert not is_fit(step, a_wanted(), an_instance(2, status="DRAINING"))
    gpu = a_task_definition(requires_attributes=(Attribute(name="gpu"),))
    assert not is_fit(step, a_wanted(definition=gpu), full)


# --- strategies -----------------------------------------------------------------------------------


def test_without_a_strategy_any_may_be_chosen() -> None:
    instances = [an_instance(number) for number in (1, 2, 3)]
    assert where(a_wanted(), *instances) == {"1", "2", "3"}
    assert where(a_wanted(strategy=({"type": "random"},)), *instances) == {"1", "2", "3"}


def test_the_same_event_chooses_the_same_instance() -> None:
    instances = [an_instance(number) for number in range(1, 9)]
    assert choose(a_control_step(*instances), a_wanted()) == choose(a_control_step(*instances), a_wanted())


def test_binpack_takes_the_one_with_the_least_left() -> None:
    small, large = an_instance(1, resources=HostResources(cpu_units=4096, memory_mib=512)), an_instance(2)
    assert where(a_wanted(strategy=({"type": "binpack", "field": "memory"},)), small, large) == {"1"}
    assert where(a_wanted(strategy=({"type": "binpack", "field": "CPU"},)), small, large) == {"2"}
    task = a_control_task(instance_arn=small.arn, needs=HostResources(cpu_units=3000))
    assert where(a_wanted(strategy=({"type": "binpack", "field": "cpu"},)), small, large, task) == {"1"}


def test_spread_counts_tasks_of_the_group() -> None:
    instances = [an_instance(1), an_instance(2)]
    other = a_control_task(1, instance_arn=instances[1].arn, group="family:other")
    same = a_control_task(2, instance_arn=instances[0].arn)
    for field in ("instanceId", "host"):
        wanted = a_wanted(strategy=({"type": "spread", "field": field},))
        assert where(wanted, *instances, other, same) == {"2"}


def test_spread_over_an_attribute_counts_by_its_values() -> None:
    instances = [in_zone(1, "a"), in_zone(2, "a"), in_zone(3, "b"), in_zone(4, "b"), in_zone(5, "c", cluster="other")]
    wanted = a_wanted(strategy=({"type": "spread", "field": f"attribute:{ZONE}"},))
    assert where(wanted, *instances) == {"1", "2", "3", "4"}
    assert where(wanted, *instances, a_control_task(instance_arn=instances[0].arn)) == {"3", "4"}


def test_spread_over_an_attribute_counts_what_runs_where_nothing_fits_and_not_what_runs_elsewhere() -> None:
    wanted = a_wanted(strategy=({"type": "spread", "field": f"attribute:{ZONE}"},))
    gone = in_zone(1, "a", connection_id="")
    elsewhere = in_zone(4, "b", cluster="other")
    instances = [gone, in_zone(2, "a"), in_zone(3, "b"), elsewhere]
    foreign = [a_control_task(number, instance_arn=elsewhere.arn, cluster="other") for number in (1, 2)]
    assert where(wanted, *instances, a_control_task(3, instance_arn=gone.arn), *foreign) == {"3"}


def test_the_order_of_strategies_decides() -> None:
    small = in_zone(1, "a", resources=HostResources(cpu_units=4096, memory_mib=512))
    large = in_zone(2, "b")
    task = a_control_task(instance_arn=small.arn)
    spread, binpack = {"type": "spread", "field": f"attribute:{ZONE}"}, {"type": "binpack", "field": "memory"}
    assert where(a_wanted(strategy=(spread, binpack)), small, large, task) == {"2"}
    assert where(a_wanted(strategy=(binpack, spread)), small, large, task) == {"1"}


def test_a_service_spreads_over_zones_and_then_over_instances() -> None:
    instances = [in_zone(1, "a"), in_zone(2, "a"), in_zone(3, "b")]
    wanted = a_wanted(service_arn="arn:service", group="service:web")
    on = [a_control_task(number + 1, group="service:web", instance_arn=instances[number].arn) for number in range(3)]
    assert where(wanted, *instances, on[0], on[2]) == {"2"}, "the zones are equal"
    assert where(wanted, *instances, on[0], on[1]) == {"3"}


def test_strategies_narrow_one_after_the_other() -> None:
    instances = [
        in_zone(1, "a"),
        in_zone(2, "b", resources=HostResources(cpu_units=99, memory_mib=512)),
        in_zone(3, "b"),
    ]
    wanted = a_wanted(
        strategy=(
            {"type": "spread", "field": f"attribute:{ZONE}"},
            {"type": "binpack", "field": "memory"},
        )
    )
    assert where(wanted, *instances, a_control_task(instance_arn=instances[0].arn)) == {"2"}


# --- in words -------------------------------------------------------------------------------------


def test_nothing_to_try_is_said() -> None:
    assert complaint(a_control_step(), a_wanted(), ()) == "No Container Instances were found in your cluster."


@each_row(
    "reason, clause",
    [
        ("AGENT", "does not have an active agent."),
        ("RESOURCE:CPU", "has insufficient CPU units available."),
        ("RESOURCE:MEMORY", "has insufficient memory available."),
        ("RESOURCE:PORTS", "is already using a port required by your task."),
        ("ATTRIBUTE", "is missing an attribute required by your task."),
        (MEMBER_OF, f'encountered error "{MEMBER_OF}".'),
    ],
)
def test_the_closest_one_is_complained_of(reason: str, clause: str) -> None:
    closest = Failure(arn="arn:x:container-instance/default/89ab", reason=reason)
    farther = Failure(arn="arn:x:container-instance/default/4567", reason="MISSING")
    expected = f"The closest matching (container-instance 89ab) {clause}"
    assert complaint(a_control_step(), a_wanted(), (farther, closest)) == expected


# --- speed ----------------------------------------------------------------------------------------


def test_a_placement_among_many_takes_no_time_to_speak_of() -> None:
    attributes = tuple(Attribute(name=f"capability.{number}") for number in range(80))
    room = HostResources(cpu_units=100_000, memory_mib=1_000_000)
    instances = [an_instance(number, reported_attributes=attributes, resources=room) for number in range(1, 101)]
    tasks = [a_control_task(number, instance_arn=instances[number % 100].arn) for number in range(10_000)]
    definition = a_task_definition(requires_attributes=attributes[:4])
    wanted = a_wanted(
        definition=definition,
        strategy=({"type": "spread", "field": "instanceId"}, {"type": "binpack", "field": "memory"}),
        constraints=(member_of("attribute:capability.7 exists and agentConnected == true"),),
    )
    state = a_state(*instances, *tasks)
    times = []
    for number in range(50):
        step = Step(state, a_request("RunTask", number))
        began = time.perf_counter()
        assert isinstance(choose(step, wanted), Instance)
        times.append(time.perf_counter() - began)
        assert isinstance(start(step, wanted), Task)
        state = step.decision().state
    assert min(times) < 0.002, "1 ms is wanted, and met on a quiet machine"

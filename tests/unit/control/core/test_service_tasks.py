"""What a service's tasks are made of, and where those of a daemon belong."""

from __future__ import annotations

from typing import Any

import msgspec

from ecscope.control.core.deployments import with_deployment
from ecscope.control.core.placement import SERVICE_STRATEGY
from ecscope.control.core.records import Service
from ecscope.control.core.service_tasks import places, stop_for_others, stop_unhealthy, task_tags, wanted
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from tests.control_builders import a_control_task, a_request, a_service, a_task_definition, an_instance


def a_step() -> Step:
    step = Step(ControlState(), a_request("CreateService"))
    step.put_task_definition(a_task_definition(tags={"from": "definition"}))
    return step


def deployed(step: Step, **body: Any) -> Service:
    service = a_service(desired_count=1, body=body, tags={"from": "service"})
    return with_deployment(step, service, definition_arn=a_task_definition().arn, settings={"launchType": "EC2"})


def test_a_task_carries_what_its_service_says() -> None:
    step = a_step()
    service = deployed(step, enableExecuteCommand=True, placementConstraints=[{"type": "distinctInstance"}])
    task = wanted(step, service)
    assert task is not None
    assert (task.group, task.started_by, task.deployment_id, task.service_arn) == (
        "service:web",
        service.deployments[0].id,
        service.deployments[0].id,
        service.arn,
    )
    assert (task.execute_command_enabled, task.constraints, task.strategy) == (
        True,
        service.members.placement_constraints,
        SERVICE_STRATEGY,
    )
    assert [one.type for one in task.constraints] == ["distinctInstance"]
    packed = wanted(step, deployed(step, placementStrategy=[{"type": "binpack", "field": "cpu"}]))
    assert packed is not None
    assert [(one.type, one.field) for one in packed.strategy] == [("binpack", "cpu")]
    daemon = wanted(step, service, "an instance")
    assert daemon is not None
    assert (daemon.instance_arn, daemon.strategy) == ("an instance", ())


def test_without_its_task_definition_there_is_none() -> None:
    step = a_step()
    service = deployed(step)
    step.task_definitions.drop(a_task_definition().arn)
    assert wanted(step, service) is None
    assert places(step, service, ()) == ()


def test_tags_come_from_where_the_service_says() -> None:
    step, definition = a_step(), a_task_definition(tags={"from": "definition"})
    assert task_tags(deployed(step, propagateTags="NONE"), definition) == {}
    assert task_tags(deployed(step, propagateTags="SERVICE"), definition) == {"from": "service"}
    assert task_tags(deployed(step, propagateTags="TASK_DEFINITION", enableECSManagedTags=True), definition) == {
        "from": "definition",
        "aws:ecs:clusterName": "default",
        "aws:ecs:serviceName": "web",
    }


def test_a_daemon_belongs_where_it_could_run_were_there_room() -> None:
    step = a_step()
    needs = a_task_definition(requires_attributes=(Attribute(name="special"),))
    step.put_task_definition(needs)
    special = (Attribute(name="special"),)
    fitting = an_instance(1, reported_attributes=special)
    full = an_instance(2, reported_attributes=special)
    full = msgspec.structs.replace(full, resources=msgspec.structs.replace(full.resources, memory_mib=0))
    away = an_instance(3, reported_attributes=special, connection_id="")
    draining = an_instance(4, reported_attributes=special, status="DRAINING")
    elsewhere = an_instance(5, cluster="other", reported_attributes=special)
    for instance in (fitting, full, away, draining, elsewhere, an_instance(6)):
        step.instances.put(instance.arn, instance)
    assert places(step, deployed(step), ()) == (fitting.arn, full.arn, away.arn)


def test_reasons_to_stop() -> None:
    step = a_step()
    service = deployed(step)
    step.instances.put(an_instance().arn, an_instance())
    task = step.put_task(a_control_task())
    assert stop_for_others(step, service, task).stopped_reason == (
        f"Scaling activity initiated by (deployment {service.deployments[0].id})"
    )
    assert stop_unhealthy(step, task).stopped_reason == "Task failed container health checks"
    assert stop_unhealthy(step, task).stop_code == "ServiceSchedulerInitiated"

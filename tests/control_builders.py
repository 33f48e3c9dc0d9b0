"""Builders of the control plane's records with good defaults: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from ecscope.control.api.actions import ACTIONS
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import ApiRequest
from ecscope.control.core.records import Cluster, Instance, Record, Service, Task, TaskContainer, TaskDefinition
from ecscope.control.core.restore import restored_state
from ecscope.control.core.service_members import PlacementStrategy
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import Step
from ecscope.control.core.wanted import Wanted
from ecscope.control.server.model import ServiceModel
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources
from ecscope.taskdefinition.definition import PlacementConstraint

AT = datetime(2024, 5, 17, 12, 0, 0, tzinfo=UTC)
PREFIX = "arn:aws:ecs:us-east-1:000000000000"
MODEL = ServiceModel()
R = TypeVar("R", bound=Record)
AT_ONCE = Settings(healthy_after_s=0)
"""A task counts as healthy as soon as it runs, so that no time has to pass."""
PRINCIPAL = "arn:aws:iam::000000000000:user/tester"


def a_request(action: str, number: int = 1, **body: Any) -> ApiRequest:
    """A request by the tests' user; ``number`` makes requests different."""
    return ApiRequest(id=f"{number:032x}", at=AT, action=action, principal_arn=PRINCIPAL, body=body)


def a_state(*records: Record) -> ControlState:
    """With these records, and every instance connected as it says."""
    state = restored_state(
        settings=Settings(task_subnet="10.213.0.0/20", healthy_after_s=0),
        clusters=[record for record in records if isinstance(record, Cluster)],
        task_definitions=[record for record in records if isinstance(record, TaskDefinition)],
        instances=[record for record in records if isinstance(record, Instance)],
        tasks=[record for record in records if isinstance(record, Task)],
        services=[record for record in records if isinstance(record, Service)],
    )
    instances = {record.arn: record for record in records if isinstance(record, Instance)}
    return msgspec.structs.replace(state, instances=instances)


def _with(record: R, fields: Mapping[str, Any]) -> R:
    """The record with other fields, given as they are saved: a word stands for the member of its enum."""
    changed = msgspec.structs.replace(record, **fields)
    return msgspec.convert(msgspec.to_builtins(changed), type(record))


def a_control_step(*records: Record, action: str = "Any", number: int = 1) -> Step:
    """A step on a state with these records; awsvpc tasks have 10.213.0.0/20."""
    return Step(a_state(*records), a_request(action, number))


def a_cluster(name: str = "default", **fields: Any) -> Cluster:
    return _with(Cluster(name=name, arn=f"{PREFIX}:cluster/{name}"), fields)


def a_task_definition(family: str = "sample", revision: int = 1, **fields: Any) -> TaskDefinition:
    """One essential container ``app``, 64 MiB."""
    body = {
        "containerDefinitions": [
            {
                "name": "app",
                "image": "ecscope-sample:latest",
                "cpu": 10,
                "memory": 64,
                "essential": True,
                "portMappings": [],
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
            }
        ],
        "volumes": [],
        "placementConstraints": [],
    }
    definition = TaskDefinition(
        arn=f"{PREFIX}:task-definition/{family}:{revision}",
        family=family,
        revision=revision,
        body=body,
        registered_at=AT,
        registered_by=PRINCIPAL,
    )
    return _with(definition, fields)


def a_fargate_definition(family: str = "sample", **fields: Any) -> TaskDefinition:
    """The same for Fargate, with 4 vCPU."""
    plain = a_task_definition(family)
    return _with(
        plain,
        {
            "body": {**plain.body, "networkMode": "awsvpc", "cpu": "4096", "memory": "8192"},
            "requires_attributes": [{"name": "ecs.capability.task-eni"}, {"name": "ecs.capability.task-cpu-mem-limit"}],
            "compatibilities": ["EC2", "FARGATE"],
            **fields,
        },
    )


def an_instance(number: int = 1, *, cluster: str = "default", **fields: Any) -> Instance:
    """Connected, with 2 vCPU and 4 GiB."""
    instance = Instance(
        arn=f"{PREFIX}:container-instance/{cluster}/{number:032x}",
        cluster=cluster,
        ec2_instance_id=f"i-{number:017x}",
        registered_at=AT,
        resources=HostResources(cpu_units=2048, memory_mib=4096, ports_tcp=frozenset({22, 51678})),
        connection_id=f"c{number}",
    )
    return _with(instance, fields)


def a_control_task(number: int = 1, *, cluster: str = "default", **fields: Any) -> Task:
    """A task of ``sample:1`` on instance 1."""
    task_id = f"{number:032x}"
    task = Task(
        arn=TaskArn(f"{PREFIX}:task/{cluster}/{task_id}"),
        cluster=cluster,
        definition_arn=a_task_definition().arn,
        instance_arn=an_instance().arn,
        containers=(
            TaskContainer(
                name="app", arn=f"{PREFIX}:container/{cluster}/{task_id}/{number}", image="ecscope-sample:latest"
            ),
        ),
        needs=HostResources(cpu_units=10, memory_mib=64),
        group="family:sample",
        created_at=AT,
    )
    return _with(task, fields)


def a_service(name: str = "web", *, cluster: str = "default", **fields: Any) -> Service:
    """Wants nothing yet, and has no deployment."""
    service = Service(
        arn=f"{PREFIX}:service/{cluster}/{name}", name=name, cluster=cluster, created_at=AT, created_by=PRINCIPAL
    )
    return _with(service, fields)


def a_wanted(**fields: Any) -> Wanted:
    """A task of ``sample:1``, as RunTask wants it."""
    fields["strategy"] = msgspec.convert(
        fields.get("strategy", ()), tuple[PlacementStrategy, ...], from_attributes=True
    )
    fields["constraints"] = msgspec.convert(
        fields.get("constraints", ()), tuple[PlacementConstraint, ...], from_attributes=True
    )
    return msgspec.structs.replace(
        Wanted(definition=a_task_definition(), cluster="default", group="family:sample"), **fields
    )


def asked(step: Step, action: str, /, **body: Any) -> Any:
    """The answer to one more request within a step; ``Any``, so that a test may look into it.

    Answers and refusals are held to the model of the API.
    """
    try:
        answer = ACTIONS[action].function(step, body)
    except ApiError as error:
        is_known = error.code in MODEL.errors(action) or error.code.endswith("NotFoundException")  # as ECS itself does
        assert is_known, f"{action} has no {error.code}: {error}"
        raise
    MODEL.check_output(action, answer)
    return answer

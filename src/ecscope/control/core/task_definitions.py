"""Task definitions: what is refused, what ECS fills in, and what an instance must have to run one.

The rules are those of task files, in ``wire``: there is one list of what cannot be done here.

Source: control-plane.md §3.5, §5; RegisterTaskDefinition of the ECS API (2014-11-13).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from ecscope.control.core.constraints import QueryError, parsed
from ecscope.control.core.errors import client_error
from ecscope.control.core.records import Json, TaskDefinition
from ecscope.control.core.statuses import LaunchType, ServiceStatus
from ecscope.control.core.step import Step
from ecscope.model.container_instance import Attribute
from ecscope.model.image_reference import ECR
from ecscope.model.network import NetworkMode, network_mode
from ecscope.taskdefinition.definition import ContainerDefinition, Definition, definition_of
from ecscope.taskdefinition.execution_role import is_in_secrets_manager, missing_role
from ecscope.taskdefinition.payload import docker_api_versions
from ecscope.taskdefinition.read import fargate_mistakes, mistakes_in
from ecscope.taskdefinition.rules import cpu_units, memory_mib

DELETED_KEPT = timedelta(hours=1)
"""How long one that is being deleted is shown at least, though nothing uses it. ECS does not say how long it does."""
LARGEST_BYTES = 65536
"""Of a whole definition. Source: the service quotas of ECS."""
_MOST_TOLD = 10
_OLD = "com.amazonaws.ecs.capability"
_NEW = "ecs.capability"
_LARGEST_CPU_OF_OLD_AGENTS = 10240
TASK_LIMITS, LARGE_TASK_LIMITS = f"{_NEW}.task-cpu-mem-limit", f"{_NEW}.increased-task-cpu-limit"
"""The attributes of instances that can limit what the containers of a task use together."""
TASK_ENI = f"{_NEW}.task-eni"
"""The attribute of instances whose tasks can have network interfaces of their own."""
_TASK_ROLES = f"{_OLD}.task-iam-role"


def register(step: Step, body: Json, tags: dict[str, str]) -> TaskDefinition:
    """The next revision of the family. Raises ``ClientException``."""
    given = {name: value for name, value in body.items() if name != "tags"}
    check(given)
    family = given.pop("family")
    revision = step.newest_revision(family) + 1
    filled = with_defaults(given)
    definition = TaskDefinition(
        arn=f"arn:aws:ecs:{step.settings.region}:{step.settings.account}:task-definition/{family}:{revision}",
        family=family,
        revision=revision,
        body=filled,
        requires_attributes=tuple(Attribute(name=name) for name in dict.fromkeys(_required(definition_of(filled)))),
        compatibilities=tuple(_compatibilities(filled)),
        tags=tags,
        registered_at=step.at,
        registered_by=step.principal_arn,
    )
    return step.put_task_definition(definition)


def _compatibilities(body: Json) -> Iterator[LaunchType]:
    """What it could run on, whatever it requires. Source: control-plane.md §5.1."""
    yield LaunchType.EC2
    if body.get("networkMode") != NetworkMode.AWSVPC.value:
        yield LaunchType.EXTERNAL
    elif not fargate_mistakes(body):
        yield LaunchType.FARGATE


def expire(step: Step) -> None:
    """Forget those that were to be deleted an hour ago, once no task and no service uses them."""
    due = [
        definition
        for definition in step.task_definitions
        if definition.delete_requested_at is not None and definition.delete_requested_at + DELETED_KEPT <= step.at
    ]
    in_use = _in_use(step) if due else frozenset()
    for definition in due:
        if definition.arn not in in_use:
            step.drop_task_definition(definition)


def _in_use(step: Step) -> frozenset[str]:
    """What runs, and what services run, replace or would go back to."""
    services = [service for service in step.services if service.status != ServiceStatus.INACTIVE]
    return frozenset(
        (
            *(task.definition_arn for task in step.tasks.values() if not task.is_stopped),
            *(deployment.definition_arn for service in services for deployment in service.deployments),
            *(service.last_completed.definition_arn for service in services),
        )
    )


def check(definition: Json) -> None:
    """Raises ``ClientException``: in ECS's words where users search for them, else with everything that is wrong."""
    size = len(msgspec.json.encode(definition))
    if size > LARGEST_BYTES:
        raise client_error(f"Actual length: '{size}'. Max allowed length is '{LARGEST_BYTES}' bytes.")
    for container in definition["containerDefinitions"]:
        for member in ("name", "image"):
            if not container.get(member):
                raise client_error(f"Container.{member} should not be null or empty.")
    mistakes = [f"{mistake.path}: {mistake.reason}" for mistake in mistakes_in(definition)]
    mistakes = mistakes or list(_bad_expressions(definition_of(definition)))
    if mistakes:
        rest = [f"and {len(mistakes) - _MOST_TOLD} more"] if len(mistakes) > _MOST_TOLD else []
        raise client_error("; ".join([*mistakes[:_MOST_TOLD], *rest]) + ".")
    members = definition_of(definition)
    if missing := missing_role(members):
        raise client_error(missing)
    for container in members.container_definitions:
        names = [*(v.name for v in container.environment), *(secret.name for secret in container.secrets)]
        for secret in container.secrets:
            if names.count(secret.name) > 1:
                raise client_error(
                    "The secret name must be unique and not shared with any new or existing environment variables set"
                    f" on the container, such as '{secret.name}'."
                )
    if not members.memory:
        for container in members.container_definitions:
            if not (container.memory or container.memory_reservation):
                raise client_error(
                    f"Invalid setting for container '{container.name}'. At least one of 'memory' or"
                    " 'memoryReservation' must be specified."
                )


def _bad_expressions(definition: Definition) -> Iterator[str]:
    for index, constraint in enumerate(definition.placement_constraints):
        try:
            parsed(constraint.expression)
        except QueryError as error:
            yield f"placementConstraints[{index}].expression: cannot be read {error}"


def with_defaults(definition: Json) -> dict[str, Any]:
    """As ECS shows it: clients compare this with what they asked for. Source: control-plane.md §5.1."""
    filled: dict[str, Any] = {"volumes": [], "placementConstraints": [], **definition}
    mode = network_mode(definition.get("networkMode"))
    has_one_number = mode is not None and mode.has_one_port_number
    filled["containerDefinitions"] = [
        _container(container, has_one_port_number=has_one_number) for container in definition["containerDefinitions"]
    ]
    filled["volumes"] = [_volume(volume) for volume in filled["volumes"]]
    for name, amount in (("cpu", cpu_units), ("memory", memory_mib)):
        if name in filled:
            filled[name] = str(amount(filled[name]))
    return filled


def _container(container: Json, *, has_one_port_number: bool) -> dict[str, Any]:
    filled: dict[str, Any] = {
        "cpu": 0,
        "portMappings": [],
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **container,
    }
    filled["portMappings"] = [
        _port_mapping(mapping, has_one_number=has_one_port_number) for mapping in filled["portMappings"]
    ]
    parameters = filled.get("linuxParameters", {})
    if "capabilities" in parameters:
        capabilities = {"add": [], "drop": [], **parameters["capabilities"]}
        filled["linuxParameters"] = {**parameters, "capabilities": capabilities}
    if "healthCheck" in filled:
        filled["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3, **filled["healthCheck"]}
    return filled


def _port_mapping(mapping: Json, *, has_one_number: bool) -> dict[str, Any]:
    filled = {"protocol": "tcp", **mapping}
    if "containerPort" in filled:
        filled["hostPort"] = filled["containerPort"] if has_one_number else filled.get("hostPort", 0)
    return filled


def _volume(volume: Json) -> dict[str, Any]:
    if "dockerVolumeConfiguration" in volume:
        return {**volume, "dockerVolumeConfiguration": {"scope": "task", **volume["dockerVolumeConfiguration"]}}
    return {"host": {}, **volume}


def _required(definition: Definition) -> Iterator[str]:
    """Names of attributes, the same always. Source: control-plane.md §5.2."""
    containers = definition.container_definitions
    versions = {version for container in containers for version in docker_api_versions(container)}
    for version in sorted(versions - {"1.17"} or versions):
        yield f"{_OLD}.docker-remote-api.{version}"
    for container in containers:
        yield from _required_by(container, has_execution_role=bool(definition.execution_role_arn))
    if definition.task_role_arn:
        yield from attributes_for_a_role(definition)
    if definition.network_mode is NetworkMode.AWSVPC:
        yield TASK_ENI
    if definition.cpu or definition.memory:
        yield TASK_LIMITS
    if int(definition.cpu or 0) > _LARGEST_CPU_OF_OLD_AGENTS:
        yield LARGE_TASK_LIMITS
    if definition.pid_mode or definition.ipc_mode:
        yield f"{_NEW}.pid-ipc-namespace-sharing"
    for volume in definition.volumes:
        if volume.docker_volume_configuration is not None:
            yield f"{_NEW}.docker-plugin.{volume.docker_volume_configuration.driver.replace(':', '.')}"


def attributes_for_a_role(definition: Definition) -> Iterator[str]:
    """What an instance must have to hand a task of this definition the credentials of a role."""
    yield _TASK_ROLES
    if definition.network_mode is NetworkMode.HOST:
        yield f"{_TASK_ROLES}-network-host"


def _required_by(container: ContainerDefinition, *, has_execution_role: bool) -> Iterator[str]:
    if container.log_driver:
        yield f"{_OLD}.logging-driver.{container.log_driver}"
    if container.log_driver == "awslogs" and has_execution_role:
        yield f"{_NEW}.execution-role-awslogs"
    for name, secrets in (
        ("environment-variables", container.secrets),
        ("bootstrap.log-driver", container.secret_log_options),
    ):
        for secret in secrets:
            yield f"{_NEW}.secrets.{'asm' if is_in_secrets_manager(secret) else 'ssm'}.{name}"
    if container.repository_credentials is not None:
        yield f"{_NEW}.private-registry-authentication.secretsmanager"
    if container.privileged:
        yield f"{_OLD}.privileged-container"
    if ECR.fullmatch(container.image):
        yield f"{_OLD}.ecr-auth"
        if has_execution_role:
            yield f"{_NEW}.execution-role-ecr-pull"
    if container.health_check is not None:
        yield f"{_NEW}.container-health-check"
    if container.depends_on:
        yield f"{_NEW}.container-ordering"
    if container.restart_policy is not None:
        yield f"{_NEW}.container-restart-policy"
    if any(mapping.container_port_range is not None for mapping in container.port_mappings):
        yield f"{_NEW}.network.container-port-range"

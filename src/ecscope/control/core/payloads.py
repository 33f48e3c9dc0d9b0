"""A task as ACS carries it: its definition with the overrides, and who it is.

Source: control-plane.md §10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ecscope.control.core import account_settings
from ecscope.control.core.overrides import members_for
from ecscope.control.core.records import Task
from ecscope.control.core.role_sessions import role_key
from ecscope.control.core.state import ControlState
from ecscope.model.image_reference import ECR
from ecscope.model.network import TaskInterface
from ecscope.taskdefinition.definition import ContainerDefinition
from ecscope.taskdefinition.execution_role import is_in_secrets_manager
from ecscope.taskdefinition.log_options import LogDefaults
from ecscope.taskdefinition.payload import payload_task as payload_of
from ecscope.wire.acs.payload import (
    PayloadAsmAuthData,
    PayloadContainer,
    PayloadEcrAuthData,
    PayloadIpv4Address,
    PayloadManagedAgent,
    PayloadNetworkInterface,
    PayloadRegistryAuthentication,
    PayloadSecret,
    PayloadTask,
    RoleCredentials,
)

EXPIRATION = "2099-01-01T00:00:00Z"
"""Of the credentials made up here: they end with their task, so nothing is gained by renewing them."""


def payload_task(state: ControlState, task: Task) -> PayloadTask:
    """The task of a PayloadMessage."""
    definition = state.task_definitions[task.definition_arn]
    members = members_for(definition, task.overrides)
    payload = payload_of(
        members,
        family=definition.family,
        arn=task.arn,
        version=str(definition.revision),
        desired_status=task.desired_status,
        execution_environment="AWS_ECS_FARGATE" if task.is_on_fargate else "AWS_ECS_EC2",
        log_defaults=LogDefaults(region=state.settings.region, mode=account_settings.default_log_driver_mode(state)),
        storage_gib=task.platform["ephemeralStorage"]["sizeInGiB"]
        if task.is_on_fargate and state.settings.limits_storage
        else 0,
    )
    arns = {container.name: container.arn for container in task.containers}
    return msgspec.structs.replace(
        payload,
        task_cluster_arn=state.clusters[task.cluster].arn,
        containers=tuple(
            _container(
                container,
                written,
                task,
                arns,
                has_execution_role=bool(members.execution_role_arn),
                region=state.settings.region,
            )
            for container, written in zip(payload.containers or (), members.container_definitions, strict=True)
        ),
        role_credentials=_role_credentials(task.credentials_id, members.task_role_arn),
        execution_role_credentials=_role_credentials(task.execution_credentials_id, members.execution_role_arn),
        launch_type=task.launch_type,
        elastic_network_interfaces=_interfaces(task.interface),
        group=task.group,
        service_name=task.group.removeprefix("service:") if task.service_arn else None,
        zone=_zone(state, task),
    )


def _interfaces(interface: TaskInterface | None) -> tuple[PayloadNetworkInterface, ...] | None:
    if interface is None:
        return None
    return (
        PayloadNetworkInterface(
            ec2_id=interface.eni_id,
            attachment_arn=interface.attachment_arn,
            mac_address=interface.mac,
            ipv4_addresses=(PayloadIpv4Address(primary=True, private_address=interface.ipv4),),
            subnet_gateway_ipv4_address=interface.gateway,
            private_dns_name=interface.private_dns_name,
            domain_name=interface.domain_names,
            domain_name_servers=interface.domain_name_servers,
            interface_association_protocol="default",
        ),
    )


def _zone(state: ControlState, task: Task) -> str:
    instance = state.instances.get(task.instance_arn)
    zone = instance.attributes.get("ecs.availability-zone") if instance is not None else None
    return zone or state.settings.availability_zone


def _container(
    container: PayloadContainer,
    written: ContainerDefinition,
    task: Task,
    arns: Mapping[str, str],
    *,
    has_execution_role: bool,
    region: str,
) -> PayloadContainer:
    return msgspec.structs.replace(
        container,
        container_arn=arns.get(written.name),
        registry_authentication=_registry_authentication(written, has_execution_role=has_execution_role, region=region),
        secrets=tuple(_secrets(written, region)) or None,
        logs_auth_strategy="ExecutionRole" if written.log_driver == "awslogs" and has_execution_role else None,
        managed_agents=(PayloadManagedAgent(name="ExecuteCommandAgent", properties={}),)
        if task.execute_command_enabled
        else None,
    )


def _secrets(written: ContainerDefinition, region: str) -> Iterator[PayloadSecret]:
    """Source: control-plane.md §10.2."""
    for target, secrets in (("CONTAINER", written.secrets), ("LOG_DRIVER", written.secret_log_options)):
        for secret in secrets:
            yield PayloadSecret(
                name=secret.name,
                value_from=secret.value_from,
                type="ENVIRONMENT_VARIABLE" if target == "CONTAINER" else "BOOTSTRAP",
                provider="asm" if is_in_secrets_manager(secret) else "ssm",
                region=_region_of(secret.value_from) or region,
                target=target,
            )


def _region_of(arn: str) -> str:
    """``""``: it is a name."""
    parts = arn.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 5 else ""


def _registry_authentication(
    written: ContainerDefinition, *, has_execution_role: bool, region: str
) -> PayloadRegistryAuthentication | None:
    private = written.repository_credentials
    if private is not None:
        secret = private.credentials_parameter
        return PayloadRegistryAuthentication(
            type="asm",
            asm_auth_data=PayloadAsmAuthData(credentials_parameter=secret, region=_region_of(secret) or region),
        )
    ecr = ECR.fullmatch(written.image)
    if ecr is None:
        return None
    return PayloadRegistryAuthentication(
        type="ecr",
        ecr_auth_data=PayloadEcrAuthData(registry_id=ecr[1], region=ecr[2], use_execution_role=has_execution_role),
    )


def _role_credentials(credentials_id: str, role_arn: str) -> RoleCredentials | None:
    if not credentials_id or not role_arn:
        return None
    key = role_key(credentials_id)
    return RoleCredentials(
        credentials_id=credentials_id,
        role_arn=role_arn,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        session_token=key.session_token,
        expiration=EXPIRATION,
    )

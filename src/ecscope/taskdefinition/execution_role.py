"""What of a definition is done with the credentials of its execution role, and where its secrets are.

Source: ECS Developer Guide, "Amazon ECS task execution IAM role"; control-plane.md §10.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecscope.taskdefinition.definition import Definition, Secret


def is_in_secrets_manager(secret: Secret) -> bool:
    """Else it is in the Parameter Store, under a name or an ARN."""
    parts = secret.value_from.split(":", 3)
    return parts[0] == "arn" and len(parts) > 2 and parts[2] == "secretsmanager"


def missing_role(definition: Definition) -> str:
    """Why a definition needs an execution role, in ECS's words; ``""``: it needs none, or has one."""
    return next(_needs(definition), "") if not definition.execution_role_arn else ""


def _needs(definition: Definition) -> Iterator[str]:
    for container in definition.container_definitions:
        if container.secrets:
            yield "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        if container.secret_log_options:
            yield "When you are specifying secretOptions, you must also specify a value for 'executionRoleArn'."
        if container.repository_credentials is not None:
            yield "When you are specifying repositoryCredentials, you must also specify a value for 'executionRoleArn'."

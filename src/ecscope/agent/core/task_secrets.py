"""Which secrets and parameters a task needs before its containers are created, what is asked for, and the errors.

Values are in no record, note or state: a provider keeps them in memory until the task is STOPPED, and fetches them
again after a restart for containers that are yet to be created.

Source: engine.md §5.3; ECS Developer Guide, "Specifying sensitive data", "Stopped task error messages".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ecscope.agent.core.state import Settings
from ecscope.model.container import Secret, SecretStore
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task
from ecscope.model.task_resource import PARAMETERS, SECRETS, RemovedAt, ResourceKind, TaskResource

PARAMETERS_AT_ONCE = 10
"""The most that one GetParameters may ask for."""
LONGEST_VALUE_BYTES = 65536
"""Of a secret in Secrets Manager."""

_KINDS = {SecretStore.SECRETS_MANAGER: SECRETS, SecretStore.PARAMETER_STORE: PARAMETERS}
_ARN_PARTS = 7
_ARN_PARTS_OF_ALL = 10


class InvalidSecret(ValueError):
    """A value cannot be used. The message never contains it."""


class SecretReference(msgspec.Struct, frozen=True, kw_only=True):
    """What of a secret is asked for."""

    secret_id: str
    json_key: str = ""
    """``""``: the whole text."""
    stage: str = ""
    """``""``: ``AWSCURRENT``, if no version is given either."""
    version: str = ""


def wanted(settings: Settings, task: Task) -> tuple[TaskResource, ...]:
    """One resource for each store that the task's containers have values in."""
    del settings
    return tuple(resource for store, kind in _KINDS.items() if (resource := _resource(task, store, kind)) is not None)


def of_store(task: Task, store: SecretStore) -> tuple[Secret, ...]:
    """All that the containers of a task have in a store, in their order."""
    return tuple(s for c in task.containers for s in c.definition.secrets if s.store is store)


def _resource(task: Task, store: SecretStore, kind: ResourceKind) -> TaskResource | None:
    needed_by = tuple(c.name for c in task.containers if any(s.store is store for s in c.definition.secrets))
    if not needed_by:
        return None
    return TaskResource(
        kind=kind,
        name=kind,
        needed_by=needed_by,
        needed_for=ContainerStatus.CREATED,
        removed_at=RemovedAt.STOPPED,
        is_lost_by_restart=True,
        needs_execution_role=True,
    )


def secret_reference(value_from: str) -> SecretReference:
    """``arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:STAGE:VERSION]``. Raises ``InvalidSecret``."""
    parts = value_from.split(":")
    if len(parts) == _ARN_PARTS_OF_ALL:
        json_key, stage, version = parts[_ARN_PARTS:]
        secret_id = ":".join(parts[:_ARN_PARTS])
        return SecretReference(secret_id=secret_id, json_key=json_key, stage=stage, version=version)
    if len(parts) > _ARN_PARTS or (value_from.startswith("arn:") and len(parts) < _ARN_PARTS):
        raise InvalidSecret("unexpected ARN format with parameters when trying to retrieve ASM secret")
    return SecretReference(secret_id=value_from)


def text_of(reference: SecretReference, secret_string: str | None) -> str:
    """What the container gets of a secret; ``None``: it is binary. Raises ``InvalidSecret``.

    Difference: the official agent writes numbers, objects and ``null`` as Go prints them (``1e+06``); here they
    are JSON.
    """
    if secret_string is None:
        raise InvalidSecret("the secret is binary, and only the text of a secret can be given to a container")
    if not reference.json_key:
        return _usable(secret_string)
    try:
        members = msgspec.json.decode(secret_string, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidSecret(
            f"the secret is not a JSON object, so it has no key {reference.json_key}"
        ) from None  # the error of the decoder may quote the secret
    if reference.json_key not in members:
        raise InvalidSecret(f"retrieved secret from Secrets Manager did not contain json key {reference.json_key}")
    raw = members[reference.json_key]
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidSecret(f"the JSON key {reference.json_key} cannot be read") from None
    return _usable(value if isinstance(value, str) else bytes(raw).decode().strip())


def parameter_batches(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each name once, as many at once as the API takes."""
    each = tuple(dict.fromkeys(names))
    for first in range(0, len(each), PARAMETERS_AT_ONCE):
        yield each[first : first + PARAMETERS_AT_ONCE]


def parameter_values(asked: tuple[str, ...], found: tuple[Mapping[str, str], ...]) -> dict[str, str]:
    """The value of each name or ARN that was asked for, out of ``Parameters``.

    A parameter is answered under its name, also if its ARN was asked for, and its version or label (``:3``) apart.

    Raises:
        InvalidSecret: one is missing, in ECS's words, or cannot be used.
    """
    by_name: dict[str, str] = {}
    for parameter in found:
        selector = parameter.get("Selector", "")
        for member in ("Name", "ARN"):
            if name := parameter.get(member):
                by_name[f"{name}{selector}"] = parameter.get("Value", "")
    values = {name: by_name[known] for name in asked if (known := _answered_as(name, by_name)) is not None}
    missing = [name for name in asked if name not in values]
    if missing:
        raise InvalidSecret(f"invalid parameters: {','.join(missing)}")
    return {name: _usable(value) for name, value in values.items()}


def _answered_as(asked: str, known: Mapping[str, str]) -> str | None:
    _, is_arn, resource = asked.partition(":parameter/")
    names = (asked, f"/{resource}", resource) if is_arn else (asked,)
    return next((name for name in names if name in known), None)


def _usable(value: str) -> str:
    if "\0" in value:
        raise InvalidSecret("the value contains a NUL character, which no environment variable can")
    return value


def failure(task: Task, store: SecretStore, *, region: str, value_from: str, why: str, retries: int) -> str:
    """The reason of a task whose secret or parameters cannot be fetched.

    Source: ECS Developer Guide, "ResourceInitializationError" (Fargate) and "unable to retrieve the secret" (EC2).
    """
    if task.launch_type == "FARGATE":
        words = (
            f"unable to retrieve secret from asm: service call has been retried {retries} time(s): failed to fetch"
            f" secret {value_from} from secrets manager: {why}"
            if store is SecretStore.SECRETS_MANAGER
            else f"unable to retrieve secrets from ssm: service call has been retried {retries} time(s):"
            f" {why.replace('invalid parameters', 'invalid ssm parameters')}"
        )
        return (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval"
            f" failed: {words}"
        )
    if store is SecretStore.SECRETS_MANAGER:
        return f"fetching secret data from AWS Secrets Manager in region {region}: secret {value_from}: {why}"
    return f"fetching secret data from SSM Parameter Store in {region}: {why}"


NO_CREDENTIALS = "unable to find execution role credentials"
"""The task has no execution role, or its credentials are gone."""

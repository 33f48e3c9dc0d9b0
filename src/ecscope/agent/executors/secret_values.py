"""The values of secrets and parameters: in memory only, from when they were fetched until their task is STOPPED.

Source: engine.md §6.3, §6.7.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.model.arn import TaskArn
from ecscope.model.container import ContainerDefinition, NamedError, Secret, SecretStore

_SHORTEST_HIDDEN = 4
"""Characters. A shorter value is part of too many words to be taken out of a message."""
_HIDDEN = "…"

_Key = tuple[SecretStore, str, str]


class SecretValues:
    """See the module docstring. ``repr`` shows none of them."""

    def __init__(self) -> None:
        self._of_tasks: dict[TaskArn, dict[_Key, str]] = {}

    def __repr__(self) -> str:
        return f"SecretValues(of {len(self._of_tasks)} tasks)"

    def keep(self, task_arn: TaskArn, values: Mapping[Secret, str]) -> None:
        """Beside what is known of the task."""
        self._of_tasks.setdefault(task_arn, {}).update({_key(secret): value for secret, value in values.items()})

    def drop(self, task_arn: TaskArn, store: SecretStore) -> None:
        """All that a task has from a store. None there is good."""
        left = {key: value for key, value in self._of_tasks.pop(task_arn, {}).items() if key[0] is not store}
        if left:
            self._of_tasks[task_arn] = left

    def of(self, task_arn: TaskArn, definition: ContainerDefinition) -> dict[Secret, str]:
        """What a container gets. Raises ``LookupError``: a value was not fetched."""
        known = self._of_tasks.get(task_arn, {})
        missing = [secret.name for secret in definition.secrets if _key(secret) not in known]
        if missing:
            raise LookupError(f"no values of {', '.join(missing)} for container {definition.name} of {task_arn}")
        return {secret: known[_key(secret)] for secret in definition.secrets}

    def hidden_in(self, task_arn: TaskArn, error: NamedError) -> NamedError:
        """The error without the values of the task, which an engine or a log driver may have quoted."""
        message = error.message
        for value in sorted(set(self._of_tasks.get(task_arn, {}).values()), key=len, reverse=True):
            if len(value) >= _SHORTEST_HIDDEN:
                message = message.replace(value, _HIDDEN)
        return NamedError(name=error.name, message=message)


def _key(secret: Secret) -> _Key:
    return secret.store, secret.region, secret.value_from

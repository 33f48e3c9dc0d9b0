"""The state a process starts with, from what the last one saved. Derived values are computed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from ecscope.control.core.records import Cluster, Instance, Service, Task, TaskDefinition, Token
from ecscope.control.core.state import ControlState, Settings
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources


def restored_state(
    *,
    settings: Settings,
    clusters: Iterable[Cluster] = (),
    task_definitions: Iterable[TaskDefinition] = (),
    instances: Iterable[Instance] = (),
    tasks: Iterable[Task] = (),
    services: Iterable[Service] = (),
    tokens: Mapping[str, Token] | None = None,
    account_settings: Mapping[str, str] | None = None,
    sequence: int = 0,
    last_address: int = 0,
    retired: Mapping[str, int] | None = None,
) -> ControlState:
    """No agent is connected, whatever was saved.

    Args:
        retired: family → number of its newest revision when that was deleted.
    """
    revisions: dict[str, int] = dict(retired or {})
    definitions = {definition.arn: definition for definition in task_definitions}
    for definition in definitions.values():
        revisions[definition.family] = max(revisions.get(definition.family, 0), definition.revision)
    tasks_on: dict[str, set[TaskArn]] = {}
    tasks_of: dict[str, set[TaskArn]] = {}
    taken: dict[str, HostResources] = {}
    groups_on: dict[str, Counter[str]] = {}
    addresses: dict[str, TaskArn] = {}
    by_arn = {task.arn: task for task in tasks}
    for task in by_arn.values():
        if task.is_stopped:
            continue
        tasks_on.setdefault(task.instance_arn, set()).add(task.arn)
        taken[task.instance_arn] = taken.get(task.instance_arn, HostResources()).plus(task.needs)
        groups_on.setdefault(task.instance_arn, Counter())[task.group] += 1
        if task.interface is not None:
            addresses[task.interface.ipv4] = task.arn
        if task.service_arn:
            tasks_of.setdefault(task.service_arn, set()).add(task.arn)
    return ControlState(
        settings=settings,
        clusters={cluster.name: cluster for cluster in clusters},
        task_definitions=definitions,
        instances={instance.arn: msgspec.structs.replace(instance, connection_id="") for instance in instances},
        tasks=by_arn,
        services={service.arn: service for service in services},
        account_settings=account_settings or {},
        tokens=tokens or {},
        sequence=sequence,
        last_address=last_address,
        revisions=revisions,
        tasks_on={arn: frozenset(arns) for arn, arns in tasks_on.items()},
        taken=taken,
        tasks_of={arn: frozenset(arns) for arn, arns in tasks_of.items()},
        addresses=addresses,
        groups_on={arn: dict(counts) for arn, counts in groups_on.items()},
    )

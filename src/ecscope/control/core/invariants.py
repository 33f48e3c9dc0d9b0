"""What must hold of every state and of every step of the control plane: on in every test, off in production."""

from __future__ import annotations

from collections import Counter

from ecscope.control.core.state import ControlState
from ecscope.control.core.statuses import LastStatus
from ecscope.model.arn import TaskArn
from ecscope.model.resources import HostResources


class InvariantBroken(AssertionError):
    """A bug in the core; the message says which rule, and where."""


def check_state(state: ControlState) -> None:
    """What holds of every published state."""
    for arn, task in state.tasks.items():
        _hold(task.arn == arn, "tasks are filed under their ARN", arn)
        _hold(task.is_stopped is (task.stopped_at is not None), "STOPPED and the time of it come together", arn)
        _hold(
            task.is_to_stop is bool(task.stop_code),
            "a task has a stop code exactly when it is to stop",
            arn,
        )
        _hold(not task.is_stopped or task.is_to_stop, "what is STOPPED is to be STOPPED", arn)
        _hold(
            not task.is_stopped or all(container.last_status == LastStatus.STOPPED for container in task.containers),
            "a STOPPED task has STOPPED containers",
            arn,
        )
        _hold(task.is_stopped or bool(task.message_id), "every task is sent to its agent", arn)
        _hold(task.is_stopped or task.instance_arn in state.instances, "a live task has an instance", arn)
    _check_books(state)


def check_step(before: ControlState, after: ControlState) -> None:
    """What holds between a state and the next."""
    for arn, task in after.tasks.items():
        was = before.tasks.get(arn)
        if was is None or was is task:
            continue
        _hold(was.last_status.rank <= task.last_status.rank, "a status never goes back", arn)
        _hold(not was.is_to_stop or task.is_to_stop, "a stop is never taken back", arn)
        _hold(not was.stop_code or was.stop_code == task.stop_code, "the first stop code stays", arn)
        _hold(not was.is_stopped or was.stopped_at == task.stopped_at, "what is STOPPED does not end again", arn)
        _hold(was.version <= task.version, "versions rise", arn)
        for old, new in zip(was.containers, task.containers, strict=True):
            _hold(
                old.last_status.rank <= new.last_status.rank,
                "a container's status never goes back",
                f"{arn} {old.name}",
            )
    for arn, task in before.tasks.items():
        _hold(arn in after.tasks or task.is_stopped, "only STOPPED tasks are forgotten", arn)
    _hold(before.sequence <= after.sequence, "sequence numbers rise", str(after.sequence))


def _check_books(state: ControlState) -> None:
    """What is derived equals what can be counted; no two tasks of an instance hold one port."""
    on: dict[str, set[TaskArn]] = {}
    of: dict[str, set[TaskArn]] = {}
    groups: dict[str, Counter[str]] = {}
    addresses: list[tuple[str, TaskArn]] = []
    taken: dict[str, HostResources] = {}
    ports: Counter[str] = Counter()
    for task in state.tasks.values():
        if task.is_stopped:
            continue
        on.setdefault(task.instance_arn, set()).add(task.arn)
        groups.setdefault(task.instance_arn, Counter())[task.group] += 1
        taken[task.instance_arn] = taken.get(task.instance_arn, HostResources()).plus(task.needs)
        ports[task.instance_arn] += len(task.needs.ports_tcp) + len(task.needs.ports_udp)
        if task.interface is not None:
            addresses.append((task.interface.ipv4, task.arn))
        if task.service_arn:
            of.setdefault(task.service_arn, set()).add(task.arn)
    _hold(state.tasks_on == on, "tasks_on equals what can be counted", "")
    _hold(state.tasks_of == of, "tasks_of equals what can be counted", "")
    _hold(state.groups_on == groups, "groups_on equals what can be counted", "")
    _hold(state.addresses == dict(addresses), "addresses equals what can be counted", "")
    _hold(len(state.addresses) == len(addresses), "no two tasks have one address", "")
    _hold(state.taken == taken, "taken equals what can be counted", "")
    for arn, amount in taken.items():
        _hold(
            len(amount.ports_tcp) + len(amount.ports_udp) == ports[arn],
            "no two tasks of an instance hold one port",
            arn,
        )


def _hold(condition: bool, rule: str, where: str) -> None:
    if not condition:
        raise InvariantBroken(f"{rule}: {where}")

"""What must hold of every state and of every step: on in every test, off in production."""

from __future__ import annotations

from ecscope.agent.core.state import AgentState
from ecscope.model.resources import HostResources
from ecscope.model.status import ContainerStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task


class InvariantBroken(AssertionError):
    """A bug in the core; the message says which rule, and where."""


def check_state(state: AgentState) -> None:
    """What holds of every published state."""
    taken = HostResources()
    for arn, task in state.tasks.items():
        _hold(task.arn == arn, "tasks are filed under their ARN", arn)
        if task.host_resources is HostResourcesHeld.HELD:
            taken = taken.plus(task.needs)
        _hold(
            (arn in state.waiting) is (task.host_resources is HostResourcesHeld.WAITING)
            or task.desired is TaskStatus.STOPPED
            or task.known is TaskStatus.STOPPED,
            "a task waits in the queue exactly when its host resources are waited for",
            arn,
        )
        _hold(
            task.known is not TaskStatus.STOPPED or task.host_resources is not HostResourcesHeld.HELD,
            "a stopped task holds no host resources",
            arn,
        )
        _hold(
            (task.known is TaskStatus.STOPPED) is (task.stopped_at is not None),
            "a task has a stop time exactly when it is STOPPED",
            arn,
        )
        for container in task.containers:
            if container.docker_id:
                _hold(
                    state.docker_ids.get(container.docker_id) == (arn, container.name),
                    "every Docker ID is in the index",
                    f"{arn} {container.name}",
                )
            if task.desired is TaskStatus.STOPPED:
                _hold(
                    container.desired is ContainerStatus.STOPPED,
                    "containers of a task that is to stop are to stop",
                    f"{arn} {container.name}",
                )
            _hold(
                container.known < ContainerStatus.CREATED or container.is_stopped or bool(container.docker_id),
                "a created container has a Docker ID",
                f"{arn} {container.name}",
            )
            _hold(
                not container.docker_id or bool(container.docker_name),
                "a Docker ID comes after a Docker name",
                f"{arn} {container.name}",
            )
        essential_ended = any(c.is_essential and c.is_stopped for c in task.containers)
        _hold(
            not essential_ended or task.desired is TaskStatus.STOPPED,
            "an essential container that has ended stops the task",
            arn,
        )
        _hold(
            bool(task.state_changes) is (arn in state.reporting or arn in state.report_queue),
            "a task with state changes to submit waits in the queue, or has one under way",
            arn,
        )
        _hold(
            [change.number for change in task.state_changes]
            == list(range(task.state_changes_made - len(task.state_changes) + 1, task.state_changes_made + 1)),
            "state changes are numbered without a gap",
            arn,
        )
    _hold(not state.reporting & frozenset(state.report_queue), "no task reports twice at once", str(state.reporting))
    _hold(len(state.report_queue) == len(set(state.report_queue)), "no task waits twice", str(state.report_queue))
    _hold(len(state.reporting) <= state.settings.reports_at_once, "reports keep to their bound", str(state.reporting))
    _hold(taken == state.taken, "taken host resources are the sum over live tasks", str(state.taken))


def check_step(before: AgentState, after: AgentState) -> None:
    """What holds between a state and the next."""
    check_state(after)
    for arn, task in after.tasks.items():
        was = before.tasks.get(arn)
        if was is not task:
            _check_waiting(task)
        if was is None or was is task:
            continue
        _hold(task.known >= was.known, "a task's known status never goes back", arn)
        _hold(task.desired >= was.desired, "a task's desired status never goes back", arn)
        for container in task.containers:
            earlier = was.container(container.name)
            if earlier is None:
                raise InvariantBroken(f"containers never come or go: {arn} {container.name}")
            where = f"{arn} {container.name}"
            _hold(container.known >= earlier.known, "a container's known status never goes back", where)
            _hold(container.desired >= earlier.desired, "a container's desired status never goes back", where)
            _hold(
                earlier.reported is None or (container.reported or earlier.reported) >= earlier.reported,
                "a status reported to ECS never goes back",
                where,
            )
            _hold(earlier.error is None or container.error == earlier.error, "the first error is kept", where)
            _hold(not earlier.docker_id or container.docker_id == earlier.docker_id, "a Docker ID never changes", where)
            _hold(
                not earlier.docker_name
                or container.docker_name == earlier.docker_name
                or (not container.docker_name and not container.docker_id),
                "a Docker name never changes, but is given back where Docker was not asked",
                where,
            )


def _check_waiting(task: Task) -> None:
    """Nothing waits without a reason that can be read, and nothing that waits for nothing has one."""
    _hold((task.waiting is None) is (task.known >= task.desired), "a task that is not there yet says why", task.arn)
    for container in task.containers:
        if container.desired is ContainerStatus.STOPPED and not container.docker_name and not container.in_flight:
            continue  # nothing keeps it from its end: the rules stop it when they next run over its task
        has_arrived = container.is_stopped or (
            container.is_steady and container.desired is not ContainerStatus.STOPPED and container.in_flight is None
        )
        _hold(
            (container.waiting is None) is has_arrived,
            "a container that is not there yet says why",
            f"{task.arn} {container.name}",
        )


def _hold(condition: bool, rule: str, where: str) -> None:
    if not condition:
        raise InvariantBroken(f"{rule}: {where}")

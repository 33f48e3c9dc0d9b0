"""ExecuteCommand, which is refused: a session needs the SSM agent and its channel. The text says what to type instead.

Source: control-plane.md §9.
"""

from __future__ import annotations

from collections.abc import Mapping

from ecscope.control.api import lookup
from ecscope.control.api.action import Action
from ecscope.control.core.errors import ApiError, invalid
from ecscope.control.core.records import Json, Task, TaskContainer
from ecscope.control.core.statuses import LastStatus
from ecscope.control.core.step import Step

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
)


def execute_command(step: Step, body: Json) -> Json:
    cluster = lookup.cluster(step, body.get("cluster"))
    task = lookup.find_task(step, cluster, body["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    if not body["interactive"]:
        raise invalid("Interactive is the only mode supported currently.")
    container = _container(task, body.get("container"))
    if not task.execute_command_enabled:
        raise invalid(f"{NOT_ENABLED}{_instead(container, body['command'])}")
    raise ApiError(
        "TargetNotConnectedException",
        "The execute command failed because there is no Session Manager on one machine."
        f"{_instead(container, body['command'])}",
    )


def only_container(task: Task) -> str:
    """Name of the container used by default; ``""``: the request must name one."""
    return task.containers[0].name if len(task.containers) == 1 else ""


ACTIONS: Mapping[str, Action] = {"ExecuteCommand": Action(execute_command, is_reader=True)}


def _container(task: Task, name: str | None) -> TaskContainer:
    if name is None and len(task.containers) > 1:
        raise invalid("The task has several containers: name one of them in container.")
    found = next((container for container in task.containers if name in (None, container.name)), None)
    if found is None:
        raise invalid(f"The container {name} was not found in the task.")
    return found


def _instead(container: TaskContainer, command: str) -> str:
    if not container.runtime_id or container.last_status != LastStatus.RUNNING:
        return f" (The container {container.name} is not running.)"
    return f" On the machine of the container instance, type: docker exec -it {container.runtime_id[:12]} {command}"

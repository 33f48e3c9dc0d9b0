"""The life of a task: placed, sent to an agent, reported on, asked to stop, STOPPED, and forgotten an hour later.

Known statuses never go back: ``PENDING``, ``RUNNING``, ``STOPPING``, ``STOPPED``. A task with a network interface of
its own is ``PROVISIONING`` until its agent has taken it over, and ``DEPROVISIONING`` once the agent is done with it.

Source: control-plane.md §6.3-§6.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from ecscope.control.core import addresses
from ecscope.control.core.effects import ReportOvercommitment, ReportUnlimitedStorage, SendPayload, WakeAt
from ecscope.control.core.errors import Failure
from ecscope.control.core.placement import choose
from ecscope.control.core.records import Instance, Json, Task, TaskContainer
from ecscope.control.core.statuses import DesiredStatus, InstanceStatus, LastStatus, LaunchType, StopCode
from ecscope.control.core.step import Step
from ecscope.control.core.wanted import Wanted
from ecscope.model.arn import TaskArn, task_arn
from ecscope.model.status import HealthStatus, ReportedStatus
from ecscope.taskdefinition.definition import ContainerDefinition
from ecscope.taskdefinition.fargate import EPHEMERAL_STORAGE_GIB

TOKEN_KEPT = timedelta(hours=24)
"""How long a client token is remembered. Source: control-plane.md §6.1."""
_PROVISIONING, _PENDING, _DEPROVISIONING = LastStatus.PROVISIONING, LastStatus.PENDING, LastStatus.DEPROVISIONING
_FARGATE = LaunchType.FARGATE
_FORGET_AGAIN = timedelta(minutes=1)
"""Tasks that end within this time of each other are forgotten together."""
ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"


class ContainerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of one container."""

    name: str
    status: ReportedStatus | None = None
    """``None``: nothing new."""
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    image_digest: str = ""
    network_bindings: tuple[Json, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of a task."""

    status: ReportedStatus | None = None
    """``None``: it is about containers only."""
    reason: str = ""
    containers: tuple[ContainerReport, ...] = ()
    """In the order in which it happened; a container can appear more than once."""
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    execution_stopped_at: datetime | None = None


# --- what users and services want -----------------------------------------------------------------


def start(step: Step, wanted: Wanted) -> Task | tuple[Failure, ...]:
    """Place a task and send it to the agent; else why it cannot be placed, as in ``choose``."""
    instance = choose(step, wanted)
    if isinstance(instance, tuple):
        return instance
    interface = None
    if wanted.members.network_mode.has_task_address and (interface := addresses.new_interface(step)) is None:
        arn = "" if wanted.launch_type == _FARGATE else instance.arn
        return (Failure(arn=arn, reason="RESOURCE:ENI", detail="No address is free for another awsvpc task."),)
    settings = step.settings
    task_id = step.new_id()
    prefix = f"arn:aws:ecs:{settings.region}:{settings.account}:container/{wanted.cluster}/{task_id}"
    task = Task(
        arn=task_arn(region=settings.region, account=settings.account, cluster=wanted.cluster, task_id=task_id),
        cluster=wanted.cluster,
        definition_arn=wanted.definition.arn,
        instance_arn=instance.arn,
        last_status=_PROVISIONING if interface is not None else _PENDING,
        containers=tuple(
            _container(container, arn=f"{prefix}/{step.new_uuid()}")
            for container in wanted.members.container_definitions
        ),
        overrides=wanted.overrides,
        needs=wanted.needs(),
        group=wanted.group,
        started_by=wanted.started_by,
        service_arn=wanted.service_arn,
        deployment_id=wanted.deployment_id,
        launch_type=wanted.launch_type,
        capacity_provider=wanted.capacity_provider,
        platform=_platform(wanted) if wanted.launch_type == _FARGATE else {},
        interface=interface,
        subnet_id=next(iter(wanted.network.get("awsvpcConfiguration", {}).get("subnets", ())), ""),
        execute_command_enabled=wanted.execute_command_enabled,
        created_at=step.at,
        tags=wanted.tags,
        credentials_id=step.new_uuid() if wanted.members.task_role_arn else "",
        execution_credentials_id=step.new_uuid() if wanted.members.execution_role_arn else "",
    )
    (task,) = send(step, instance, [task])
    if task.is_on_fargate:
        _report_overcommitment(step, instance)
        is_asked_for = task.platform["ephemeralStorage"]["sizeInGiB"] != EPHEMERAL_STORAGE_GIB
        if is_asked_for and not step.settings.limits_storage:
            step.act(ReportUnlimitedStorage())
    return task


def _report_overcommitment(step: Step, instance: Instance) -> None:
    taken = step.taken[instance.arn]
    sizes = [step.tasks[arn].platform for arn in step.tasks_on[instance.arn]]
    cpu_units = taken.cpu_units + sum(int(size.get("cpu", 0)) for size in sizes)
    memory_mib = taken.memory_mib + sum(int(size.get("memory", 0)) for size in sizes)
    has = instance.resources
    if cpu_units > has.cpu_units or memory_mib > has.memory_mib:
        step.act(ReportOvercommitment(instance_arn=instance.arn, cpu_units=cpu_units, memory_mib=memory_mib, has=has))


def stop(step: Step, task: Task, *, code: StopCode, reason: str, asked_by: str = "") -> Task:
    """Ask its agent to stop it; STOPPED at once without an agent. May be repeated.

    ``asked_by``: ARN of the user or role; ``""``: none asked.
    """
    if task.is_to_stop:
        return task
    task = msgspec.structs.replace(
        task,
        desired_status=DesiredStatus.STOPPED,
        stopping_at=step.at,
        stop_code=code,
        stopped_reason=reason,
        stop_asked_by=asked_by,
        version=task.version + 1,
    )
    instance = step.instances.get(task.instance_arn)
    if instance is None or instance.status == InstanceStatus.INACTIVE:
        return _end(step, task)
    (task,) = send(step, instance, [task])
    return task


def lose(step: Step, task: Task, *, code: StopCode, reason: str) -> Task:
    """Its instance is gone for good: STOPPED in the books, whatever its containers do."""
    if task.is_stopped:
        return task
    if not task.is_to_stop:
        task = msgspec.structs.replace(
            task, desired_status=DesiredStatus.STOPPED, stopping_at=step.at, stop_code=code, stopped_reason=reason
        )
    return _end(step, task)


def send(step: Step, instance: Instance, tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Send the desired status of these tasks in one payload; it counts until the agent acknowledges it."""
    message_id = step.new_uuid()
    sent = tuple(
        step.put_task(msgspec.structs.replace(task, message_id=message_id, is_acknowledged=False)) for task in tasks
    )
    if sent:
        step.act(
            SendPayload(
                instance_arn=instance.arn,
                message_id=message_id,
                sequence=step.next_sequence(),
                task_arns=tuple(task.arn for task in sent),
            )
        )
    return sent


# --- what agents say ------------------------------------------------------------------------------


def report(step: Step, task: Task, reported: Report) -> Task:
    """Take over an agent's report; a late or repeated one undoes nothing."""
    if task.is_stopped or task.last_status == _DEPROVISIONING:
        return task
    news = task
    for container in reported.containers:
        news = _with_container(news, container)
    news = msgspec.structs.replace(
        news,
        pull_started_at=reported.pull_started_at or news.pull_started_at,
        pull_stopped_at=reported.pull_stopped_at or news.pull_stopped_at,
        execution_stopped_at=reported.execution_stopped_at or news.execution_stopped_at,
    )
    if reported.status is ReportedStatus.STOPPED:
        return (_end if task.interface is None else _detach)(step, _with_stop_code(step, news, reported))
    if reported.status is ReportedStatus.RUNNING:
        news = msgspec.structs.replace(
            news,
            last_status=_later(news.last_status, LastStatus.RUNNING),
            started_at=news.started_at or step.at,
        )
    return _put_if_new(step, task, _with_health(news))


def acknowledge(step: Step, instance_arn: str, message_id: str) -> None:
    """The agent has taken over what that payload said."""
    for arn in _in_order(step.tasks_on.get(instance_arn, ())):
        task = step.tasks[arn]
        if task.message_id != message_id or task.is_acknowledged:
            continue
        acknowledged = msgspec.structs.replace(task, is_acknowledged=True)
        status = _later(task.last_status, LastStatus.STOPPING if task.is_to_stop else _PENDING)
        if status != task.last_status:
            acknowledged = msgspec.structs.replace(acknowledged, last_status=status, version=task.version + 1)
        step.put_task(acknowledged)


def heal(step: Step, task: Task, container_name: str, health: HealthStatus) -> Task:
    """A container's health check says this now."""
    if task.is_stopped:
        return task
    containers = tuple(
        msgspec.structs.replace(container, health=health) if container.name == container_name else container
        for container in task.containers
    )
    return _put_if_new(step, task, _with_health(msgspec.structs.replace(task, containers=containers)))


# --- what time does -------------------------------------------------------------------------------


def detached(step: Step) -> None:
    """The network interfaces of tasks that their agents are done with are gone: the tasks are STOPPED."""
    if not step.addresses:
        return
    for arn in tuple(step.addresses.values()):
        task = step.tasks[arn]
        if task.last_status == _DEPROVISIONING:
            _end(step, task)


def expire(step: Step) -> None:
    """Forget tasks that have been STOPPED for long enough, and client tokens of yesterday; wake for the next ones.

    It looks at all there are, so those that are due within a minute of each other go together.
    """
    kept = timedelta(seconds=step.settings.stopped_kept_s)
    due_at: datetime | None = None
    for task in tuple(step.tasks.values()):
        if task.stopped_at is None:
            continue
        ends_at = task.stopped_at + kept
        if ends_at <= step.at:
            step.drop_task(task)
        elif due_at is None or ends_at < due_at:
            due_at = ends_at
    for key, token in tuple(step.tokens.rows.items()):
        if token.at + TOKEN_KEPT <= step.at:
            step.tokens.drop(key)
    if due_at is not None:
        step.act(WakeAt(at=max(due_at, step.at + _FORGET_AGAIN)))


# --- pieces ---------------------------------------------------------------------------------------


def _container(definition: ContainerDefinition, *, arn: str) -> TaskContainer:
    return TaskContainer(
        name=definition.name,
        arn=arn,
        image=definition.image,
        is_essential=definition.essential,
        has_health_check=definition.health_check is not None,
        cpu=str(definition.cpu),
        memory=str(definition.memory or ""),
        memory_reservation=str(definition.memory_reservation or ""),
    )


def _platform(wanted: Wanted) -> Json:
    """Of a task on Fargate, as it is shown."""
    members = wanted.members
    given = members.ephemeral_storage
    gib = given.size_in_gib if given is not None else EPHEMERAL_STORAGE_GIB
    family = members.runtime_platform.operating_system_family
    return {
        "cpu": members.cpu,
        "memory": members.memory,
        "platformVersion": wanted.platform_version,
        "platformFamily": family if family not in ("", "LINUX") else "Linux",
        "ephemeralStorage": wanted.overrides.get("ephemeralStorage") or {"sizeInGiB": gib},
    }


def _in_order(arns: Iterable[TaskArn]) -> list[TaskArn]:
    """A set has no order that would be the same in every process."""
    return sorted(arns)


def _later(now: LastStatus, reported: LastStatus) -> LastStatus:
    return reported if reported.rank > now.rank else now


def _put_if_new(step: Step, task: Task, news: Task) -> Task:
    if news == task:
        return task
    return step.put_task(msgspec.structs.replace(news, version=task.version + 1))


def _with_container(task: Task, reported: ContainerReport) -> Task:
    return msgspec.structs.replace(
        task,
        containers=tuple(
            _container_news(container, reported) if container.name == reported.name else container
            for container in task.containers
        ),
    )


def _container_news(container: TaskContainer, reported: ContainerReport) -> TaskContainer:
    """A report older than what is known only fills gaps."""
    status = LastStatus(reported.status.value) if reported.status is not None else container.last_status
    is_late = status.rank < container.last_status.rank
    return msgspec.structs.replace(
        container,
        last_status=_later(container.last_status, status),
        runtime_id=_news(container.runtime_id, reported.runtime_id, is_late=is_late),
        exit_code=container.exit_code
        if reported.exit_code is None or (is_late and container.exit_code is not None)
        else reported.exit_code,
        reason=_news(container.reason, reported.reason, is_late=is_late),
        image_digest=_news(container.image_digest, reported.image_digest, is_late=is_late),
        network_bindings=container.network_bindings
        if not reported.network_bindings or (is_late and container.network_bindings)
        else reported.network_bindings,
    )


def _news(known: str, reported: str, *, is_late: bool) -> str:
    return known if not reported or (is_late and known) else reported


def _with_stop_code(step: Step, task: Task, reported: Report) -> Task:
    """Why it ended without a request. Source: control-plane.md §6.4."""
    if task.is_to_stop:
        return task
    essential = [container for container in task.containers if container.is_essential]
    ran = task.started_at is not None
    has_exited = any(container.exit_code is not None for container in essential)
    if ran or (not reported.reason and has_exited):
        code, reason = StopCode.ESSENTIAL_CONTAINER_EXITED, reported.reason or ESSENTIAL_EXITED
    else:
        own_reasons = (container.reason for container in essential if container.reason)
        code, reason = StopCode.TASK_FAILED_TO_START, reported.reason or next(own_reasons, FAILED_TO_START)
    return msgspec.structs.replace(
        task,
        stop_code=code,
        stopped_reason=reason,
        started_at=task.started_at or (step.at if code == StopCode.ESSENTIAL_CONTAINER_EXITED else None),
    )


def _end(step: Step, task: Task) -> Task:
    step.act(WakeAt(at=step.at + timedelta(seconds=step.settings.stopped_kept_s)))
    return step.put_task(
        msgspec.structs.replace(
            task,
            last_status=LastStatus.STOPPED,
            desired_status=DesiredStatus.STOPPED,
            stopping_at=task.stopping_at or step.at,
            stopped_at=step.at,
            containers=tuple(
                msgspec.structs.replace(container, last_status=LastStatus.STOPPED) for container in task.containers
            ),
            version=task.version + 1,
        )
    )


def _detach(step: Step, task: Task) -> Task:
    """Its agent is done with it; what is left is its network interface, which goes at the next moment."""
    step.act(WakeAt(at=step.at))
    return step.put_task(
        msgspec.structs.replace(
            task,
            last_status=_DEPROVISIONING,
            desired_status=DesiredStatus.STOPPED,
            stopping_at=task.stopping_at or step.at,
            containers=tuple(
                msgspec.structs.replace(container, last_status=LastStatus.STOPPED) for container in task.containers
            ),
            version=task.version + 1,
        )
    )


def _with_health(task: Task) -> Task:
    """HEALTHY when every essential container with a check is; one that is not makes the task UNHEALTHY."""
    checked = {
        container.health for container in task.containers if container.is_essential and container.has_health_check
    }
    if HealthStatus.UNHEALTHY in checked:
        health = HealthStatus.UNHEALTHY
    else:
        health = HealthStatus.HEALTHY if checked == {HealthStatus.HEALTHY} else HealthStatus.UNKNOWN
    return msgspec.structs.replace(task, health=health)

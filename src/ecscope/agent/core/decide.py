"""The one door: a state and an event give a new state, actions and notes.

Synchronous, pure and total. A late, repeated or unknown event gives "no change" and a note
with the reason; an exception out of here is a bug.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from ecscope.agent.core import (
    admission,
    attachments,
    cleanup,
    containers,
    credentials,
    host_resources,
    images,
    manifests,
    payloads,
    reconcile,
    registration,
    reporting,
    resources,
    tasks,
)
from ecscope.agent.core.actions import InspectImage, ReconnectRuntime, TimerKind
from ecscope.agent.core.events import (
    AnyEvent,
    AttachmentAccepted,
    AttachmentExpired,
    AttachmentRefused,
    AttachmentsReceived,
    CallCancelled,
    CleanupRequested,
    ContainerCreated,
    ContainerCreateFailed,
    ContainerEvent,
    ContainerInspected,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopDone,
    ContainerStopFailed,
    CredentialsReceived,
    ImageInspected,
    ImagePulled,
    ImagePullFailed,
    ImagePullProgressed,
    ImageRemoved,
    InstanceNotRegistered,
    InstanceRegistered,
    InterfaceAppeared,
    ManifestFailed,
    ManifestReceived,
    ManifestResolved,
    OrphanRemoved,
    PayloadReceived,
    ResourceCreated,
    ResourceCreateFailed,
    ResourceRemoved,
    RuntimeConnected,
    RuntimeDisconnected,
    RuntimeListed,
    RuntimeListFailed,
    RuntimeNoticed,
    StateChangeAccepted,
    StateChangeRefused,
    StopVerified,
    TaskReceived,
    TaskSourceGone,
    TaskStopRequested,
    TimerFired,
)
from ecscope.agent.core.state import AgentState
from ecscope.agent.core.step import Decision, Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus
from ecscope.model.task import Task

replace = msgspec.structs.replace

_ENDS: dict[type[ContainerEvent], tuple[ContainerStatus, ...]] = {
    ImageInspected: (ContainerStatus.MANIFEST_PULLED, ContainerStatus.PULLED),
    ManifestResolved: (ContainerStatus.MANIFEST_PULLED,),
    ManifestFailed: (ContainerStatus.MANIFEST_PULLED,),
    ImagePulled: (ContainerStatus.PULLED,),
    ImagePullFailed: (ContainerStatus.PULLED,),
    ContainerCreated: (ContainerStatus.CREATED,),
    ContainerCreateFailed: (ContainerStatus.CREATED,),
    ContainerStarted: (ContainerStatus.RUNNING,),
    ContainerStartFailed: (ContainerStatus.RUNNING,),
    ContainerStopDone: (ContainerStatus.STOPPED,),
    ContainerStopFailed: (ContainerStatus.STOPPED,),
    ContainerRemoved: (ContainerStatus.STOPPED,),
    CallCancelled: (ContainerStatus.MANIFEST_PULLED, ContainerStatus.PULLED),
}
"""Which calls each result can end, by the status they lead to; no other result is believed."""

_ROUNDS = 1_000
"""More rounds than this for each task, before all is settled, can only be an endless loop."""


def decide(state: AgentState, event: AnyEvent) -> Decision:
    """What ``event`` changes, and what is to be done about it."""
    step = Step(state, event)
    _take(step, event)
    _settle(step)
    return step.decision()


def _settle(step: Step) -> None:
    """Run the rules over every task that changed, until none does."""
    for _ in range(_ROUNDS * (1 + len(step.tasks))):
        task = step.next_dirty()
        if task is None:
            host_resources.serve_queue(step)
            task = step.next_dirty()
            if task is None:
                reporting.serve_queue(step)
                return
        tasks.advance(step, task)
    raise AssertionError(f"rules do not come to rest after {type(step.event).__name__} {step.event.id}")


def _take(step: Step, event: AnyEvent) -> None:
    match event:
        case TaskReceived():
            admission.received(step, event)
        case TaskStopRequested():
            admission.stop_requested(step, event)
        case TaskSourceGone():
            admission.source_gone(step, event)
        case CleanupRequested():
            for task in list(step.tasks.values()):
                cleanup.begin(step, task)
        case PayloadReceived():
            payloads.received(step, event)
        case ManifestReceived():
            manifests.received(step, event)
        case StopVerified():
            manifests.stop_verified(step, event)
        case CredentialsReceived():
            credentials.received(step, event)
        case (
            AttachmentsReceived()
            | InterfaceAppeared()
            | AttachmentAccepted()
            | AttachmentRefused()
            | AttachmentExpired()
        ):
            attachments.take(step, event)
        case InstanceRegistered():
            registration.registered(step, event)
        case InstanceNotRegistered():
            registration.not_registered(step, event)
        case StateChangeAccepted() | StateChangeRefused():
            reporting.answered(step, event)
        case (
            ImageInspected()
            | ManifestResolved()
            | ManifestFailed()
            | ImagePullProgressed()
            | ImagePulled()
            | ImagePullFailed()
            | ContainerCreated()
            | ContainerCreateFailed()
            | ContainerStarted()
            | ContainerStartFailed()
            | ContainerStopDone()
            | ContainerStopFailed()
            | ContainerRemoved()
            | CallCancelled()
        ):
            _take_container_event(step, event)
        case ContainerInspected():
            _take_inspected(step, event)
        case ResourceCreated() | ResourceCreateFailed() | ResourceRemoved():
            resources.take(step, event)
            if not isinstance(event, ResourceCreated) and event.is_unreachable:
                _runtime_is_away(step)
        case ImageRemoved():
            images.removed(step, event)
        case OrphanRemoved():
            if event.error is not None:
                step.note(history.CleanupFailed(what=f"orphan {event.docker_id}", error=str(event.error)))
        case RuntimeConnected() | RuntimeDisconnected() | RuntimeListed() | RuntimeListFailed():
            reconcile.take(step, event)
        case RuntimeNoticed():
            _take_notice(step, event)
        case TimerFired():
            _take_timer(step, event)
        case _:
            assert_never(event)


def _ignore(step: Step, why: str) -> None:
    step.note(history.NoChange(why=why))


def _runtime_is_away(step: Step) -> None:
    """A call could not reach the runtime: decide no other until it is back and has been listed."""
    if step.runtime_connected:
        step.runtime_connected = False
        step.reconciled = False
        step.act(ReconnectRuntime())


# --- results of calls for one container ---------------------------------------------------------


def _take_container_event(step: Step, event: ContainerEvent) -> None:
    task = step.tasks.get(event.task_arn)
    container = task.container(event.container_name) if task is not None else None
    if task is None or container is None:
        _ignore(step, f"{event.container_name} of {event.task_arn} is not known (any more)")
        return
    if container.in_flight not in _ENDS.get(type(event), (container.in_flight,)):
        _ignore(step, f"{event.container_name} of {event.task_arn} has no such call under way")
        return
    if getattr(event, "is_unreachable", False) and not isinstance(event, ContainerRemoved):
        step.put_container(task, containers.settle_call(container))
        _runtime_is_away(step)
        return
    _take_result(step, task, container, event)


def _take_result(step: Step, task: Task, container: Container, event: ContainerEvent) -> None:
    match event:
        case ImageInspected():
            _image_inspected(step, task, container, event)
        case ManifestResolved():
            container = replace(containers.settle_call(container), image_digest=event.digest)
            if container.known < ContainerStatus.MANIFEST_PULLED:
                containers.advance_to(step, task, container, ContainerStatus.MANIFEST_PULLED, "digest resolved")
        case ManifestFailed():
            task, container = containers.fail(step, task, container, event, "resolving the image digest")
            if images.failure_stops_task(step):
                tasks.stop(step, task, f"pull behavior {step.settings.pull_behavior.value}: {event.error}")
            elif container.known < ContainerStatus.MANIFEST_PULLED:
                containers.advance_to(step, task, container, ContainerStatus.MANIFEST_PULLED, "going on without digest")
        case ImagePullProgressed():
            progress = event.progress
            step.note(
                history.ImagePullProgress(
                    layers_done=progress.layers_done,
                    layers_total=progress.layers_total,
                    bytes_done=progress.bytes_done,
                    bytes_total=progress.bytes_total,
                ),
                task=task,
                container=container,
            )
        case ImagePulled():
            _image_pulled(step, task, container, event)
        case ImagePullFailed():
            _image_pull_failed(step, task, container, event)
        case ContainerCreated():
            _container_created(step, task, container, event)
        case ContainerCreateFailed():
            task, container = containers.fail(step, task, container, event, "create")
            step.put_container(task, replace(container, desired=ContainerStatus.STOPPED))
        case ContainerStarted():
            _started(step, task, container, event)
        case ContainerStartFailed():
            _start_failed(step, task, container, event)
        case ContainerStopDone():
            _stop_done(step, task, container, event)
        case ContainerStopFailed():
            _stop_failed(step, task, container, event)
        case ContainerRemoved():
            cleanup.container_removed(step, task, container, event)
            if event.is_unreachable:
                _runtime_is_away(step)
        case CallCancelled():
            if container.in_flight is ContainerStatus.PULLED:
                task = replace(task, pull_stopped_at=step.at)
            step.put_container(task, containers.settle_call(container))
        case _:
            raise AssertionError(f"not a result of a container call: {event!r}")


def _image_inspected(step: Step, task: Task, container: Container, event: ImageInspected) -> None:
    image = event.image
    in_flight = container.in_flight
    container = containers.settle_call(container)
    if in_flight is ContainerStatus.PULLED:
        # after a failed pull: the local image is tried, whatever it is
        container = replace(container, image_id=image.image_id if image is not None else "")
        task = step.put_container(task, container)
        if image is None and container.is_essential and step.settings.pull_dependents_upfront:
            # Source: engine.md §4.3, upfront mode
            tasks.stop(step, task, f"no image for essential container {container.name}")
            return
        containers.advance_to(step, task, container, ContainerStatus.PULLED, "pull failed; trying the local image")
        return
    container = replace(container, digest_checked=True)
    if image is not None:
        container = replace(
            container,
            use_local_image=True,
            image_id=image.image_id,
            image_digest=images.digest_of(image, container.definition.image),
        )
    step.put_container(task, container)


def _image_pulled(step: Step, task: Task, container: Container, event: ImagePulled) -> None:
    image = event.image
    container = replace(containers.settle_call(container), image_id=image.image_id)
    task = step.put_container(replace(task, pull_stopped_at=step.at), container)
    images.record_pull(step, container, image)
    step.note(
        history.ImagePulled(image=container.definition.image, image_id=image.image_id, size_bytes=image.size_bytes),
        task=task,
        container=container,
    )
    if container.known < ContainerStatus.PULLED:
        containers.advance_to(step, task, container, ContainerStatus.PULLED, "image pulled")


def _image_pull_failed(step: Step, task: Task, container: Container, event: ImagePullFailed) -> None:
    task, container = containers.fail(step, task, container, event, "pull")
    task = step.put(replace(task, pull_stopped_at=step.at))
    step.note(
        history.ImagePullFailed(
            error_name=event.error.name, message=event.error.message, image=container.definition.image
        ),
        task=task,
        container=container,
    )
    if images.failure_stops_task(step):
        tasks.stop(step, task, f"pull behavior {step.settings.pull_behavior.value}: {event.error}")
        return
    if container.desired is ContainerStatus.STOPPED or not step.may_call_runtime:
        return
    step.put_container(task, replace(container, in_flight=ContainerStatus.PULLED))
    step.act(_inspect_image(task, container))


def _inspect_image(task: Task, container: Container) -> InspectImage:
    return InspectImage(task_arn=task.arn, container_name=container.name, image=container.definition.image)


def _container_created(step: Step, task: Task, container: Container, event: ContainerCreated) -> None:
    container = replace(containers.settle_call(container), docker_id=event.docker_id)
    step.index_docker_id(event.docker_id, task.arn, container.name)
    task = step.put_container(task, container)
    if container.known < ContainerStatus.CREATED:
        containers.advance_to(step, task, container, ContainerStatus.CREATED, "created in Docker")


def _started(step: Step, task: Task, container: Container, event: ContainerStarted) -> None:
    inspection = event.inspection
    container = containers.settle_call(container)
    task = step.put_container(task, container)
    if containers.is_overtaken(container, inspection):
        step.look_at(inspection.docker_id, seen=RuntimeAction.START)
        return
    containers.take_inspection(step, task, container, inspection, why="started")
    if inspection.status is ContainerStatus.RUNNING and container.die_exit_code is not None:
        # it ended between its start and the end of the call, perhaps after it was inspected
        step.look_at(inspection.docker_id, seen=RuntimeAction.DIE, exit_code=container.die_exit_code)


def _restart_failed(step: Step, task: Task, container: Container, event: ContainerStartFailed) -> None:
    """The error of a restart is not the container's reason: its exit is. Source: engine.md §10.2."""
    container = containers.settle_call(container)
    task = step.put_container(task, container)
    step.note(
        history.ContainerError(doing="restart", error_name=event.error.name, message=event.error.message),
        task=task,
        container=container,
    )
    if container.is_stopped:
        return
    if event.inspection is not None and event.inspection.status is ContainerStatus.RUNNING:
        containers.take_inspection(step, task, container, event.inspection)  # started after all
        return
    containers.advance_to(step, task, container, ContainerStatus.STOPPED, "could not be restarted")
    if event.inspection is None:
        step.look_at(container.docker_id, seen=RuntimeAction.START)


def _start_failed(step: Step, task: Task, container: Container, event: ContainerStartFailed) -> None:
    if container.restart_count:
        _restart_failed(step, task, container, event)
        return
    task, container = containers.fail(step, task, container, event, "start")
    if container.is_stopped:
        return
    may_run = (
        event.error.name in ("DockerTimeoutError", "CannotInspectContainerError")
        or (event.error.name == "CannotStartContainerError" and event.error.message.endswith("EOF"))
        or (event.inspection is not None and event.inspection.status is ContainerStatus.RUNNING)
    )
    container = replace(container, desired=ContainerStatus.STOPPED, may_be_running=may_run)
    if event.inspection is not None:
        container = replace(
            container,
            created_at=event.inspection.created_at or container.created_at,
            image_id=event.inspection.image_id or container.image_id,
            mounts=event.inspection.mounts or container.mounts,
        )
    step.put_container(task, container)


def _stop_done(step: Step, task: Task, container: Container, event: ContainerStopDone) -> None:
    container = replace(containers.settle_call(container), may_be_running=False)
    task = step.put_container(task, container)
    if container.is_stopped:
        return
    inspection = event.inspection
    if inspection is None:
        containers.vanished(step, task, container)
        return
    # the stop call succeeded: whatever the inspection says, it is not running any more
    stopped = replace(inspection, status=ContainerStatus.STOPPED)
    containers.take_inspection(step, task, container, stopped, may_restart=False)
    if inspection.status is ContainerStatus.RUNNING:
        step.look_at(inspection.docker_id, seen=RuntimeAction.START)  # somebody started it at once


def _stop_failed(step: Step, task: Task, container: Container, event: ContainerStopFailed) -> None:
    if not event.runtime_answers:
        step.put_container(task, containers.settle_call(container))
        _runtime_is_away(step)
        return
    task, container = containers.fail(step, task, container, event, "stop")
    container = replace(container, may_be_running=False)
    task = step.put_container(task, container)
    if not container.is_stopped:
        if container.exit_code is None and container.die_exit_code is not None:
            container = replace(container, exit_code=container.die_exit_code)
        containers.advance_to(
            step, task, container, ContainerStatus.STOPPED, "taken as stopped, though the stop failed"
        )


# --- what is seen in the runtime ----------------------------------------------------------------


def _take_notice(step: Step, event: RuntimeNoticed) -> None:
    notice = event.notice
    place = step.docker_ids.get(notice.docker_id)
    task = step.tasks.get(place[0]) if place is not None else None
    container = task.container(place[1]) if task is not None and place is not None else None
    if task is None or container is None:
        _ignore(step, f"{notice.action.value} of a container that is not ours")
        return
    match notice.action:
        case RuntimeAction.CREATE | RuntimeAction.STOP:
            _ignore(step, "known from the call itself")  # every stop is preceded by a die
        case RuntimeAction.START:
            if container.in_flight is ContainerStatus.RUNNING or container.is_running:
                _ignore(step, "known from the call itself")
            else:
                step.look_at(notice.docker_id, seen=notice.action)
        case RuntimeAction.DIE:
            task, container = _take_death(step, task, container, notice)
            if container.is_stopped:
                return  # the call that stopped it, or a look at it, was quicker
            if container.in_flight not in (ContainerStatus.RUNNING, ContainerStatus.STOPPED):
                step.look_at(notice.docker_id, seen=notice.action, exit_code=notice.exit_code)
        case RuntimeAction.OOM:
            step.note(history.ContainerOutOfMemory(time_ns=notice.time_ns), task=task, container=container)
        case RuntimeAction.DESTROY:
            if not container.is_stopped and container.in_flight is None:
                step.look_at(notice.docker_id, seen=notice.action)
            elif container.is_stopped and not task.cleanup_due:
                step.note(
                    history.ContainerVanished(why="removed from Docker from outside", time_ns=notice.time_ns),
                    task=task,
                    container=container,
                )
        case RuntimeAction.HEALTH:
            if container.definition.health_check_is_docker and not container.is_stopped:
                step.look_at(notice.docker_id, seen=notice.action)
        case _:
            assert_never(notice.action)


def _take_death(step: Step, task: Task, container: Container, notice: RuntimeNotice) -> tuple[Task, Container]:
    """What only Docker's ``die`` says is kept, once: the signal, and the moment to the nanosecond."""
    is_newer = notice.time_ns > container.died_at_ns if notice.time_ns else not container.is_stopped
    if container.die_exit_code is not None and not is_newer:
        _ignore(step, "the same death again")
        return task, container
    container = replace(
        container,
        die_exit_code=notice.exit_code,
        die_signal=notice.signal,
        died_at_ns=notice.time_ns,
    )
    task = step.put_container(task, container)
    step.note(
        history.ContainerDied(
            exit_code=notice.exit_code,
            signal=notice.signal,
            time_ns=notice.time_ns,
            stop_requested=container.stop_asked_at is not None,
        ),
        task=task,
        container=container,
    )
    return task, container


def _take_inspected(step: Step, event: ContainerInspected) -> None:
    place = step.docker_ids.get(event.docker_id)
    task = step.tasks.get(place[0]) if place is not None else None
    container = task.container(place[1]) if task is not None and place is not None else None
    if task is None or container is None:
        _ignore(step, "inspection of a container that is not ours (any more)")
        return
    if event.inspection is not None:
        if event.seen is not RuntimeAction.START and containers.is_overtaken(container, event.inspection):
            step.look_at(event.docker_id, seen=RuntimeAction.START)  # what this look sees is believed
            return
        containers.take_inspection(step, task, container, event.inspection)
        return
    if event.is_not_found:
        if container.in_flight is None:
            containers.vanished(step, task, container)
        return
    if event.seen is RuntimeAction.DIE and not container.is_stopped:
        # it ended, but cannot be asked: the notice is all there is. Source: engine.md §10.4.
        container = replace(container, exit_code=event.exit_code)
        task = step.put_container(task, container)
        containers.advance_to(step, task, container, ContainerStatus.STOPPED, "exited; details could not be read")


# --- timers --------------------------------------------------------------------------------------------


def _take_timer(step: Step, event: TimerFired) -> None:
    timer = event.timer
    if timer.kind is TimerKind.IMAGE_CLEANUP:
        images.run_cleanup(step)
        return
    task = step.tasks.get(timer.task_arn)
    if task is None:
        _ignore(step, f"{timer.task_arn} is not known (any more)")
        return
    match timer.kind:
        case TimerKind.STEADY_CHECK:
            tasks.check_steady(step, task)
        case TimerKind.DEPENDENCY_CHECK:
            step.touch(task.arn)
        case TimerKind.CLEANUP:
            cleanup.begin(step, task)
        case TimerKind.REPORT_DRAIN:
            reporting.drain(step, task)
        case _:
            assert_never(timer.kind)

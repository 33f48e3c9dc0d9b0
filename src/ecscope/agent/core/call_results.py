"""How a call for one container ended: what each result makes of its container.

A result is believed only while its call is under way; what follows for the task is the business of ``tasks``.

Source: engine.md §3.2, §4, §10.
"""

from __future__ import annotations

import msgspec

from ecscope.agent.core import cleanup, containers, images, tasks
from ecscope.agent.core.actions import InspectImage
from ecscope.agent.core.events import (
    CallCancelled,
    ContainerCreated,
    ContainerCreateFailed,
    ContainerEvent,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopDone,
    ContainerStopFailed,
    ImageCallSlow,
    ImageInspected,
    ImagePulled,
    ImagePullFailed,
    ImagePullProgressed,
    ManifestFailed,
    ManifestResolved,
)
from ecscope.agent.core.step import Step
from ecscope.model import history
from ecscope.model.container import Container
from ecscope.model.runtime import PullProgress, RuntimeAction
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


def take(step: Step, event: ContainerEvent) -> None:
    """Accept what can be the result of the call under way; anything else is late or repeated."""
    task = step.tasks.get(event.task_arn)
    container = task.container(event.container_name) if task is not None else None
    if task is None or container is None:
        step.ignore(f"{event.container_name} of {event.task_arn} is not known (any more)")
        return
    if container.in_flight not in _ENDS.get(type(event), (container.in_flight,)):
        step.ignore(f"{event.container_name} of {event.task_arn} has no such call under way")
        return
    if getattr(event, "is_unreachable", False) and not isinstance(event, ContainerRemoved):
        step.put_container(task, containers.settle_call(container))
        step.runtime_is_away()
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
        case ImageCallSlow():
            so_far = event.progress or PullProgress(layers_total=0, layers_done=0, bytes_total=0, bytes_done=0)
            slow = history.ImagePullSlow(
                image=event.image,
                waited_s=event.waited_s,
                layers_done=so_far.layers_done,
                layers_total=so_far.layers_total,
                bytes_done=so_far.bytes_done,
                bytes_total=so_far.bytes_total,
            )
            step.note(slow, task=task, container=container)
        case ImagePulled():
            _image_pulled(step, task, container, event)
        case ImagePullFailed():
            _image_pull_failed(step, task, container, event)
        case ContainerCreated():
            _container_created(step, task, container, event)
        case ContainerCreateFailed():
            task, container = containers.fail(step, task, container, event, "create")
            docker_name = container.docker_name if event.was_asked else ""
            step.put_container(task, replace(container, desired=ContainerStatus.STOPPED, docker_name=docker_name))
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
                step.runtime_is_away()
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
    elif images.stand_in(step.settings, container.definition.image):
        container = replace(container, use_local_image=True)  # no registry is asked for it; the create call fails
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
    for path in event.missing_host_paths:
        step.note(history.HostPathMissing(path=path), task=task, container=container)
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
    may_run = event.error.name in ("DockerTimeoutError", "CannotInspectContainerError") or (
        event.inspection is not None and event.inspection.status is ContainerStatus.RUNNING
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
    # the stop call succeeded: it is not running any more, even if the inspection says so
    stopped = replace(inspection, status=ContainerStatus.STOPPED)
    containers.take_inspection(step, task, container, stopped, may_restart=False)
    if inspection.status is ContainerStatus.RUNNING:
        step.look_at(inspection.docker_id, seen=RuntimeAction.START)  # started from outside at once


def _stop_failed(step: Step, task: Task, container: Container, event: ContainerStopFailed) -> None:
    if not event.runtime_answers:
        step.put_container(task, containers.settle_call(container))
        step.runtime_is_away()
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

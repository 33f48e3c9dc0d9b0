"""The one door: a state and an event give a new state, actions and notes.

Synchronous, pure and total. A late, repeated or unknown event gives "no change" and a note
with the reason; an exception out of here is a bug.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from ecscope.agent.core import (
    attachments,
    call_results,
    cleanup,
    credentials,
    host_resources,
    images,
    manifests,
    notices,
    payloads,
    reconcile,
    registration,
    reporting,
    resources,
    taskfiles,
    tasks,
    waiting,
)
from ecscope.agent.core.actions import TimerKind
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
    ContainerInspected,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopDone,
    ContainerStopFailed,
    CredentialsReceived,
    ImageCallSlow,
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
    TaskFilesScanned,
    TimerFired,
)
from ecscope.agent.core.state import AgentState
from ecscope.agent.core.step import Decision, Step
from ecscope.model import history

replace = msgspec.structs.replace

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
                waiting.record(step)
                return
        tasks.advance(step, task)
    raise AssertionError(f"rules do not come to rest after {type(step.event).__name__} {step.event.id}")


def _take(step: Step, event: AnyEvent) -> None:
    match event:
        case TaskFilesScanned():
            taskfiles.scanned(step, event)
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
            | ImageCallSlow()
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
            call_results.take(step, event)
        case ContainerInspected():
            notices.inspected(step, event)
        case ResourceCreated() | ResourceCreateFailed() | ResourceRemoved():
            resources.take(step, event)
            if not isinstance(event, ResourceCreated) and event.is_unreachable:
                step.runtime_is_away()
        case ImageRemoved():
            images.removed(step, event)
        case OrphanRemoved():
            if event.error is not None:
                step.note(history.CleanupFailed(what=f"orphan {event.docker_id}", error=str(event.error)))
        case RuntimeConnected() | RuntimeDisconnected() | RuntimeListed() | RuntimeListFailed():
            reconcile.take(step, event)
        case RuntimeNoticed():
            notices.take(step, event)
        case TimerFired():
            _take_timer(step, event)
        case _:
            assert_never(event)


def _take_timer(step: Step, event: TimerFired) -> None:
    timer = event.timer
    if timer.kind is TimerKind.IMAGE_CLEANUP:
        images.run_cleanup(step)
        return
    task = step.tasks.get(timer.task_arn)
    if task is None:
        step.ignore(f"{timer.task_arn} is not known (any more)")
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

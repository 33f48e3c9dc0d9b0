"""Every event in every status of a container: no exception, and the invariants hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from ecscope.agent.core import events as ev
from ecscope.agent.core.actions import ContainerAction, Timer, TimerKind
from ecscope.agent.core.decide import decide
from ecscope.agent.core.invariants import InvariantBroken, check_state, check_step
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import AgentState, PullBehavior, Settings
from ecscope.model.arn import DockerId
from ecscope.model.container import (
    Container,
    ContainerInspection,
    Dependency,
    DependencyCondition,
    NamedError,
    RestartPolicy,
)
from ecscope.model.resources import HostResources
from ecscope.model.runtime import PullProgress, RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus, TaskStatus, task_status_of
from ecscope.model.task import HostResourcesHeld, Task
from ecscope.model.task_resource import CGROUP
from tests.builders import (
    AT,
    a_container,
    a_failure,
    a_resource,
    a_source,
    a_volume,
    an_attachment,
    an_obstacle,
    some_credentials,
)
from tests.unit.agent.core.scenes import ONE, a_task
from tests.world import HOST, IMAGE, INSTANCE

ID = DockerId("a" * 64)
HEAD: dict[str, Any] = {"id": "event-1", "at": AT}
PLACE: dict[str, Any] = {**HEAD, "task_arn": ONE, "container_name": "app"}
ERROR = NamedError(name="CannotStartContainerError", message="no")

NONE, MANIFEST_PULLED, PULLED, CREATED, RUNNING, PROVISIONED, STOPPED = ContainerStatus
IN_FLIGHT = (None, MANIFEST_PULLED, PULLED, CREATED, RUNNING, STOPPED)


def an_inspection(status: ContainerStatus, **fields: Any) -> ContainerInspection:
    started = "2024-05-17T11:00:00Z" if status is not CREATED else ""
    return ContainerInspection(
        docker_id=ID, docker_name="ecs-app", status=status, started_at=started,
        finished_at="2024-05-17T11:30:00Z" if status is STOPPED else "",
        exit_code=1 if status is STOPPED else None, **fields,
    )  # fmt: skip


SEEN = (CREATED, RUNNING, STOPPED)
WHY = (None, RuntimeAction.START, RuntimeAction.DIE)
"""Why a container was inspected: rules know these apart, and no others."""


def events() -> Iterator[ev.AnyEvent]:
    """Every kind of event, with every outcome that is treated in its own way."""
    data = {"kind": a_resource().kind, "name": a_resource().name}
    yield ev.CleanupRequested(**HEAD)
    for digest in (a_source().digest, "new"):
        yield ev.TaskFilesScanned(**HEAD, files={a_source().key: ev.TaskFile(task=a_task(number=9), digest=digest)})
    yield ev.TaskFilesScanned(**HEAD)
    message = {"message_id": "m", "cluster_arn": "c", "container_instance_arn": "i"}
    for desired in (TaskStatus.RUNNING, TaskStatus.STOPPED):
        yield ev.PayloadReceived(**HEAD, **message, sequence_number=3, tasks=(a_task(desired=desired),))
    for running in (frozenset({ONE}), frozenset()):
        yield ev.ManifestReceived(**HEAD, **message, timeline=4, running=running)
    yield ev.StopVerified(**HEAD, message_id="m", task_arns=(ONE,))
    yield ev.CredentialsReceived(**HEAD, message_id="m", credentials=some_credentials())
    yield ev.InstanceRegistered(**HEAD, container_instance_arn="i")
    yield ev.InstanceNotRegistered(**HEAD, obstacle=an_obstacle())
    known = {"attachment_arn": an_attachment().arn}
    yield ev.AttachmentsReceived(**HEAD, **message, attachments=(an_attachment(),))
    yield ev.InterfaceAppeared(**HEAD, **known)
    yield ev.AttachmentAccepted(**HEAD, **known)
    yield ev.AttachmentRefused(**HEAD, **known, failure=a_failure())
    yield ev.AttachmentExpired(**HEAD, **known)
    yield ev.StateChangeAccepted(**HEAD, task_arn=ONE, number=1)
    yield ev.StateChangeRefused(**HEAD, task_arn=ONE, number=1, failure=a_failure())
    yield ev.ManifestResolved(**PLACE, digest="sha256:1")
    yield ev.ImagePullProgressed(
        **PLACE, progress=PullProgress(layers_total=1, layers_done=0, bytes_total=1, bytes_done=0)
    )
    yield ev.ImageCallSlow(**PLACE, image="sample", waited_s=5)
    yield ev.ImagePulled(**PLACE, image=IMAGE)
    yield ev.ContainerCreated(**PLACE, docker_id=ID)
    yield ev.CallCancelled(**PLACE)
    for away in (False, True):
        yield ev.ImageInspected(**PLACE, image=None, is_unreachable=away)
        yield ev.ManifestFailed(**PLACE, error=ERROR, is_unreachable=away)
        yield ev.ImagePullFailed(**PLACE, error=ERROR, is_unreachable=away)
        yield ev.ContainerCreateFailed(**PLACE, error=ERROR, is_unreachable=away)
        yield ev.ContainerStartFailed(**PLACE, error=ERROR, is_unreachable=away)
        yield ev.ContainerStopFailed(**PLACE, error=ERROR, runtime_answers=not away)
        yield ev.ContainerStopFailed(**PLACE, error=ERROR, runtime_answers=False, is_unreachable=away)
        yield ev.ContainerRemoved(**PLACE, error=ERROR, is_unreachable=away)
        yield ev.ResourceCreateFailed(**HEAD, task_arn=ONE, **data, error=ERROR, is_unreachable=away)
        yield ev.ResourceRemoved(**HEAD, task_arn=ONE, **data, error=ERROR, is_unreachable=away)
    yield ev.ImageInspected(**PLACE, image=IMAGE)
    yield ev.ContainerRemoved(**PLACE)
    yield ev.ContainerStopDone(**PLACE, inspection=None)
    for status in SEEN:
        yield ev.ContainerStarted(**PLACE, inspection=an_inspection(status))
        yield ev.ContainerStartFailed(**PLACE, error=ERROR, inspection=an_inspection(status))
        yield ev.ContainerStopDone(**PLACE, inspection=an_inspection(status))
        for why in WHY:
            yield ev.ContainerInspected(**HEAD, docker_id=ID, inspection=an_inspection(status), seen=why)
    for gone, why in itertools.product((False, True), WHY):
        yield ev.ContainerInspected(**HEAD, docker_id=ID, inspection=None, is_not_found=gone, seen=why, exit_code=9)
    for action in RuntimeAction:
        yield ev.RuntimeNoticed(**HEAD, notice=RuntimeNotice(docker_id=ID, action=action, time_ns=0, exit_code=137))
    yield ev.RuntimeListFailed(**HEAD, error=ERROR)
    yield ev.ResourceCreated(**HEAD, task_arn=ONE, **data)
    yield ev.ResourceRemoved(**HEAD, task_arn=ONE, **data)
    yield ev.ImageRemoved(**HEAD, image="ecscope-sample:latest")
    yield ev.OrphanRemoved(**HEAD, docker_id=ID, error=ERROR)
    yield ev.RuntimeConnected(**HEAD, version="20.10", resources=HOST)
    yield ev.RuntimeDisconnected(**HEAD, reason="gone")
    for inspection in (None, *map(an_inspection, SEEN)):
        row = ev.ListedContainer(docker_id=ID, docker_name="ecs-app", task_arn=ONE, inspection=inspection)
        yield ev.RuntimeListed(**HEAD, containers=(row,))
    yield ev.RuntimeListed(**HEAD, containers=())
    for kind in TimerKind:
        yield ev.TimerFired(**HEAD, timer=Timer(kind=kind, task_arn=ONE))


def containers(known: ContainerStatus) -> Iterator[Container]:
    """This status with every call under way, wanted or not, with and without what makes rules differ."""
    for in_flight, desired in itertools.product(IN_FLIGHT, (RUNNING, STOPPED)):
        in_docker = known >= CREATED or in_flight in (RUNNING, STOPPED)
        for fields in (
            {},
            {"die_exit_code": 137, "may_be_running": True, "health_check_is_docker": True},
            {
                "restart_policy": RestartPolicy(enabled=True, restart_attempt_period_s=60),
                "restart_count": 1,
                "last_restarted_at": AT.replace(hour=10),
                "last_started_at": "2024-05-17T10:00:00Z",
                "started_at": "2024-05-17T10:00:00Z",
            },
            {"depends_on": (Dependency(container_name="db", condition=DependencyCondition.SUCCESS),)},
        ):
            yield a_container(
                "app",
                essential=False,
                known=known,
                desired=desired,
                in_flight=in_flight,
                docker_id=ID if in_docker else DockerId(""),
                docker_name="ecs-app" if in_docker or in_flight is CREATED else "",
                **fields,
            )


def states(known: ContainerStatus) -> Iterator[AgentState]:
    db = a_container("db", known=RUNNING, docker_id=DockerId("b" * 64), docker_name="ecs-db")
    # ``due``: a clean-up after the end, and before an image is there another pull behavior; nothing in between.
    for container, connected, due in itertools.product(
        containers(known), (True, False), (False, True) if known < PULLED or known is STOPPED else (False,)
    ):
        is_over = known is STOPPED and due
        others = () if is_over else (db,)
        task: Task = a_task(
            container, *others,
            known=min(task_status_of(known), TaskStatus.RUNNING if others else TaskStatus.STOPPED),
            desired=TaskStatus.RUNNING,
            host_resources=HostResourcesHeld.RELEASED if is_over else HostResourcesHeld.HELD,
            stopped_at=AT if is_over else None, cleanup_due=is_over,
            volumes=(a_volume(docker_name="ecs-data"),),
            resources=(a_resource(), a_resource("/ecs/1", kind=CGROUP, is_lost_by_restart=True)),
        )  # fmt: skip
        behavior = PullBehavior.ONCE if due else PullBehavior.DEFAULT
        state = restored_state(instance=INSTANCE, settings=Settings(pull_behavior=behavior), tasks=[task])
        yield type(state)(
            instance=state.instance, settings=state.settings, tasks=state.tasks, docker_ids=state.docker_ids,
            host=HostResources(cpu_units=1024, memory_mib=1024), taken=state.taken,
            sources={a_source().key: a_source()}, runtime_connected=connected, reconciled=connected,
        )  # fmt: skip


EVENTS = tuple(events())


def test_each_kind_of_event_is_tried() -> None:
    """The pairs with task resources of their own are tried where those are proved."""
    tried = {type(event) for event in EVENTS}
    assert set(ev.AnyEvent.__args__) == tried


@pytest.mark.parametrize("known", list(ContainerStatus), ids=lambda status: status.value)
def test_every_event_in_every_status_keeps_the_invariants(known: ContainerStatus) -> None:
    pairs = 0
    for state in states(known):
        check_state(state)
        for event in EVENTS:
            try:
                decision = decide(state, event)
                check_step(state, decision.state)
            except (AssertionError, InvariantBroken) as error:
                raise AssertionError(f"{event!r} in {state.tasks[ONE].containers[0]!r}") from error
            busy = {c.name for t in state.tasks.values() for c in t.containers if c.in_flight is not None}
            for action in decision.actions:
                if isinstance(action, ContainerAction) and type(action).__name__ != "CancelCall":
                    still = decision.state.tasks[action.task_arn].container(action.container_name)
                    assert still is not None
                    assert still.in_flight is not None, "what is begun is known to be under way"
                    assert action.container_name not in busy or isinstance(event, ev.ContainerEvent), (
                        "a second call is only begun by the end of the first"
                    )
            pairs += 1
    assert pairs > 5_000

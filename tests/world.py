"""A synchronous world around the core: a tiny Docker, a queue of calls, and a store that forgets nothing.

The core is driven event by event; the test decides when a call ends and how. No loop, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ecscope.agent.core import actions as act
from ecscope.agent.core import attachments
from ecscope.agent.core import events as ev
from ecscope.agent.core.decide import decide
from ecscope.agent.core.invariants import check_state, check_step
from ecscope.agent.core.registration import starting
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import ATTACHMENTS_KEY, AgentState, Settings
from ecscope.agent.core.step import Decision
from ecscope.model.arn import DockerId, TaskArn
from ecscope.model.container import ContainerInspection, Health, ImageInspection, NamedError
from ecscope.model.container_instance import ContainerInstance, Obstacle
from ecscope.model.history import HistoryEntry
from ecscope.model.resources import HostResources
from ecscope.model.runtime import RuntimeAction, RuntimeNotice
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from ecscope.model.task import HostResourcesHeld, Task
from ecscope.model.task_resource import CGROUP, VOLUME, ResourceKind
from tests.builders import AT, a_scan, a_task, a_task_file

INSTANCE = ContainerInstance(
    cluster="default",
    arn="arn:aws:ecs:us-west-2:012345678910:container-instance/default/" + "a" * 32,
    agent_version="Amazon ECS Agent - v0.1.0 (00000000)",
)
MESSAGE: dict[str, Any] = {
    "cluster_arn": "arn:aws:ecs:us-west-2:012345678910:cluster/default",
    "container_instance_arn": INSTANCE.arn,
}
HOST = HostResources(cpu_units=4096, memory_mib=8192, ports_tcp=frozenset({22, 51678}))
IMAGE = ImageInspection(
    image_id="sha256:" + "c" * 64, repo_digests=("ecscope-sample@sha256:" + "d" * 64,), size_bytes=1000
)
ERROR = NamedError(name="CannotStartContainerError", message="Error response from daemon: no")


SUBMITTED = "submitted"
"""ID of the payload with which ``World.submit`` hands a task over."""


@dataclass
class Box:
    """One container in the world's Docker."""

    docker_id: DockerId
    name: str
    task_arn: TaskArn
    container_name: str
    status: ContainerStatus = ContainerStatus.CREATED
    exit_code: int | None = None
    starts: int = 0
    ends: int = 0
    health: HealthStatus = HealthStatus.UNKNOWN

    def inspection(self) -> ContainerInspection:
        return ContainerInspection(
            docker_id=self.docker_id,
            docker_name=self.name,
            image_id=IMAGE.image_id,
            status=self.status,
            created_at="2024-05-17T12:00:00.000000001Z",
            started_at=f"2024-05-17T12:00:{self.starts % 60:02d}.000000001Z" if self.starts else "",
            finished_at=f"2024-05-17T12:00:{self.ends % 60:02d}.5Z" if self.ends else "",
            exit_code=self.exit_code if self.status is ContainerStatus.STOPPED else None,
            task_arn=self.task_arn,
            container_name=self.container_name,
            health=Health(status=self.health),
        )


@dataclass
class World:
    """See the module docstring."""

    settings: Settings = field(default_factory=Settings)
    now: datetime = AT
    boxes: dict[str, Box] = field(default_factory=dict)
    """By Docker name."""
    resources: set[tuple[TaskArn, ResourceKind, str]] = field(default_factory=set)
    """Of tasks: what was made and not removed, by kind and name."""
    local_images: bool = True
    calls: list[act.AnyAction] = field(default_factory=list)
    """Runtime calls under way, oldest first."""
    timers: dict[act.Timer, datetime] = field(default_factory=dict)
    notes: list[HistoryEntry] = field(default_factory=list)
    reconnect_wanted: bool = False
    submits: list[act.SubmitTaskStateChange] = field(default_factory=list)
    """State changes under way to ECS."""
    told: list[act.SubmitTaskStateChange] = field(default_factory=list)
    """What ECS has accepted, in order."""
    attachments: list[act.AttachmentAction] = field(default_factory=list)
    """What is awaited, or being told to ECS."""
    acs: list[act.AcknowledgeMessage | act.AcknowledgeCredentials | act.VerifyStop] = field(default_factory=list)
    """What went out over ACS, in order."""
    metadata: dict[str, str] = field(default_factory=dict)
    """What was saved beside records."""
    created: int = 0
    _ids: int = 0
    state: AgentState = field(init=False)

    def __post_init__(self) -> None:
        self.state = restored_state(instance=INSTANCE, settings=self.settings, obstacle=self._obstacle())

    def _obstacle(self) -> Obstacle | None:
        """What an agent begins with."""
        return starting(self.now) if self.settings.joins_cluster else None

    @property
    def volumes(self) -> set[str]:
        """Names of those that were made and not removed."""
        return {name for _, kind, name in self.resources if kind == VOLUME}

    @property
    def cgroups(self) -> set[TaskArn]:
        """Tasks whose cgroup was made and not removed."""
        return {arn for arn, kind, _ in self.resources if kind == CGROUP}

    # --- driving the core ------------------------------------------------------------------------

    def head(self) -> dict[str, Any]:
        self._ids += 1
        return {"id": f"e{self._ids}", "at": self.now}

    def send(self, event: ev.AnyEvent) -> Decision:
        before = self.state
        decision = decide(before, event)
        assert decide(before, event) == decision, "the same input gives the same output"
        check_step(before, decision.state)
        for arn, task in decision.state.tasks.items():
            if before.tasks.get(arn) is not task:
                assert arn in decision.tasks, "every changed task is named, or it would not be saved"
        self.state = decision.state
        self.metadata.update(decision.metadata)
        self.notes.extend(decision.notes)
        for action in decision.actions:
            self._take(action)
        return decision

    def _take(self, action: act.AnyAction) -> None:
        match action:
            case act.SetTimer():
                self.timers[action.timer] = self.now + timedelta(seconds=action.delay_s)
            case act.CancelTimer():
                self.timers.pop(action.timer, None)
            case act.ReconnectRuntime():
                self.reconnect_wanted = True
            case act.ConnectToCluster():
                assert self.state.instance.arn
            case act.SubmitTaskStateChange():
                assert self.state.obstacle is None, "ECS is told nothing before the instance is registered"
                assert action.task_arn not in {s.task_arn for s in self.submits}, "one state change of a task at a time"
                self.submits.append(action)
            case act.AcknowledgeMessage() | act.AcknowledgeCredentials() | act.VerifyStop():
                self.acs.append(action)
            case act.AwaitInterface() | act.SubmitAttachmentStateChange():
                arn = action.attachment_arn
                assert self.state.obstacle is None, "nothing is told before the instance is registered"
                assert arn not in {a.attachment_arn for a in self.attachments}, "one at a time for one attachment"
                self.attachments.append(action)
            case act.CancelCall():
                for call in self.calls:
                    if isinstance(call, act.ContainerAction) and _place(call) == _place(action):
                        self.calls.remove(call)
                        self.send(
                            ev.CallCancelled(
                                **self.head(), task_arn=action.task_arn, container_name=action.container_name
                            )
                        )
                        return
                raise AssertionError(f"nothing to cancel: {action}")
            case _:
                if isinstance(action, act.ContainerAction):
                    clash = [
                        c for c in self.calls if isinstance(c, act.ContainerAction) and _place(c) == _place(action)
                    ]
                    assert not clash, f"two calls at once for one container: {clash} and {action}"
                if isinstance(action, act.ResourceAction):
                    same = [
                        c for c in self.calls if isinstance(c, act.ResourceAction) and _resource(c) == _resource(action)
                    ]
                    assert not same, f"two calls at once for one resource: {same} and {action}"
                assert self.state.runtime_connected, f"a call without a runtime: {action}"
                self.calls.append(action)

    def connect(self) -> None:
        self.reconnect_wanted = False
        self.send(ev.RuntimeConnected(**self.head(), version="20.10", resources=HOST))

    def disconnect(self) -> None:
        """The runtime goes away: its calls fail one by one, later."""
        self.send(ev.RuntimeDisconnected(**self.head(), reason="connection refused"))

    # --- ECS ---------------------------------------------------------------------------------------

    def register(self) -> None:
        self.send(ev.InstanceRegistered(**self.head(), container_instance_arn=INSTANCE.arn))

    def payload(self, *tasks: Task, message_id: str = "m1", **fields: Any) -> None:
        self.send(ev.PayloadReceived(**self.head(), **MESSAGE, message_id=message_id, tasks=tasks, **fields))

    def accept(self, submit: act.SubmitTaskStateChange) -> None:
        """ECS takes a state change, and says so."""
        self.submits.remove(submit)
        self.told.append(submit)
        self.send(ev.StateChangeAccepted(**self.head(), task_arn=submit.task_arn, number=submit.change.number))

    def accept_all(self) -> None:
        while self.submits:
            self.accept(self.submits[0])

    def statuses_told(self, arn: TaskArn) -> list[str]:
        return [s.change.status.value for s in self.told if s.task_arn == arn]

    def submit(self, task: Task) -> None:
        """Hand a task over, as ECS does, or as a task file does without a cluster."""
        if self.settings.joins_cluster:
            self.send(ev.PayloadReceived(**self.head(), **MESSAGE, message_id=SUBMITTED, tasks=(task,)))
            return
        self.send(a_scan(task, **self.head()))

    def stop(self, arn: TaskArn) -> None:
        """Ask for the end of a task, as ECS does, or by removing its task file."""
        if self.settings.joins_cluster:
            self.submit(a_task(arn=arn, desired=TaskStatus.STOPPED))
            return
        left = frozenset(self.state.sources) - {a_task_file(a_task(arn=arn))}
        self.send(ev.TaskFilesScanned(**self.head(), left_alone=left))

    def notice(self, box: Box, action: RuntimeAction) -> None:
        notice = RuntimeNotice(
            docker_id=box.docker_id,
            action=action,
            time_ns=0,
            exit_code=box.exit_code if action is RuntimeAction.DIE else None,
        )
        self.send(ev.RuntimeNoticed(**self.head(), notice=notice))

    # --- the tiny Docker -------------------------------------------------------------------------

    def exits(self, box: Box, code: int, *, noticed: bool = True) -> None:
        """The program of a running container ends."""
        assert box.status is ContainerStatus.RUNNING
        box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, code, box.ends + 1
        if noticed:
            self.notice(box, RuntimeAction.DIE)

    def remove_by_hand(self, box: Box, *, noticed: bool = True) -> None:
        """``docker rm -f``."""
        if box.status is ContainerStatus.RUNNING:
            self.exits(box, 137, noticed=noticed)
        del self.boxes[box.name]
        if noticed:
            self.notice(box, RuntimeAction.DESTROY)

    def box(self, arn: TaskArn, name: str) -> Box:
        found = [b for b in self.boxes.values() if (b.task_arn, b.container_name) == (arn, name)]
        assert len(found) == 1, f"{len(found)} containers for {name} of {arn}"
        return found[0]

    def finish(self, call: act.AnyAction, *, outcome: str = "done", effect: bool = True) -> None:
        """End a call. ``outcome``: done, failed or unreachable; ``effect`` False: it fails before it did anything."""
        self.calls.remove(call)
        failed = {"error": ERROR, "is_unreachable": outcome == "unreachable"}
        happened = self._happen(call) if outcome == "done" or effect else None
        event = self._answer(call, happened) if outcome == "done" else self._failure(call, failed)
        if event is not None:
            self.send(event)

    def _happen(self, call: act.AnyAction) -> Box | None:
        """What the call does to the world."""
        match call:
            case act.CreateContainer():
                task = self.state.tasks[call.task_arn]
                container = task.container(call.container_name)
                assert container is not None
                assert container.docker_name, "the name is saved before the call"
                box = self.boxes.get(container.docker_name)
                if box is None:
                    self.created += 1
                    docker_id = DockerId(f"{self.created:064x}")
                    box = Box(docker_id, container.docker_name, call.task_arn, call.container_name)
                    self.boxes[box.name] = box
                return box
            case act.StartContainer():
                box = self._by_id(call.docker_id)
                if box is not None and box.status is not ContainerStatus.RUNNING:
                    box.status, box.exit_code, box.starts = ContainerStatus.RUNNING, None, box.starts + 1
                return box
            case act.StopContainer():
                box = self._by_id(call.docker_id)
                if box is not None and box.status is ContainerStatus.RUNNING:
                    box.status, box.exit_code, box.ends = ContainerStatus.STOPPED, 143, box.ends + 1
                return box
            case act.RemoveContainer():
                box = self._by_id(call.docker_id) or self.boxes.get(call.docker_id)
                if box is not None:
                    assert box.status is not ContainerStatus.RUNNING, "a running container is never removed"
                    del self.boxes[box.name]
                return None
            case act.CreateResource():
                self.resources.add((call.task_arn, call.kind, call.name))
                return None
            case act.RemoveResource():
                self.resources.discard((call.task_arn, call.kind, call.name))
                return None
            case act.InspectContainer():
                return self._by_id(call.docker_id)
            case _:
                return None

    def _by_id(self, docker_id: str) -> Box | None:
        return next((b for b in self.boxes.values() if b.docker_id == docker_id), None)

    def _answer(self, call: act.AnyAction, box: Box | None) -> ev.AnyEvent | None:
        place: dict[str, Any] = {}
        if isinstance(call, act.ContainerAction):
            place = {"task_arn": call.task_arn, "container_name": call.container_name}
        match call:
            case act.InspectImage():
                return ev.ImageInspected(**self.head(), **place, image=IMAGE if self.local_images else None)
            case act.ResolveManifest():
                return ev.ManifestResolved(**self.head(), **place, digest="sha256:" + "d" * 64)
            case act.PullImage():
                return ev.ImagePulled(**self.head(), **place, image=IMAGE)
            case act.CreateContainer():
                assert box is not None
                return ev.ContainerCreated(**self.head(), **place, docker_id=box.docker_id)
            case act.StartContainer():
                if box is None:
                    return ev.ContainerStartFailed(**self.head(), **place, error=ERROR)
                return ev.ContainerStarted(**self.head(), **place, inspection=box.inspection())
            case act.StopContainer():
                return ev.ContainerStopDone(
                    **self.head(), **place, inspection=box.inspection() if box is not None else None
                )
            case act.RemoveContainer():
                return ev.ContainerRemoved(**self.head(), **place)
            case act.InspectContainer():
                return ev.ContainerInspected(
                    **self.head(),
                    docker_id=call.docker_id,
                    inspection=box.inspection() if box is not None else None,
                    is_not_found=box is None,
                    seen=call.seen,
                    exit_code=call.exit_code,
                )
            case act.CreateResource():
                return ev.ResourceCreated(**self.head(), **_resource(call))
            case act.RemoveResource():
                return ev.ResourceRemoved(**self.head(), **_resource(call))
            case act.RemoveImage():
                return ev.ImageRemoved(**self.head(), image=call.image)
            case act.RemoveOrphan():
                return ev.OrphanRemoved(**self.head(), docker_id=call.docker_id)
            case act.ListContainers():
                rows = tuple(
                    ev.ListedContainer(
                        docker_id=b.docker_id, docker_name=b.name, task_arn=b.task_arn, inspection=b.inspection()
                    )
                    for b in self.boxes.values()
                )
                return ev.RuntimeListed(**self.head(), containers=rows)
            case _:
                raise AssertionError(f"no answer for {call}")

    def _failure(self, call: act.AnyAction, failed: dict[str, Any]) -> ev.AnyEvent | None:
        place: dict[str, Any] = {}
        if isinstance(call, act.ContainerAction):
            place = {"task_arn": call.task_arn, "container_name": call.container_name}
        match call:
            case act.InspectImage():
                return ev.ImageInspected(
                    **self.head(), **place, image=None, is_unreachable=bool(failed["is_unreachable"])
                )
            case act.ResolveManifest():
                return ev.ManifestFailed(**self.head(), **place, **failed)
            case act.PullImage():
                return ev.ImagePullFailed(**self.head(), **place, **failed)
            case act.CreateContainer():
                return ev.ContainerCreateFailed(**self.head(), **place, **failed)
            case act.StartContainer():
                # what really fails in Docker leaves the container not started; what times out may have started it
                box = self._by_id(call.docker_id)
                if box is not None and box.status is ContainerStatus.RUNNING and not failed["is_unreachable"]:
                    failed["error"] = NamedError(
                        name="DockerTimeoutError",
                        message="Could not transition to started; timed out after waiting 3m0s",
                    )
                return ev.ContainerStartFailed(**self.head(), **place, **failed)
            case act.StopContainer():
                return ev.ContainerStopFailed(
                    **self.head(), **place, **failed, runtime_answers=not failed["is_unreachable"]
                )
            case act.RemoveContainer():
                if not failed["is_unreachable"]:  # remembered, and left to those who read the history
                    self.boxes = {n: b for n, b in self.boxes.items() if call.docker_id not in (b.docker_id, n)}
                return ev.ContainerRemoved(**self.head(), **place, **failed)
            case act.InspectContainer():
                return ev.ContainerInspected(
                    **self.head(), docker_id=call.docker_id, inspection=None, seen=call.seen, exit_code=call.exit_code
                )
            case act.CreateResource():
                return ev.ResourceCreateFailed(
                    **self.head(),
                    **_resource(call),
                    error=NamedError(name="VolumeError", message="no driver"),
                    is_unreachable=bool(failed["is_unreachable"]),
                )
            case act.RemoveResource():
                if not failed["is_unreachable"]:  # remembered, and left to those who read the history
                    self.resources.discard((call.task_arn, call.kind, call.name))
                return ev.ResourceRemoved(**self.head(), **_resource(call), **failed)
            case act.ListContainers():
                return ev.RuntimeListFailed(**self.head(), error=ERROR)
            case act.RemoveImage():
                return ev.ImageRemoved(**self.head(), image=call.image, error=ERROR)
            case act.RemoveOrphan():
                return ev.OrphanRemoved(**self.head(), docker_id=call.docker_id, error=ERROR)
            case _:
                raise AssertionError(f"no failure for {call}")

    # --- longer stretches ------------------------------------------------------------------------

    def run_calls(self, limit: int = 1000) -> None:
        """All calls succeed, in order, until none is left."""
        for _ in range(limit):
            if self.reconnect_wanted or not self.state.runtime_connected:
                self.connect()
            if not self.calls:
                return
            self.finish(self.calls[0])
        raise AssertionError(f"calls never end: {self.calls}")

    def advance(self, seconds: float) -> None:
        """Time passes; timers that are due fire."""
        self.now += timedelta(seconds=seconds)
        for timer, at in sorted(self.timers.items(), key=lambda item: item[1]):
            if at <= self.now and self.timers.get(timer) == at:
                del self.timers[timer]
                self.send(ev.TimerFired(**self.head(), timer=timer))

    def restart_agent(self) -> None:
        """kill -9 and start: what was saved is there, what was under way is not."""
        tasks = [msgspec.json.decode(msgspec.json.encode(t), type=Task) for t in self.state.tasks.values()]
        assert tasks == list(self.state.tasks.values()), "save, then load, is identity"
        self.calls.clear()
        self.submits.clear()
        self.attachments.clear()
        self.timers.clear()
        self.state = restored_state(
            instance=INSTANCE,
            settings=self.settings,
            tasks=tasks,
            images=self.state.images.values(),
            sources=self.state.sources.values(),
            obstacle=self._obstacle(),
            manifest_sequence=self.state.manifest_sequence,
            attachments=attachments.restored(self.metadata.get(ATTACHMENTS_KEY, "")),
        )
        check_state(self.state)
        self.connect()
        if self.settings.joins_cluster:
            self.register()

    def task(self, arn: TaskArn) -> Task:
        return self.state.tasks[arn]

    def is_blocked(self, task: Task) -> bool:
        """A task may rest short of its aim only for these reasons."""
        return task.host_resources is HostResourcesHeld.WAITING or any(
            c.definition.depends_on and not c.is_stopped and not c.is_running for c in task.containers
        )

    def assert_at_rest(self) -> None:
        """Everything answered: each task is where it should be, and Docker agrees."""
        assert not self.calls
        for task in self.state.tasks.values():
            if task.desired is TaskStatus.STOPPED:
                assert task.known is TaskStatus.STOPPED, f"{task.arn} never stopped: {task.containers}"
            elif task.known < TaskStatus.RUNNING:
                assert self.is_blocked(task), f"{task.arn} stuck: {task.containers}"
            for container in task.containers:
                boxes = [b for b in self.boxes.values() if (b.task_arn, b.container_name) == (task.arn, container.name)]
                assert len(boxes) <= 1, f"{container.name} of {task.arn} exists twice"
                if boxes and boxes[0].status is ContainerStatus.RUNNING:
                    assert container.is_running, f"{container.name} of {task.arn} runs but is {container.known}"
        for box in self.boxes.values():
            assert box.task_arn in self.state.tasks, f"container {box.name} has no task"


def _place(call: act.ContainerAction) -> tuple[TaskArn, str]:
    return call.task_arn, call.container_name


def _resource(call: act.ResourceAction) -> dict[str, Any]:
    return {"task_arn": call.task_arn, "kind": call.kind, "name": call.name}

"""Any order of events leaves the invariants whole, and an answering world brings every task home."""

from __future__ import annotations

import itertools
from datetime import timedelta

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ecscope.agent.core.actions import AwaitInterface, ContainerAction, StartContainer, StopContainer, VerifyStop
from ecscope.agent.core.events import (
    AttachmentAccepted,
    AttachmentExpired,
    AttachmentRefused,
    AttachmentsReceived,
    InterfaceAppeared,
    ManifestReceived,
    StateChangeAccepted,
    StateChangeRefused,
    StopVerified,
    UnreadableTask,
)
from ecscope.agent.core.invariants import check_state
from ecscope.agent.core.state import PullBehavior, Settings
from ecscope.model.container import Container, Dependency, DependencyCondition, PortMapping, RestartPolicy
from ecscope.model.runtime import RuntimeAction
from ecscope.model.status import ContainerStatus, HealthStatus, TaskStatus
from tests.builders import a_container, a_failure, a_task, a_volume, an_arn, an_attachment
from tests.examples import examples
from tests.world import MESSAGE, World

NAMES = ("a", "b", "c")


@st.composite
def some_containers(draw: st.DrawFn) -> tuple[Container, ...]:
    count = draw(st.integers(1, 3))
    made = []
    for i in range(count):
        earlier = NAMES[:i]
        depends_on: tuple[Dependency, ...] = ()
        if earlier and draw(st.booleans()):
            depends_on = (
                Dependency(
                    container_name=draw(st.sampled_from(earlier)),
                    condition=draw(
                        st.sampled_from(
                            [
                                DependencyCondition.START,
                                DependencyCondition.COMPLETE,
                                DependencyCondition.SUCCESS,
                                DependencyCondition.HEALTHY,
                                DependencyCondition.CREATE,
                            ]
                        )
                    ),
                ),
            )
        policy = None
        if draw(st.booleans()):
            policy = RestartPolicy(enabled=True, ignored_exit_codes=(0,), restart_attempt_period_s=60)
        ports = (PortMapping(container_port=80, host_port=draw(st.sampled_from([8080, 8081, 0]))),)
        made.append(
            a_container(
                NAMES[i],
                essential=draw(st.booleans()) or i == 0,
                depends_on=depends_on,
                restart_policy=policy,
                port_mappings=ports if draw(st.booleans()) else (),
                memory_mib=draw(st.sampled_from([0, 100, 5000])),
                health_check_is_docker=draw(st.booleans()),
                start_timeout_s=draw(st.sampled_from([None, 30])),
            )
        )
    return tuple(made)


class CoreMachine(RuleBasedStateMachine):
    joins_cluster = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            settings=Settings(
                pull_behavior=PullBehavior.DEFAULT,
                cleanup_wait_s=600.0,
                cgroup_version=1,
                joins_cluster=self.joins_cluster,
                reports_at_once=2,
            )
        )
        self.number = 0
        self.seen: set[str] = set()
        self.world.connect()

    # --- what is asked for ---

    @precondition(lambda self: self.number < 4)
    @rule(containers=some_containers(), volume=st.booleans())
    def submit(self, containers: tuple[Container, ...], volume: bool) -> None:
        self.number += 1
        volumes = (a_volume("data", docker_name=f"ecs-data-{self.number}"),) if volume else ()
        named = (msgspec.structs.replace(c, name_suffix=f"{self.number:019x}{c.name}") for c in containers)
        self.world.submit(a_task(*named, number=self.number, volumes=volumes))

    @precondition(lambda self: self.world.state.tasks)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self.world.stop(data.draw(st.sampled_from(list(self.world.state.tasks))))

    @precondition(lambda self: self.world.state.tasks)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        self.world.submit(data.draw(st.sampled_from(list(self.world.state.tasks.values()))))

    # --- calls end ---

    @precondition(lambda self: self.world.calls)
    @rule(data=st.data(), outcome=st.sampled_from(["done"] * 6 + ["failed", "unreachable"]), effect=st.booleans())
    def call_ends(self, data: st.DataObject, outcome: str, effect: bool) -> None:
        call = data.draw(st.sampled_from(self.world.calls))
        if outcome == "failed" and not isinstance(call, StartContainer):
            effect = False  # what Docker refuses has no effect; only a time-out of a start is not sure
        if outcome == "failed" and isinstance(call, StopContainer):
            effect = True  # a stop that fails for good is taken as stopped; a world in which it is not has lost
        self.world.finish(call, outcome=outcome, effect=effect)

    @precondition(lambda self: self.world.calls)
    @rule(count=st.integers(1, 6))
    def calls_succeed(self, count: int) -> None:
        for _ in range(count):
            if self.world.calls:
                self.world.finish(self.world.calls[0])

    # --- what happens by itself ---

    def running(self) -> list:
        return [b for b in self.world.boxes.values() if b.status is ContainerStatus.RUNNING]

    @precondition(lambda self: self.running())
    @rule(data=st.data(), code=st.sampled_from([0, 1, 137]), noticed=st.booleans())
    def container_exits(self, data: st.DataObject, code: int, noticed: bool) -> None:
        # a notice can only be missed while the stream is down
        noticed = noticed or self.world.state.runtime_connected
        self.world.exits(data.draw(st.sampled_from(self.running())), code, noticed=noticed)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), healthy=st.booleans())
    def health_changes(self, data: st.DataObject, healthy: bool) -> None:
        box = data.draw(st.sampled_from(self.running()))
        box.health = HealthStatus.HEALTHY if healthy else HealthStatus.UNHEALTHY
        self.world.notice(box, RuntimeAction.HEALTH)

    @precondition(lambda self: self.world.boxes)
    @rule(data=st.data())
    def removed_by_hand(self, data: st.DataObject) -> None:
        box = data.draw(st.sampled_from(list(self.world.boxes.values())))
        self.world.remove_by_hand(box, noticed=self.world.state.runtime_connected)

    @precondition(lambda self: self.world.boxes)
    @rule(data=st.data(), action=st.sampled_from(list(RuntimeAction)))
    def notice_repeated(self, data: st.DataObject, action: RuntimeAction) -> None:
        box = data.draw(st.sampled_from(list(self.world.boxes.values())))
        if action is RuntimeAction.DIE and box.status is not ContainerStatus.STOPPED:
            return  # Docker repeats and delays, but does not lie
        if action is RuntimeAction.DESTROY:
            return
        self.world.notice(box, action)

    @rule(seconds=st.sampled_from([1.0, 40.0, 400.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    # --- faults ---

    @rule()
    def runtime_goes(self) -> None:
        self.world.disconnect()

    @rule()
    def runtime_comes(self) -> None:
        if not self.world.state.runtime_connected:
            # whatever was asked of the old connection fails first, as it does for real
            for call in [c for c in self.world.calls if not isinstance(c, ContainerAction)]:
                self.world.calls.remove(call)
            for call in list(self.world.calls):
                if call in self.world.calls:
                    self.world.finish(call, outcome="unreachable", effect=False)
            self.world.connect()

    @rule(data=st.data())
    def agent_killed(self, data: st.DataObject) -> None:
        # calls under way may or may not have had their effect
        for call in list(self.world.calls):
            if data.draw(st.booleans()):
                self.world._happen(call)
        self.world.restart_agent()

    @invariant()
    def holds(self) -> None:
        check_state(self.world.state)

    def teardown(self) -> None:
        """If the world answers from here on, every task arrives."""
        world = self.world
        # the regular look at quiet tasks, and time-outs of dependencies
        for _ in range(3):
            world.run_calls()
            world.restart_agent()
            world.run_calls()
        world.assert_at_rest()
        for arn in list(world.state.tasks):
            world.stop(arn)
        world.run_calls()
        world.accept_all()
        world.run_calls()
        world.assert_at_rest()
        assert all(t.known is TaskStatus.STOPPED for t in world.state.tasks.values())
        assert world.state.taken == type(world.state.taken)()
        for _ in range(3):
            world.advance(4000)
            world.run_calls()
        assert not world.state.tasks, "clean-up forgets every stopped task"
        assert not world.boxes, f"left behind: {world.boxes}"
        assert not world.cgroups, f"left behind: {world.cgroups}"


class JoinedCoreMachine(CoreMachine):
    """The same, with ECS to tell: every task's end reaches it, in order, whatever comes between."""

    joins_cluster = True

    def __init__(self) -> None:
        super().__init__()
        self.world.register()

    @precondition(lambda self: self.number < 4)
    @rule(containers=some_containers(), desired=st.sampled_from([TaskStatus.RUNNING] * 4 + [TaskStatus.STOPPED]))
    def payload(self, containers: tuple[Container, ...], desired: TaskStatus) -> None:
        self.number += 1
        named = (msgspec.structs.replace(c, name_suffix=f"{self.number:019x}{c.name}") for c in containers)
        task = a_task(*named, number=self.number, desired=desired, unsupported="x" if self.number == 3 else "")
        unreadable = (UnreadableTask(task_arn=an_arn(9), error="no containers"),) if self.number == 2 else ()
        acked = len(self.world.acs)
        self.world.payload(task, message_id=f"m{self.number}", sequence_number=self.number, unreadable=unreadable)
        assert (len(self.world.acs) > acked) is not bool(unreadable)

    @rule(timeline=st.integers(0, 6), data=st.data())
    def manifest(self, timeline: int, data: st.DataObject) -> None:
        arns = sorted(self.world.state.tasks)
        running = frozenset(data.draw(st.sets(st.sampled_from(arns)))) if arns else frozenset()
        self.world.send(
            ManifestReceived(**self.world.head(), **MESSAGE, message_id="f", timeline=timeline, running=running)
        )

    @rule(data=st.data())
    def stop_verified(self, data: st.DataObject) -> None:
        asked = [a for a in self.world.acs if isinstance(a, VerifyStop)]
        arns = asked[-1].task_arns if asked else (an_arn(1),)
        self.world.send(StopVerified(**self.world.head(), message_id="f", task_arns=arns))

    @precondition(lambda self: self.world.submits)
    @rule(data=st.data(), accepted=st.sampled_from([True] * 5 + [False]))
    def ecs_answers(self, data: st.DataObject, accepted: bool) -> None:
        submit = data.draw(st.sampled_from(self.world.submits))
        if accepted:
            self.world.accept(submit)
        else:
            self.world.submits.remove(submit)
            self.world.send(
                StateChangeRefused(
                    **self.world.head(), task_arn=submit.task_arn, number=submit.change.number, failure=a_failure()
                )
            )

    @rule(number=st.integers(1, 3), seconds=st.sampled_from([1, 300]))
    def interface_is_attached(self, number: int, seconds: int) -> None:
        attachment = an_attachment(number, expires_at=self.world.now + timedelta(seconds=seconds))
        self.world.send(AttachmentsReceived(**self.world.head(), **MESSAGE, message_id="a", attachments=(attachment,)))

    @precondition(lambda self: self.world.attachments)
    @rule(data=st.data(), in_time=st.sampled_from([True] * 3 + [False]), accepted=st.booleans())
    def attachment_is_answered(self, data: st.DataObject, in_time: bool, accepted: bool) -> None:
        action = data.draw(st.sampled_from(self.world.attachments))
        self.world.attachments.remove(action)
        place = {**self.world.head(), "attachment_arn": action.attachment_arn}
        if not in_time:
            self.world.send(AttachmentExpired(**place))
        elif isinstance(action, AwaitInterface):
            self.world.send(InterfaceAppeared(**place))
        elif accepted:
            self.world.send(AttachmentAccepted(**place))
        else:
            self.world.send(AttachmentRefused(**place, failure=a_failure()))

    @invariant()
    def each_attachment_is_awaited_or_told_once(self) -> None:
        assert {a.attachment_arn for a in self.world.attachments} == set(self.world.state.attachments)

    @rule(number=st.integers(0, 5))
    def late_answer(self, number: int) -> None:
        if all((s.task_arn, s.change.number) != (an_arn(1), number) for s in self.world.submits):
            self.world.send(StateChangeAccepted(**self.world.head(), task_arn=an_arn(1), number=number))

    @invariant()
    def is_told_in_order(self) -> None:
        self.seen |= set(self.world.state.tasks)
        for arn in self.seen:
            numbers = [s.change.number for s in self.world.told if s.task_arn == arn]
            assert all(a <= b for a, b in itertools.pairwise(numbers)), "a change may be told twice, never out of order"
            order = ["PENDING", "RUNNING", "STOPPED"]
            ranks = [order.index(status) for status in self.world.statuses_told(arn)]
            assert ranks == sorted(ranks), "no status after a later one"


JoinedCoreMachine.TestCase.settings = settings(
    max_examples=examples(80), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJoinedCore = JoinedCoreMachine.TestCase

CoreMachine.TestCase.settings = settings(
    max_examples=examples(80), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCore = CoreMachine.TestCase

"""A cluster in memory for tests of services: events in, time as told, agents that do what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from ecscope.control.core.effects import AnyEffect, WakeAt
from ecscope.control.core.events import AnyEvent, ApiRequest, TimePassed
from ecscope.control.core.invariants import check_state, check_step
from ecscope.control.core.records import Deployment, Instance, Json, Service, Task
from ecscope.control.core.restore import restored_state
from ecscope.control.core.services import settle
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.statuses import StopCode
from ecscope.control.core.step import Decision, Step
from ecscope.control.core.tasks import ContainerReport, Report, heal, report, stop
from ecscope.control.decide import decide
from ecscope.model.status import HealthStatus, ReportedStatus
from tests.control_builders import AT, AT_ONCE, PRINCIPAL, a_cluster, a_task_definition, an_instance

T = TypeVar("T")


class World:
    """Cluster ``default``, with definitions ``sample:1`` and ``sample:2``, and instances that are connected."""

    def __init__(self, *, instances: Iterable[Instance] | int = 1, settings: Settings = AT_ONCE) -> None:
        if isinstance(instances, int):
            instances = [an_instance(number + 1) for number in range(instances)]
        self.at = AT
        self.state = ControlState(settings=settings)
        self.saved: dict[str, dict[str, Any]] = {}
        self.effects: list[AnyEffect] = []
        self.alarm: datetime | None = None
        """The one that the process has set: an earlier one stays."""
        self._events = 0

        def begin(step: Step) -> None:
            step.clusters.put("default", a_cluster())
            step.put_task_definition(a_task_definition(revision=1))
            step.put_task_definition(a_task_definition(revision=2))
            for instance in instances:
                step.instances.put(instance.arn, instance)

        self.do(begin)

    # --- events ------------------------------------------------------------------------------------

    def ask(self, action: str, **body: Any) -> Json:
        """A client's request. Raises ``ApiError``."""
        event = ApiRequest(id=self._new_id(), at=self.at, action=action, principal_arn=PRINCIPAL, body=body)
        return self._take(decide(self.state, event)).answer or {}

    def do(self, change: Callable[[Step], T]) -> T:
        """Whatever a test wants to happen, as one event."""
        step = Step(self.state, ApiRequest(id=self._new_id(), at=self.at, action="", principal_arn="", body={}))
        result = change(step)
        settle(step)
        self._take(step.decision())
        return result

    def pass_time(self, seconds: float) -> None:
        """Until then, wake whenever somebody wanted to be woken, and at the end."""
        end = self.at + timedelta(seconds=seconds)
        while self.alarm is not None and self.alarm <= end:
            self.at, self.alarm = max(self.at, self.alarm), None
            self.wake()
        self.at = end
        self.wake()

    def wake(self) -> None:
        self.hear(TimePassed(id=self._new_id(), at=self.at))

    def restart(self) -> None:
        """The process is killed, and a new one begins with what was saved; then the agents come back."""
        saved = {table: tuple(rows.values()) for table, rows in self.saved.items()}
        records: dict[str, Any] = {table: rows for table, rows in saved.items() if table not in ("tokens", "meta")}
        connections = {instance.arn: instance.connection_id for instance in self.state.instances.values()}
        self.state = restored_state(settings=self.state.settings, **records)
        self.alarm = None
        self.wake()
        for arn, connection_id in connections.items():
            self.change_instance(arn, connection_id=connection_id)

    def change_instance(self, arn: str, **fields: Any) -> None:
        self.do(lambda step: step.instances.put(arn, msgspec.structs.replace(step.instances[arn], **fields)))

    def hear(self, event: AnyEvent) -> None:
        """Any event."""
        self._take(decide(self.state, event))

    def _take(self, decision: Decision) -> Decision:
        check_step(self.state, decision.state)
        check_state(decision.state)
        self.state = decision.state
        for table, rows in decision.records.items():
            saved = self.saved.setdefault(table, {})
            for key, row in rows.items():
                if row is None:
                    saved.pop(key, None)
                else:
                    saved[key] = row
        self.effects += decision.effects
        for effect in decision.effects:
            if isinstance(effect, WakeAt) and (self.alarm is None or effect.at < self.alarm):
                self.alarm = effect.at
        return decision

    def _new_id(self) -> str:
        self._events += 1
        return f"{self._events:032x}"

    # --- agents ------------------------------------------------------------------------------------

    def run(self, *tasks: Task) -> None:
        """Their containers have started."""
        for task in tasks:
            self._report(task, Report(status=ReportedStatus.RUNNING))

    def exit(self, *tasks: Task, code: int = 1) -> None:
        """Their container has ended by itself, or did what it was told."""
        for task in tasks:
            containers = (ContainerReport(name="app", status=ReportedStatus.STOPPED, exit_code=code),)
            self._report(task, Report(status=ReportedStatus.STOPPED, containers=containers))

    def heal(self, task: Task, health: HealthStatus) -> None:
        self.do(lambda step: heal(step, step.tasks[task.arn], "app", health))

    def user_stops(self, task: Task) -> None:
        self.do(
            lambda step: stop(step, step.tasks[task.arn], code=StopCode.USER_INITIATED, reason="Task stopped by user")
        )

    def obey(self) -> bool:
        """The agents do all they were told; whether that was anything."""
        pending, stopping = self.pending(), self.stopping()
        self.run(*pending)
        self.exit(*stopping, code=0)
        return bool(pending or stopping)

    def obey_until_quiet(self, *, check: Callable[[], object] = lambda: None) -> None:
        """The agents do what they are told until there is nothing more; ``check`` after each report."""
        for _ in range(1000):
            told = self.pending() or self.stopping()
            if not told:
                return
            if told[0].desired_status == "RUNNING":
                self.run(told[0])
            else:
                self.exit(told[0], code=0)
            check()
        raise AssertionError("it never ends")

    def _report(self, task: Task, told: Report) -> None:
        self.do(lambda step: report(step, step.tasks[task.arn], told))
        if self.state.tasks[task.arn].last_status == "DEPROVISIONING":
            self.wake()

    # --- what is there -----------------------------------------------------------------------------

    def service(self, name: str = "web") -> Service:
        return next(service for service in self.state.services.values() if service.name == name)

    def deployment(self) -> Deployment:
        return self.service().deployments[0]

    def messages(self) -> list[str]:
        """Oldest first, without the service's name; IDs are left as they are."""
        return [event.message.removeprefix("(service web) ") for event in reversed(self.service().events)]

    def tasks(self) -> list[Task]:
        """Those of all services that are not STOPPED, oldest first."""
        alive = (task for task in self.state.tasks.values() if task.service_arn and not task.is_stopped)
        return sorted(alive, key=lambda task: (task.created_at, task.arn))

    def wanted(self) -> list[Task]:
        return [task for task in self.tasks() if task.desired_status == "RUNNING"]

    def running(self) -> list[Task]:
        return [task for task in self.wanted() if task.last_status == "RUNNING"]

    def pending(self) -> list[Task]:
        return [task for task in self.wanted() if task.last_status.is_pending]

    def stopping(self) -> list[Task]:
        return [task for task in self.tasks() if task.desired_status == "STOPPED"]

    def described(self, name: str = "web") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.ask("DescribeServices", services=[name])["services"][0]
        return found

    def is_stable(self, name: str = "web") -> bool:
        """What the waiter ServicesStable looks for."""
        shown = self.described(name)
        return len(shown["deployments"]) == 1 and shown["runningCount"] == shown["desiredCount"]


def definition_of(task: Task) -> str:
    """``family:revision``."""
    return task.definition_arn.rsplit("/", 1)[-1]

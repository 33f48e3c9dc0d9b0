"""A control plane with simulated agents, for tests: messages get lost, come late or twice, and either end restarts.

Every decision is held to the invariants, and what is saved is always the state that is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ecscope.control.core.effects import ConfirmStop, Disconnect, SendManifest, SendPayload
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    AnyEvent,
    ApiRequest,
    MessageAcknowledged,
    StopVerificationAsked,
    TimePassed,
)
from ecscope.control.core.invariants import check_state, check_step
from ecscope.control.core.records import Cluster, Instance, Json, Record, Service, Task, TaskDefinition, Token
from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import LAST_ADDRESS_KEY, Decision
from ecscope.control.decide import decide
from ecscope.model.arn import TaskArn
from tests.control_builders import AT, MODEL, PRINCIPAL

_RECORDS: Mapping[str, type[Record]] = {
    "clusters": Cluster,
    "task_definitions": TaskDefinition,
    "instances": Instance,
    "tasks": Task,
    "services": Service,
    "tokens": Token,
}


class AgentTask:
    """A task as its agent knows it."""

    def __init__(self) -> None:
        self.wants_stop = False
        self.status = "PENDING"


class SimulatedAgent:
    """What stands for an agent: its tasks outlive its connections."""

    def __init__(self, instance_arn: str) -> None:
        self.instance_arn = instance_arn
        self.connection_id = ""
        self.inbox: list[SendPayload | SendManifest | ConfirmStop] = []
        self.acks: list[str] = []
        self.tasks: dict[TaskArn, AgentTask] = {}
        self.newest_sequence = -1
        self.reports: list[tuple[TaskArn, Json]] = []
        """Made and not yet heard for certain, in the order in which they were made."""


class ControlWorld:
    """See the module docstring."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.state = ControlState(settings=self.settings)
        self.saved: dict[str, dict[str, bytes]] = {}
        self.sequence = self.last_address = 0
        self.now: datetime = AT
        self.agents: dict[str, SimulatedAgent] = {}
        self.forgotten_early: list[TaskArn] = []
        """Tasks that a client was told of, and that were gone before they had been STOPPED for long enough."""
        self._events = 0
        self._connections = 0

    # --- events ------------------------------------------------------------------------------------

    def ask(self, action: str, **body: Any) -> Any:
        """The answer, held to the model. Raises ``ApiError``, after which nothing has changed."""
        before = self.state
        request = ApiRequest(**self._stamp(), action=action, principal_arn=PRINCIPAL, body=body)
        try:
            answer = self._take(request).answer
        except ApiError:
            assert self.state is before
            raise
        MODEL.check_output(action, answer)
        return answer

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._take(TimePassed(**self._stamp()))

    def _stamp(self) -> dict[str, Any]:
        self._events += 1
        return {"id": f"{self._events:032x}", "at": self.now}

    def _take(self, event: AnyEvent) -> Decision:
        before = self.state
        decision = decide(before, event)
        assert decide(before, event) == decision, "the same event gives the same decision"
        check_step(before, decision.state)
        check_state(decision.state)
        kept = timedelta(seconds=self.settings.stopped_kept_s)
        for arn, task in before.tasks.items():
            if arn not in decision.state.tasks and (task.stopped_at is None or self.now - task.stopped_at < kept):
                self.forgotten_early.append(arn)
        self._save(decision)
        self.state = decision.state
        for effect in decision.effects:
            self._act(effect)
        return decision

    def _act(self, effect: object) -> None:
        if isinstance(effect, Disconnect):
            agent = self.agents.get(effect.instance_arn)
            if agent is not None and effect.connection_id in ("", agent.connection_id):
                self._cut(agent)
        elif isinstance(effect, SendPayload | SendManifest | ConfirmStop):
            agent = self.agents[effect.instance_arn]
            if agent.connection_id:
                agent.inbox.append(effect)

    # --- what is saved -----------------------------------------------------------------------------

    def _save(self, decision: Decision) -> None:
        for name, rows in decision.records.items():
            if name == "meta":
                sequence = rows.get("sequence", self.sequence)
                last_address = rows.get(LAST_ADDRESS_KEY, self.last_address)
                assert isinstance(sequence, int)
                assert isinstance(last_address, int)
                self.sequence, self.last_address = sequence, last_address
                continue
            table = self.saved.setdefault(name, {})
            for key, row in rows.items():
                if row is None:
                    table.pop(key, None)
                else:
                    table[key] = msgspec.json.encode(row)

    def _loaded(self) -> ControlState:
        tables: dict[str, dict[str, Any]] = {
            name: {key: msgspec.json.decode(row, type=kind) for key, row in self.saved.get(name, {}).items()}
            for name, kind in _RECORDS.items()
        }
        return restored_state(
            settings=self.settings,
            clusters=tables["clusters"].values(),
            task_definitions=tables["task_definitions"].values(),
            instances=tables["instances"].values(),
            tasks=tables["tasks"].values(),
            services=tables["services"].values(),
            tokens=tables["tokens"],
            sequence=self.sequence,
            last_address=self.last_address,
        )

    def restart(self) -> None:
        """The control plane is killed and comes again: what was on its way is lost, and nobody is connected."""
        state = self._loaded()
        check_state(state)
        assert dict(state.tasks) == dict(self.state.tasks), "what was published is what was saved"
        assert state.sequence == self.state.sequence
        self.state = state
        for agent in self.agents.values():
            agent.connection_id = ""
            agent.inbox.clear()
            agent.acks.clear()

    # --- agents ------------------------------------------------------------------------------------

    def register(self, **body: Any) -> SimulatedAgent:
        shown = self.ask("RegisterContainerInstance", **body)["containerInstance"]
        arn = shown["containerInstanceArn"]
        return self.agents.setdefault(arn, SimulatedAgent(arn))

    def connect(self, agent: SimulatedAgent) -> None:
        """Also while an older connection is open, as two agents with one ARN do."""
        agent.inbox.clear()
        agent.acks.clear()
        self._connections += 1
        connection_id = f"c{self._connections}"
        old, agent.connection_id = agent.connection_id, connection_id
        self._take(
            AgentConnected(
                **self._stamp(),
                instance_arn=agent.instance_arn,
                connection_id=connection_id,
                version_info={},
                wants_credentials=False,
            )
        )
        if old:
            self._disconnected(agent, old)  # its end is heard late

    def disconnect(self, agent: SimulatedAgent) -> None:
        """Nothing when it is not connected."""
        old = agent.connection_id
        if not old:
            return
        self._cut(agent)
        self._disconnected(agent, old)

    def _cut(self, agent: SimulatedAgent) -> None:
        agent.connection_id = ""
        agent.inbox.clear()
        agent.acks.clear()

    def _disconnected(self, agent: SimulatedAgent, connection_id: str) -> None:
        event = AgentDisconnected(**self._stamp(), instance_arn=agent.instance_arn, connection_id=connection_id)
        self._take(event)

    def hear(self, agent: SimulatedAgent) -> None:
        """The agent takes the next message that reached it."""
        message = agent.inbox.pop(0)
        match message:
            case SendPayload():
                agent.newest_sequence = max(agent.newest_sequence, message.sequence)
                for arn in message.task_arns:
                    held = agent.tasks.setdefault(arn, AgentTask())
                    task = self.state.tasks.get(arn)
                    held.wants_stop = held.wants_stop or task is None or task.desired_status == "STOPPED"
                agent.acks.append(message.message_id)
            case SendManifest():
                if message.timeline <= agent.newest_sequence:
                    return
                agent.newest_sequence = message.timeline
                stray = tuple(
                    arn
                    for arn, held in agent.tasks.items()
                    if not held.wants_stop and held.status != "STOPPED" and arn not in message.task_arns
                )
                if stray:
                    self._take(
                        StopVerificationAsked(
                            **self._stamp(),
                            instance_arn=agent.instance_arn,
                            message_id=message.message_id,
                            task_arns=stray,
                        )
                    )
            case ConfirmStop():
                for arn in message.task_arns:
                    agent.tasks[arn].wants_stop = True

    def acknowledge(self, agent: SimulatedAgent) -> None:
        message_id = agent.acks.pop(0)
        self._take(MessageAcknowledged(**self._stamp(), instance_arn=agent.instance_arn, message_id=message_id))

    def progress(self, agent: SimulatedAgent, arn: TaskArn, status: str, exit_code: int | None = None) -> None:
        """A task gets on, which makes a report that is still to be delivered."""
        agent.tasks[arn].status = status
        container: dict[str, Any] = {"containerName": "app", "status": status}
        if exit_code is not None:
            container["exitCode"] = exit_code
        agent.reports.append((arn, {"status": status, "reason": "", "containers": [container]}))

    def deliver(self, agent: SimulatedAgent, index: int, *, again: bool) -> None:
        """A report arrives, and maybe the answer to it does not: then it comes again."""
        arn, body = agent.reports[index] if again else agent.reports.pop(index)
        try:
            self.ask("SubmitTaskStateChange", task=arn, **body)
        except ApiError as error:
            assert arn not in self.state.tasks, error

    # --- a world that answers ----------------------------------------------------------------------

    def calm_down(self) -> None:
        """Every agent comes back, takes and acknowledges all, does what it is told, and reports it."""
        for agent in self.agents.values():
            if self.state.instances[agent.instance_arn].status != "INACTIVE":
                self.connect(agent)
        for _ in range(1000):
            if not any(self._calm_down_a_bit(agent) for agent in self.agents.values()):
                return
        raise AssertionError("the world does not come to rest")

    def _calm_down_a_bit(self, agent: SimulatedAgent) -> bool:
        if agent.inbox:
            self.hear(agent)
        elif agent.acks:
            self.acknowledge(agent)
        elif due := [arn for arn, held in agent.tasks.items() if held.wants_stop and held.status != "STOPPED"]:
            self.progress(agent, due[0], "STOPPED", 137)
        elif agent.reports:
            self.deliver(agent, 0, again=False)
        else:
            return False
        return True

"""Whatever the order of requests, reports, losses and restarts: the control plane's books hold, and tasks come home."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ecscope.control.core.errors import ApiError
from ecscope.control.core.records import TaskDefinition
from tests.control_agents import ControlWorld, SimulatedAgent
from tests.control_builders import a_cluster, a_task_definition
from tests.examples import examples

PORTS = [8080, 8081]
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 1000},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
]
STRATEGIES: list[list[dict[str, str]]] = [
    [],
    [{"type": "spread", "field": "instanceId"}],
    [{"type": "binpack", "field": "cpu"}],
]


def definitions() -> list[TaskDefinition]:
    """Small and large ones, with and without a port of the host."""
    made = [a_task_definition("large")]
    (container,) = made[0].body["containerDefinitions"]
    made[0] = a_task_definition(
        "large", body={**made[0].body, "containerDefinitions": [{**container, "cpu": 500, "memory": 400}]}
    )
    made.append(a_task_definition("small"))
    for port in PORTS:
        mapping = {"containerPort": 80, "hostPort": port, "protocol": "tcp"}
        body = {**made[1].body, "containerDefinitions": [{**container, "portMappings": [mapping]}]}
        made.append(a_task_definition(f"port-{port}", body=body))
    return made


class ControlMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = ControlWorld()
        self.tokens = 0

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        self.world.state = msgspec.structs.replace(
            self.world.state,
            clusters={"default": a_cluster()},
            task_definitions={definition.arn: definition for definition in definitions()},
        )
        self.world.saved["clusters"] = {"default": msgspec.json.encode(a_cluster())}
        self.world.saved["task_definitions"] = {
            definition.arn: msgspec.json.encode(definition) for definition in definitions()
        }
        for number in range(count):
            self.register_anew(number)
        for agent in self.agents:
            self.world.connect(agent)

    def register_anew(self, number: int) -> None:
        self.world.register(
            clientToken=f"agent-{number}",
            totalResources=RESOURCES,
        )

    @property
    def agents(self) -> list[SimulatedAgent]:
        return list(self.world.agents.values())

    def pick(self, data: st.DataObject, *, having: str = "") -> SimulatedAgent:
        """An agent, of which something is wanted."""
        return data.draw(st.sampled_from([a for a in self.agents if not having or getattr(a, having)]))

    def some_have(self, what: str) -> bool:
        return any(getattr(agent, what) for agent in self.agents)

    # --- users ------------------------------------------------------------------------------------

    @rule(
        family=st.sampled_from(["small", "large", "port-8080", "port-8081"]),
        count=st.integers(1, 4),
        strategy=st.sampled_from(STRATEGIES),
        distinct=st.booleans(),
        twice=st.booleans(),
    )
    def run_task(self, family: str, count: int, strategy: list[dict[str, str]], *, distinct: bool, twice: bool) -> None:
        self.tokens += 1
        body = {
            "taskDefinition": family,
            "count": count,
            "placementStrategy": strategy,
            "placementConstraints": [{"type": "distinctInstance"}] if distinct else [],
            "clientToken": str(self.tokens),
        }
        with suppress(ApiError):  # there may be no instance
            answer = self.world.ask("RunTask", **body)
            for task in answer["tasks"] if distinct else ():
                assert self.world.state.groups_on[task["containerInstanceArn"]][task["group"]] == 1
            if twice:
                assert self.world.ask("RunTask", **body)["tasks"] == answer["tasks"]

    @rule(data=st.data())
    @precondition(lambda self: self.world.state.tasks)
    def stop_task(self, data: st.DataObject) -> None:
        arn = data.draw(st.sampled_from(sorted(self.world.state.tasks)))
        assert self.world.ask("StopTask", task=arn)["task"]["desiredStatus"] == "STOPPED"

    # --- agents -----------------------------------------------------------------------------------

    @rule(data=st.data())
    @precondition(lambda self: self.some_have("inbox"))
    def hear(self, data: st.DataObject) -> None:
        self.world.hear(self.pick(data, having="inbox"))

    @rule(data=st.data())
    @precondition(lambda self: self.some_have("acks"))
    def acknowledge(self, data: st.DataObject) -> None:
        self.world.acknowledge(self.pick(data, having="acks"))

    @rule(data=st.data(), ends=st.booleans(), exit_code=st.sampled_from([None, 0, 1]))
    @precondition(lambda self: self.some_have("tasks"))
    def get_on(self, data: st.DataObject, *, ends: bool, exit_code: int | None) -> None:
        agent = self.pick(data, having="tasks")
        arn = data.draw(st.sampled_from(sorted(agent.tasks)))
        now = agent.tasks[arn].status
        if now == "STOPPED":
            return
        is_end = ends or now == "RUNNING" or agent.tasks[arn].wants_stop
        self.world.progress(agent, arn, "STOPPED" if is_end else "RUNNING", exit_code if is_end else None)

    @rule(data=st.data(), again=st.booleans())
    @precondition(lambda self: self.some_have("reports"))
    def deliver(self, data: st.DataObject, *, again: bool) -> None:
        agent = self.pick(data, having="reports")
        self.world.deliver(agent, data.draw(st.integers(0, len(agent.reports) - 1)), again=again)

    @rule(data=st.data(), acknowledges=st.booleans())
    @precondition(lambda self: self.some_have("inbox"))
    def take_all(self, data: st.DataObject, *, acknowledges: bool) -> None:
        agent = self.pick(data, having="inbox")
        while agent.inbox:
            self.world.hear(agent)
        while acknowledges and agent.acks:
            self.world.acknowledge(agent)

    @rule(data=st.data())
    @precondition(lambda self: not all(agent.connection_id for agent in self.agents))
    def connect(self, data: st.DataObject) -> None:
        self.world.connect(data.draw(st.sampled_from([a for a in self.agents if not a.connection_id])))

    # --- the rest of the world --------------------------------------------------------------------

    @rule(
        data=st.data(),
        what=st.sampled_from(
            ["restart", "cut", "claim", "register", "drain", "activate", "deregister", "force", "minutes", "an hour"]
        ),
    )
    def disrupt(self, data: st.DataObject, what: str) -> None:
        world, agent = self.world, self.pick(data)
        arn = agent.instance_arn
        match what:
            case "restart":
                world.restart()
            case "cut":
                world.disconnect(agent)
            case "claim":
                world.connect(agent)
            case "register":
                world.register(containerInstanceArn=arn, clientToken="again", totalResources=RESOURCES)
            case "drain" | "activate":
                status = "DRAINING" if what == "drain" else "ACTIVE"
                world.ask("UpdateContainerInstancesState", containerInstances=[arn], status=status)
            case "deregister" | "force":
                with suppress(ApiError):  # without force it keeps its tasks
                    world.ask("DeregisterContainerInstance", containerInstance=arn, force=what == "force")
            case _:
                world.pass_time(60 if what == "minutes" else 3600)
                kept = timedelta(seconds=world.settings.stopped_kept_s)
                ends = [task.stopped_at for task in world.state.tasks.values() if task.stopped_at is not None]
                assert all(world.now - at < kept for at in ends)

    # --- what holds -------------------------------------------------------------------------------

    @invariant()
    def no_instance_is_over_committed(self) -> None:
        state = self.world.state
        for arn, taken in state.taken.items():
            host = state.instances[arn].resources
            assert taken.cpu_units <= host.cpu_units, arn
            assert taken.memory_mib <= host.memory_mib, arn
            assert not taken.ports_tcp & host.ports_tcp, arn

    @invariant()
    def what_clients_were_told_of_is_kept(self) -> None:
        for arn in self.world.forgotten_early:
            raise AssertionError(f"{arn} was forgotten before it was STOPPED for an hour")

    @invariant()
    def the_newest_connection_speaks_for_the_instance(self) -> None:
        for agent in self.agents:
            assert self.world.state.instances[agent.instance_arn].connection_id == agent.connection_id

    def teardown(self) -> None:
        """Once everybody answers, every task is where it was wanted."""
        self.world.calm_down()
        state = self.world.state
        for task in state.tasks.values():
            if task.desired_status == "STOPPED":
                assert task.is_stopped, task.arn
                continue
            agent = self.world.agents[task.instance_arn]
            assert task.arn in agent.tasks, f"nobody runs {task.arn}"
            assert not agent.tasks[task.arn].wants_stop, task.arn
            assert task.last_status == agent.tasks[task.arn].status
            assert task.is_acknowledged
        for agent in self.agents:
            for arn, held in agent.tasks.items():
                known = state.tasks.get(arn)
                is_wanted = known is not None and known.desired_status == "RUNNING"
                instance = state.instances.get(agent.instance_arn)
                is_away = instance is None or instance.status == "INACTIVE"
                assert is_wanted or is_away or held.status == "STOPPED", f"{arn} runs on unwanted"
        assert state.taken.keys() == state.tasks_on.keys()


TestControlWorld = ControlMachine.TestCase
TestControlWorld.settings = settings(
    max_examples=examples(80), stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)

"""Where drills are carried out: under an ``ecscope up``, by an agent with task files, by one whose ECS is faulty.

A stage is entered once for a drill, does its steps one by one, and asks ``ecscope why`` at the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ecscope.agent.store.reader import read_history
from fake_ecs.process import BackendProcess
from tests.drills.drill import Drill, Result, Step, result_of
from tests.drills.ground import Ground
from tests.e2e.agents import AgentProcess, a_lone_agent, an_agent, containers_of, engine, eventually
from tests.e2e.between import DockerInBetween
from tests.e2e.daemons import Daemon, a_daemon
from tests.e2e.ups import TASK_LABEL, Up, an_up
from tests.session import TEST_PREFIX

AT_ONCE = 6
NAME_LABEL = "com.amazonaws.ecs.container-name"
_LONG_S = 300.0
"""For what takes minutes by its nature: three restarts, each after a minute."""


class UnderUp:
    """A task, or a service of the family's name, under ``ecscope up``."""

    def __init__(self, drill: Drill, up: Up, ground: Ground) -> None:
        self.drill = drill
        self.up = up
        self.ground = ground
        self.arn = ""
        self.names: dict[str, str] = {}
        self.family = f"{TEST_PREFIX}{drill.alias}"
        if any(step[0] == "service" for step in drill.do):
            self._register()
        else:
            self._register()
            self.arn = self._run(self.family)

    def act(self) -> None:
        for step in self.drill.do:
            self._act(step)

    def _act(self, step: Step) -> None:
        up, cluster = self.up, self.up.cluster
        match step:
            case ["await", "STOPPED"]:
                self._await(lambda task: task["lastStatus"] == "STOPPED")
            case ["await", "RUNNING"]:
                self._await(lambda task: task["lastStatus"] == "RUNNING")
            case ["await", "UNHEALTHY"]:
                self._await(lambda task: "UNHEALTHY" in [one.get("healthStatus") for one in task["containers"]])
            case ["await-stop-asked"]:
                self._await(lambda task: task["desiredStatus"] == "STOPPED")
            case ["await-entries", name, kind, number]:
                eventually(
                    lambda: self._kinds(name).count(kind),
                    lambda count: count >= int(number),
                    self.drill.name,
                    within_s=_LONG_S,
                )
            case ["docker-kill", name, number]:
                engine().request("POST", f"/containers/{self._docker_id(name)}/kill", signal=number)
            case ["docker-rm", name]:
                engine().request("DELETE", f"/containers/{self._docker_id(name)}", force="1")
            case ["kill", name]:
                found = json.loads(engine().request("GET", f"/containers/{self._docker_id(name)}/json"))
                os.kill(found["State"]["Pid"], signal.SIGKILL)
            case ["stop", reason]:
                up.call("stop_task", cluster=cluster, task=self.arn, reason=reason)
            case ["service", count, *rest]:
                up.call(
                    "create_service",
                    cluster=cluster,
                    serviceName=self.family,
                    taskDefinition=self.family,
                    desiredCount=int(count),
                    **(json.loads(rest[0]) if rest else {}),
                )
            case ["task-of-service"]:
                (self.arn,) = eventually(
                    lambda: up.call("list_tasks", cluster=cluster, serviceName=self.family)["taskArns"],
                    lambda arns: len(arns) == 1,
                    self.drill.name,
                )
            case ["update-service", members]:
                if "taskDefinition" in members:
                    self._register()
                up.call("update_service", cluster=cluster, service=self.family, **json.loads(members))
            case ["await-event", words]:
                eventually(self._events, lambda said: words in said, self.drill.name, within_s=90)
            case ["run", name]:
                self._register(name)
                self.names[name] = self._run(f"{self.family}-{name}")
            case ["await-task", name, status]:
                eventually(
                    lambda: self._described(self.names[name])["lastStatus"],
                    lambda found: found == status,
                    self.drill.name,
                )
            case ["drain"]:
                (instance,) = up.call("list_container_instances", cluster=cluster)["containerInstanceArns"]
                up.call(
                    "update_container_instances_state",
                    cluster=cluster,
                    containerInstances=[instance],
                    status="DRAINING",
                )
            case ["lose-agent"]:
                agent = up.agent_pid()
                up.end(signal.SIGKILL)
                os.kill(agent, signal.SIGKILL)
                up.start("--no-agent")
            case _:
                raise ValueError(f"{self.drill.name}: unknown step {step}")

    def why(self) -> dict[str, Any]:
        match self.drill.ask.split(" "):
            case ["service"]:
                which = self.family
            case ["deployment"]:
                which = self._service()["deployments"][0]["id"]
            case ["newest"]:
                which = ""
            case [""]:
                which = self.arn
            case _:
                which = f"{self.arn.rpartition('/')[2]}/{self.drill.ask}"
        if "PORT_OF_TASK" in json.dumps(self.drill.containers):
            self.names["holder"] = self.ground.arn_of_holder
        return asked(self.drill, which, self.up.data_dir)

    def _register(self, name: str = "") -> None:
        wanted = self.ground.filled(self.drill.others[name] if name else self.drill.definition)
        self.up.call("register_task_definition", family=self.family + (f"-{name}" if name else ""), **wanted)

    def _run(self, family: str) -> str:
        made = self.up.call("run_task", cluster=self.up.cluster, taskDefinition=family)
        assert made["failures"] == [], (self.drill.name, made["failures"])
        return str(made["tasks"][0]["taskArn"])

    def _await(self, is_wanted: Callable[[dict[str, Any]], bool]) -> None:
        eventually(lambda: self._described(self.arn), is_wanted, self.drill.name, within_s=120)

    def _described(self, arn: str) -> dict[str, Any]:
        (found,) = self.up.call("describe_tasks", cluster=self.up.cluster, tasks=[arn])["tasks"]
        return dict(found)

    def _service(self) -> dict[str, Any]:
        (service,) = self.up.call("describe_services", cluster=self.up.cluster, services=[self.family])["services"]
        return dict(service)

    def _events(self) -> str:
        return "\n".join(event["message"] for event in self._service()["events"])

    def _kinds(self, name: str) -> list[str]:
        entries = read_history(self.up.data_dir / "agent", self.arn, 5000)
        return [entry.kind for entry in entries if entry.container_name == name]

    def _docker_id(self, name: str) -> str:
        return next(
            str(one["Id"])
            for one in containers_of(self.up.cluster)
            if one["Labels"][TASK_LABEL] == self.arn and one["Labels"][NAME_LABEL] == name
        )


class WithFiles:
    """Tasks in files, run by an agent of the drill's own. Its Docker can be closed and can fall silent."""

    def __init__(
        self,
        drill: Drill,
        ground: Ground,
        agent: AgentProcess,
        between: DockerInBetween | None = None,
        daemon: Daemon | None = None,
    ) -> None:
        self.drill = drill
        self._ground = ground
        self.agent = agent
        self.between = between
        self.daemon = daemon
        self.names: dict[str, str] = {}

    def act(self) -> None:
        for step in self.drill.do:
            self._act(step)

    def _act(self, step: Step) -> None:
        match step:
            case ["start-agent"]:
                self.agent.start()
            case ["kill-agent"]:
                self.agent.kill()
            case ["file"]:
                self._write("", self.drill.definition)
            case ["file", name]:
                self._write(name, self.drill.others[name])
            case ["await", status]:
                self._await("", status)
            case ["await", name, status]:
                self._await(name, status)
            case ["await-log", words]:
                eventually(self.agent.log, lambda log: words in log, self.drill.name)
            case ["open-docker"]:
                assert self.between is not None
                self.between.open()
            case ["close-docker"]:
                assert self.between is not None
                self.between.close()
            case ["hang-docker"]:
                assert self.between is not None
                self.between.hang()
            case ["end-daemon"]:
                assert self.daemon is not None
                self.daemon.end(signal.SIGTERM)
            case ["start-daemon"]:
                assert self.daemon is not None
                self.daemon.start()
            case ["pause", seconds]:
                time.sleep(float(seconds))
            case _:
                raise ValueError(f"{self.drill.name}: unknown step {step}")

    def why(self) -> dict[str, Any]:
        for name in self.drill.others:
            self.names[name] = self._task(name)["Arn"]
        match self.drill.ask.split(" "):
            case ["agent"]:
                which = "agent"
            case ["task", name]:
                which = self.names[name]
            case _:
                which = self._task("")["Arn"]
        return asked(self.drill, which, self.agent.data_dir, DOCKER_HOST=self._docker_host)

    @property
    def _docker_host(self) -> str:
        if self.daemon is not None:
            return self.daemon.engine.endpoint
        assert self.between is not None
        return self.between.endpoint

    def _write(self, name: str, definition: dict[str, Any]) -> None:
        filled = self._ground.filled(definition)
        self.agent.write(name or "main", {"family": f"{TEST_PREFIX}{name or 'main'}", **filled})

    def _await(self, name: str, status: str) -> None:
        eventually(lambda: self._task(name)["KnownStatus"], lambda found: found == status, self.drill.name, within_s=60)

    def _task(self, name: str) -> dict[str, Any]:
        found = [task for task in self.agent.tasks() if task["Family"] == f"{TEST_PREFIX}{name or 'main'}"]
        if not found:
            raise OSError(f"{self.drill.name}: no such task yet")
        return found[-1]


class OfFaultyEcs:
    """An agent of a cluster whose back end does what the drill says."""

    def __init__(self, drill: Drill, agent: AgentProcess, backend: BackendProcess) -> None:
        self.drill = drill
        self.agent = agent
        self.backend = backend
        self.arn = ""
        self.names: dict[str, str] = {}

    def act(self) -> None:
        for step in self.drill.do:
            self._act(step)

    def _act(self, step: Step) -> None:
        match step:
            case ["start-agent"]:
                self.agent.start()
            case ["await-registration"]:
                self.backend.ask("registered")
            case ["deny", action]:
                self.backend.ask("deny", action)
            case ["skew", seconds]:
                self.backend.ask("set", clock_skew_s=float(seconds))
            case ["refuse", code, message]:
                self.backend.ask("fail", "*", status=400, code=code, message=message)
            case ["cut"]:
                self.backend.ask("cut")
            case ["away"]:
                self.backend.ask("away")
            case ["pause", seconds]:
                time.sleep(float(seconds))
            case ["push", task]:
                self.arn = self._push(json.loads(task))
            case ["await-obstacle"]:
                eventually(self.agent.log, lambda log: "level=error" in log or "level=warn" in log, self.drill.name)
            case ["await-reported", status]:
                eventually(
                    lambda: [one["body"]["status"] for one in self.backend.ask("state_changes")],
                    lambda found: status in found,
                    self.drill.name,
                )
            case _:
                raise ValueError(f"{self.drill.name}: unknown step {step}")

    def _push(self, container: dict[str, Any]) -> str:
        from fake_ecs.payloads import a_payload_container, a_payload_task  # noqa: PLC0415

        task = a_payload_task(a_payload_container(**container), cluster=self.agent.cluster)
        self.backend.ask("push_tasks", task)
        return str(task["arn"])

    def why(self) -> dict[str, Any]:
        return asked(self.drill, self.arn or "agent", self.agent.data_dir)


def asked(drill: Drill, which: str, data_dir: Path, **environment: str) -> dict[str, Any]:
    """What ``ecscope why --json`` answers."""
    command = [sys.executable, "-m", "ecscope.cli.main", "why", which, "--json", "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert done.stdout, f"{drill.name}: {done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _end(agent: AgentProcess) -> None:
    """Before its containers are removed: it would start what waited for their resources."""
    if agent.process is not None:
        agent.kill()


# --- the stages ------------------------------------------------------------------------------------


@contextmanager
def _own_up(drill: Drill, ground: Ground) -> Iterator[UnderUp]:
    with an_up(ground.folder / drill.alias, ground.docker_host) as up:
        up.environment = dict(drill.environment)
        up.start()
        yield UnderUp(drill, up, ground)


@contextmanager
def _files(drill: Drill, ground: Ground) -> Iterator[WithFiles]:
    folder = ground.folder / drill.alias
    folder.mkdir()
    between = DockerInBetween(folder / "docker.sock", ground.docker_host.removeprefix("unix://"))
    try:
        with an_agent(folder, docker_host=between.endpoint, **drill.environment) as agent:
            try:
                yield WithFiles(drill, ground, agent, between)
            finally:
                _end(agent)
    finally:
        between.end()


@contextmanager
def _daemon(drill: Drill, ground: Ground) -> Iterator[WithFiles]:
    folder = ground.folder / drill.alias
    folder.mkdir()
    with a_daemon() as daemon, a_lone_agent(folder, docker_host=daemon.engine.endpoint, **drill.environment) as agent:
        yield WithFiles(drill, ground, agent, daemon=daemon)


@contextmanager
def _small_daemon(drill: Drill, ground: Ground) -> Iterator[WithFiles]:
    folder = ground.folder / drill.alias
    folder.mkdir()
    with (
        a_daemon(disk_mib=40) as daemon,
        ground.registry_in_network_of(daemon.pid),
        a_lone_agent(folder, docker_host=daemon.engine.endpoint, **drill.environment) as agent,
    ):
        yield WithFiles(drill, ground, agent, daemon=daemon)


@contextmanager
def _faulty_ecs(drill: Drill, ground: Ground) -> Iterator[OfFaultyEcs]:
    folder = ground.folder / drill.alias
    folder.mkdir()
    with ExitStack() as stack:
        backend = stack.enter_context(BackendProcess())
        environment = {**backend.environment(), "ECS_EXTERNAL": "true", "TEST_TASKS": "", **drill.environment}
        environment.pop("ECS_CLUSTER", None)
        agent = stack.enter_context(an_agent(folder, docker_host=ground.docker_host, **environment))
        agent.data_dir.mkdir(exist_ok=True)
        backend.ask("make_cluster", agent.cluster)
        try:
            yield OfFaultyEcs(drill, agent, backend)
        finally:
            _end(agent)


STAGES: dict[str, Callable[[Drill, Ground], Any]] = {
    "own up": _own_up,
    "files": _files,
    "daemon": _daemon,
    "small daemon": _small_daemon,
    "faulty ECS": _faulty_ecs,
}
"""Each enters a context for one drill. ``up`` is not among them: its drills share one."""


def carry_out(wanted: list[Drill], up: Up, ground: Ground) -> list[Result]:
    """Those that share ``up``, some at once, beside the others one after the other; the results in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(1) as alone:
        jobs = [
            pool.submit(_result, drill, partial(_in_up, drill, up, ground))
            if drill.stage == "up"
            else alone.submit(_result, drill, partial(_in_stage, drill, ground))
            for drill in wanted
        ]
        return [job.result() for job in jobs]


def _in_up(drill: Drill, up: Up, ground: Ground) -> Result:
    run = UnderUp(drill, up, ground)
    run.act()
    if not drill.do or drill.do[-1][0] in ("stop", "kill", "docker-kill", "docker-rm", "await-stop-asked"):
        run._act(["await", "STOPPED"])
    return result_of(drill, run.why(), run.names)


def _in_stage(drill: Drill, ground: Ground) -> Result:
    with STAGES[drill.stage](drill, ground) as run:
        run.act()
        return result_of(drill, run.why(), run.names)


def _result(drill: Drill, work: Callable[[], Result]) -> Result:
    try:
        return work()
    except Exception as problem:  # one drill that cannot be carried out does not end the others
        return Result(drill=drill, error=f"{drill.name}: {problem!r}")

"""One drill: a task that is broken in one known way, carried out with real containers under ``ecscope up``.

A folder per drill with ``drill.json``: how it is broken, what is done to it, and the code and the culprit that
``ecscope why`` must name. Neither the agent nor the rules see the drill's name.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockerengine import EngineError
from tests.e2e.agents import containers_of, engine, eventually
from tests.e2e.ups import TASK_LABEL, Up

FOLDER = Path(__file__).parent
AT_ONCE = 6
PORT_OF_PROCESS = "PORT_OF_PROCESS"
NAME_LABEL = "com.amazonaws.ecs.container-name"


@dataclass(frozen=True)
class Drill:
    """See the module docstring."""

    name: str
    how: str
    containers: list[dict[str, Any]]
    do: list[list[str]]
    code: str
    container: str
    """The culprit; ``""``: it is no container."""
    certainty: str = ""
    """``""``: proven or likely."""
    ask: str = ""
    """The container that is asked about; ``""``: the task."""
    volumes: list[dict[str, Any]] = field(default_factory=list)


def drills() -> list[Drill]:
    """All, by name."""
    return [
        Drill(name=path.parent.name, **json.loads(path.read_text())) for path in sorted(FOLDER.glob("*/drill.json"))
    ]


@dataclass
class Run:
    """A drill under way."""

    drill: Drill
    up: Up
    arn: str

    def act(self) -> None:
        """Do what the drill does, step by step."""
        for step in self.drill.do:
            match step:
                case ["await", "RUNNING"]:
                    eventually(lambda: self._task()["lastStatus"], lambda status: status == "RUNNING", self.drill.name)
                case ["await", "UNHEALTHY"]:
                    eventually(
                        lambda: [one.get("healthStatus") for one in self._task()["containers"]],
                        lambda found: "UNHEALTHY" in found,
                        self.drill.name,
                        within_s=90,
                    )
                case ["await", "STOPPED"]:
                    self.await_stopped()
                case ["docker-kill", name, number]:
                    engine().request("POST", f"/containers/{self._docker_id(name)}/kill", signal=number)
                case ["docker-rm", name]:
                    engine().request("DELETE", f"/containers/{self._docker_id(name)}", force="1")
                case ["kill", name]:
                    found = json.loads(engine().request("GET", f"/containers/{self._docker_id(name)}/json"))
                    os.kill(found["State"]["Pid"], signal.SIGKILL)
                case ["stop", reason]:
                    self.up.call("stop_task", cluster=self.up.cluster, task=self.arn, reason=reason)
                case _:
                    raise ValueError(f"{self.drill.name}: unknown step {step}")

    def await_stopped(self) -> None:
        """Unless the drill leaves it running."""
        eventually(lambda: self._task()["lastStatus"], lambda status: status == "STOPPED", self.drill.name, within_s=90)

    def why(self) -> dict[str, Any]:
        """What ``ecscope why --json`` answers."""
        which = self.arn if not self.drill.ask else f"{self.arn.rpartition('/')[2]}/{self.drill.ask}"
        command = [
            sys.executable,
            "-m",
            "ecscope.cli.main",
            "why",
            which,
            "--json",
            "--data-dir",
            str(self.up.data_dir),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @property
    def goes_on(self) -> bool:
        """The task is not to stop by itself."""
        return ["await", "UNHEALTHY"] in self.drill.do

    def _task(self) -> dict[str, Any]:
        (found,) = self.up.call("describe_tasks", cluster=self.up.cluster, tasks=[self.arn])["tasks"]
        return dict(found)

    def _docker_id(self, name: str) -> str:
        return next(
            str(one["Id"])
            for one in containers_of(self.up.cluster)
            if one["Labels"][TASK_LABEL] == self.arn and one["Labels"][NAME_LABEL] == name
        )


def begin(drill: Drill, up: Up, port: int) -> Run:
    """Register and run its task. ``port``: of the host, on which a process of the test listens."""
    text = json.dumps(drill.containers).replace(f'"{PORT_OF_PROCESS}"', str(port))
    family = f"{up.family}-{abs(hash(drill.name)) % 10**8}"
    up.call("register_task_definition", family=family, containerDefinitions=json.loads(text), volumes=drill.volumes)
    made = up.call("run_task", cluster=up.cluster, taskDefinition=family)
    assert made["failures"] == [], (drill.name, made["failures"])
    return Run(drill=drill, up=up, arn=made["tasks"][0]["taskArn"])


@dataclass(frozen=True)
class Result:
    """What came of a drill."""

    drill: Drill
    code: str = ""
    certainty: str = ""
    sentence: str = ""
    error: str = ""
    """What of the verdict is not as expected, with the whole answer; ``""``: nothing."""


def carry_out(wanted: list[Drill], up: Up) -> list[Result]:
    """Some of them at once; the results in order."""
    with socket.create_server(("0.0.0.0", 0)) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        port = server.getsockname()[1]
        return list(pool.map(lambda drill: _result(drill, up, port), wanted))


def _result(drill: Drill, up: Up, port: int) -> Result:
    run = begin(drill, up, port)
    try:
        run.act()
        if not run.goes_on:
            run.await_stopped()
        answer = run.why()
    except (AssertionError, StopIteration, EngineError) as problem:
        return Result(drill=drill, error=f"{drill.name}: {problem!r}")
    verdict = answer["verdict"]
    error = wrong(run, answer)
    return Result(
        drill=drill,
        code=verdict["code"],
        certainty=verdict["certainty"],
        sentence=verdict["sentence"],
        error=f"{error}\n{json.dumps(answer, indent=1)}" if error else "",
    )


def wrong(run: Run, answer: dict[str, Any]) -> str:
    """What of the verdict is not as expected; ``""``: nothing."""
    drill, verdict = run.drill, answer["verdict"]
    if verdict["code"] != drill.code:
        return f"{drill.name}: {drill.code} expected, got {verdict['code']}: {verdict['sentence']}"
    if drill.container and verdict["culprit"].get("container") != drill.container:
        return f"{drill.name}: culprit {drill.container} expected, got {verdict['culprit']}"
    if drill.certainty and verdict["certainty"] != drill.certainty:
        return f"{drill.name}: {drill.certainty} expected, got {verdict['certainty']}"
    return ""

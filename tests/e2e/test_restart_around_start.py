"""The agent ends while Docker starts a container, and starts again: the task runs, once.

Engines from 26 on give up a start when the client that asked for it has gone. How often is tried comes from
``ECSCOPE_TEST_SIGTERMS`` and ``ECSCOPE_TEST_KILLS``; ``make engines`` sets both to the full counts.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.agents import PATIENCE_S, AgentProcess, an_agent, containers_of, eventually
from tests.session import TEST_PREFIX

ROUNDS = {
    signal.SIGTERM: int(os.environ.get("ECSCOPE_TEST_SIGTERMS", "3")),
    signal.SIGKILL: int(os.environ.get("ECSCOPE_TEST_KILLS", "5")),
}
LATEST_S = 0.1
"""After the start call has gone out. About as long as a start takes, so that both sides of its end are tried."""
FOREVER = "trap 'exit 0' TERM; sleep 1000 & wait"


class Relay:
    """A socket in front of the engine's that says when a start call has passed."""

    def __init__(self, path: Path, upstream: str) -> None:
        self.start_passed = threading.Event()
        self._upstream = upstream
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """The agent has ended, and its connections with it."""
        self._server.shutdown(socket.SHUT_RDWR)
        while self._threads:
            self._threads.pop(0).join(PATIENCE_S)

    def _accept(self) -> None:
        with self._server, suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._upstream)
            answers = threading.Thread(target=self._copy, args=(engine, client))
            answers.start()
            self._copy(client, engine)
            answers.join()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if re.match(rb"POST \S+/start HTTP/1", data):
                    self.start_passed.set()
        for end in (source, sink):  # who is gone on the one side has gone on the other
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def a_relay(upstream: str) -> Iterator[tuple[Relay, str]]:
    # Not pytest's folder: the path of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="ecscope-test-", dir="/tmp") as folder:
        path = Path(folder) / "docker.sock"
        relay = Relay(path, upstream.removeprefix("unix://"))
        try:
            yield relay, f"unix://{path}"
        finally:
            relay.close()


@pytest.mark.timeout(60 + 12 * max(ROUNDS.values()))
@pytest.mark.parametrize("number", list(ROUNDS), ids=lambda number: number.name)
def test_a_task_whose_start_was_waiting_runs_once(
    tmp_path: Path, docker_endpoint: str, sample_image: str, number: signal.Signals
) -> None:
    chance = random.Random(20261130)
    outcomes = []
    with a_relay(docker_endpoint) as (relay, endpoint), an_agent(tmp_path, docker_host=endpoint) as agent:
        for attempt in range(ROUNDS[number]):
            delay_s = chance.uniform(0.0, LATEST_S)
            outcomes.append(_one_round(agent, relay, f"{number.name.lower()}-{attempt}", number, delay_s))
    waiting, lost = sum(waits for waits, _ in outcomes), sum(known != "RUNNING" for _, known in outcomes)
    tried = f"{len(outcomes)} × {number.name} within the start call: {waiting} did not run at its end, {lost} lost"
    print(tried)
    assert not lost, tried


def _one_round(
    agent: AgentProcess, relay: Relay, name: str, number: signal.Signals, delay_s: float
) -> tuple[bool, str]:
    """Whether the container did not run when the agent had ended, and what became of the task."""
    family = f"{TEST_PREFIX}{name}"

    def containers() -> list[str]:
        label = "com.amazonaws.ecs.task-definition-family"
        return [box["State"] for box in containers_of(agent.cluster) if box["Labels"][label] == family]

    def known() -> list[str]:
        return [task["KnownStatus"] for task in agent.tasks() if task["Family"] == family]

    agent.start()
    relay.start_passed.clear()
    file = agent.write_task(name, FOREVER, family=family)
    assert relay.start_passed.wait(PATIENCE_S), "no start call went out"
    time.sleep(delay_s)  # the moment of the end is what is tried here
    assert agent.kill(number) == (0 if number is signal.SIGTERM else -number)
    was_waiting = containers() != ["running"]
    agent.start()
    [end] = eventually(known, lambda known: known[:1] in (["RUNNING"], ["STOPPED"]), "RUNNING or STOPPED")
    assert len(containers()) == 1, "the task has two containers"
    assert (containers() == ["running"]) is (end == "RUNNING")
    file.unlink()
    eventually(containers, lambda states: states != ["running"], "the end of the container")
    agent.kill()
    return was_waiting, end

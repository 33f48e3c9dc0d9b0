"""kill -9, again and again, during starts and stops: no orphan, no duplicate, no lost task."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.agents import an_agent, containers_of, eventually
from tests.session import TEST_PREFIX

ROUNDS = int(os.environ.get("ECSCOPE_TEST_KILLS", "25"))


@pytest.mark.timeout(400)
def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    chance = random.Random(20261124)
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        wanted: dict[str, Path] = {}
        written = 0
        for _ in range(ROUNDS):
            agent.start()
            for _ in range(chance.randint(1, 2)):
                if wanted and chance.random() < 0.4:
                    wanted.pop(chance.choice(sorted(wanted))).unlink()
                else:
                    written += 1
                    name = f"task-{written}"
                    wanted[name] = agent.write_task(
                        name, "trap 'exit 0' TERM; sleep 1000 & wait", family=f"{TEST_PREFIX}{name}"
                    )
                time.sleep(chance.uniform(0.0, 0.4))  # the moment of the kill is what is tried here
            time.sleep(chance.uniform(0.0, 0.6))
            assert agent.is_alive
            agent.kill()
        agent.start()

        def settled(tasks: list[dict]) -> bool:
            running = {t["Family"] for t in tasks if t["KnownStatus"] == "RUNNING"}
            return running == {f"{TEST_PREFIX}{name}" for name in wanted} and not [
                t for t in tasks if t["KnownStatus"] == "PENDING"
            ]

        tasks = eventually(agent.tasks, settled, "every task at its aim", within_s=90)
        families = Counter(t["Family"] for t in tasks)
        assert max(families.values()) == 1, f"a task exists twice: {families}"

        known = {c["DockerId"]: t for t in tasks for c in t["Containers"] if c["DockerId"]}
        boxes = containers_of(agent.cluster)
        assert {b["Id"] for b in boxes} <= set(known), "a container has no task"
        running = [b for b in boxes if b["State"] == "running"]
        assert len(running) == len(wanted), "a container runs that should not, or the other way round"
        assert all(known[b["Id"]]["KnownStatus"] == "RUNNING" for b in running)
        assert agent.kill(signal.SIGTERM) == 0

"""The drills of ``ecscope why`` that take seconds, and the task that nobody names. ``make drills`` runs them all."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.drills.drill import drills
from tests.drills.ground import Ground
from tests.drills.stages import carry_out
from tests.e2e.agents import eventually
from tests.e2e.ups import an_up

pytestmark = pytest.mark.timeout(180)
QUICK = {
    "dependency-unstartable",
    "exit-command-not-found",
    "exit-error",
    "exit-oom-child",
    "link-role-denied",
    "pending-port",
    "restart-gave-up",
    "stopped-by-scale-in",
    "killed-through-docker",
    "oom-container",
    "port-taken-by-process",
    "removed-by-hand",
    "sidecar-first",
    "stopped-by-user",
}


def test_the_cause_is_named_while_it_runs_and_after_all_has_ended(
    tmp_path: Path, docker_endpoint: str, sample_image: str
) -> None:
    with ExitStack() as stack:
        ground = Ground(tmp_path, docker_endpoint, stack)
        up = stack.enter_context(an_up(tmp_path / "shared", docker_endpoint))
        up.start("--keep")
        wanted = [drill for drill in drills() if drill.name in QUICK]
        assert len(wanted) == len(QUICK)
        assert [result.error for result in carry_out(wanted, up, ground) if result.error] == []
        last = next(drill for drill in wanted if drill.name == "exit-error")
        (result,) = carry_out([last], up, ground)
        assert result.error == ""
        eventually(up.output, lambda said: f"failed: {result.sentence} (exit.error, proven)" in said, "what is printed")
        up.end()
        newest = up.command("why", "--json")
    assert newest.returncode == 0, newest.stderr
    answer = json.loads(newest.stdout)
    assert answer["verdict"]["sentence"] == result.sentence
    assert answer["subject"]["status"] == "STOPPED"

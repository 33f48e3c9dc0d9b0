"""A full disk under the state: nothing is done that was not saved, it is said, and room heals it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents import an_agent, containers_of, eventually
from tests.e2e.disks import a_small_disk, fill
from tests.session import TEST_PREFIX

FOREVER = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Where the agent keeps its state."""
    with a_small_disk(tmp_path / "data") as folder:
        yield folder


def test_nothing_is_started_that_could_not_be_saved(
    tmp_path: Path, small_disk: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("before", FOREVER, family=f"{TEST_PREFIX}before")
        agent.start()
        eventually(agent.tasks, lambda tasks: [t["KnownStatus"] for t in tasks] == ["RUNNING"], "RUNNING")

        ballast = small_disk / "ballast"
        fill(ballast)
        # large enough that no page still free in the files can hold its record
        agent.write_task("after", FOREVER, family=f"{TEST_PREFIX}after", environment=[_variable(i) for i in range(40)])
        eventually(agent.log, lambda log: "cannot save state, so no action is taken" in log, "a word about the disk")
        assert [t["Family"] for t in agent.tasks()] == [f"{TEST_PREFIX}before"], "nothing unsaved is published"
        assert len(containers_of(agent.cluster)) == 1, "nothing unsaved is done"

        ballast.unlink()
        eventually(
            agent.tasks,
            lambda tasks: [t["KnownStatus"] for t in tasks] == ["RUNNING", "RUNNING"],
            "both RUNNING once there is room",
        )
        assert agent.log().count("cannot save state, so no action is taken") == 1, "said once"
        assert "state can be saved again" in agent.log()


def _variable(number: int) -> dict[str, str]:
    return {"name": f"LARGE_{number}", "value": f"{number:04d}" * 250}

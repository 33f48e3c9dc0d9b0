"""A full disk under the state: nothing is done that was not saved, it is said, and room heals it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents import an_agent, containers_of, eventually
from tests.session import TEST_PREFIX

FOREVER = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB of its own, where the agent keeps its state."""
    folder = tmp_path / "data"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "ecscope-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_nothing_is_started_that_could_not_be_saved(
    tmp_path: Path, small_disk: Path, docker_endpoint: str, sample_image: str
) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write_task("before", FOREVER, family=f"{TEST_PREFIX}before")
        agent.start()
        eventually(agent.tasks, lambda tasks: [t["KnownStatus"] for t in tasks] == ["RUNNING"], "RUNNING")

        ballast = small_disk / "ballast"
        _fill(ballast)
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


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue

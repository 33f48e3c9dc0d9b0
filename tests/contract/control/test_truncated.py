"""A state file that is cut off under the running control plane costs no task: not even when it is killed then."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from ecscope.model.status import ContainerStatus
from tests.contract.control.planes import IMAGE, Client, a_plane, an_agent, until
from tests.simulated_knobs import FakeRuntime


def running(runtime: FakeRuntime) -> list[str]:
    return sorted(each.docker_id for each in runtime.containers if each.status is ContainerStatus.RUNNING)


@pytest.mark.parametrize("size", [0, 5000])
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "stopped"])
async def test_tasks_go_on_after_the_state_file_was_cut_off(tmp_path: Path, size: int, is_killed: bool) -> None:
    runtime = FakeRuntime(images=[IMAGE])
    path = tmp_path / "control" / "control.db"
    async with a_plane(tmp_path) as plane:
        port = int(plane.url.rpartition(":")[2])
        async with an_agent(plane, tmp_path, runtime=runtime):
            client = Client(plane)
            await client("run_task", taskDefinition=await client.register(), count=3)
            await until(lambda: len(running(runtime)) == 3, "three containers")
            await until(lambda: [task.last_status for task in plane.state.tasks.values()] == ["RUNNING"] * 3, "reports")
            instance, tasks = set(plane.state.instances), set(plane.state.tasks)
        before = running(runtime)
        os.truncate(path, size)
        if is_killed:
            await until(lambda: list(path.parent.glob("control.db.damaged-*")), "the damage to be seen")
            await until(lambda: not list(path.parent.glob("control.db.rebuilt*")), "the new file")
            shutil.copytree(path.parent, tmp_path / "left")
    if is_killed:  # what a kill leaves, and not what the end of this one wrote
        shutil.rmtree(path.parent)
        shutil.copytree(tmp_path / "left", path.parent)
    async with a_plane(tmp_path, port=port) as plane, an_agent(plane, tmp_path, runtime=runtime):
        await until(lambda: plane.connected, "the agent")
        await asyncio.sleep(1)
        assert (set(plane.state.instances), set(plane.state.tasks)) == (instance, tasks)
        assert [task.last_status for task in plane.state.tasks.values()] == ["RUNNING"] * 3
        assert running(runtime) == before

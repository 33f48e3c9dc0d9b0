"""A stopped task goes wholly once its time is over: containers, volume, cgroup and record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecscope.agent.executors.resources.cgroup import CgroupError, TaskCgroups
from tests.e2e.agents import AgentProcess, an_agent, containers_of, engine, eventually
from tests.session import TEST_PREFIX

CGROUPS = Path("/sys/fs/cgroup")
FAMILY = f"{TEST_PREFIX}cleanup"


def _definition() -> dict:
    return {
        "family": FAMILY,
        "cpu": "256",
        "memory": "64",
        "volumes": [{"name": "data", "host": {}}],
        "containerDefinitions": [
            {
                "name": "app",
                "image": "ecscope-sample:latest",
                "memory": 32,
                "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"],
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
            }
        ],
    }


def _volumes() -> list[str]:
    found = json.loads(engine().request("GET", "/volumes"))["Volumes"] or []
    return [v["Name"] for v in found if v["Name"].startswith(f"ecs-{FAMILY}-1-data-")]


def _running(agent: AgentProcess) -> dict:
    tasks = eventually(agent.tasks, lambda tasks: [t["KnownStatus"] for t in tasks] == ["RUNNING"], "RUNNING")
    return tasks[0]


def test_nothing_is_left_of_a_task_whose_time_is_over(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    with an_agent(tmp_path, docker_host=docker_endpoint, ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION="1s") as agent:
        file = agent.write("one", _definition())
        agent.start()
        task = _running(agent)
        assert len(containers_of(agent.cluster)) == 1
        assert _volumes()
        file.unlink()
        eventually(agent.tasks, lambda tasks: tasks == [], "no task listed any more")
        assert containers_of(agent.cluster) == []
        assert _volumes() == []
        assert not list(CGROUPS.glob(f"*/ecs/{task['Arn'].rsplit('/', 1)[-1]}"))


def test_task_level_limits_hold_over_the_containers(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    try:
        TaskCgroups(CGROUPS).check()
    except CgroupError as error:
        pytest.skip(f"this machine lends no cgroups: {error}")
    if TaskCgroups(CGROUPS).is_v2:
        pytest.skip("reads the files of cgroup v1")
    with an_agent(tmp_path, docker_host=docker_endpoint) as agent:
        agent.write("one", _definition())
        agent.start()
        task_id = _running(agent)["Arn"].rsplit("/", 1)[-1]
        [box] = containers_of(agent.cluster)
        inspection = json.loads(engine().request("GET", f"/containers/{box['Id']}/json"))
        assert inspection["HostConfig"]["CgroupParent"] == f"/ecs/{task_id}"
        assert (CGROUPS / "cpu/ecs" / task_id / "cpu.cfs_quota_us").read_text() == "25000\n"
        assert (CGROUPS / "memory/ecs" / task_id / "memory.limit_in_bytes").read_text() == f"{64 * 1024 * 1024}\n"
        assert (CGROUPS / "memory/ecs" / task_id / box["Id"]).is_dir(), "the container is under its task"
        engine().remove_container(box["Id"])
        eventually((CGROUPS / "memory/ecs" / task_id / box["Id"]).exists, lambda there: not there, "its end")
        TaskCgroups(CGROUPS).remove(task_id)

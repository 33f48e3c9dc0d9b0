"""The control plane is killed at each save that matters, just before and after: no promise is broken or kept twice.

Its agents go on meanwhile, over simulated runtimes in this process, which know what was truly done.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from ecscope.agent.runtime.simulated.programs import Program
from ecscope.control.core.state import ControlState
from ecscope.control.server.signatures import AccessKey
from ecscope.model.status import ContainerStatus
from tests.contract.control.planes import IMAGE, Client, an_agent, until
from tests.simulated_knobs import FakeRuntime

ROOT = Path(__file__).parents[3]
BRIEF = ["sh", "-c", "exit 3"]
MOMENTS = ["before", "after"]
NEVER = ("after", "$^", 1)

pytestmark = pytest.mark.timeout(120)


class PlaneProcess:
    """One data directory and one port, over which it is started again and again. For ``Client`` and ``an_agent``."""

    def __init__(self, folder: Path) -> None:
        self.state = ControlState()
        """What a client has to know: the region."""
        self._folder = folder
        self._log = folder / "plane.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, moment: str = NEVER[0], pattern: str = NEVER[1], count: int = NEVER[2]) -> None:
        """It dies at a save, as ``dying_plane`` tells; without arguments it lives."""
        arguments = [str(self._folder / "control"), str(self._port), moment, pattern, str(count)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.contract.control.dying_plane", *arguments],
                cwd=ROOT,
                env={"PATH": "", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "HOME": str(self._folder)},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        told = await asyncio.to_thread(self._process.stdout.readline)
        assert told, self._log.read_text()
        said = json.loads(told)
        self.url = said["url"]
        self._port = int(self.url.rpartition(":")[2])
        (user, secret), (role, role_secret, token) = said["keys"]
        self.administrator = AccessKey(access_key_id=user, secret_access_key=secret)
        self.instance_role = AccessKey(access_key_id=role, secret_access_key=role_secret, session_token=token)
        self.client = Client(self)  # type: ignore[arg-type]  # it has what a client asks for

    @property
    def has_died(self) -> bool:
        assert self._process is not None
        return self._process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    @property
    def connected(self) -> frozenset[str]:
        """ARNs of the instances whose agents are connected."""
        client = self.client.blocking
        arns = client.list_container_instances()["containerInstanceArns"]
        told = client.describe_container_instances(containerInstances=arns)["containerInstances"] if arns else ()
        return frozenset(each["containerInstanceArn"] for each in told if each["agentConnected"])

    def tasks(self) -> list[dict[str, Any]]:
        """All that it knows."""
        client = self.client.blocking
        arns = [arn for wanted in ("RUNNING", "STOPPED") for arn in client.list_tasks(desiredStatus=wanted)["taskArns"]]
        return list(client.describe_tasks(tasks=arns)["tasks"]) if arns else []

    def service(self) -> dict[str, Any]:
        return dict(self.client.blocking.describe_services(services=["web"])["services"][0])

    def is_stable(self, count: int) -> bool:
        service = self.service()
        return len(service["deployments"]) == 1 and service["runningCount"] == count == service["desiredCount"]


class Scene:
    """A control plane and its agent; ``runtime`` knows the truth."""

    def __init__(self, plane: PlaneProcess, runtime: FakeRuntime) -> None:
        self.plane = plane
        self.runtime = runtime

    async def start(self, *death: Any) -> None:
        """The control plane, anew; returns when the agent is back, or the control plane dead."""
        self.plane.kill()
        await self.plane.start(*death)
        await self.until_it_dies(or_else=lambda: self.plane.connected)

    async def until_it_dies(self, *, or_else: Callable[[], object] = lambda: False) -> None:
        def is_over() -> object:
            try:
                return self.plane.has_died or or_else()
            except BotoCoreError:  # it died while it was asked
                return False

        await until(is_over, "the control plane's death", within_s=30.0)

    def created(self) -> Counter[str]:
        """Task ARN → how many containers were ever made for it."""
        made = Counter(str(config.task_arn) for config in self.runtime.configs.values())
        assert made.total() == len(self.runtime.calls_of("create_container")), "none was removed meanwhile"
        return made

    def running(self) -> set[str]:
        return {str(c.task_arn) for c in self.runtime.containers if c.status is ContainerStatus.RUNNING}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[PlaneProcess]:
    plane = PlaneProcess(tmp_path)
    yield plane
    plane.kill()


@pytest.fixture
async def scene(plane: PlaneProcess, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_scene(plane, tmp_path) as scene:
        yield scene


@asynccontextmanager
async def a_scene(plane: PlaneProcess, folder: Path) -> AsyncIterator[Scene]:
    await plane.start()
    await plane.client("create_cluster", clusterName="default")
    await plane.client.register()
    await plane.client.register("brief", command=BRIEF)
    runtime = FakeRuntime(images=[IMAGE])
    runtime.behave(Program(run_for_s=0.3, exit_code=3), command=BRIEF)
    async with an_agent(plane, folder, runtime=runtime):  # type: ignore[arg-type]  # it has what an agent asks for
        yield Scene(plane, runtime)


async def answer_of(client: Client, operation: str, **members: Any) -> Any:
    """``None``: the connection was cut, and nobody knows what became of the request."""
    try:
        return await client(operation, **members)
    except (BotoCoreError, ClientError):
        return None


@pytest.mark.parametrize("moment", MOMENTS)
async def test_during_run_task(scene: Scene, moment: str) -> None:
    """No answer came, so the client asks again, with the same token: three tasks, each started once."""
    members = {"taskDefinition": "sample", "count": 3, "clientToken": "once"}
    await scene.start(moment, r"^tasks ", 1)
    assert await answer_of(scene.plane.client, "run_task", **members) is None, "answered before it was saved"
    await scene.until_it_dies()
    await asyncio.sleep(0.2)  # for an agent that was told too soon
    assert not scene.created(), "done before it was promised"
    await scene.start()
    saved = {task["taskArn"] for task in scene.plane.tasks()}
    assert len(saved) == (3 if moment == "after" else 0)
    made = await scene.plane.client("run_task", **members)
    arns = {task["taskArn"] for task in made["tasks"]}
    assert len(arns) == 3
    assert saved <= arns
    await until(lambda: scene.running() == arns, "the three tasks")
    await until(lambda: {task["lastStatus"] for task in scene.plane.tasks()} == {"RUNNING"}, "the reports")
    assert {task["taskArn"] for task in scene.plane.tasks()} == arns
    assert scene.created() == dict.fromkeys(arns, 1)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_during_stop_task(scene: Scene, moment: str) -> None:
    (arn,) = [task["taskArn"] for task in (await scene.plane.client("run_task", taskDefinition="sample"))["tasks"]]
    await until(lambda: scene.running() == {arn}, "the task")
    await until(lambda: scene.plane.tasks()[0]["lastStatus"] == "RUNNING", "the report")
    await scene.start(moment, r'^tasks .*"desired_status":"STOPPED"', 1)
    assert await answer_of(scene.plane.client, "stop_task", task=arn, reason="seen enough") is None
    await scene.until_it_dies()
    await asyncio.sleep(0.2)
    assert scene.running() == {arn}, "stopped before it was promised"
    await scene.start()
    (task,) = scene.plane.tasks()
    if moment == "before":
        assert task["desiredStatus"] == "RUNNING"
        await scene.plane.client("stop_task", task=arn, reason="seen enough")
    await until(lambda: scene.plane.tasks()[0]["lastStatus"] == "STOPPED", "the end of the task")
    (task,) = scene.plane.tasks()
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "seen enough")
    assert scene.running() == set()


@pytest.mark.parametrize("status", ["RUNNING", "STOPPED"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_with_state_changes_in_flight(scene: Scene, moment: str, status: str) -> None:
    """The agent tells them until somebody takes them over: each task has its start, its end and its exit code."""
    await scene.start(moment, rf'^tasks .*"last_status":"{status}","desired_status"', 1)
    made = await scene.plane.client("run_task", taskDefinition="brief", count=3)
    arns = {task["taskArn"] for task in made["tasks"]}
    await scene.until_it_dies()
    await until(lambda: len(scene.created()) == 3 and not scene.running(), "the containers to end, unheard")
    await scene.start()
    await until(lambda: {task["lastStatus"] for task in scene.plane.tasks()} == {"STOPPED"}, "the end of each")
    tasks = scene.plane.tasks()
    assert {task["taskArn"] for task in tasks} == arns
    for task in tasks:
        assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)
        assert task["createdAt"] <= task["startedAt"] <= task["stoppedAt"]
    assert scene.created() == dict.fromkeys(arns, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_during_a_deployment(scene: Scene, moment: str, count: int) -> None:
    """At one of its saves; in the end three tasks run, all of the newest deployment, and no others."""
    await scene.plane.client("create_service", serviceName="web", taskDefinition="sample", desiredCount=3)
    await until(lambda: scene.plane.is_stable(3), "a stable service")
    before = scene.running()
    await scene.start(moment, "^(tasks|services) ", count)
    await answer_of(scene.plane.client, "update_service", service="web", forceNewDeployment=True)
    await scene.until_it_dies()
    await scene.start()
    if moment == "before" and count == 1:  # it was never saved
        assert len(scene.plane.service()["deployments"]) == 1
        await scene.plane.client("update_service", service="web", forceNewDeployment=True)
    await until(lambda: scene.plane.is_stable(3), "a stable service")
    await until(lambda: len(scene.running()) == 3, "three tasks, and no others")
    assert not before & scene.running(), "the older tasks are gone"
    (deployment,) = scene.plane.service()["deployments"]
    listed = await scene.plane.client("list_tasks", startedBy=deployment["id"])
    assert set(listed["taskArns"]) == scene.running()
    assert set(scene.created().values()) == {1}

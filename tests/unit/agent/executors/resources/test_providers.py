"""Each kind of task resource that the core asks for has a provider."""

from __future__ import annotations

from ecscope.agent.core import resources
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.core.step import Step
from ecscope.agent.executors.resources.providers import Tools, providers
from ecscope.model.task_resource import CGROUP, VOLUME
from tests.builders import a_scan, a_task, a_volume
from tests.simulated_knobs import FakeRuntime
from tests.world import INSTANCE


def test_every_kind_that_a_task_can_need_has_a_provider() -> None:
    task = a_task(volumes=(a_volume(),))
    state = restored_state(instance=INSTANCE, settings=Settings(cgroup_version=1))
    step = Step(state, a_scan(task))
    wanted = {resource.kind for resource in resources.wanted(step, task)}
    assert wanted == {VOLUME, CGROUP}
    assert wanted <= providers(Tools(runtime=FakeRuntime())).keys()

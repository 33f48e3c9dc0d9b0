"""Each kind of task resource that the core asks for has a provider."""

from __future__ import annotations

from ecscope.agent.core import resources
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.core.step import Step
from ecscope.agent.executors.resources.providers import Tools, providers
from ecscope.model.container import Secret, SecretStore
from ecscope.model.task_resource import CGROUP, LOG_STREAMS, PARAMETERS, SECRETS, VOLUME
from tests.builders import a_container, a_scan, a_task, a_volume
from tests.simulated_knobs import FakeRuntime
from tests.world import INSTANCE


def test_every_kind_that_a_task_can_need_has_a_provider() -> None:
    secrets = tuple(Secret(name=store.name, store=store, value_from="v") for store in SecretStore)
    host_config = '{"LogConfig":{"Type":"awslogs","Config":{"awslogs-group":"g","awslogs-stream":"s"}}}'
    app = a_container(secrets=secrets, docker_host_config=host_config)
    task = a_task(app, volumes=(a_volume(),), launch_type="FARGATE")
    state = restored_state(instance=INSTANCE, settings=Settings(cgroup_version=1))
    step = Step(state, a_scan(task))
    wanted = {resource.kind for resource in resources.wanted(step, task)}
    assert wanted == {VOLUME, CGROUP, SECRETS, PARAMETERS, LOG_STREAMS}
    assert wanted <= providers(Tools(runtime=FakeRuntime())).keys()

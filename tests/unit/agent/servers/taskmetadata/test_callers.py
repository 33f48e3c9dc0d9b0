"""Unit tests of whose a request is."""

from __future__ import annotations

from ecscope.agent.core.state import AgentState
from ecscope.agent.servers.taskmetadata.callers import Callers, task_of_address
from ecscope.model.arn import DockerId
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.task import Task
from tests.builders import a_container, a_task


def a_state(*tasks: Task) -> AgentState:
    return AgentState(
        instance=ContainerInstance(cluster="default", arn="arn", agent_version="v"),
        tasks={task.arn: task for task in tasks},
    )


def a_metadata_task(number: int = 1, *, docker_id: str = "d1", endpoint_id: str = "e1", **fields: object) -> Task:
    return a_task(
        a_container(endpoint_id=endpoint_id, docker_id=DockerId(docker_id)),
        a_container("made-later", endpoint_id=f"{endpoint_id}-later"),
        number=number,
        **fields,
    )


def test_an_id_leads_to_its_container_once_docker_has_made_it() -> None:
    callers, task = Callers(), a_metadata_task()
    found = callers.of_endpoint(a_state(task), "e1", address="172.17.0.2")
    assert found is not None
    assert (found.task, found.container) == (task, task.containers[0])
    assert callers.of_endpoint(a_state(task), "e1-later", address="172.17.0.2") is None


def test_nobody_is_found_by_no_id() -> None:
    state = a_state(a_metadata_task(endpoint_id=""))
    assert Callers().of_endpoint(state, "", address="172.17.0.2") is None
    assert task_of_address(state, "") is None


def test_the_index_follows_what_comes_changes_and_goes() -> None:
    callers, first, second = Callers(), a_metadata_task(), a_metadata_task(2, docker_id="d2", endpoint_id="e2")
    assert callers.of_endpoint(a_state(first), "e2", address="a") is None
    changed = a_metadata_task(docker_id="d3")
    found = callers.of_endpoint(a_state(changed, second), "e1", address="a")
    assert found is not None
    assert found.container.docker_id == "d3"
    assert callers.of_endpoint(a_state(changed, second), "e2", address="a") is not None
    assert callers.of_endpoint(a_state(second), "e1", address="a") is None
    assert callers.of_endpoint(a_state(first), "e1", address="a") is not None, "it came back"
    again = a_metadata_task(endpoint_id="e3")
    assert callers.of_endpoint(a_state(again), "e1", address="a") is None, "the same task, accepted anew"
    assert callers.of_endpoint(a_state(again), "e3", address="a") is not None

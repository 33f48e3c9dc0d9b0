"""The state of an agent whose tasks have roles, as in the recordings."""

from __future__ import annotations

import msgspec

from ecscope.agent.core.state import AgentState
from ecscope.model.container_instance import ContainerInstance
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.status import TaskStatus
from tests.builders import a_container, a_task

RECORDED_ID = "11111111-2222-4333-8444-555555555555"
TASK = msgspec.structs.replace(
    a_task(a_container()),
    known=TaskStatus.RUNNING,
    credentials_id=RECORDED_ID,
    execution_credentials_id="execution",
)
CREDENTIALS = TaskCredentials(
    task_arn=TASK.arn,
    role_type=RoleType.TASK_APPLICATION,
    credentials_id=RECORDED_ID,
    role_arn="arn:aws:iam::012345678910:role/task-role",
    access_key_id="AKIDTASKROLE",
    secret_access_key="task-role-secret",
    session_token="task-role-token",
    expiration="2030-01-01T00:00:00Z",
)
INSTANCE_ARN = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/1"


def a_state(*credentials: TaskCredentials) -> AgentState:
    """One task with both roles; of its credentials those that are given have come."""
    return AgentState(
        instance=ContainerInstance(cluster="default", arn=INSTANCE_ARN, agent_version="v"),
        tasks={TASK.arn: TASK},
        credentials={one.credentials_id: one for one in credentials},
    )


STATE = a_state(CREDENTIALS)

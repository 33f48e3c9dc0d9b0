"""An image is pulled with the credentials its container names, asked for with those of the right role."""

from __future__ import annotations

import pytest

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.executors.registry_login import RegistryLogins
from ecscope.agent.runtime.interface import RegistryAuth, RuntimeFailure
from ecscope.model.container import RegistryLogin
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import RoleType, TaskCredentials
from ecscope.model.task import Task
from tests.builders import a_container, a_failure, a_task, some_credentials

EXECUTION = some_credentials(role_type=RoleType.TASK_EXECUTION, credentials_id="exec-1")
USERS = RegistryAuth(username="user", password="user-secret")
OWN = RegistryAuth(username="own", password="own-secret", server_address="registry.example")
IMAGE = "012345678910.dkr.ecr.us-west-2.amazonaws.com/web:1"

ECR = RegistryLogin(kind="ecr", region="us-west-2", registry_id="012345678910", endpoint_override="https://ecr.example")
ECR_AS_ROLE = RegistryLogin(kind="ecr", region="us-west-2", registry_id="012345678910", use_execution_role=True)
SECRET = RegistryLogin(kind="asm", region="us-west-2", secret_arn="arn:secret")


class Aws:
    """Registry credentials that AWS would give, or the failure it answers with."""

    def __init__(self, *, failure: AwsCallFailed | None = None) -> None:
        self.failure = failure
        self.asked: list[tuple[object, ...]] = []

    async def ecr(
        self, *, registry_id: str, region: str, endpoint_override: str, credentials: TaskCredentials | None
    ) -> tuple[str, str, str]:
        self._take(("ecr", registry_id, region, endpoint_override, credentials))
        return ("AWS", "ecr-secret", "https://012345678910.dkr.ecr.us-west-2.amazonaws.com")

    async def secret(self, *, secret_arn: str, region: str, credentials: TaskCredentials) -> tuple[str, str]:
        self._take(("secret", secret_arn, region, credentials))
        return ("hub", "hub-secret")

    def _take(self, question: tuple[object, ...]) -> None:
        self.asked.append(question)
        if self.failure is not None:
            raise self.failure


async def test_a_user_is_asked_where_the_agent_has_none_of_its_own() -> None:
    asked: list[str] = []

    async def of_user(image: str) -> RegistryAuth | None:
        asked.append(image)
        return USERS

    task = a_pull(None)
    with_own = RegistryLogins(own=lambda image: OWN, of_user=of_user)
    assert await with_own.of(task, task.containers[0].definition) is OWN
    assert asked == []
    without = RegistryLogins(own=lambda image: None, of_user=of_user)
    assert await without.of(task, task.containers[0].definition) is USERS
    assert asked == [IMAGE]


def a_pull(login: RegistryLogin | None, *, execution: str = "exec-1") -> Task:
    return a_task(a_container(image=IMAGE, registry_login=login), execution_credentials_id=execution)


async def login_of(
    task: Task, *, aws: Aws | None = None, known: tuple[TaskCredentials, ...] = (EXECUTION,)
) -> RegistryAuth | None:
    by_id = {held.credentials_id: held for held in known}
    logins = RegistryLogins(own=lambda image: OWN if image == IMAGE else None, aws=aws, credentials_of=by_id.get)
    return await logins.of(task, task.containers[0].definition)


async def failure_of(task: Task, *, aws: Aws | None = None, known: tuple[TaskCredentials, ...] = (EXECUTION,)) -> str:
    with pytest.raises(RuntimeFailure) as caught:
        await login_of(task, aws=aws, known=known)
    assert not caught.value.is_unreachable, "nothing is wrong with Docker"
    return str(caught.value)


async def test_without_a_word_the_agents_own_credentials_are_used() -> None:
    aws = Aws()
    assert await login_of(a_pull(None), aws=aws) == OWN
    assert aws.asked == []
    plain = a_task(a_container(image="web:1"))
    assert await RegistryLogins(own=lambda image: None).of(plain, plain.containers[0].definition) is None


async def test_ecr_is_asked_with_the_instances_credentials() -> None:
    aws = Aws()
    assert await login_of(a_pull(ECR), aws=aws, known=()) == RegistryAuth(
        username="AWS",
        password="ecr-secret",
        server_address="https://012345678910.dkr.ecr.us-west-2.amazonaws.com",
    )
    assert aws.asked == [("ecr", "012345678910", "us-west-2", "https://ecr.example", None)]


async def test_ecr_is_asked_with_the_execution_role_where_the_container_says_so() -> None:
    aws = Aws()
    assert await login_of(a_pull(ECR_AS_ROLE), aws=aws) is not None
    assert aws.asked == [("ecr", "012345678910", "us-west-2", "", EXECUTION)]


async def test_a_secret_is_read_with_the_execution_role() -> None:
    aws = Aws()
    assert await login_of(a_pull(SECRET), aws=aws) == RegistryAuth(username="hub", password="hub-secret")
    assert aws.asked == [("secret", "arn:secret", "us-west-2", EXECUTION)]


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        (ECR_AS_ROLE, "CannotPullECRContainerError: engine ecr credentials: not found"),
        (SECRET, "CannotPullContainerAuthError: engine docker private registry credentials: not found"),
    ],
)
async def test_the_execution_roles_credentials_are_missing(login: RegistryLogin, expected: str) -> None:
    aws = Aws()
    assert await failure_of(a_pull(login), aws=aws, known=()) == expected
    assert await failure_of(a_pull(login, execution=""), aws=aws) == expected
    assert aws.asked == []


@pytest.mark.parametrize(
    ("login", "name"),
    [
        (ECR, "CannotPullECRContainerError"),
        (ECR_AS_ROLE, "CannotPullECRContainerError"),
        (SECRET, "CannotPullContainerAuthError"),
    ],
)
async def test_aws_says_no(login: RegistryLogin, name: str) -> None:
    failure = a_failure(
        operation="GetAuthorizationToken",
        kind=ObstacleKind.ACCESS_DENIED,
        code="AccessDeniedException",
        message="User is not authorized",
    )
    reason = await failure_of(a_pull(login), aws=Aws(failure=AwsCallFailed(failure)))
    assert reason == f"{name}: GetAuthorizationToken: AccessDeniedException: User is not authorized"


@pytest.mark.parametrize("login", [ECR, SECRET])
async def test_an_agent_without_aws(login: RegistryLogin) -> None:
    assert "was started without an ECS cluster" in await failure_of(a_pull(login))

"""An AWS that providers of a task's secrets and log streams ask, with knobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.core.log_streams import LogStream
from ecscope.agent.core.task_secrets import SecretReference
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials
from tests.builders import a_failure, some_credentials

CREDENTIALS = some_credentials(credentials_id="an-id")


def credentials_of(credentials_id: str) -> TaskCredentials | None:
    return CREDENTIALS if credentials_id == "an-id" else None


def denied(kind: ObstacleKind = ObstacleKind.ACCESS_DENIED) -> AwsCallFailed:
    return AwsCallFailed(a_failure(operation="X", kind=kind, code="Denied", message="no"))


class TaskAws:
    """``TaskSecrets`` and ``LogStreams``."""

    def __init__(self, *, failure: AwsCallFailed | None = None) -> None:
        self.secrets: dict[str, str | None] = {}
        self.known_parameters: dict[str, str] = {}
        self.failure = failure
        self.asked: list[object] = []

    async def secret(self, reference: SecretReference, *, region: str, credentials: TaskCredentials) -> str | None:
        await self._call((region, reference.secret_id, reference.stage, reference.version), credentials)
        return self.secrets[reference.secret_id]

    async def parameters(
        self, names: tuple[str, ...], *, region: str, credentials: TaskCredentials
    ) -> tuple[Mapping[str, str], ...]:
        await self._call((region, names), credentials)
        known = self.known_parameters
        return tuple({"Name": name, "Value": known[name]} for name in names if name in known)

    async def create(self, stream: LogStream, *, credentials: TaskCredentials) -> None:
        await self._call(stream, credentials)

    async def _call(self, what: object, credentials: TaskCredentials) -> None:
        assert credentials is CREDENTIALS
        await asyncio.sleep(0)
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

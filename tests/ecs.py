"""An ECS API that does what a test tells it, for everything above the HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind

INSTANCE_ARN = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/" + "b" * 32

Answer = Mapping[str, Any] | ApiFailure | Callable[[Mapping[str, Any]], Mapping[str, Any]]


class FakeEcs:
    """``EcsApi``. Answers are taken from ``answers`` by operation, the last one repeatedly; without one it echoes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.answers: dict[str, list[Answer]] = {}
        self.held: asyncio.Event | None = None
        """Calls wait for it; ``None``: they do not wait."""
        self.at_once = 0
        self.most_at_once = 0

    async def call(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append((operation, body))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.held is not None:
                await self.held.wait()
            answers = self.answers.get(operation, [])
            answer = (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else _usual(operation, body)
            if isinstance(answer, ApiFailure):
                raise AwsCallFailed(answer)
            return answer(body) if callable(answer) else answer
        finally:
            self.at_once -= 1

    def bodies(self, operation: str) -> list[Mapping[str, Any]]:
        return [body for called, body in self.calls if called == operation]


def _usual(operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    match operation:
        case "RegisterContainerInstance":
            return registered(body)
        case "DiscoverPollEndpoint":
            return {"endpoint": "http://127.0.0.1:1/acs/", "telemetryEndpoint": "http://127.0.0.1:1/tcs/"}
        case _:
            return {"acknowledgment": "ok"}


def registered(body: Mapping[str, Any], *, without: str = "") -> Mapping[str, Any]:
    """The answer to a registration; ``without``: an attribute that ECS does not take over."""
    zone = {"name": "ecs.availability-zone", "value": "us-west-2a"}
    attributes = [a for a in body["attributes"] if a["name"] != without]
    arn = body.get("containerInstanceArn", INSTANCE_ARN)
    return {"containerInstance": {"containerInstanceArn": arn, "attributes": [*attributes, zone]}}


def failing(kind: ObstacleKind = ObstacleKind.SERVER_ERROR, **fields: Any) -> ApiFailure:
    """A failure of this kind, with little to say."""
    return ApiFailure(**{"operation": "Any", "kind": kind, "message": "no", **fields})

"""Endpoints are asked for once in twelve hours, shared, and kept when ECS cannot be asked."""

from __future__ import annotations

import asyncio

import pytest

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.cluster.poll_endpoint import KEPT_S, PollEndpoint
from tests.ecs import INSTANCE_ARN, FakeEcs, failing


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def made(api: FakeEcs, clock: Clock, arn: list[str] | None = None) -> PollEndpoint:
    arns = arn or [INSTANCE_ARN]
    return PollEndpoint(api=api, cluster="web", container_instance_arn=lambda: arns[0], monotonic=clock)


async def test_both_come_from_one_call() -> None:
    api = FakeEcs()
    endpoint = made(api, Clock())
    assert await asyncio.gather(endpoint.acs(), endpoint.tcs()) == [
        "http://127.0.0.1:1/acs/",
        "http://127.0.0.1:1/tcs/",
    ]
    assert api.calls == [("DiscoverPollEndpoint", {"cluster": "web", "containerInstance": INSTANCE_ARN, "zoneId": ""})]


async def test_it_is_asked_again_after_twelve_hours_and_for_another_instance() -> None:
    api, clock, arns = FakeEcs(), Clock(), [INSTANCE_ARN]
    endpoint = made(api, clock, arns)
    await endpoint.acs()
    clock.now_s = KEPT_S - 1
    await endpoint.acs()
    assert len(api.calls) == 1
    clock.now_s = KEPT_S
    await endpoint.acs()
    arns[0] = "another"
    await endpoint.acs()
    assert len(api.calls) == 3


async def test_an_old_answer_is_better_than_none() -> None:
    api, clock = FakeEcs(), Clock()
    endpoint = made(api, clock)
    await endpoint.acs()
    api.answers["DiscoverPollEndpoint"] = [failing()]
    clock.now_s = KEPT_S
    assert await endpoint.acs() == "http://127.0.0.1:1/acs/"


async def test_that_ecs_cannot_be_asked_is_said_once_until_it_can(caplog: pytest.LogCaptureFixture) -> None:
    api, clock = FakeEcs(), Clock()
    endpoint = made(api, clock)
    good = {"endpoint": "http://a", "telemetryEndpoint": "http://b"}
    api.answers["DiscoverPollEndpoint"] = [good, failing(), failing(), failing(), good, failing()]
    await endpoint.acs()
    for hours, said in ((12, 1), (13, 1), (14, 1), (15, 1), (27, 2)):
        clock.now_s = hours * 3600.0
        await endpoint.acs()
        assert len(caplog.records) == said


async def test_without_an_answer_the_failure_is_told() -> None:
    api = FakeEcs()
    api.answers["DiscoverPollEndpoint"] = [failing(message="away")]
    with pytest.raises(AwsCallFailed, match="away"):
        await made(api, Clock()).acs()


@pytest.mark.parametrize(("answer", "says"), [({}, "no endpoint returned"), ({"endpoint": "http://a"}, "telemetry")])
async def test_an_answer_without_an_address_is_a_failure(answer: dict[str, str], says: str) -> None:
    api = FakeEcs()
    api.answers["DiscoverPollEndpoint"] = [answer]
    with pytest.raises(AwsCallFailed, match=says):
        await made(api, Clock()).tcs()

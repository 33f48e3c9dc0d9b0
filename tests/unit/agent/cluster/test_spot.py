"""A spot instance that is to end is drained once; what cannot be asked is asked again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from ecscope.agent.aws.imds import MetadataUnavailable
from ecscope.agent.cluster.spot import SpotWatch

NOTHING = None


class Ec2:
    """Says what it is told to, then nothing more happens."""

    def __init__(self, *plans: object, drains: tuple[bool, ...] = (True,)) -> None:
        self.plans = list(plans)
        self.drains = list(drains)
        self.drained = 0

    async def plan(self) -> object:
        plan = self.plans.pop(0) if self.plans else NOTHING
        if isinstance(plan, Exception):
            raise plan
        return SimpleNamespace(action=plan) if plan else NOTHING

    async def drain(self) -> bool:
        self.drained += 1
        return self.drains.pop(0) if self.drains else True

    async def sleep(self, _: float) -> None:
        if not self.plans:
            raise asyncio.CancelledError

    async def watch(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            await SpotWatch(instance_action=self.plan, drain=self.drain, sleep=self.sleep).run()


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
async def test_an_end_that_is_planned_drains_once(action: str) -> None:
    ec2 = Ec2(NOTHING, action, action)
    await ec2.watch()
    assert ec2.drained == 1


async def test_a_drain_that_ecs_does_not_take_is_tried_again() -> None:
    ec2 = Ec2("terminate", "terminate", "terminate", drains=(False, True))
    await ec2.watch()
    assert ec2.drained == 2


async def test_nothing_planned_and_other_plans_drain_nothing() -> None:
    ec2 = Ec2(NOTHING, "rebalance")
    await ec2.watch()
    assert ec2.drained == 0


async def test_a_metadata_service_that_fails_is_said_once_and_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    ec2 = Ec2(MetadataUnavailable("away"), MetadataUnavailable("away"), "terminate")
    await ec2.watch()
    assert ec2.drained == 1
    assert [r.getMessage() for r in caplog.records if "away" in r.getMessage()] == [
        "cannot ask whether this spot instance is to end: away"
    ]

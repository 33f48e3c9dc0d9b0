"""An interface is looked for until it is there or too late, and ECS is told until it answers or it is too late."""

from __future__ import annotations

import asyncio

import pytest

from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.executors.attachments import LOOK_EVERY_S, AttachmentExecutor
from ecscope.agent.inbox import Inbox
from ecscope.backoff import Backoff
from tests.builders import AT, an_arn, an_attachment
from tests.ecs import FakeEcs, failing

ARN = an_attachment().arn
MAC = an_attachment().mac_address
HEAD = {"id": "e1", "at": AT, "attachment_arn": ARN}


class Lab:
    """An executor between a fake ECS, interfaces that come when the test says, and a queue of events."""

    def __init__(self) -> None:
        self.api = FakeEcs()
        self.events: asyncio.Queue[ev.AnyEvent] = asyncio.Queue()
        self.addresses: set[str] = set()
        self.waits: list[float] = []
        self.after_waits: dict[int, str] = {}
        """After so many waits, an interface with this address is there."""
        self.executor = AttachmentExecutor(
            api=self.api,
            cluster="web",
            inbox=Inbox(self.events.put_nowait, new_id=lambda: "e1", now=lambda: AT),
            addresses=lambda: self.addresses,
            again=Backoff(tries=None, first_s=1.0, cap_s=4.0, factor=2.0),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) in self.after_waits:
            self.addresses.add(self.after_waits[len(self.waits)])
        await asyncio.sleep(0)

    def wait_for(self, limit_s: float = 60.0) -> None:
        self.executor.start(act.AwaitInterface(attachment_arn=ARN, mac_address=MAC, limit_s=limit_s))

    def submit(self, task_arn: str = "", limit_s: float = 60.0) -> None:
        self.executor.start(
            act.SubmitAttachmentStateChange(attachment_arn=ARN, task_arn=task_arn, limit_s=limit_s)  # type: ignore[arg-type]
        )

    async def event(self) -> ev.AnyEvent:
        async with asyncio.timeout(5):
            return await self.events.get()


async def test_what_is_there_is_seen_at_once() -> None:
    lab = Lab()
    lab.addresses = {"0e:00:00:00:00:99", MAC}
    lab.wait_for()
    assert await lab.event() == ev.InterfaceAppeared(**HEAD)
    assert lab.waits == []


async def test_what_comes_is_seen_at_the_next_look() -> None:
    lab = Lab()
    lab.after_waits = {3: MAC}
    lab.wait_for()
    assert await lab.event() == ev.InterfaceAppeared(**HEAD)
    assert lab.waits == [LOOK_EVERY_S] * 3


async def test_what_does_not_come_expires() -> None:
    lab = Lab()
    lab.wait_for(limit_s=0.02)
    assert await lab.event() == ev.AttachmentExpired(**HEAD)


async def test_that_of_the_instance_and_that_of_a_task_go_by_their_own_calls() -> None:
    lab = Lab()
    attached = [{"attachmentArn": ARN, "status": "ATTACHED"}]
    lab.submit()
    assert await lab.event() == ev.AttachmentAccepted(**HEAD)
    lab.submit(an_arn(1))
    assert await lab.event() == ev.AttachmentAccepted(**HEAD)
    assert lab.api.calls == [
        ("SubmitAttachmentStateChanges", {"cluster": "web", "attachments": attached}),
        ("SubmitTaskStateChange", {"cluster": "web", "task": an_arn(1), "attachments": attached}),
    ]


async def test_it_is_tried_until_ecs_answers_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab()
    lab.api.answers["SubmitAttachmentStateChanges"] = [failing(), failing(), {"acknowledgment": "ok"}]
    lab.submit()
    assert await lab.event() == ev.AttachmentAccepted(**HEAD)
    assert lab.waits == [1.0, 2.0]
    assert len([r for r in caplog.records if "cannot report" in r.message]) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameterException", "ClientException"])
async def test_what_ecs_refuses_is_not_tried_again(code: str) -> None:
    lab = Lab()
    failure = failing(code=code)
    lab.api.answers["SubmitAttachmentStateChanges"] = [failure]
    lab.submit()
    assert await lab.event() == ev.AttachmentRefused(**HEAD, failure=failure)
    assert len(lab.api.calls) == 1


async def test_what_cannot_be_told_in_time_expires() -> None:
    lab = Lab()
    lab.api.answers["SubmitAttachmentStateChanges"] = [failing()]
    lab.submit(limit_s=0.02)
    assert await lab.event() == ev.AttachmentExpired(**HEAD)


async def test_a_bug_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(body: object) -> dict[str, str]:
        raise LookupError("a bug")

    lab = Lab()
    lab.api.answers["SubmitAttachmentStateChanges"] = [breaks, {"acknowledgment": "ok"}]
    lab.submit()
    assert await lab.event() == ev.AttachmentAccepted(**HEAD)
    assert "bug in SubmitAttachmentStateChanges" in caplog.text


async def test_closing_ends_what_is_under_way_without_an_event() -> None:
    lab = Lab()
    lab.wait_for()
    await lab.executor.close()
    assert lab.events.empty()

"""State changes are tried until ECS answers, answers over ACS go out as frames, and failures are said once."""

from __future__ import annotations

import asyncio
import json

import pytest

from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core.restore import restored_state
from ecscope.agent.core.state import Settings
from ecscope.agent.executors.ecs import CALLS_AT_ONCE, EcsExecutor
from ecscope.agent.inbox import Inbox
from ecscope.backoff import Backoff
from ecscope.model.container import PortBinding, PortMapping
from ecscope.model.state_change import ContainerStateChange
from ecscope.model.status import ReportedStatus
from tests.builders import AT, a_change, a_container, a_task, an_arn
from tests.ecs import FakeEcs, failing
from tests.world import INSTANCE

AT_ONCE = Backoff(tries=None, first_s=0.0, cap_s=0.0)
FOR_EVER = Backoff(tries=None, first_s=3600.0, cap_s=3600.0)


class Lab:
    """An executor between a fake ECS and a queue of events."""

    def __init__(self, again: Backoff = AT_ONCE) -> None:
        self.api = FakeEcs()
        self.events: asyncio.Queue[ev.AnyEvent] = asyncio.Queue()
        self.frames: list[str] = []
        mapping = PortMapping(container_port=80, host_port=8080)
        task = a_task(a_container("app", port_mappings=(mapping,)))
        state = restored_state(instance=INSTANCE, settings=Settings(), tasks=[task])
        self.executor = EcsExecutor(
            api=self.api,
            cluster="web",
            state=lambda: state,
            inbox=Inbox(self.events.put_nowait, new_id=lambda: "e1", now=lambda: AT),
            send_acs=self.frames.append,
            connect=lambda: self.frames.append("connect"),
            exclude_ipv6=True,
            again=again,
        )

    def submit(self, change: object = None, arn: str = an_arn(1)) -> None:
        self.executor.start(act.SubmitTaskStateChange(task_arn=arn, change=change or a_change()))

    async def event(self) -> ev.AnyEvent:
        async with asyncio.timeout(5):
            return await self.events.get()


async def test_an_accepted_change_gives_one_event() -> None:
    lab = Lab()
    lab.submit()
    assert await lab.event() == ev.StateChangeAccepted(id="e1", at=AT, task_arn=an_arn(1), number=1)
    (body,) = lab.api.bodies("SubmitTaskStateChange")
    assert body["cluster"] == "web"
    assert body["status"] == "RUNNING"
    await lab.executor.close()


async def test_bindings_are_told_as_the_task_definition_maps_them() -> None:
    bindings = (
        PortBinding(container_port=80, host_port=8080, host_ip="0.0.0.0"),
        PortBinding(container_port=80, host_port=8080, host_ip="::"),
    )
    change = a_change(
        containers=(ContainerStateChange(container_name="app", status=ReportedStatus.RUNNING, bindings=bindings),)
    )
    lab = Lab()
    lab.submit(change)
    await lab.event()
    (body,) = lab.api.bodies("SubmitTaskStateChange")
    assert [b["bindIP"] for b in body["containers"][0]["networkBindings"]] == ["0.0.0.0"]
    await lab.executor.close()


async def test_it_is_tried_until_ecs_answers_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lab = Lab()
    lab.api.answers["SubmitTaskStateChange"] = [failing(), failing(), failing(), {"acknowledgment": "ok"}]
    lab.submit()
    assert isinstance(await lab.event(), ev.StateChangeAccepted)
    assert len(lab.api.calls) == 4
    said = [r.getMessage() for r in caplog.records]
    assert len([s for s in said if s.startswith("ECS does not take state changes")]) == 1
    assert said[-1] == "ECS takes state changes again"
    await lab.executor.close()


async def test_what_ecs_finds_fault_with_is_given_up() -> None:
    lab = Lab()
    lab.api.answers["SubmitTaskStateChange"] = [failing(code="InvalidParameterException")]
    lab.submit()
    event = await lab.event()
    assert isinstance(event, ev.StateChangeRefused)
    assert event.failure.code == "InvalidParameterException"
    await lab.executor.close()


async def test_a_change_that_has_no_form_is_given_up() -> None:
    bindings = tuple(PortBinding(container_port=p, host_port=p, host_ip="0.0.0.0") for p in range(1000, 1200))
    change = a_change(
        containers=(ContainerStateChange(container_name="app", status=ReportedStatus.RUNNING, bindings=bindings),)
    )
    lab = Lab()
    mappings = tuple(PortMapping(container_port=p) for p in range(1000, 1200))
    task = a_task(a_container("app", port_mappings=(*mappings, PortMapping(container_port_range="5000-5001"))))
    lab.executor._state = lambda: restored_state(instance=INSTANCE, settings=Settings(), tasks=[task])
    lab.submit(change)
    assert isinstance(await lab.event(), ev.StateChangeRefused)
    assert not lab.api.calls
    await lab.executor.close()


async def test_what_waits_is_woken_by_whoever_gets_through() -> None:
    lab = Lab(again=FOR_EVER)
    lab.api.answers["SubmitTaskStateChange"] = [failing(), failing(), {"acknowledgment": "ok"}]
    lab.submit(arn=an_arn(1))
    lab.submit(arn=an_arn(2))
    while len(lab.api.calls) < 2:
        await asyncio.sleep(0)
    lab.submit(arn=an_arn(3))
    assert {(await lab.event()).task_arn for _ in range(3)} == {an_arn(1), an_arn(2), an_arn(3)}
    await lab.executor.close()


async def test_what_ecs_never_takes_is_said_once_and_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    lab = Lab(again=FOR_EVER)
    stuck = CALLS_AT_ONCE + 5
    lab.api.answers["SubmitTaskStateChange"] = [failing(code="ClientException")] * 2 * stuck + [{}] * 20
    for number in range(stuck):
        lab.submit(arn=an_arn(number))
    while len(lab.api.calls) < stuck:
        await asyncio.sleep(0)
    lab.executor.wake()
    while len(lab.api.calls) < 2 * stuck:
        await asyncio.sleep(0)
    lab.executor._wake_again_at_s = asyncio.get_running_loop().time() + 3600
    for number in range(20):
        lab.submit(arn=an_arn(100 + number))
        assert isinstance(await lab.event(), ev.StateChangeAccepted)
    assert len(lab.api.calls) == 2 * stuck + 20
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("ECS does not take state changes")
    await lab.executor.close()


async def test_no_more_calls_are_made_at_once_than_officially() -> None:
    lab = Lab(again=FOR_EVER)
    lab.api.held = asyncio.Event()
    for number in range(25):
        lab.submit(arn=an_arn(number))
    while len(lab.api.calls) < CALLS_AT_ONCE:
        await asyncio.sleep(0)
    lab.api.held.set()
    for _ in range(25):
        await lab.event()
    assert lab.api.most_at_once == CALLS_AT_ONCE
    await lab.executor.close()


async def test_a_wake_from_outside_tries_at_once() -> None:
    lab = Lab(again=FOR_EVER)
    lab.api.answers["SubmitTaskStateChange"] = [failing(), {"acknowledgment": "ok"}]
    lab.submit()
    while len(lab.api.calls) < 1:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    lab.executor.wake()
    assert isinstance(await lab.event(), ev.StateChangeAccepted)
    await lab.executor.close()


async def test_closing_ends_what_is_under_way_without_an_event() -> None:
    lab = Lab()
    lab.api.held = asyncio.Event()
    lab.submit()
    await asyncio.sleep(0)
    await lab.executor.close()
    assert lab.events.empty()


async def test_the_links_are_opened_when_the_core_says_so() -> None:
    lab = Lab()
    lab.executor.start(act.ConnectToCluster())
    assert lab.frames == ["connect"]


async def test_answers_over_acs_are_the_official_frames() -> None:
    lab = Lab()
    lab.executor.start(act.AcknowledgeMessage(message_id="m", cluster_arn="c", container_instance_arn="i"))
    lab.executor.start(act.AcknowledgeCredentials(message_id="m", credentials_id="id", expiration="2030"))
    lab.executor.start(act.VerifyStop(message_id="m", cluster_arn="c", task_arns=(an_arn(1),)))
    assert [json.loads(frame) for frame in lab.frames] == [
        {"type": "AckRequest", "message": {"cluster": "c", "containerInstance": "i", "messageId": "m"}},
        {
            "type": "IAMRoleCredentialsAckRequest",
            "message": {"credentialsId": "id", "expiration": "2030", "messageId": "m"},
        },
        {
            "type": "TaskStopVerificationMessage",
            "message": {
                "messageId": "m",
                "stopCandidates": [{"taskArn": an_arn(1), "taskClusterArn": "c", "desiredStatus": "STOPPED"}],
            },
        },
    ]

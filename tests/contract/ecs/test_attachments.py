"""Network interfaces that ECS attaches are told ATTACHED when the kernel has them, and else not."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fake_ecs import Backend, a_payload_task
from tests.contract.ecs.joined import joined
from tests.contract.ecs.test_faults import a_runtime, is_well, nothing_twice
from tests.hurried import hurried

LOOPBACK = "00:00:00:00:00:00"
"""The one address that every kernel has."""
NOBODYS = "0e:0c:5c:09:e0:01"
TASK = a_payload_task(number=7)
FIVE_MINUTES_MS = 300_000


def an_arn(number: int) -> str:
    return f"arn:aws:ecs:us-west-2:012345678910:attachment/{number}"


async def attach(
    backend: Backend, mac_address: str, *, number: int = 1, to_task: bool = False, wait_ms: int = FIVE_MINUTES_MS
) -> None:
    """Push the message, and wait for its acknowledgement."""
    interface = {
        "macAddress": mac_address,
        "ec2Id": f"eni-{number}",
        "attachmentArn": an_arn(number),
        "ipv4Addresses": [{"privateAddress": "10.0.0.2", "primary": True}],
        "subnetGatewayIpv4Address": "10.0.0.1/24",
    }
    message: dict[str, Any] = {
        **backend.address(),
        "messageId": f"attach-{number}",
        "waitTimeoutMs": wait_ms,
        "elasticNetworkInterfaces": [interface],
    }
    if to_task:
        message |= {"taskArn": TASK["arn"], "taskClusterArn": TASK["taskClusterArn"]}
    await backend.push_message(f"Attach{'Task' if to_task else 'Instance'}NetworkInterfacesMessage", message)
    await backend.acked(f"attach-{number}")


def told_of_instance(backend: Backend) -> list[Any]:
    return [call.body["attachments"] for call in backend.calls_of("SubmitAttachmentStateChanges") if call.taken]


@contextmanager
def an_interface(name: str, mac_address: str) -> Iterator[None]:
    """A real one, of a kind that leads nowhere. Skips where none can be made."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network interfaces can only be made by root, with the ip command")
    add = ["ip", "link", "add", "name", name, "address", mac_address, "type"]
    kinds = ("dummy", "bridge")
    if all(subprocess.run([*add, kind], check=False, capture_output=True).returncode for kind in kinds):
        pytest.skip("this kernel makes neither dummy interfaces nor bridges")
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


async def test_one_of_the_instance_that_comes_after_a_while(tmp_path: Path) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await attach(backend, NOBODYS.upper())
        await is_well(backend, 1)
        assert told_of_instance(backend) == []
        with an_interface("ecscope-test0", NOBODYS):
            await backend.call("SubmitAttachmentStateChanges")
        assert told_of_instance(backend) == [[{"attachmentArn": an_arn(1), "status": "ATTACHED"}]]
        await is_well(backend, 2)
        assert not backend.problems


async def test_one_of_a_task_goes_by_the_tasks_call_and_says_nothing_else(tmp_path: Path) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        await attach(backend, LOOPBACK, to_task=True)
        call = await backend.call("SubmitTaskStateChange")
        assert call.body == {
            "cluster": "default",
            "task": TASK["arn"],
            "attachments": [{"attachmentArn": an_arn(1), "status": "ATTACHED"}],
        }
        await is_well(backend, 1)
        assert not backend.problems
    nothing_twice(backend)


async def test_what_does_not_come_in_time_is_forgotten(tmp_path: Path) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()) as agent:
        await backend.connected()
        await attach(backend, NOBODYS, wait_ms=50)
        await asyncio.sleep(0.1)
        await is_well(backend, 1)
        assert agent.state.attachments == {}
        assert told_of_instance(backend) == []


async def test_what_was_not_told_before_a_restart_is_told_after_it(tmp_path: Path) -> None:
    runtime = a_runtime()
    async with Backend() as backend:
        backend.hang("SubmitAttachmentStateChanges")
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected()
            await attach(backend, LOOPBACK)
            await attach(backend, NOBODYS, number=2)
            await backend.call("SubmitAttachmentStateChanges")
        backend.heal()
        async with joined(tmp_path, backend, runtime=runtime) as agent:
            await backend.call("SubmitAttachmentStateChanges", count=2)
            await is_well(backend, 1)
            assert set(agent.state.attachments) == {an_arn(2)}
        assert told_of_instance(backend) == [[{"attachmentArn": an_arn(1), "status": "ATTACHED"}]]
        async with joined(tmp_path, backend, runtime=runtime):
            await is_well(backend, 2)
        assert len(told_of_instance(backend)) == 1
        assert not backend.problems


@pytest.mark.parametrize(
    "fault",
    [
        lambda backend, call: backend.fail(call, status=400, body=b"Bad Request", times=2),
        lambda backend, call: backend.fail(call, status=403, code="ExpiredTokenException", times=2),
        lambda backend, call: backend.fail(call, status=429, body=b"", times=2),
        lambda backend, call: backend.fail(call, status=500, body=b"<html>", times=2),
        lambda backend, call: backend.hang(call, times=1),
    ],
    ids=["400", "403", "429", "500", "time-out"],
)
@pytest.mark.parametrize("to_task", [False, True], ids=["instance", "task"])
@hurried
async def test_it_is_told_until_ecs_takes_it(
    tmp_path: Path, to_task: bool, fault: Callable[[Backend, str], None]
) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()):
        await backend.connected()
        call = "SubmitTaskStateChange" if to_task else "SubmitAttachmentStateChanges"
        fault(backend, call)
        await attach(backend, LOOPBACK, to_task=to_task)

        def taken() -> bool:
            return any(found.taken and "attachments" in found.body for found in backend.calls_of(call))

        await backend.journal.wait(taken, "the attachment", 30)
        await is_well(backend, 1)
        assert len([found for found in backend.calls_of(call) if found.taken and "attachments" in found.body]) == 1
    nothing_twice(backend)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameterException", "ClientException"])
async def test_what_ecs_does_not_want_to_hear_is_not_told_again(tmp_path: Path, code: str) -> None:
    async with Backend() as backend, joined(tmp_path, backend, runtime=a_runtime()) as agent:
        await backend.connected()
        backend.fail("SubmitAttachmentStateChanges", code=code)
        await attach(backend, LOOPBACK)
        await backend.call("SubmitAttachmentStateChanges")
        await is_well(backend, 1)
        assert agent.state.attachments == {}
        assert len(backend.calls_of("SubmitAttachmentStateChanges")) == 1

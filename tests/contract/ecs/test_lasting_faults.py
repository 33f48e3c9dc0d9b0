"""What lasts a while, or comes from the instance itself: ECS away, names gone, keys, role and clock wrong.

Each with tasks running: they run on, and what became of them is told once, when it can be told.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_ecs import Backend, Principal, a_payload_task, to_stop
from fake_ecs.journal import Call
from tests.contract.ecs.joined import joined
from tests.contract.ecs.test_faults import a_runtime, is_well, nothing_twice
from tests.contract.ecs.test_gate import opened, reason
from tests.hurried import hurried, loop
from tests.imds import Imds, Role
from tests.simulated_knobs import FakeRuntime

HOUR = timedelta(hours=1)


class AdjustedClock:
    """The host's clock, set by the test."""

    def __init__(self, off: timedelta = timedelta()) -> None:
        self.off = off

    def now(self) -> datetime:
        return datetime.now(UTC) + self.off


def a_named_task(number: int) -> dict[str, Any]:
    """Its container is called ``of-<number>``, for ``FakeRuntime.kill``."""
    task = a_payload_task(number=number)
    task["containers"][0]["name"] = f"of-{number}"
    return task


async def running(backend: Backend, *numbers: int) -> list[dict[str, Any]]:
    """Tasks that ECS knows to be running."""
    tasks = [a_named_task(number) for number in numbers]
    for task in tasks:
        await backend.acked(await backend.push_tasks(task))
        await backend.state_change(task["arn"], "RUNNING")
    return tasks


def has_ended(backend: Backend, task: dict[str, Any], exit_code: int) -> None:
    """As it did, told once, after that it ran."""
    ran, ended = backend.state_changes(task["arn"])
    assert (ran.body["status"], ended.body["status"]) == ("RUNNING", "STOPPED")
    assert [container["exitCode"] for container in ended.body["containers"]] == [exit_code]


def runs_on(backend: Backend, task: dict[str, Any], runtime: FakeRuntime) -> None:
    assert [call.body["status"] for call in backend.state_changes(task["arn"])] == ["RUNNING"]
    assert len([config for config in runtime.configs.values() if config.task_arn == task["arn"]]) == 1


# --- ECS is away ------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone_s", [1.0, 60.0])
@hurried
async def test_ecs_is_away(tmp_path: Path, gone_s: float) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected("tcs")
            kept, early, late = await running(backend, 1, 2, 3)
            await backend.away()
            runtime.kill("of-2", exit_code=2)
            await asyncio.sleep(gone_s)
            runtime.kill("of-3", exit_code=3)
            await backend.back()
            await backend.reported("STOPPED", 2)
            await backend.connected(count=2)
            await backend.connected("tcs", count=2)
            await is_well(backend, 9)
            has_ended(backend, early, 2)
            has_ended(backend, late, 3)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)
        assert len(backend.operations.instances) == 1


@hurried
async def test_ecs_goes_away_for_a_minute_with_a_report_in_its_hands(tmp_path: Path) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            (task,) = await running(backend, 1)
            backend.hang("SubmitTaskStateChange", times=1)
            runtime.kill("of-1", exit_code=5)
            await backend.call("SubmitTaskStateChange", count=2)
            await backend.away()
            backend.heal()
            await asyncio.sleep(60)
            await backend.back()
            await backend.state_change(task["arn"], "STOPPED")
            await backend.connected(count=2)
            await is_well(backend, 2)
            has_ended(backend, task, 5)
        nothing_twice(backend)


# --- names ------------------------------------------------------------------------------------------


@hurried
async def test_names_are_gone_at_the_start_and_while_it_runs(tmp_path: Path) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        backend.operations.base_url = lambda: f"http://ecs.test:{backend.port}"
        settings = {"ECS_BACKEND_HOST": f"http://ecs.test:{backend.port}"}
        loop().names.add("ecs.test")
        async with joined(tmp_path, backend, runtime=runtime, settings=settings):
            await backend.connected("tcs")
            kept, ends = await running(backend, 1, 2)
            loop().names.clear()
            for channel in ("acs", "tcs"):
                await backend.close(1000, channel=channel)
                await backend.closed(channel)
            await asyncio.sleep(20)
            assert backend.is_open("acs") is None
            loop().names.add("ecs.test")
            await backend.connected(count=2)
            await backend.connected("tcs", count=2)
            await is_well(backend, 8)
        loop().names.clear()
        runtime.kill("of-2", exit_code=2)
        async with joined(tmp_path, backend, runtime=runtime, settings=settings) as agent:
            body = await reason(agent, "EndpointUnreachable")
            assert "the name ecs.test cannot be resolved: Temporary failure in name resolution" in body["Message"]
            loop().names.add("ecs.test")
            await opened(agent)
            await backend.state_change(ends["arn"], "STOPPED")
            await is_well(backend, 9)
            has_ended(backend, ends, 2)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)


# --- credentials ------------------------------------------------------------------------------------

INSTANCE_ROLE = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "ECS_EXTERNAL": "false"}


def a_role(number: int, *, expires_in_s: float = 6 * 3600) -> Role:
    """The same role, with its ``number``-th keys."""
    return Role(
        access_key_id=f"ASIAEXAMPLE{number}",
        secret_access_key=f"role-secret-{number}",
        token=f"role-token-{number}",
        expires_at=datetime.now(UTC) + timedelta(seconds=expires_in_s),
    )


def known_to_aws(role: Role) -> dict[str, Principal]:
    """As what the back end knows it, which refuses it as expired when it has."""
    principal = Principal(
        access_key_id=role.access_key_id,
        secret_access_key=role.secret_access_key,
        session_token=role.token,
        expires_at=role.expires_at,
    )
    return {role.access_key_id: principal}


def key_of(call: Call) -> str:
    found = re.search(r"Credential=([^/]+)/", dict(call.headers)["Authorization"])
    assert found
    return found.group(1)


async def test_keys_that_expire_are_renewed_before_they_are_refused(tmp_path: Path) -> None:
    old, new = a_role(1, expires_in_s=4), a_role(2)
    async with Imds() as imds, Backend(principals=[]) as backend:
        imds.role = old
        backend.principals = known_to_aws(old) | known_to_aws(new)
        runtime = a_runtime()
        settings = {**INSTANCE_ROLE, "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        async with joined(tmp_path, backend, runtime=runtime, settings=settings):
            await backend.connected("tcs")
            kept, ends = await running(backend, 1, 2)
            imds.role = new
            await asyncio.sleep((old.expires_at - datetime.now(UTC)).total_seconds() + 0.2)
            runtime.kill("of-2", exit_code=2)
            await backend.state_change(ends["arn"], "STOPPED")
            await backend.close(1000)
            await backend.connected(count=2)
            await is_well(backend, 3)
            has_ended(backend, ends, 2)
            runs_on(backend, kept, runtime)
        assert {call.status for call in backend.calls} == {200}
        assert [key_of(call) for call in (backend.calls[0], backend.calls[-1])] == [
            old.access_key_id,
            new.access_key_id,
        ]
        assert not backend.problems
        nothing_twice(backend)


async def test_keys_that_aws_calls_expired_before_their_time_are_renewed_at_once(tmp_path: Path) -> None:
    old, new = a_role(1), a_role(2)
    async with Imds() as imds, Backend(principals=[]) as backend:
        imds.role = old
        backend.principals = known_to_aws(old) | known_to_aws(new)
        runtime = a_runtime()
        settings = {**INSTANCE_ROLE, "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        async with joined(tmp_path, backend, runtime=runtime, settings=settings):
            await backend.connected("tcs")
            kept, ends = await running(backend, 1, 2)
            backend.principals[old.access_key_id].expires_at = datetime.now(UTC)
            imds.role = new
            runtime.kill("of-2", exit_code=2)
            await backend.state_change(ends["arn"], "STOPPED")
            await backend.close(1000)
            await backend.connected(count=2)
            await is_well(backend, 3)
            has_ended(backend, ends, 2)
            runs_on(backend, kept, runtime)
        refused = [call.reply["__type"] for call in backend.calls if call.status != 200]
        assert refused == ["ExpiredTokenException"], "once, and then never with the old keys again"
        nothing_twice(backend)


# --- the role ---------------------------------------------------------------------------------------


@hurried
async def test_a_role_that_is_denied_all_and_allowed_again(tmp_path: Path) -> None:
    async with Backend() as backend:
        runtime = a_runtime()
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected("tcs")
            kept, ends, stops = await running(backend, 1, 2, 3)
            backend.deny()
            runtime.kill("of-2", exit_code=2)
            await backend.push_tasks(to_stop(stops))  # over the connection that there is
            await backend.call("SubmitTaskStateChange", count=8)
            for channel in ("acs", "tcs"):
                await backend.close(1000, channel=channel)
                await backend.closed(channel)
            await asyncio.sleep(60)
            assert backend.is_open("acs") is None
            backend.allow()
            await backend.reported("STOPPED", 2)
            await backend.connected(count=2)
            await backend.connected("tcs", count=2)
            await is_well(backend, 9)
            has_ended(backend, ends, 2)
            has_ended(backend, stops, 0)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)


@hurried
async def test_a_role_that_is_detached_and_attached_again(tmp_path: Path) -> None:
    """Its keys are revoked, and the metadata service has none."""
    role = a_role(1)
    async with Imds() as imds, Backend(principals=[]) as backend:
        imds.role = role
        backend.principals = known_to_aws(role)
        runtime = a_runtime()
        settings = {**INSTANCE_ROLE, "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        async with joined(tmp_path, backend, runtime=runtime, settings=settings):
            kept, ends = await running(backend, 1, 2)
            imds.role, backend.principals = None, {}
            runtime.kill("of-2", exit_code=2)
            await backend.close(1000)
            await backend.closed()
            await asyncio.sleep(60)
            assert backend.is_open("acs") is None
            imds.role = another = a_role(2)
            backend.principals = known_to_aws(another)
            await backend.state_change(ends["arn"], "STOPPED")
            await backend.connected(count=2)
            await is_well(backend, 9)
            has_ended(backend, ends, 2)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)


# --- the clock --------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["set back", "set ahead"])
@hurried
async def test_the_hosts_clock_is_an_hour_off_for_a_while(tmp_path: Path, off: timedelta) -> None:
    async with Backend() as backend:
        runtime, clock = a_runtime(), AdjustedClock()
        async with joined(tmp_path, backend, runtime=runtime, clock=clock):
            kept, ends, stops = await running(backend, 1, 2, 3)
            told = len(backend.calls)
            clock.off = off
            runtime.kill("of-2", exit_code=2)
            await backend.push_tasks(to_stop(stops))
            await backend.call("SubmitTaskStateChange", count=7)
            await backend.close(1000)
            await backend.closed()
            clock.off = timedelta()
            await backend.reported("STOPPED", 2)
            await backend.connected(count=2)
            await is_well(backend, 9)
            assert backend.calls[told].reply["__type"] == "InvalidSignatureException"
            has_ended(backend, ends, 2)
            has_ended(backend, stops, 0)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)


@hurried
async def test_a_clock_set_back_for_good_changes_nothing_about_tasks(tmp_path: Path) -> None:
    """The host was an hour ahead of ECS, which did not mind, and has been set right."""
    async with Backend() as backend:
        runtime, clock = a_runtime(), AdjustedClock(HOUR)
        backend.clock_skew_s = HOUR.total_seconds()
        async with joined(tmp_path, backend, runtime=runtime, clock=clock):
            kept, ends = await running(backend, 1, 2)
            clock.off, backend.clock_skew_s = timedelta(), 0.0
            runtime.kill("of-2", exit_code=2)
            await backend.state_change(ends["arn"], "STOPPED")
            await is_well(backend, 3)
            has_ended(backend, ends, 2)
        async with joined(tmp_path, backend, runtime=runtime):
            await backend.connected(count=2)
            await is_well(backend, 4)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)


@pytest.mark.parametrize(
    ("off", "words"), [(-HOUR, r"is 3[56]\d\d seconds slow"), (HOUR, r"is 3[56]\d\d seconds fast")]
)
@hurried
async def test_a_start_with_a_wrong_clock_says_how_wrong_and_heals(tmp_path: Path, off: timedelta, words: str) -> None:
    async with Backend() as backend:
        runtime, clock = a_runtime(), AdjustedClock()
        async with joined(tmp_path, backend, runtime=runtime, clock=clock):
            kept, ends = await running(backend, 1, 2)
        runtime.kill("of-2", exit_code=2)
        clock.off = off
        async with joined(tmp_path, backend, runtime=runtime, clock=clock) as agent:
            body = await reason(agent, "ClockSkew")
            assert re.search(words, body["Message"])
            clock.off = timedelta()
            await opened(agent)
            await backend.state_change(ends["arn"], "STOPPED")
            await is_well(backend, 3)
            has_ended(backend, ends, 2)
            runs_on(backend, kept, runtime)
        nothing_twice(backend)

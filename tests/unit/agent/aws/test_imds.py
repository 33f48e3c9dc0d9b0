"""The instance metadata service is asked by version 2, with patience where it helps and none where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ecscope.agent.aws.imds import InstanceAction, InstanceMetadata, MetadataUnavailable
from ecscope.backoff import Retry
from tests.imds import DOCUMENT, Imds


class FakeTime:
    """Sleeps in no time, and counts what it would have taken."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.waits_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits_s.append(round(seconds, 3))
        self.at_s += seconds

    def monotonic(self) -> float:
        return self.at_s


@pytest.fixture
async def imds() -> AsyncIterator[Imds]:
    async with Imds() as imds:
        yield imds


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def metadata(imds: Imds, time: FakeTime) -> AsyncIterator[InstanceMetadata]:
    metadata = InstanceMetadata(
        endpoint=imds.url + "/",
        retry=Retry(sleep=time.sleep, random=lambda: 0.5),
        timeout_s=5.0,
        monotonic=time.monotonic,
    )
    yield metadata
    await metadata.close()


async def test_what_the_agent_wants_to_know_is_there(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.values["user-data"] = "#!/bin/sh"
    assert await metadata.instance_id() == "i-0123456789abcdef0"
    assert await metadata.region() == "us-west-2"
    assert await metadata.user_data() == "#!/bin/sh"
    assert await metadata.identity_document() == DOCUMENT
    assert await metadata.identity_signature() == "c2lnbmVk"
    assert imds.count("api/token") == 1


async def test_a_session_is_renewed_before_it_ends(imds: Imds, metadata: InstanceMetadata, time: FakeTime) -> None:
    await metadata.instance_id()
    time.at_s += 21600 - 59
    await metadata.instance_id()
    assert imds.count("api/token") == 2


async def test_a_session_that_the_service_forgot_is_renewed(imds: Imds, metadata: InstanceMetadata) -> None:
    await metadata.instance_id()
    imds.tokens.clear()
    assert await metadata.instance_id() == "i-0123456789abcdef0"


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_version_1_serves_where_there_is_no_version_2(
    imds: Imds, metadata: InstanceMetadata, status: int
) -> None:
    imds.knows_version_2 = False
    imds.token_status = status
    assert await metadata.instance_id() == "i-0123456789abcdef0"


async def test_a_session_that_cannot_be_had_is_a_failure(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.token_status = 400
    with pytest.raises(MetadataUnavailable, match="answered 400 for a session token"):
        await metadata.get("meta-data/instance-id")


async def test_look_ups_are_tried_five_times(imds: Imds, metadata: InstanceMetadata, time: FakeTime) -> None:
    imds.failing = [500] * 4
    assert await metadata.region() == "us-west-2"
    assert time.waits_s == [1.1, 1.43, 1.859, 2.417]
    imds.failing = [500] * 5
    with pytest.raises(MetadataUnavailable, match="answered 500 for meta-data/placement/region") as failed:
        await metadata.region()
    assert failed.value.status == 500


async def test_what_is_not_there_is_not_asked_for_again(imds: Imds, metadata: InstanceMetadata, time: FakeTime) -> None:
    del imds.values["meta-data/placement/region"]
    with pytest.raises(MetadataUnavailable) as failed:
        await metadata.region()
    assert failed.value.is_absent
    assert time.waits_s == []


async def test_the_identity_is_asked_for_during_half_a_minute(
    imds: Imds, metadata: InstanceMetadata, time: FakeTime
) -> None:
    imds.failing = [500] * 100
    with pytest.raises(MetadataUnavailable):
        await metadata.identity_document()
    assert time.waits_s[:4] == [0.11, 0.22, 0.44, 0.88]
    assert max(time.waits_s) == 5.5
    assert 30 <= time.at_s < 36


async def test_an_instance_may_have_no_user_data(metadata: InstanceMetadata) -> None:
    assert await metadata.user_data() == ""


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"#!/bin/sh\n", b"echo ECS_CLUSTER=blue\n"):
            await response.write(piece)
            await asyncio.sleep(0.05)
        return response

    app = web.Application()
    app.router.add_get("/latest/user-data", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    metadata = InstanceMetadata(endpoint=f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        assert await metadata.user_data() == "#!/bin/sh\necho ECS_CLUSTER=blue\n"
    finally:
        await metadata.close()
        await runner.cleanup()


async def test_user_data_that_cannot_be_read_is_told_from_none(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.failing = [500] * 5
    with pytest.raises(MetadataUnavailable):
        await metadata.user_data()


async def test_a_spot_instance_learns_what_is_planned(imds: Imds, metadata: InstanceMetadata) -> None:
    assert await metadata.spot_instance_action() is None
    imds.values["meta-data/spot/instance-action"] = '{"action": "terminate", "time": "2026-11-23T15:00:00Z"}'
    assert await metadata.spot_instance_action() == InstanceAction(action="terminate", time="2026-11-23T15:00:00Z")
    for text in ("soon", "[" * 100_000 + "]" * 100_000, '{"action": ' + "[" * 100_000 + "]" * 100_000 + "}"):
        imds.values["meta-data/spot/instance-action"] = text
        with pytest.raises(MetadataUnavailable, match="not of the known form"):
            await metadata.spot_instance_action()
    imds.failing = [500]
    with pytest.raises(MetadataUnavailable, match="answered 500"):
        await metadata.spot_instance_action()


async def test_a_silent_service_is_given_up(imds: Imds) -> None:
    imds.is_silent = True
    metadata = InstanceMetadata(endpoint=imds.url, timeout_s=0.05)
    with pytest.raises(MetadataUnavailable, match=r"no answer within 0\.05 s") as failed:
        await metadata.get("meta-data/instance-id")
    assert not failed.value.is_absent
    await metadata.close()


async def test_no_service_is_told() -> None:
    metadata = InstanceMetadata(endpoint="http://127.0.0.1:1")
    with pytest.raises(MetadataUnavailable, match=r"http://127\.0\.0\.1:1 did not answer for meta-data/instance-id"):
        await metadata.get("meta-data/instance-id")
    await metadata.close()


async def test_a_service_that_is_switched_off_is_not_asked(imds: Imds) -> None:
    metadata = InstanceMetadata(endpoint=imds.url, disabled=True)
    with pytest.raises(MetadataUnavailable, match="switched off"):
        await metadata.region()
    assert imds.requests == []
    await metadata.close()


async def test_a_call_may_be_cancelled(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.is_silent = True
    call = asyncio.create_task(metadata.instance_id())
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

"""The clock of the loop, and a simulated engine with knobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.builders import SAMPLE_IMAGE
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import EPOCH_NS


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    with Clock(asyncio.get_running_loop()) as made:
        yield made


@pytest.fixture
def fake() -> FakeRuntime:
    return FakeRuntime(images=[SAMPLE_IMAGE], epoch_ns=EPOCH_NS)

"""What EC2 knows is taken where it is told, and a service that says nothing costs little."""

from __future__ import annotations

import logging

import pytest

from ecscope.agent.aws import instance_data
from ecscope.agent.aws.imds import InstanceMetadata
from ecscope.agent.aws.instance_data import ask_instance
from ecscope.agent.config.settings import Config
from ecscope.agent.config.sources import InstanceData
from ecscope.backoff import Retry
from tests.imds import Imds


async def no_sleep(_: float) -> None:
    pass


async def test_all_that_is_told_is_taken() -> None:
    async with Imds() as imds:
        imds.values["user-data"] = "#!/bin/sh"
        told = await ask_instance(Config(imds_endpoint=imds.url))
    assert told == InstanceData(user_data="#!/bin/sh", region="us-west-2", instance_id="i-0123456789abcdef0")


async def test_what_is_not_told_is_empty() -> None:
    async with Imds() as imds:
        imds.values.clear()
        metadata = InstanceMetadata(endpoint=imds.url, retry=Retry(sleep=no_sleep))
        assert await ask_instance(Config(), metadata=metadata) == InstanceData()


async def test_a_service_that_is_not_there_is_not_waited_for() -> None:
    metadata = InstanceMetadata(endpoint="http://127.0.0.1:9", retry=Retry(sleep=no_sleep))
    assert await ask_instance(Config(region="eu-west-1"), metadata=metadata) == InstanceData()


@pytest.mark.parametrize(("region", "is_said"), [("", True), ("eu-west-1", False)])
async def test_what_is_waited_for_is_said(
    region: str, is_said: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the region is known it is over sooner than that."""
    monkeypatch.setattr(instance_data, "PATIENCE_S", 0.4)
    monkeypatch.setattr(instance_data, "HASTE_S", 0.05)
    monkeypatch.setattr(instance_data, "SAID_AFTER_S", 0.2)
    async with Imds() as imds:
        imds.is_silent = True
        with caplog.at_level(logging.WARNING):
            await ask_instance(Config(imds_endpoint=imds.url, region=region))
    assert ("waiting for the EC2 instance metadata service" in caplog.text) is is_said

"""What ECS says of a stopped task: DescribeTasks with the caller's credentials, never the instance's own role.

Importing this imports botocore.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ecscope.agent.aws.client import AwsClient, Timeouts
from ecscope.agent.aws.credentials import CredentialsProvider, chain
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.agent.diagnosis.why.story import StoppedBy
from ecscope.clock import SystemClock

_LIMIT_S = 1.0
_REGION_PART, _RESOURCE_PART = 3, 5


class _Task(msgspec.Struct, rename="camel"):
    stop_code: str = ""
    stopped_reason: str = ""


class _Answer(msgspec.Struct):
    tasks: list[_Task] = []


async def stopped_by(arn: str, *, environ: Mapping[str, str], endpoint: str) -> StoppedBy | None:
    """``None``: there is no answer, or the task is not stopped there.

    Args:
        environ: where the caller's credentials are named, as for AWS's own tools.
        endpoint: ``""``: the region's own.
    """
    parts = arn.split(":", _RESOURCE_PART)
    if len(parts) <= _RESOURCE_PART:
        return None
    cluster = parts[_RESOURCE_PART].split("/")[1] if parts[_RESOURCE_PART].count("/") > 1 else "default"
    clock = SystemClock()
    credentials = CredentialsProvider(
        chain(environ, external=False, clock=clock, imds_endpoint="", imds_disabled=True, rotating_profile=""),
        clock=clock,
    )
    client = AwsClient(
        region=parts[_REGION_PART],
        credentials=credentials,
        clock=clock,
        endpoint=endpoint,
        timeouts=Timeouts(dial_s=_LIMIT_S, round_trip_s=_LIMIT_S),
    )
    try:
        with suppress(AwsCallFailed):
            return _of(await client.call("DescribeTasks", {"cluster": cluster, "tasks": [arn]}))
    finally:
        await client.close()
        await credentials.close()
    return None


def _of(document: Mapping[str, Any]) -> StoppedBy | None:
    with suppress(msgspec.ValidationError):
        for task in msgspec.convert(document, _Answer).tasks:
            if task.stop_code or task.stopped_reason:
                return StoppedBy(stop_code=task.stop_code, reason=task.stopped_reason)
    return None

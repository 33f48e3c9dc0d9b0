"""Where ACS and TCS are: asked of ECS, remembered for half a day, shared by both.

Source: agent-protocol.md §3.4.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ecscope.agent.aws.interface import AwsCallFailed, EcsApi
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.wire.ecs_api import PollEndpoints, UnusableAnswer, discover_poll_endpoint, poll_endpoints

_log = logging.getLogger("ecscope.ecs")

_OPERATION = "DiscoverPollEndpoint"
KEPT_S = 12 * 3600.0
LIMIT_S = 126.0
"""For the whole look-up."""


class PollEndpoint:
    """See the module docstring. Concurrent callers share one call."""

    def __init__(
        self,
        *,
        api: EcsApi,
        cluster: str,
        container_instance_arn: Callable[[], str],
        monotonic: Callable[[], float],
        kept_s: float = KEPT_S,
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._instance = container_instance_arn
        self._monotonic = monotonic
        self._kept_s = kept_s
        self._known: PollEndpoints | None = None
        self._known_for = ""
        self._ask_again_at_s = 0.0
        self._has_complained = False
        self._lock = asyncio.Lock()

    async def acs(self) -> str:
        """Base address of ACS, ``http…``. Raises ``AwsCallFailed``."""
        return (await self._get()).endpoint

    async def tcs(self) -> str:
        """Base address of TCS, ``http…``. Raises ``AwsCallFailed``, also where ECS names none."""
        address = (await self._get()).telemetry_endpoint
        if not address:
            raise AwsCallFailed(_failure("ECS names no endpoint for telemetry"))
        return address

    async def _get(self) -> PollEndpoints:
        async with self._lock:
            instance = self._instance()
            if self._known is not None and instance == self._known_for and self._monotonic() < self._ask_again_at_s:
                return self._known
            try:
                async with asyncio.timeout(LIMIT_S):
                    body = discover_poll_endpoint(cluster=self._cluster, container_instance_arn=instance)
                    found = poll_endpoints(await self._api.call(_OPERATION, body))
            except UnusableAnswer as error:
                failed = AwsCallFailed(_failure(str(error)))
            except TimeoutError:
                failed = AwsCallFailed(_failure(f"no answer within {LIMIT_S:.0f} s"))
            except AwsCallFailed as error:
                failed = error
            else:
                self._known, self._known_for = found, instance
                self._ask_again_at_s = self._monotonic() + self._kept_s
                self._has_complained = False
                return found
            if self._known is None or instance != self._known_for:
                raise failed
            if not self._has_complained:  # each dial asks again, and there may be many
                self._has_complained = True
                _log.warning("%s; going on with the endpoints of the last answer", failed)
            return self._known


def _failure(message: str) -> ApiFailure:
    return ApiFailure(operation=_OPERATION, kind=ObstacleKind.SERVER_ERROR, message=message)

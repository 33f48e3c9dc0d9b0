"""Awaits network interfaces, and reports to ECS that they are attached: one task per attachment, each with its limit.

The kernel is asked once a second, and only while an interface is awaited. What is reported, and for how long, is
decided in ``core.attachments``.

Source: agent-protocol.md §3.5, §3.7, §3.8, §4.8.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from ecscope.agent.aws.interface import AwsCallFailed, EcsApi
from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.executors.interface_addresses import mac_addresses
from ecscope.agent.inbox import Inbox, Stamp
from ecscope.backoff import Backoff
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.wire.ecs_api import submit_attachment_state_changes, submit_task_attachment

_log = logging.getLogger("ecscope.ecs")

LOOK_EVERY_S = 1.0
SUBMIT_AGAIN = Backoff(tries=None, first_s=1.0, cap_s=30.0, factor=1.3, jitter=0.2)
_FINAL = frozenset({"AccessDeniedException", "InvalidParameterException", "ClientException"})
"""Source: agent-protocol.md §3.8."""


class _Head(Stamp):
    """What each answer carries."""

    attachment_arn: str


class AttachmentExecutor:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        api: EcsApi,
        cluster: str,
        inbox: Inbox,
        addresses: Callable[[], Collection[str]] = mac_addresses,
        makes_interfaces: bool = False,
        again: Backoff = SUBMIT_AGAIN,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make no call yet.

        Args:
            addresses: of the interfaces that are there now; must not block.
            makes_interfaces: those of tasks are made by the agent, and are not awaited.
            again: never ends.
        """
        self._api = api
        self._cluster = cluster
        self._inbox = inbox
        self._addresses = addresses
        self._makes_interfaces = makes_interfaces
        self._again = again
        self._sleep = sleep
        self._running: set[asyncio.Task[None]] = set()

    def start(self, action: act.AttachmentAction) -> None:
        """Begin an action and return at once."""
        name = f"{type(action).__name__} {action.attachment_arn}"
        task = asyncio.create_task(self._within_limit(action), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End everything under way; it is in the saved state and is started again after the next start."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _within_limit(self, action: act.AttachmentAction) -> None:
        try:
            async with asyncio.timeout(action.limit_s):
                event = await (
                    self._wait_for(action) if isinstance(action, act.AwaitInterface) else self._submit(action)
                )
        except TimeoutError:
            event = ev.AttachmentExpired(**self._head(action))
        self._inbox.post(event)

    async def _wait_for(self, action: act.AwaitInterface) -> ev.AnyEvent:
        while not self._makes_interfaces and action.mac_address not in self._addresses():
            await self._sleep(LOOK_EVERY_S)
        return ev.InterfaceAppeared(**self._head(action))

    async def _submit(self, action: act.SubmitAttachmentStateChange) -> ev.AnyEvent:
        waits = self._again.waits()
        has_complained = False
        while True:
            failure = await self._try_submit(action)
            if failure is None:
                return ev.AttachmentAccepted(**self._head(action))
            if failure.code in _FINAL:
                return ev.AttachmentRefused(**self._head(action), failure=failure)
            if not has_complained:
                has_complained = True
                _log.warning("cannot report %s to ECS (%s); retrying", action.attachment_arn, failure)
            await self._sleep(next(waits))

    async def _try_submit(self, action: act.SubmitAttachmentStateChange) -> ApiFailure | None:
        """``None``: ECS took it. Never raises, but for its own end."""
        arn = action.attachment_arn
        if action.task_arn:
            operation = "SubmitTaskStateChange"
            body = submit_task_attachment(cluster=self._cluster, task_arn=action.task_arn, attachment_arn=arn)
        else:
            operation = "SubmitAttachmentStateChanges"
            body = submit_attachment_state_changes(cluster=self._cluster, attachment_arns=[arn])
        try:
            await self._api.call(operation, body)
        except AwsCallFailed as failed:
            return failed.failure
        except Exception as error:
            _log.exception("bug in %s", operation)
            return ApiFailure(
                operation=operation, kind=ObstacleKind.SERVER_ERROR, message=f"{type(error).__name__}: {error}"
            )
        return None

    def _head(self, action: act.AttachmentAction) -> _Head:
        return {**self._inbox.stamp(), "attachment_arn": action.attachment_arn}

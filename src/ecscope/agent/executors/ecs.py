"""Carries out the actions that go to ECS: state changes over the API, answers over ACS.

A state change is tried until ECS answers; what waits is woken as soon as another one gets
through. Which of them go, and in what order, is decided in ``core.reporting``. One that ECS
never takes waits beside the others, and does not keep their place at the calls.

Source: agent-protocol.md §3.5, §3.8, §4.5-§4.7.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ecscope.agent.aws.interface import AwsCallFailed, EcsApi
from ecscope.agent.core import actions as act
from ecscope.agent.core import events as ev
from ecscope.agent.core.state import AgentState
from ecscope.agent.inbox import Inbox, Stamp
from ecscope.backoff import Backoff
from ecscope.log import TASK_ARN
from ecscope.model.api_failure import ApiFailure
from ecscope.model.arn import TaskArn
from ecscope.model.container_instance import ObstacleKind
from ecscope.wire.acs import messages as acs
from ecscope.wire.ecs_api import ReportCannotBeBuilt, submit_task_state_change

_log = logging.getLogger("ecscope.ecs")

_OPERATION = "SubmitTaskStateChange"
SUBMIT_AGAIN = Backoff(tries=None, first_s=0.1, cap_s=30.0, factor=2.0, jitter=0.2)
"""The official agent tries 13 times within seconds, then every five minutes; above that, from 1 s to 30 s."""

CALLS_AT_ONCE = 10
"""Source: agent-protocol.md §3.5."""
_WAKE_EVERY_S = 1.0
"""At most: what ECS does not take is not to be tried with each of the others that it takes."""

_REFUSED_FOR_GOOD = "InvalidParameterException"


class _Answer(Stamp):
    """What both ends of a submission carry."""

    task_arn: TaskArn
    number: int


class EcsExecutor:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        api: EcsApi,
        cluster: str,
        state: Callable[[], AgentState],
        inbox: Inbox,
        send_acs: Callable[[str], None],
        connect: Callable[[], None],
        exclude_ipv6: bool,
        again: Backoff = SUBMIT_AGAIN,
    ) -> None:
        """Make no call yet.

        Args:
            send_acs: sends a frame if there is a connection, and else drops it.
            connect: lets ACS and TCS be opened.
            again: never ends.
        """
        self._api = api
        self._cluster = cluster
        self._state = state
        self._inbox = inbox
        self._send_acs = send_acs
        self._connect = connect
        self._exclude_ipv6 = exclude_ipv6
        self._again = again
        self._submits: dict[TaskArn, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._failing: set[TaskArn] = set()
        """Whose last try failed."""
        self._wake_again_at_s = 0.0

    def start(self, action: act.EcsAction) -> None:
        """Begin an action and return at once."""
        match action:
            case act.ConnectToCluster():
                self._connect()
            case act.SubmitTaskStateChange():
                task = asyncio.create_task(self._submit(action), name=f"{_OPERATION} {action.task_arn}")
                self._submits[action.task_arn] = task
                task.add_done_callback(lambda done: self._done(action.task_arn, done))
            case act.AcknowledgeMessage():
                self._send_acs(
                    acs.ack(
                        message_id=action.message_id,
                        cluster_arn=action.cluster_arn,
                        container_instance_arn=action.container_instance_arn,
                    )
                )
            case act.AcknowledgeCredentials():
                self._send_acs(
                    acs.credentials_ack(
                        message_id=action.message_id,
                        credentials_id=action.credentials_id,
                        expiration=action.expiration,
                    )
                )
            case act.VerifyStop():
                self._send_acs(
                    acs.stop_verification(
                        message_id=action.message_id, cluster_arn=action.cluster_arn, task_arns=action.task_arns
                    )
                )

    def wake(self) -> None:
        """ECS can be reached again: try at once what waits."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def close(self) -> None:
        """End everything under way; it is in the saved state and goes out after the next start."""
        running = list(self._submits.values())
        self._submits.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _done(self, arn: TaskArn, done: asyncio.Task[None]) -> None:
        if self._submits.get(arn) is done:
            del self._submits[arn]

    async def _submit(self, action: act.SubmitTaskStateChange) -> None:
        waits = self._again.waits()
        while True:
            woken = self._woken
            failure = await self._try_submit(action)
            if failure is None:
                self._says_yes(action.task_arn)
                self._inbox.post(ev.StateChangeAccepted(**self._answer(action)))
                return
            if failure.code == _REFUSED_FOR_GOOD:
                self._failing.discard(action.task_arn)
                self._inbox.post(ev.StateChangeRefused(**self._answer(action), failure=failure))
                return
            self._says_no(failure, action.task_arn)
            try:
                await asyncio.wait_for(woken.wait(), next(waits))
            except TimeoutError:
                continue

    async def _try_submit(self, action: act.SubmitTaskStateChange) -> ApiFailure | None:
        """``None``: ECS took it. Never raises, but for its own end."""
        task = self._state().tasks.get(action.task_arn)
        try:
            body = submit_task_state_change(
                cluster=self._cluster,
                task_arn=action.task_arn,
                change=action.change,
                port_mappings={c.name: c.definition.port_mappings for c in task.containers} if task else {},
                exclude_ipv6=self._exclude_ipv6,
            )
            async with self._calls:
                await self._api.call(_OPERATION, body)
        except ReportCannotBeBuilt as error:
            return _failure(_REFUSED_FOR_GOOD, str(error))
        except AwsCallFailed as failed:
            return failed.failure
        except Exception as error:
            _log.exception("bug in %s", _OPERATION, extra={TASK_ARN: action.task_arn})
            return _failure("", f"{type(error).__name__}: {error}")
        return None

    def _answer(self, action: act.SubmitTaskStateChange) -> _Answer:
        return {
            **self._inbox.stamp(),
            "task_arn": action.task_arn,
            "number": action.change.number,
        }

    def _says_no(self, failure: ApiFailure, arn: TaskArn) -> None:
        """Said once, however many wait and however often they are tried."""
        if not self._failing:
            _log.warning(
                "ECS does not take state changes (%s); they are kept and sent again until it does",
                failure,
                extra={TASK_ARN: arn},
            )
        self._failing.add(arn)

    def _says_yes(self, arn: TaskArn) -> None:
        if not self._failing:
            return
        self._failing.discard(arn)
        if not self._failing:
            _log.info("ECS takes state changes again")
            return
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._wake_again_at_s:
            self._wake_again_at_s = now_s + _WAKE_EVERY_S
            self.wake()


def _failure(code: str, message: str) -> ApiFailure:
    return ApiFailure(operation=_OPERATION, kind=ObstacleKind.SERVER_ERROR, code=code, message=message)

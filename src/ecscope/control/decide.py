"""The one door: a state and an event give a new state, an answer, effects and the records to save.

An action that only reads needs no decision: ``read`` answers it from a state.

Synchronous and pure. An ``ApiError`` raised here is the answer to the request, and nothing has changed; any other
exception is a bug.
"""

from __future__ import annotations

from typing import assert_never

from ecscope.control.api.actions import ACTIONS
from ecscope.control.api.authorization import permit
from ecscope.control.core import agents, clusters, services, task_definitions, tasks
from ecscope.control.core.events import (
    AgentConnected,
    AgentDisconnected,
    AnyEvent,
    ApiRequest,
    HealthReported,
    InstanceStatusReported,
    MessageAcknowledged,
    StopVerificationAsked,
    TaskExplained,
    TimePassed,
)
from ecscope.control.core.records import Json
from ecscope.control.core.services import postpone, settle
from ecscope.control.core.state import ControlState
from ecscope.control.core.step import Decision, Step


def decide(state: ControlState, event: AnyEvent) -> Decision:
    """What ``event`` changes, and what is to be done about it. Raises ``ApiError`` for a request that is refused."""
    step = Step(state, event)
    answer = _take(step, event)
    if state.settings.is_ending:
        postpone(step)
    else:
        settle(step)
    return step.decision(answer)


def read(state: ControlState, request: ApiRequest) -> Json:
    """The answer to an action that only reads. Raises ``ApiError``."""
    return _answer(Step(state, request), request)


def _take(step: Step, event: AnyEvent) -> Json | None:
    match event:
        case ApiRequest():
            return _answer(step, event)
        case AgentConnected():
            agents.connected(step, event)
        case AgentDisconnected():
            agents.disconnected(step, event)
        case MessageAcknowledged():
            agents.acknowledged(step, event)
        case StopVerificationAsked():
            agents.stop_asked(step, event)
        case HealthReported():
            agents.health(step, event)
        case InstanceStatusReported():
            agents.instance_status(step, event)
        case TaskExplained():
            services.explained(step, event)
        case TimePassed():
            tasks.detached(step)
            tasks.expire(step)
            agents.expire(step)
            clusters.expire(step)
            task_definitions.expire(step)
        case _:
            assert_never(event)
    return None


def _answer(step: Step, request: ApiRequest) -> Json:
    """Authorized in the very state in which it is answered."""
    if request.rights is not None:
        permit(step, request.action, request.body, request.rights)
    return ACTIONS[request.action].function(step, request.body)

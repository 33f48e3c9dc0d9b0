"""Docker's event stream as runtime notices. Pure: takes bytes, gives notices.

A line that cannot be read costs itself only: it is logged and skipped.

Source: engine.md §12, §16.
"""

from __future__ import annotations

import logging

import msgspec

from ecscope.agent.runtime.docker.lines import LineSplitter
from ecscope.model.arn import DockerId
from ecscope.model.names import TASK_ARN_LABEL
from ecscope.model.runtime import RuntimeAction, RuntimeNotice

log = logging.getLogger(__name__)

_EVENTS = [
    # "health_status" also matches "health_status: healthy". Without the list every health
    # check would wake the agent three times (exec_create, exec_start, exec_die).
    *("create", "start", "kill", "stop", "die", "oom", "destroy", "health_status"),
    *("died", "remove"),  # Podman's words for die and destroy
]


def event_filters(*, is_podman: bool) -> dict[str, list[str]]:
    """What the agent asks for: events of other containers are ignored anyway.

    Podman finds no event by a label whose value is not given, so it is not asked for one.
    """
    filters = {"type": ["container"], "event": _EVENTS}
    return filters if is_podman else {**filters, "label": [TASK_ARN_LABEL]}


_ACTIONS = {
    "create": RuntimeAction.CREATE,
    "start": RuntimeAction.START,
    "stop": RuntimeAction.STOP,
    "die": RuntimeAction.DIE,
    "died": RuntimeAction.DIE,
    "oom": RuntimeAction.OOM,
    "destroy": RuntimeAction.DESTROY,
    "remove": RuntimeAction.DESTROY,
    "health_status: healthy": RuntimeAction.HEALTH,
    "health_status: unhealthy": RuntimeAction.HEALTH,
}


class _Attributes(msgspec.Struct):
    exit_code: str = msgspec.field(name="exitCode", default="")
    podman_exit_code: str = msgspec.field(name="containerExitCode", default="")
    signal: str = ""


class _Actor(msgspec.Struct):
    id: str = msgspec.field(name="ID")
    attributes: _Attributes = msgspec.field(name="Attributes", default_factory=_Attributes)


class _Event(msgspec.Struct):
    action: str = msgspec.field(name="Action")
    actor: _Actor = msgspec.field(name="Actor")
    time_ns: int = msgspec.field(name="timeNano")
    type: str = msgspec.field(name="Type", default="container")


class NoticeReader:
    """Chunks of the stream in, notices out.

    The notice of a ``die`` carries the last signal that was sent through the engine since
    the start, because that is what a person asks for first.
    """

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._decode = msgspec.json.Decoder(_Event).decode
        self._signals: dict[str, int | None] = {}

    def feed(self, chunk: bytes) -> list[RuntimeNotice]:
        """The notices that ``chunk`` completes."""
        notices = (self._notice(line) for line in self._lines.feed(chunk))
        return [notice for notice in notices if notice is not None]

    def _notice(self, line: bytes) -> RuntimeNotice | None:
        try:
            event = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("skipped an event of the Docker Engine that could not be read (%s): %.200r", error, line)
            return None
        docker_id, attributes = event.actor.id, event.actor.attributes
        if event.type != "container":
            return None
        if event.action == "kill":
            self._signals[docker_id] = int(attributes.signal) if attributes.signal.isdecimal() else None
            return None
        action = _ACTIONS.get(event.action)
        if action is None:
            return None
        signal = None
        if action in (RuntimeAction.START, RuntimeAction.DIE, RuntimeAction.DESTROY):
            signal = self._signals.pop(docker_id, None)
        is_death = action is RuntimeAction.DIE
        exit_code = attributes.exit_code or attributes.podman_exit_code
        return RuntimeNotice(
            docker_id=DockerId(docker_id),
            action=action,
            time_ns=event.time_ns,
            exit_code=int(exit_code) if is_death and exit_code.isdecimal() else None,
            signal=signal if is_death else None,
        )

"""What an agent did, seen from the back end: in order, and as something to wait for.

Every waiting method raises ``TimeoutError`` that tells what came instead.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

from fake_ecs.journal import Call, Close, Connect, Frame, Journal

DEADLINE_S = float(os.environ.get("ECSCOPE_TEST_PATIENCE_S", "30"))
"""How long the waiting methods wait unless told otherwise."""


class Observed(ABC):
    """The reading half of the back end."""

    def __init__(self) -> None:
        self.journal = Journal()

    def lines(self) -> list[dict[str, Any]]:
        """Everything so far, in the form of the recordings: for ``facts``."""
        return self.journal.lines()

    @abstractmethod
    def is_open(self, channel: str) -> Connect | None:
        """The newest connection that is open now."""

    @property
    def calls(self) -> list[Call]:
        return self.journal.calls

    @property
    def connects(self) -> list[Connect]:
        return self.journal.connects

    @property
    def acs_in(self) -> list[Frame]:
        return [frame for frame in self.journal.frames if frame.kind == "acs-in"]

    @property
    def tcs_in(self) -> list[Frame]:
        return [frame for frame in self.journal.frames if frame.kind == "tcs-in"]

    def calls_of(self, action: str) -> list[Call]:
        return list(self.journal.by_name.get(action, []))

    def closes_of(self, channel: str) -> list[Close]:
        return [close for close in self.journal.closes if close.kind == f"{channel}-close"]

    def state_changes(self, task_arn: str | None = None) -> list[Call]:
        """The task state changes that ECS took, in order; of all tasks, or of one."""
        return [
            call
            for call in self.calls
            if call.action == "SubmitTaskStateChange" and call.taken and task_arn in {None, call.body.get("task")}
        ]

    async def call(self, action: str, *, count: int = 1, timeout_s: float = DEADLINE_S) -> Call:
        """The call of ``action`` with which there have been ``count`` of them, whatever the answer was."""

        def look() -> Call | None:
            found: list[Call] = self.journal.by_name.get(action, [])
            return found[count - 1] if len(found) >= count else None

        return await self.journal.wait(look, f"call {count} of {action}", timeout_s)

    async def registered(self, *, count: int = 1, timeout_s: float = DEADLINE_S) -> str:
        """The ARN of the instance of the ``count``-th registration that succeeded."""

        def look() -> str | None:
            done = [call for call in self.calls_of("RegisterContainerInstance") if call.status == 200]
            return (
                str(done[count - 1].reply["containerInstance"]["containerInstanceArn"]) if len(done) >= count else None
            )

        return await self.journal.wait(look, f"registration {count}", timeout_s)

    async def connected(self, channel: str = "acs", *, count: int = 1, timeout_s: float = DEADLINE_S) -> Connect:
        """The newest connection, once ``count`` have been accepted and one is open."""

        def look() -> Connect | None:
            accepted = [c for c in self.connects if c.kind == f"{channel}-connect" and c.status == 101]
            return self.is_open(channel) if len(accepted) >= count else None

        return await self.journal.wait(look, f"{channel.upper()} connection {count}", timeout_s)

    async def closed(self, channel: str = "acs", *, count: int = 1, timeout_s: float = DEADLINE_S) -> Close:
        """The ``count``-th end of a connection."""

        def look() -> Close | None:
            ended = self.closes_of(channel)
            return ended[count - 1] if len(ended) >= count else None

        return await self.journal.wait(look, f"end {count} of the {channel.upper()} connection", timeout_s)

    async def state_change(self, task_arn: str, status: str, *, count: int = 1, timeout_s: float = DEADLINE_S) -> Call:
        """The ``count``-th report of ``status`` that ECS took."""

        def look() -> Call | None:
            found = self.journal.reports.get((task_arn, status), [])
            return found[count - 1] if len(found) >= count else None

        return await self.journal.wait(look, f"{status} of {task_arn}", timeout_s)

    async def reported(self, status: str, count: int, *, timeout_s: float = DEADLINE_S) -> dict[str, float]:
        """Once ``count`` tasks were reported ``status``: task ARN → when its first report arrived (monotonic)."""

        def look() -> dict[str, float] | None:
            found = self.journal.first_reports.get(status, {})
            return dict(found) if len(found) >= count else None

        return await self.journal.wait(look, f"{status} of {count} tasks", timeout_s)

    async def running(self, count: int, *, timeout_s: float = DEADLINE_S) -> dict[str, float]:
        return await self.reported("RUNNING", count, timeout_s=timeout_s)

    async def message(
        self, name: str, *, channel: str = "acs", count: int = 1, timeout_s: float = DEADLINE_S, **members: Any
    ) -> Frame:
        """The ``count``-th frame of the agent of this type, and with these members."""

        def look() -> Frame | None:
            found: list[Frame] = [
                frame
                for frame in self.journal.by_name.get(f"{channel}-in {name}", [])
                if all(frame.message.get(member) == value for member, value in members.items())
            ]
            return found[count - 1] if len(found) >= count else None

        return await self.journal.wait(look, f"{name} {members or ''}", timeout_s)

    async def acked(self, message_id: str, *, timeout_s: float = DEADLINE_S) -> Frame:
        return await self.message("AckRequest", messageId=message_id, timeout_s=timeout_s)

    async def credentials_acked(self, message_id: str, *, timeout_s: float = DEADLINE_S) -> Frame:
        return await self.message("IAMRoleCredentialsAckRequest", messageId=message_id, timeout_s=timeout_s)

    async def stop_candidates(self, message_id: str, *, timeout_s: float = DEADLINE_S) -> list[str]:
        """ARNs of the tasks that the agent would stop, by the manifest ``message_id``."""
        asked = await self.message("TaskStopVerificationMessage", messageId=message_id, timeout_s=timeout_s)
        return [task["taskArn"] for task in asked.message["stopCandidates"]]

    def sent_at_s(self, *message_ids: str) -> float:
        """When the first of these messages went out (monotonic). Raises ``LookupError``: none has."""
        wanted = set(message_ids)
        for frame in self.journal.frames:
            if frame.kind == "acs-out" and frame.message.get("messageId") in wanted:
                return frame.at_s
        raise LookupError(f"none of {', '.join(message_ids)} was sent")

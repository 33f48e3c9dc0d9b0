"""What the back end sends: payloads, manifests, credentials, heartbeats, and what no back end should.

Source: agent-protocol.md §4.2, §4.4.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import ClientConnectionError

from fake_ecs.connection import Connection
from fake_ecs.journal import Connect, Frame
from fake_ecs.observed import Observed
from fake_ecs.operations import Operations
from fake_ecs.payloads import generated_at


class Pushing(Observed):
    """The writing half of the back end."""

    def __init__(self, *, operations: Operations, seq_num: int | None) -> None:
        super().__init__()
        self.operations = operations
        self.seq_num = int(time.time()) if seq_num is None else seq_num - 1
        """The last sequence number given out. The epoch's seconds keep it rising over restarts of the back end, but for
        one that comes within fewer seconds than there were messages."""
        self.unacked: dict[str, dict[str, Any]] = {}
        """Payloads by message ID; they go out again with each new connection until they are acknowledged."""
        self.tasks: dict[str, dict[str, Any]] = {}
        """By ARN: each task as pushed last."""
        self.credentials: dict[tuple[str, str], dict[str, Any]] = {}
        """By task ARN and role type: sent again to an agent that asks for all of them."""
        self._open: dict[str, list[Connection]] = {"acs": [], "tcs": []}

    def is_open(self, channel: str) -> Connect | None:
        return self._open[channel][-1].connect if self._open[channel] else None

    async def push_tasks(self, *tasks: Mapping[str, Any], seq_num: int | None = None, **members: Any) -> str:
        """One payload with these tasks; its message ID. Without a connection it waits for one.

        ``members`` go into the message itself, before what is put there by default.
        """
        if seq_num is None:
            self.seq_num += 1
            seq_num = self.seq_num
        for task in tasks:
            if isinstance(task, dict) and isinstance(task.get("arn"), str):
                self.tasks[task["arn"]] = task
        message = {
            "messageId": str(uuid.uuid4()),
            "seqNum": seq_num,
            "generatedAt": generated_at(),
            "tasks": list(tasks),
            **members,
        }
        self.unacked[message["messageId"]] = message
        if self._open["acs"]:
            await self._send_payload(self._open["acs"][-1], message)
        return str(message["messageId"])

    async def push_each(self, *tasks: Mapping[str, Any]) -> list[str]:
        """One payload per task, one right after the other; their message IDs."""
        return [await self.push_tasks(task) for task in tasks]

    async def push_message(self, name: str, message: Mapping[str, Any], *, channel: str = "acs") -> None:
        """Any message. Raises ``ConnectionError`` without a connection."""
        await self.push_raw(json.dumps({"type": name, "message": message}), channel=channel)

    async def push_raw(self, text: str, *, channel: str = "acs") -> None:
        """A text frame, of whatever content. Raises ``ConnectionError`` without a connection."""
        await self._send(self._newest(channel), channel, text)

    async def push_manifest(
        self, *task_arns: str, timeline: int | None = None, message_id: str | None = None, desired: str = "RUNNING"
    ) -> str:
        """What ECS believes to run here; its message ID. ``timeline`` ``None``: the next sequence number."""
        if timeline is None:
            self.seq_num += 1
            timeline = self.seq_num
        message_id = message_id or str(uuid.uuid4())
        addressed = self.address()
        tasks = [
            {"taskArn": arn, "taskClusterArn": addressed["clusterArn"], "desiredStatus": desired} for arn in task_arns
        ]
        await self.push_message(
            "TaskManifestMessage",
            {**addressed, "messageId": message_id, "timeline": timeline, "generatedAt": generated_at(), "tasks": tasks},
        )
        return message_id

    async def confirm_stop(self, message_id: str, *task_arns: str) -> None:
        """Tell the agent to stop these candidates of its question about manifest ``message_id``."""
        cluster = self.address()["clusterArn"]
        stop = [{"taskArn": arn, "taskClusterArn": cluster, "desiredStatus": "STOPPED"} for arn in task_arns]
        await self.push_message(
            "TaskStopVerificationAck", {"messageId": message_id, "generatedAt": generated_at(), "stopTasks": stop}
        )

    async def push_credentials(
        self, task_arn: str, credentials: Mapping[str, Any], *, role_type: str = "TaskApplication"
    ) -> str:
        """New credentials of a task; the message ID. They are sent again to an agent that has just started."""
        message = {
            "messageId": str(uuid.uuid4()),
            "taskArn": task_arn,
            "taskClusterArn": self.address()["clusterArn"],
            "roleType": role_type,
            "roleCredentials": dict(credentials),
        }
        self.credentials[task_arn, role_type] = message
        await self.push_message("IAMRoleCredentialsMessage", message)
        return str(message["messageId"])

    async def heartbeat(self, channel: str = "acs") -> str:
        """One heartbeat, now; its message ID."""
        message_id = str(uuid.uuid4())
        await self._beat(self._newest(channel), channel, message_id)
        return message_id

    async def push_garbage(self, count: int, *, channel: str = "acs") -> None:
        """Frames that are no messages: no JSON, other JSON, unknown types, members of the wrong type; in turn."""
        kinds = (
            lambda n: f"\x00garbage {n}",
            lambda n: "{" * 40,
            lambda n: json.dumps([n]),
            lambda n: json.dumps({"type": f"NoSuchMessage{n}", "message": {"n": n}}),
            lambda n: json.dumps({"type": "PayloadMessage", "message": {"messageId": n, "tasks": "none"}}),
            lambda n: json.dumps({"type": "HeartbeatMessage"}),
            lambda n: json.dumps({"type": None, "message": None}),
            lambda n: "",
        )
        for number in range(count):
            await self.push_raw(kinds[number % len(kinds)](number), channel=channel)

    async def push_huge(self, size_bytes: int = 10_000_000, *, channel: str = "acs") -> None:
        """One frame of some ``size_bytes``, of a type that nobody knows."""
        await self.push_message("NoSuchMessage", {"padding": "x" * size_bytes}, channel=channel)

    @property
    def instance_arn(self) -> str:
        """The instance that connected last, else the one that registered last."""
        if self._open["acs"]:
            return self._open["acs"][-1].connect.instance_arn
        return next(reversed(self.operations.instances), "")

    def address(self) -> dict[str, str]:
        """The members that tell an agent that a message is for it."""
        arn = self.instance_arn
        cluster = arn.split("/")[1] if arn.count("/") == 2 else "default"
        unknown = f"{self.operations.cluster_arn(cluster).replace(':cluster/', ':container-instance/')}/unknown"
        return {"clusterArn": self.operations.cluster_arn(cluster), "containerInstanceArn": arn or unknown}

    async def _send_payload(self, connection: Connection, message: Mapping[str, Any]) -> None:
        addressed = {**self.address(), **message}
        await self._send(connection, "acs", json.dumps({"type": "PayloadMessage", "message": addressed}))

    async def _beat(self, connection: Connection, channel: str, message_id: str) -> None:
        message: dict[str, Any] = {"healthy": True}
        if channel == "acs":
            message["messageId"] = message_id
        await self._send(connection, channel, json.dumps({"type": "HeartbeatMessage", "message": message}))

    def _newest(self, channel: str) -> Connection:
        if not self._open[channel]:
            raise ConnectionError(f"no {channel.upper()} connection is open: wait for connected({channel!r})")
        return self._open[channel][-1]

    async def _send(self, connection: Connection, channel: str, text: str) -> None:
        frame = Frame(**self.journal.next(), kind=f"{channel}-out", text=text)
        with suppress(ValueError, LookupError, TypeError):
            decoded = json.loads(text)
            if isinstance(decoded["type"], str) and isinstance(decoded["message"], dict):
                frame.type, frame.message = decoded["type"], decoded["message"]
        self.journal.add(frame)
        with suppress(ConnectionError, ClientConnectionError):  # the end of the connection is told by its Close
            await connection.websocket.send_str(text)

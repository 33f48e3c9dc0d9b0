"""What the running ``ecscope up`` knows of a task and its lines, by its own API: for containers that Docker lost.

Source: control-plane.md §1; CloudWatch Logs API Reference.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ecscope.cli.docker_logs import Line
from ecscope.up.running import Running

_CALL_S = 10.0
_AGAIN_S = 0.2
_TARGETS = {"ecs": "AmazonEC2ContainerServiceV20141113.", "logs": "Logs_20140328."}
_MS = 10**6


class Refused(Exception):
    """``ecscope up`` does not answer, or refuses; the message is for the user."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """Of AWS's error; ``""``: it is none."""


class StoredContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container as the control plane knows it."""

    name: str
    docker_id: str
    driver: str
    """``""``: the engine's own default."""
    group: str = ""
    """Of awslogs; ``""``: another driver."""
    stream: str = ""


class StoredTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the control plane knows it."""

    arn: str
    status: str
    containers: tuple[StoredContainer, ...]


class UpApi:
    """See the module docstring. Every method raises ``Refused``."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def task(self, which: str) -> StoredTask | None:
        """By ID or ARN; ``None``: it does not know it."""
        cluster = which.split("/")[1] if which.count("/") == 2 else self._running.cluster
        try:
            found = self.call("ecs", "DescribeTasks", {"cluster": cluster, "tasks": [which]})["tasks"]
            if not found:
                return None
            task = found[0]
            definition = self.call("ecs", "DescribeTaskDefinition", {"taskDefinition": task["taskDefinitionArn"]})
        except Refused as refusal:
            if refusal.code:
                return None
            raise
        written = {each["name"]: each for each in definition["taskDefinition"]["containerDefinitions"]}
        task_id = task["taskArn"].rpartition("/")[2]
        containers = (
            _container(each, written[each["name"]], task_id)
            for each in task.get("containers", ())
            if each["name"] in written
        )
        return StoredTask(arn=task["taskArn"], status=task["lastStatus"], containers=tuple(containers))

    def task_ids(self) -> list[str]:
        """Of all tasks of its cluster, stopped ones too."""
        ids = []
        for status in ("RUNNING", "STOPPED"):
            body = {"cluster": self._running.cluster, "desiredStatus": status}
            ids += [arn.rpartition("/")[2] for arn in self.call("ecs", "ListTasks", body)["taskArns"]]
        return ids

    def lines(
        self,
        group: str,
        stream: str,
        *,
        since_ns: int = 0,
        tail: int | None = None,
        until: Callable[[], bool] = lambda: True,
    ) -> Iterator[Line]:
        """Of a log stream, the oldest first. It waits for more ``until`` there will be none."""
        where: dict[str, Any] = {"logGroupName": group, "logStreamName": stream, "startTime": since_ns // _MS}
        token = ""
        if tail is not None:
            newest, token = self._newest(where, tail)
            yield from newest
        while True:
            is_last = until()
            asked = {**where, "startFromHead": True, **({"nextToken": token} if token else {})}
            try:
                page = self.call("logs", "GetLogEvents", asked)
            except Refused as refusal:
                if is_last or refusal.code != "ResourceNotFoundException":
                    raise
                time.sleep(_AGAIN_S)  # the stream is made with its first line
                continue
            yield from map(_line, page["events"])
            is_end = page["nextForwardToken"] == token or not page["events"]
            token = page["nextForwardToken"]
            if is_end and is_last:
                return
            if is_end:
                time.sleep(_AGAIN_S)

    def _newest(self, where: dict[str, Any], tail: int) -> tuple[list[Line], str]:
        """So many of the newest lines, and the token for what follows them."""
        if not tail:
            page = self.call("logs", "GetLogEvents", {**where, "limit": 1})
            return [], page["nextForwardToken"]
        lines: list[Line] = []
        forward = backward = ""
        while len(lines) < tail:
            limit = min(tail - len(lines), 10_000)
            asked = {**where, "limit": limit, **({"nextToken": backward} if backward else {})}
            page = self.call("logs", "GetLogEvents", asked)
            lines[:0] = map(_line, page["events"])
            forward = forward or page["nextForwardToken"]
            if not page["events"] or page["nextBackwardToken"] == backward:
                break
            backward = page["nextBackwardToken"]
        return lines, forward

    def call(self, service: str, action: str, body: Any) -> Any:
        """One action, as the administrator."""
        from ecscope.agent.aws.credentials import Credentials  # noqa: PLC0415  # only where Docker is not enough
        from ecscope.agent.aws.signing import signature_headers  # noqa: PLC0415

        sent = msgspec.json.encode(body)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _TARGETS[service] + action}
        headers |= signature_headers(
            method="POST",
            url=f"{self._running.url}/",
            headers=headers,
            body=sent,
            service=service,
            region=self._running.region,
            credentials=Credentials(
                access_key_id=self._running.access_key_id, secret_access_key=self._running.secret_access_key
            ),
            at=datetime.now(UTC),
        )
        parts = urlsplit(self._running.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=_CALL_S)
        try:
            connection.request("POST", "/", sent, headers)
            answer = connection.getresponse()
            received = msgspec.json.decode(answer.read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise Refused(f"`ecscope up` does not answer at {self._running.url} ({error})") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            message = str(received.get("message") or received.get("Message"))
            raise Refused(message, str(received.get("__type", "")))
        return received


def _container(described: Any, written: Any, task_id: str) -> StoredContainer:
    log = written.get("logConfiguration") or {}
    driver, options = log.get("logDriver", ""), log.get("options") or {}
    docker_id = described.get("runtimeId", "")
    if driver != "awslogs":
        return StoredContainer(name=described["name"], docker_id=docker_id, driver=driver)
    prefix = options.get("awslogs-stream-prefix")
    return StoredContainer(
        name=described["name"],
        docker_id=docker_id,
        driver=driver,
        group=options.get("awslogs-group", ""),
        stream=f"{prefix}/{described['name']}/{task_id}" if prefix else docker_id,
    )


def _line(event: Any) -> Line:
    return Line(event["timestamp"] * _MS, event["message"].encode("utf-8", "surrogatepass"))

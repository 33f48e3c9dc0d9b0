"""The Logs API is killed, and the disk fills up, while clients write: what was answered is there, and there once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.contract.control.live import LivePlane
from tests.contract.control.test_killed import PlaneProcess
from tests.e2e.disks import a_small_disk, fill

pytestmark = pytest.mark.timeout(120)
GROUP = "/faults"
KILLS = 5
WRITERS = 4


def client_of(url: str, key: Any, attempts: int = 1) -> Any:
    return boto3.client(
        "logs",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(retries={"total_max_attempts": attempts}, connect_timeout=5, read_timeout=10),
    )


def messages(logs: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    return [event["message"] for page in pages for event in page["events"]]


class Writer(threading.Thread):
    """Writes batches one after the other; one that was not answered is sent again until it is."""

    def __init__(self, logs: Any, name: str, done: threading.Event) -> None:
        super().__init__(name=name)
        self._logs = logs
        self._done = done
        self.answered: list[str] = []
        self.sent: set[str] = set()

    def run(self) -> None:
        number = 0
        while not self._done.is_set():
            at_ms = int(time.time() * 1000)
            batch = [f"{self.name} {number + index}" for index in range(5)]
            number += len(batch)
            self.sent.update(batch)
            events = [{"timestamp": at_ms, "message": message} for message in batch]
            while True:
                try:
                    self._logs.put_log_events(logGroupName=GROUP, logStreamName=self.name, logEvents=events)
                    break
                except (BotoCoreError, ClientError):
                    time.sleep(0.02)
            self.answered += batch


async def test_it_is_killed_again_and_again_while_clients_write(tmp_path: Path) -> None:
    plane = PlaneProcess(tmp_path)
    await plane.start()
    done = threading.Event()
    writers: list[Writer] = []
    try:
        logs = client_of(plane.url, plane.administrator)
        await asyncio.to_thread(logs.create_log_group, logGroupName=GROUP)
        for number in range(WRITERS):
            await asyncio.to_thread(logs.create_log_stream, logGroupName=GROUP, logStreamName=f"w{number}")
            writers.append(Writer(client_of(plane.url, plane.administrator), f"w{number}", done))
        for writer in writers:
            writer.start()
        for kill in range(KILLS):
            before = [len(writer.answered) for writer in writers]
            while any(len(writer.answered) < count + 15 for writer, count in zip(writers, before, strict=True)):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.003 * kill)  # into another moment of a write
            plane.kill()
            await plane.start()
        done.set()
        for writer in writers:
            await asyncio.to_thread(writer.join, 30)
        found = Counter(await asyncio.to_thread(messages, logs))
    finally:
        done.set()
        plane.kill()
    answered = {message for writer in writers for message in writer.answered}
    assert len(answered) > KILLS * WRITERS * 10
    assert [message for message in answered if found[message] != 1] == []
    assert [message for message, count in found.items() if count != 1] == []


def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    said: list[str] = []
    with a_small_disk(tmp_path / "disk") as disk, LivePlane(disk / "live", agents=0, say=said.append) as live:
        logs = live.client("logs")
        logs.create_log_group(logGroupName=GROUP)
        logs.create_log_stream(logGroupName=GROUP, logStreamName="s")

        def put(number: int) -> str:
            message = f"{number} {os.urandom(8192).hex()}"
            event = {"timestamp": int(time.time() * 1000), "message": message}
            logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=[event])
            return message

        answered = [put(number) for number in range(10)]
        fill(disk / "ballast")
        for number in range(10, 13):
            with pytest.raises(ClientError) as caught:
                put(number)
            assert caught.value.response["Error"]["Code"] == "ServiceUnavailableException"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert messages(logs) == answered
        (disk / "ballast").unlink()
        answered += [put(number) for number in range(13, 23)]
        assert messages(logs) == answered
    assert [sentence.partition(":")[0] for sentence in said] == [
        "log events cannot be saved (the disk is full)",
        "log events are saved again",
    ]

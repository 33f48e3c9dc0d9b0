"""The CloudWatch Logs API of ``ecscope up``: lines taken per second, memory meanwhile, and reading an hour of a day.

Batches are as Docker's awslogs driver sends them, without Docker: what is measured is the API and its store.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from bench import processes
from bench.control_plane import REGION, ControlPlane, control_plane
from bench.figures import Figure, at_least, at_most
from bench.needs import Missing
from bench.options import Options
from bench.signed_calls import SignedCalls
from ecscope.control.logs.catalog import LogGroup, LogStream
from ecscope.control.logs.journal import Journal
from ecscope.control.logs.segments import Pending, Segments

_GROUP = "/bench"
_LINES = 1000
"""In a batch."""
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_STREAMS = 20
_FIRST_STREAM = 2


def run(options: Options) -> list[Figure]:
    rounds = 1 if options.quick else 5
    batches = 5 if options.quick else 100
    store_bytes = 48 * 2**20 if options.quick else 2**30
    figures = []
    with asyncio.Runner() as runner:
        for clients, target in ((1, 5_000), (_STREAMS, 20_000)):
            taken, grown = [], []
            for _ in range(rounds):
                with control_plane() as plane:
                    rate, growth = runner.run(_written(plane, clients, batches))
                taken.append(rate)
                grown.append(growth)
            name = f"PutLogEvents, {clients} client{'s' if clients > 1 else ''}"
            figures += [
                Figure(name=f"{name}: lines taken", unit="lines/s", samples=taken, target=at_least(target)),
                Figure(name=f"{name}: memory meanwhile", unit="MiB", samples=grown, target=at_most(20.0)),
            ]
        with control_plane() as plane:
            _fill(plane.folder / "data" / "logs", store_bytes)
            for name, pattern in (("all", ""), ("none matches", "nowhere")):
                samples = runner.run(_read(plane, pattern, rounds))
                figures.append(
                    Figure(
                        name=f"FilterLogEvents, newest hour of {store_bytes >> 20} MiB, {name}: each 10 MB",
                        unit="s",
                        samples=samples,
                        target=at_most(1.0),
                    )
                )
    return figures


async def _written(plane: ControlPlane, clients: int, batches: int) -> tuple[float, float]:
    """Lines per second, and MiB of memory that it took."""
    plane.start()
    await plane.answers("ListTasks")
    before_mib = processes.rss_mib(plane.pid)
    calls = [SignedCalls(plane.port, plane.key(), region=REGION, service="logs") for _ in range(clients)]
    try:
        await calls[0].call("CreateLogGroup", logGroupName=_GROUP)
        for number, call in enumerate(calls):
            await call.call("CreateLogStream", logGroupName=_GROUP, logStreamName=f"s{number}")

        async def put(number: int) -> None:
            for _ in range(batches):
                now_ms = int(time.time() * 1000)
                events = [{"timestamp": now_ms, "message": _line(number, index)} for index in range(_LINES)]
                await calls[number].call(
                    "PutLogEvents", logGroupName=_GROUP, logStreamName=f"s{number}", logEvents=events
                )

        begun = time.perf_counter()
        await asyncio.gather(*(put(number) for number in range(clients)))
        taken_s = time.perf_counter() - begun
        grown_mib = processes.rss_mib(plane.pid) - before_mib
        sent, (found, _) = clients * batches * _LINES, await _all_pages(calls[0], 0, "")
    finally:
        for call in calls:
            call.close()
        plane.stop()
    if found != sent:
        raise Missing(f"{sent} lines were taken, and {found} are there")
    return sent / taken_s, grown_mib


async def _read(plane: ControlPlane, pattern: str, rounds: int) -> list[float]:
    """Seconds for each 10 MB of messages in the newest hour."""
    plane.start()
    await plane.answers("ListTasks")
    call = SignedCalls(plane.port, plane.key(), region=REGION, service="logs")
    start_ms = int(time.time() * 1000) - _HOUR_MS
    try:
        _, size = await _all_pages(call, start_ms, "")  # unmeasured: the files are in the page cache afterwards
        samples = []
        for _ in range(rounds):
            begun = time.perf_counter()
            await _all_pages(call, start_ms, pattern)
            samples.append((time.perf_counter() - begun) / (size / 1e7))
    finally:
        call.close()
        plane.stop()
    return samples


async def _all_pages(call: SignedCalls, start_ms: int, pattern: str) -> tuple[int, int]:
    """How many events there are, and bytes of their messages."""
    count = size = 0
    token: dict[str, str] = {}
    while True:
        page = await call.call(
            "FilterLogEvents", logGroupName=_GROUP, startTime=start_ms, filterPattern=pattern, **token
        )
        count += len(page["events"])
        size += sum(len(event["message"]) for event in page["events"])
        if "nextToken" not in page:
            return count, size
        token = {"nextToken": page["nextToken"]}


def _fill(folder: Path, store_bytes: int) -> None:
    """Lines of so many bytes together, evenly over the last 24 hours, in batches of all streams in turn."""
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    journal = Journal(folder / "catalog", warn=_fail)
    journal.open()
    streams = range(_FIRST_STREAM, _FIRST_STREAM + _STREAMS)
    journal.save(
        [
            LogGroup(id=1, name=_GROUP, created_at_ms=0),
            *(LogStream(id=each, group_id=1, name=f"s{each}", created_at_ms=0) for each in streams),
        ]
    )
    journal.close()
    segments = Segments(folder, limit_bytes=2**40, warn=_fail)
    segments.open()
    lines = 250
    turns = max(24, store_bytes // (len(_line(0, 0)) * lines * _STREAMS))
    end_ms = int(time.time() * 1000)
    for turn in range(turns):
        first_ms = end_ms - _DAY_MS + _DAY_MS * turn // turns
        step_ms = _DAY_MS / turns / lines
        times = [first_ms + int(index * step_ms) for index in range(lines)]
        segments.write([Pending(each, times, [_line(each, at) for at in times], times[-1]) for each in streams])
    segments.close()


def _line(stream: int, index: int) -> str:
    """100 bytes, of which a part is by chance, as in a log with IDs."""
    return f"{index:>14} stream={stream:02d} level=info request={os.urandom(12).hex()} took=12ms path=/items/42/de"


def _fail(sentence: str) -> None:
    raise Missing(sentence)

"""Report to the agent which task files exist, until cancelled.

Holds no rule: ``scanner`` sees what changed, ``core/taskfiles`` says what that means. Here a definition becomes the
task that it would start, and what is wrong with a file is logged. The scans have a thread of their own that wakes the
loop only when something changed: when idle that costs half of a scan from the loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ecscope.agent.core.events import TaskFile, TaskFilesScanned
from ecscope.agent.core.state import AgentState
from ecscope.agent.inbox import Inbox
from ecscope.agent.taskfiles.scanner import BadFile, Scan, TaskFileScanner
from ecscope.agent.taskfiles.wakeup import Wakeup
from ecscope.model.arn import STANDALONE_ACCOUNT, task_arn
from ecscope.taskdefinition.read import TaskDefinition, to_task

_log = logging.getLogger("ecscope.tasks")


class TaskFiles:
    """Watches one file or folder of task definitions.

    ``run`` ends only by cancellation, which is safe at any time: what was posted is the
    engine's, and what was not is found again by the next agent.
    """

    def __init__(
        self,
        path: str,
        *,
        inbox: Inbox,
        state: Callable[[], AgentState],
        region: str,
        cluster: str,
        task_ids: Callable[[], str],
        suffixes: Callable[[], str],
        account: str = STANDALONE_ACCOUNT,
        interval_s: float = 0.5,
    ) -> None:
        """Nothing is read before ``run``.

        Args:
            state: the present state.
            task_ids: gives 32 fresh hex digits at each call.
            suffixes: gives 20 fresh hex digits at each call.
            interval_s: between two scans, in seconds.
        """
        self._path = path
        self._inbox = inbox
        self._state = state
        self._region = region
        self._account = account
        self._cluster = cluster
        self._task_ids = task_ids
        self._suffixes = suffixes
        self._interval_s = interval_s
        self._made: dict[str, TaskFile] = {}
        """What the definitions of the last scan start, so that each is made a task, with an ARN, once."""
        self._bad: Mapping[str, BadFile] = {}
        self._problem = ""

    @property
    def bad(self) -> Mapping[str, BadFile]:
        """Files that are there but no task definition, as of the last scan, by path."""
        return self._bad

    @property
    def problem(self) -> str:
        """What is wrong with the path itself; ``""``: nothing."""
        return self._problem

    async def run(self) -> None:
        """Watch and post until cancelled."""
        loop = asyncio.get_running_loop()
        scans: asyncio.Queue[Scan | Exception] = asyncio.Queue()
        wakeup = Wakeup(self._path)
        stop = threading.Event()
        scanner = TaskFileScanner(self._path, expected=self._state().sources)

        def hand_over(scan: Scan | Exception) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(scans.put_nowait, scan)

        watcher = threading.Thread(
            target=_watch,
            args=(scanner, wakeup, self._interval_s, stop, hand_over),
            name="ecscope-task-files",
            daemon=True,
        )
        watcher.start()
        try:
            while True:
                scan = await scans.get()
                if isinstance(scan, Exception):
                    raise scan
                self.take(scan)
        finally:
            stop.set()
            wakeup.wake()

    def take(self, scan: Scan) -> None:
        """Post what there is, and log what is wrong."""
        self._report(scan)
        self._made = {path: self._file(path, definition) for path, definition in scan.definitions.items()}
        self._inbox.post(
            TaskFilesScanned(
                **self._inbox.stamp(),
                files=self._made,
                left_alone=scan.unsettled.union(scan.bad),
                is_complete=scan.is_complete,
            )
        )

    def _file(self, path: str, definition: TaskDefinition) -> TaskFile:
        made = self._made.get(path)
        if made is not None and made.digest == definition.digest:
            return made
        arn = task_arn(region=self._region, account=self._account, cluster=self._cluster, task_id=self._task_ids())
        task = to_task(definition, arn=arn, version="1", suffixes=self._suffixes, received_at=self._inbox.now())
        return TaskFile(task=task, digest=definition.digest, revision=definition.revision)

    def _report(self, scan: Scan) -> None:
        """Say what is wrong, once for each content."""
        if scan.problem != self._problem:
            self._problem = scan.problem
            if scan.problem:
                _log.warning("%s", scan.problem)
        reported = self._bad
        self._bad = {
            **{path: file for path, file in reported.items() if path in scan.unsettled},
            **scan.bad,
        }
        for path, file in scan.bad.items():
            if reported.get(path) == file:
                continue
            for mistake in file.mistakes:
                place = f"{path}:{mistake.line}" if mistake.line else path
                _log.error("task file %s: %s", place, f"{mistake.path}: {mistake.reason}".removeprefix(": "))
            _log.error(
                "task file %s is not used: %d %s; a task from an earlier version of it keeps running",
                path,
                len(file.mistakes),
                "mistake" if len(file.mistakes) == 1 else "mistakes",
            )


def _watch(
    scanner: TaskFileScanner,
    wakeup: Wakeup,
    interval_s: float,
    stop: threading.Event,
    hand_over: Callable[[Scan | Exception], None],
) -> None:
    """The thread: scan, hand over what is new, wait. A failure is handed over too, and is the end."""
    last: Scan | None = None
    try:
        next_regular_at = time.monotonic()
        while not stop.is_set():
            is_regular = time.monotonic() >= next_regular_at
            if is_regular:
                next_regular_at = time.monotonic() + interval_s
            scan = scanner.scan(is_regular=is_regular)
            if scan is not last:
                last = scan
                hand_over(scan)
            wakeup.wait(max(next_regular_at - time.monotonic(), 0.0))
    except Exception as error:  # a bug: raised where it is noticed
        hand_over(error)
    finally:
        wakeup.close()

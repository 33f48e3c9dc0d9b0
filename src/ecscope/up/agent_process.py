"""The agent as a separate process: started, restarted when it dies, ended.

It lives in a session of its own, so that a Ctrl-C reaches this process only, and survives this process: what runs then
goes on until the next start takes its place.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ecscope.backoff import Backoff
from ecscope.log import open_private
from ecscope.owned_files import UnsafeFile, open_owned
from ecscope.sqlitefile.lock import holder_of

_AGAIN = Backoff(tries=None, first_s=1.0, cap_s=60.0, factor=2.0)
_HOPELESS = (2, 5)
"""Exit codes of an agent that would end the same way again: a wrong setting, or a refusal for good."""
_LIVED_WELL_S = 60.0
"""An agent that ran this long resets the waits."""
_END_S = 15.0
_CLEAN_UP_S = 30.0
"""The agent gives it up after 20 s."""
_LARGEST_LOG_BYTES = 16 * 1024 * 1024
_LOOK_AT_LOG_S = 60.0
_LAST_WORDS_BYTES = 2000


class AgentEnded(Exception):
    """The agent ended in a way in which starting it again cannot help; the message says what it said."""


class AgentProcess:
    """See the module docstring."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        data_dir: Path,
        log_path: Path,
        say: Callable[[str], None],
        again: Backoff = _AGAIN,
    ) -> None:
        """``data_dir``: the agent's; ``say``: prints one line for the user."""
        self._command = command
        self._environment = environment
        self._data_dir = data_dir
        self.log_path = log_path
        self._say = say
        self._again = again
        self._process: Process | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """``None``: it does not run at this moment."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Keep it running, until cancelled; ``end`` ends it then. Raises ``AgentEnded``."""
        await self._take_place()
        waits = self._again.waits()
        while True:
            code, lived_s = await self._live_once()
            if code in _HOPELESS:
                raise AgentEnded(
                    f"the agent ended with code {code}, and starting it again cannot help: {self._last_words()}"
                )
            if lived_s >= _LIVED_WELL_S:
                waits = self._again.waits()
            wait_s = next(waits)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            self._say(f"the agent {how}; it is started again in {wait_s:.0f} s (its log: {self.log_path})")
            await asyncio.sleep(wait_s)

    async def end(self, *, clean_up: bool = False) -> None:
        """Ask it to end, and SIGKILL if that is not enough. Containers keep running.

        ``clean_up``: it first removes what is left of stopped tasks.
        """
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGUSR2 if clean_up else signal.SIGTERM)
        try:
            async with asyncio.timeout(_CLEAN_UP_S if clean_up else _END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _live_once(self) -> tuple[int, float]:
        """Exit code (negative: the signal) and how long it lived."""
        begun_s = time.monotonic()
        self.starts += 1
        self._put_old_log_away()
        try:
            log = open_private(os.fspath(self.log_path))
        except UnsafeFile as error:
            raise AgentEnded(f"the agent cannot be started: {error.sentence}") from error
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while True:
            try:
                async with asyncio.timeout(_LOOK_AT_LOG_S):
                    return await self._process.wait(), time.monotonic() - begun_s
            except TimeoutError:
                self._shorten_log()

    async def _take_place(self) -> None:
        """End the agent that a killed predecessor of this process left behind."""
        holder = holder_of(self._data_dir)
        if holder is None:
            return
        self._say(f"an agent of an earlier run (process {holder}) goes on; taking its place, its tasks keep running")
        for number, patience_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
            try:
                os.kill(holder, number)
            except ProcessLookupError:
                return
            except PermissionError:
                raise AgentEnded(
                    f"an agent of another user (process {holder}) uses {self._data_dir}: end it, or give another"
                    " --data-dir"
                ) from None
            deadline_s = time.monotonic() + patience_s
            while time.monotonic() < deadline_s:
                if holder_of(self._data_dir) is None:
                    return
                await asyncio.sleep(0.05)
        raise AgentEnded(f"process {holder} holds {self._data_dir} and does not end: end it, then try again")

    def _put_old_log_away(self) -> None:
        try:
            if self.log_path.lstat().st_size > _LARGEST_LOG_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
        except FileNotFoundError:
            pass

    def _shorten_log(self) -> None:
        """The agent goes on at the new end, as the file is open for appending; what it says meanwhile may be lost."""
        try:
            with open(open_owned(self.log_path, os.O_RDWR, may_be_shared=True), "rb+") as log:  # noqa: PTH123
                if os.fstat(log.fileno()).st_size > _LARGEST_LOG_BYTES:
                    old = self.log_path.with_suffix(".log.1")
                    old.unlink(missing_ok=True)
                    with open_private(os.fspath(old)) as copy:
                        shutil.copyfileobj(log, copy.buffer)
                    log.truncate(0)
        except OSError:
            pass  # gone, or no room for a copy: tried again the next time

    def _last_words(self) -> str:
        """The last line of its log."""
        with open(open_owned(self.log_path, os.O_RDONLY, may_be_shared=True), "rb") as log:  # noqa: PTH123
            log.seek(max(0, os.fstat(log.fileno()).st_size - _LAST_WORDS_BYTES))
            lines = log.read().decode("utf-8", "replace").split("\n")
        said = (line.strip().removeprefix("ecscope agent: ") for line in reversed(lines) if line.strip())
        return next(said, f"it said nothing in {self.log_path}")

"""moto's process: started with the first request, and again when it has died; ended with this one.

It listens on a unix socket in a directory that only this user may enter, so that nobody gets past our check of
signatures and rights.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ecscope.log import open_private
from ecscope.owned_files import UnsafeFile, check_directory, check_file

logger = logging.getLogger(__name__)

PYTHON_VARIABLE = "ECSCOPE_MOTO_PYTHON"
"""Names a Python that has moto, where the one that runs ecscope has none."""
_MODULE = Path(__file__).with_name("serve.py")
_READY_S = 600.0
"""It carries out again all that is in its journal first."""
_END_S = 2.0
_NOTICED_S = 0.5


class MotoMissing(Exception):
    """There is no moto on this machine."""


class MotoFailed(Exception):
    """It cannot be started; the message says why, or where that is written."""


class MotoProcess:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(self, *, data_dir: Path, account: str, environment: Mapping[str, str] = os.environ) -> None:
        """``data_dir``: of its own, made with the first request."""
        self._data_dir = data_dir
        self._account = account
        self._environment = environment
        self._process: Process | None = None
        self._folder = ""
        self._starting = asyncio.Lock()
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """``None``: it does not run at this moment."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def socket(self) -> str:
        """Path of the socket on which it answers; it is started if need be. Raises ``MotoMissing``, ``MotoFailed``."""
        async with self._starting:
            if self.pid is None:
                await self._start()
            return self._socket

    async def has_ended(self) -> bool:
        """Whether it does not run, after a moment in which the system may say so."""
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_NOTICED_S):
                    await self._process.wait()
        return self.pid is None

    async def stop(self) -> None:
        """End it. May be repeated."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = ""

    @property
    def _socket(self) -> str:
        return os.path.join(self._folder, "socket")  # noqa: PTH118  # as text, for the socket's address

    async def _start(self) -> None:
        python = self._python()
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="ecscope-moto-")
        with suppress(FileNotFoundError):
            os.unlink(self._socket)  # noqa: PTH108
        log_path = self._data_dir / "moto.log"
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_directory(self._data_dir)
            check_file(self._data_dir / "journal")
            log = open_private(os.fspath(log_path))
        except UnsafeFile as error:
            raise MotoFailed(error.sentence) from error
        except OSError as error:
            raise MotoFailed(f"{error.filename}: {error.strerror}") from error
        self.starts += 1
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *(python, "-I", os.fspath(_MODULE), self._socket, os.fspath(self._data_dir / "journal")),
                str(os.getpid()),
                env={"PATH": self._environment.get("PATH", ""), "MOTO_ACCOUNT_ID": self._account},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is not for it
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                said = await self._process.stdout.readline()
        except TimeoutError:
            said = b""
        if said != b"ready\n":
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            raise MotoFailed(f"it did not start; its log: {log_path}")
        logger.info("moto is ready (process %d)", self._process.pid)

    def _python(self) -> str:
        """Raises ``MotoMissing``."""
        if named := self._environment.get(PYTHON_VARIABLE):
            return named
        if importlib.util.find_spec("moto") is None:
            raise MotoMissing
        return sys.executable

"""moto's process is started when it is needed, and what keeps it from starting is said; a stand-in is the Python."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ecscope.control.moto.process import MotoFailed, MotoMissing, MotoProcess


@asynccontextmanager
async def a_process(folder: Path, script: str) -> AsyncIterator[MotoProcess]:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    process = MotoProcess(
        data_dir=folder / "moto",
        account="000000000000",
        environment={"ECSCOPE_MOTO_PYTHON": str(python), "PATH": os.environ["PATH"], "SECRET": "x"},
    )
    try:
        yield process
    finally:
        await process.stop()


async def test_it_is_started_once_and_again_when_it_has_died(tmp_path: Path) -> None:
    async with a_process(tmp_path, "env >&2; echo ready; exec sleep 100") as process:
        assert (process.pid, process.starts) == (None, 0)
        socket = await process.socket()
        assert await process.socket() == socket
        assert process.starts == 1
        assert stat.S_IMODE(Path(socket).parent.stat().st_mode) == 0o700
        said = (tmp_path / "moto" / "moto.log").read_text()
        assert "MOTO_ACCOUNT_ID=000000000000" in said
        assert "SECRET" not in said, "no more of our environment than it needs"
        pid = process.pid
        assert pid is not None
        assert not await process.has_ended()
        os.kill(pid, 9)
        assert await process.has_ended()
        assert await process.socket() == socket
        assert process.starts == 2
    assert not Path(socket).parent.exists()
    assert process.pid is None


async def test_one_that_does_not_start(tmp_path: Path) -> None:
    async with a_process(tmp_path, "echo No module named moto >&2; exit 1") as process:
        with pytest.raises(MotoFailed, match=r"did not start; its log: .*moto\.log"):
            await process.socket()
        assert process.pid is None


@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: (path.write_text(""), path.chmod(0o666)),
    ],
    ids=["link", "open to others"],
)
async def test_what_others_could_have_put_there(tmp_path: Path, plant: Callable[[Path], object]) -> None:
    (tmp_path / "moto").mkdir(mode=0o700)
    plant(tmp_path / "moto" / "journal")
    async with a_process(tmp_path, "echo ready; exec sleep 100") as process:
        with pytest.raises(MotoFailed, match="journal"):
            await process.socket()


async def test_there_is_no_moto(tmp_path: Path) -> None:
    process = MotoProcess(data_dir=tmp_path, account="0", environment={})
    with pytest.raises(MotoMissing):
        await process.socket()

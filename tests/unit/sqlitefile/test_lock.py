"""One process holds a data directory; the kernel lets go for it when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ecscope.sqlitefile.errors import Owner, StoreError, UnsafeStore
from ecscope.sqlitefile.lock import LOCK_NAME, DataDirLock, holder_of, make_data_dir

OWNER = Owner(name="agent", data_dir_setting="ECS_DATADIR")


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = DataDirLock(tmp_path, OWNER), DataDirLock(tmp_path, OWNER)
    first.acquire()
    first.acquire()
    with pytest.raises(StoreError, match=rf"another agent \(process {os.getpid()}\) .*ECS_DATADIR"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_it_is_free_after_kill_9(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from ecscope.sqlitefile.lock import DataDirLock; from ecscope.sqlitefile.errors import Owner\n"
        "lock = DataDirLock(Path(sys.argv[1]), Owner(name='x', data_dir_setting='y'))\n"
        "lock.acquire() or print('held', flush=True); del lock; sys.stdin.read()"
    )
    # The lock object is referenced by nobody: what holds is the descriptor, which only the kernel closes.
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        lock = DataDirLock(tmp_path, OWNER)
        with pytest.raises(StoreError, match=rf"process {process.pid}\)"):
            lock.acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
    lock.acquire()
    lock.release()


def test_a_holder_that_left_no_name(tmp_path: Path) -> None:
    first = DataDirLock(tmp_path, OWNER)
    first.acquire()
    (tmp_path / "ecscope.lock").write_text("")
    with pytest.raises(StoreError, match="its process ID is unknown"):
        DataDirLock(tmp_path, OWNER).acquire()
    first.release()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open the lock file .*No such file"):
        DataDirLock(tmp_path / "missing", OWNER).acquire()


def test_who_holds_it_can_be_asked(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    lock = DataDirLock(tmp_path, OWNER)
    lock.acquire()
    assert holder_of(tmp_path) == os.getpid()
    (tmp_path / "ecscope.lock").write_text("0")
    assert holder_of(tmp_path) is None
    lock.release()
    assert holder_of(tmp_path) is None


def test_a_directory_is_made_for_its_owner_only_and_kept_when_it_is_there(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    make_data_dir(below, OWNER)
    make_data_dir(below, OWNER)
    assert below.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is not a directory; name another with"):
        make_data_dir(tmp_path / "file", OWNER)
    with pytest.raises(StoreError, match="cannot make the data directory"):
        make_data_dir(tmp_path / "file" / "below", OWNER)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("1\n")
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "target")
    with pytest.raises(
        UnsafeStore, match=r"ecscope\.lock: it is a symbolic link.*ECS_DATADIR names the data directory"
    ):
        DataDirLock(tmp_path, OWNER).acquire()
    assert (tmp_path / "target").read_text() == "1\n"


def test_nobody_is_named_who_might_be_anybody(tmp_path: Path) -> None:
    """A holder is ended by ``ecscope up``: another user must not be able to name a process of ours."""
    lock = DataDirLock(tmp_path, OWNER)
    lock.acquire()
    (tmp_path / LOCK_NAME).chmod(0o666)
    assert holder_of(tmp_path) is None
    (tmp_path / LOCK_NAME).chmod(0o600)
    tmp_path.chmod(0o777)
    assert holder_of(tmp_path) is None
    tmp_path.chmod(0o700)
    assert holder_of(tmp_path) == os.getpid()
    lock.release()


def test_a_directory_that_others_may_write_in_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    with pytest.raises(UnsafeStore, match=r"other users may write in this directory \(mode 0775\)"):
        make_data_dir(tmp_path, OWNER)


def test_a_lock_that_changes_hands_always_names_somebody(tmp_path: Path) -> None:
    """Whoever reads it in that moment finds a number, and nothing of a longer one that was there before."""
    (tmp_path / LOCK_NAME).write_text("4194304\n")
    seen: set[str] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add((tmp_path / LOCK_NAME).read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        lock = DataDirLock(tmp_path, OWNER)
        lock.acquire()
        lock.release()
    ended.set()
    reader.join()
    assert "" not in seen
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"

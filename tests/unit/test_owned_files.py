"""What another user may have put there is not taken, whatever kind of file it is, and nothing hangs on it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ecscope.owned_files import UnsafeFile, check_directory, check_file, open_owned, read_owned

STRANGER = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def a_link(path: Path) -> None:
    (path.parent / "target").write_text("target")
    path.symlink_to(path.parent / "target")


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))


def a_strangers_file(path: Path) -> None:
    path.write_text("planted")
    path.chmod(0o600)
    os.chown(path, STRANGER, STRANGER)


def a_shared_file(path: Path) -> None:
    path.write_text("mine")
    path.chmod(0o620)


PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (a_link, "it is a symbolic link, which is not followed here"),
    "dangling link": (a_dangling_link, "it is a symbolic link, which is not followed here"),
    "fifo": (os.mkfifo, "it is not a regular file"),
    "directory": (Path.mkdir, "it is not a regular file"),
    "socket": (a_socket, "it is not a regular file"),
    "a stranger's": (a_strangers_file, f"it belongs to user {STRANGER}, and this is user 0"),
    "writable by others": (a_shared_file, r"other users may write it \(mode 0620\)"),
}
each_planted = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[needs_root] if kind == "a stranger's" else []) for kind in PLANTED]
)


@each_planted
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
def test_what_was_planted_is_not_opened(tmp_path: Path, kind: str, flags: int) -> None:
    make, reason = PLANTED[kind]
    make(tmp_path / "file")
    with pytest.raises(UnsafeFile, match=reason) as refused:
        open_owned(tmp_path / "file", flags)
    assert refused.value.sentence.startswith(f"{tmp_path / 'file'}: it ") or "other users" in refused.value.sentence
    assert not (tmp_path / "nowhere").exists()


@each_planted
def test_what_was_planted_is_seen_without_opening_it(tmp_path: Path, kind: str) -> None:
    make, reason = PLANTED[kind]
    make(tmp_path / "file")
    with pytest.raises(UnsafeFile, match=reason):
        check_file(tmp_path / "file")


def test_what_is_ours_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    check_file(path)
    old = os.umask(0)
    try:
        os.close(open_owned(path, os.O_WRONLY | os.O_CREAT))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("mine")
    path.chmod(0o644)
    check_file(path)
    assert read_owned(path) == b"mine"
    with pytest.raises(UnsafeFile, match=r"other users may read it \(mode 0644\).*chmod go-rwx"):
        read_owned(path, is_secret=True)


def test_what_others_may_write_is_taken_where_the_caller_says_so(tmp_path: Path) -> None:
    a_shared_file(tmp_path / "file")
    os.close(open_owned(tmp_path / "file", os.O_WRONLY, may_be_shared=True))


def test_what_is_not_there_is_said_as_ever(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_owned(tmp_path / "file", os.O_RDONLY)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_in_which_others_may_write(tmp_path: Path, mode: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    with pytest.raises(UnsafeFile, match=rf"other users may write in this directory \(mode {mode:04o}\).*chmod go-w"):
        check_directory(tmp_path / "data")


@needs_root
def test_a_directory_of_another_user_and_a_link_of_his(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    check_directory(tmp_path / "link")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        check_directory(tmp_path / "link", may_be_link=False)
    os.chown(tmp_path / "link", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(UnsafeFile, match="symbolic link"):
        check_directory(tmp_path / "link")
    os.chown(tmp_path / "data", STRANGER, STRANGER)
    with pytest.raises(UnsafeFile, match=f"it belongs to user {STRANGER}"):
        check_directory(tmp_path / "data")


def test_a_directory_that_others_may_read_is_fine(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    check_directory(tmp_path / "data")
    with pytest.raises(NotADirectoryError):
        (tmp_path / "file").touch()
        check_directory(tmp_path / "file")

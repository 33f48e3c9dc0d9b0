"""What is set aside can be found and read by a person, and nothing is overwritten."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ecscope.owned_files import UnsafeFile
from ecscope.sqlitefile.aside import put_record_aside, unused
from tests.builders import an_arn


def test_a_task_is_named_by_its_id(tmp_path: Path) -> None:
    path = put_record_aside(tmp_path, kind="task", key=an_arn(10), body=b'{"broken', reason="not JSON")
    assert path.parent == tmp_path / "set-aside"
    time, _, rest = path.name.partition("-")
    assert len(time) == len("20240517T120000Z")
    assert rest == f"task-{10:032x}.json"
    content = json.loads(path.read_text())
    assert content.pop("setAsideAt").endswith("Z")
    assert content == {"kind": "task", "key": an_arn(10), "reason": "not JSON", "body": '{"broken'}


def test_bytes_that_are_no_text_are_kept_readably(tmp_path: Path) -> None:
    path = put_record_aside(tmp_path, kind="image", key="busybox", body=b"a\xffb", reason="r")
    assert json.loads(path.read_text())["body"] == "a\\xffb"
    path = put_record_aside(tmp_path, kind="image", key="busybox", body=None, reason="r")
    assert json.loads(path.read_text())["body"] == "None"


@pytest.mark.parametrize("key", ["/etc/ecscope/../x y.json", "", "\ufffd/\0", "x" * 5000, "repo/image:tag@sha256:ab"])
def test_any_key_gives_a_name_in_the_directory(tmp_path: Path, key: str) -> None:
    path = put_record_aside(tmp_path, kind="source", key=key, body=b"{}", reason="r")
    assert path.parent == tmp_path / "set-aside"
    assert path.is_file()


def test_two_of_one_name_are_both_kept(tmp_path: Path) -> None:
    paths = {put_record_aside(tmp_path, kind="task", key=an_arn(), body=b"{}", reason="r") for _ in range(5)}
    assert len(paths) == 5


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = put_record_aside(tmp_path, kind="task", key=an_arn(), body=b"{}", reason="r")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_unused_counts_on(tmp_path: Path) -> None:
    assert unused(tmp_path / "a", ".db") == tmp_path / "a.db"
    (tmp_path / "a.db").touch()
    (tmp_path / "a-2.db").touch()
    assert unused(tmp_path / "a", ".db") == tmp_path / "a-3.db"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set-aside").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        put_record_aside(tmp_path, kind="task", key=an_arn(), body=b"{}", reason="r")
    assert list((tmp_path / "elsewhere").iterdir()) == []

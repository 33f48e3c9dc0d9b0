"""A scan of a real folder sees every kind of change, believes what has settled, and reads no more than needed."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from ecscope.agent.taskfiles.scanner import SETTLING_SCANS, Scan, TaskFileScanner
from ecscope.taskdefinition.positions import MAX_SIZE_BYTES

LATER_NS = 10_000_000_000


def text_of(command: str = "serve") -> str:
    container = {"name": "app", "image": "busybox", "command": [command]}
    return json.dumps({"family": "web", "containerDefinitions": [container]})


def settled(scanner: TaskFileScanner) -> Scan:
    """What the scanner believes once nothing changes any more."""
    for _ in range(SETTLING_SCANS):
        scanner.scan()
    return scanner.scan()


def commands(scan: Scan) -> dict[str, str]:
    return {
        os.path.basename(path): definition.members["containerDefinitions"][0]["command"][0]
        for path, definition in scan.definitions.items()
    }


@pytest.fixture
def scanner(tmp_path: Path) -> TaskFileScanner:
    return TaskFileScanner(str(tmp_path))


def test_a_folder_is_its_json_files_without_hidden_ones_and_backups(tmp_path: Path, scanner: TaskFileScanner) -> None:
    for name in (
        "b.json",
        "a.json",
        ".hidden.json",
        "~a.json",
        "#a.json",
        "a.json~",
        "a.json.swp",
        "notes.txt",
        "json",
    ):
        (tmp_path / name).write_text(text_of(name))
    (tmp_path / "sub.json").mkdir()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.json").write_text(text_of())
    scan = scanner.scan()
    assert list(scan.definitions) == [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert (scan.bad, scan.unsettled, scan.is_complete, scan.problem) == ({}, frozenset(), True, "")


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / ".task").write_text(text_of("x"))
    (tmp_path / "other.json").write_text(text_of("y"))
    assert commands(TaskFileScanner(str(tmp_path / ".task")).scan()) == {".task": "x"}


def test_keys_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(text_of())
    monkeypatch.chdir(tmp_path)
    for written in ("a.json", ".", "./x/../a.json"):
        assert list(TaskFileScanner(written).scan().definitions) == [str(tmp_path / "a.json")]


def test_a_link_is_followed_and_a_broken_one_is_no_file(tmp_path: Path, scanner: TaskFileScanner) -> None:
    (tmp_path / "real").write_text(text_of("x"))
    (tmp_path / "a.json").symlink_to("real")
    (tmp_path / "b.json").symlink_to("nowhere")
    assert commands(scanner.scan()) == {"a.json": "x"}


def test_pipes_and_sockets_do_not_hang_it(tmp_path: Path, scanner: TaskFileScanner) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.json"))
        assert scanner.scan() == Scan()


# --- changes --------------------------------------------------------------------------------------


def test_a_rename_into_place_is_seen(tmp_path: Path, scanner: TaskFileScanner) -> None:
    (tmp_path / "a.json").write_text(text_of("old"))
    assert commands(scanner.scan()) == {"a.json": "old"}
    (tmp_path / ".next").write_text(text_of("new"))
    (tmp_path / ".next").rename(tmp_path / "a.json")
    assert commands(scanner.scan()) == {"a.json": "new"}


def test_a_rewrite_in_place_is_seen_even_with_the_same_size_and_times(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of("old"))
    times = path.stat()
    assert commands(scanner.scan()) == {"a.json": "old"}
    path.write_text(text_of("new"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert commands(scanner.scan()) == {"a.json": "new"}


def test_a_young_file_is_read_again_and_an_old_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of())
    now_ns = path.stat().st_ctime_ns
    reads = 0

    def clock() -> int:
        """Asked once for each reading of a file."""
        nonlocal reads
        reads += 1
        return now_ns

    scanner = TaskFileScanner(str(tmp_path), wall_clock_ns=clock)
    first = scanner.scan().definitions[str(path)]
    scanner.scan()
    assert reads == 2  # young: the same stat values could hide a second write
    now_ns += LATER_NS
    scanner.scan()
    assert reads == 3  # once more, now that it is old
    for _ in range(3):
        assert scanner.scan().definitions[str(path)] is first
    assert reads == 3
    path.write_text(text_of("new"))
    assert commands(scanner.scan()) == {"a.json": "new"}


def test_a_removed_file_is_believed_gone_after_a_few_scans(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of())
    scanner.scan()
    path.unlink()
    for _ in range(SETTLING_SCANS):
        assert scanner.scan() == Scan(unsettled=frozenset({str(path)}))
    assert scanner.scan() == Scan()
    assert scanner.scan() == Scan()


def test_a_file_that_is_away_for_a_moment_was_never_gone(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of())
    for _ in range(3):
        scanner.scan()
        path.rename(tmp_path / "a.json~")
        assert scanner.scan().unsettled == {str(path)}
        (tmp_path / "a.json~").rename(path)
        assert commands(scanner.scan()) == {"a.json": "serve"}


def test_a_file_that_was_there_before_the_agent_started_is_given_the_same_time(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.json")
    scanner = TaskFileScanner(str(tmp_path), expected=[gone])
    for _ in range(SETTLING_SCANS):
        assert scanner.scan().unsettled == {gone}
    assert scanner.scan() == Scan()


def test_a_folder_that_vanishes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "a.json").write_text(text_of("one"))
    scanner = TaskFileScanner(str(folder))
    scanner.scan()
    folder.rename(tmp_path / "away")
    first = scanner.scan()
    assert first.unsettled == {str(folder / "a.json")}
    assert first.problem == f"{folder} does not exist; create it, or start the agent with another path"
    assert settled(scanner).unsettled == frozenset()
    (tmp_path / "away").rename(folder)
    back = scanner.scan()
    assert commands(back) == {"a.json": "one"}
    assert back.problem == ""


def test_a_file_in_the_folders_place_and_the_folder_again(tmp_path: Path) -> None:
    path = tmp_path / "tasks"
    scanner = TaskFileScanner(str(path))
    assert scanner.scan().definitions == {}
    path.write_text(text_of("file"))
    assert commands(scanner.scan()) == {"tasks": "file"}
    path.unlink()
    path.mkdir()
    (path / "a.json").write_text(text_of("folder"))
    assert commands(scanner.scan()) == {"a.json": "folder"}


def test_a_path_that_is_neither_file_nor_folder_is_explained() -> None:
    assert TaskFileScanner("/dev/null").scan().problem == "/dev/null is neither a file nor a folder; name one of these"


# --- wrong files ----------------------------------------------------------------------------------


def test_a_half_written_file_is_left_alone_until_it_is_whole(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    text = text_of()
    for end in range(0, len(text), 10):
        path.write_text(text[:end])
        scan = scanner.scan()
        assert scan.unsettled == {str(path)}
        assert scan.bad == {}
    path.write_text(text)
    assert commands(scanner.scan()) == {"a.json": "serve"}


def test_a_wrong_file_that_stays_wrong_is_told_with_its_mistakes(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n "family": "x"')
    bad = settled(scanner).bad[str(path)]
    assert [str(mistake) for mistake in bad.mistakes] == [
        'line 2: the text ends too early: "}" is missing for what starts on line 1'
    ]
    assert scanner.scan().bad == {str(path): bad}


def test_a_wrong_version_of_a_good_file_is_neither_there_nor_gone(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.write_text(text_of())
    scanner.scan()
    path.write_text("{}")
    scan = settled(scanner)
    assert (scan.definitions, list(scan.bad)) == ({}, [str(path)])
    path.write_text(text_of())
    assert commands(scanner.scan()) == {"a.json": "serve"}


def test_a_file_too_large_is_told(tmp_path: Path, scanner: TaskFileScanner) -> None:
    (tmp_path / "a.json").write_text(" " * MAX_SIZE_BYTES + text_of())
    (bad,) = settled(scanner).bad.values()
    assert bad.mistakes[0].reason == f"the text is longer than {MAX_SIZE_BYTES} bytes"


def test_a_name_that_is_no_utf_8_is_told(tmp_path: Path, scanner: TaskFileScanner) -> None:
    descriptor = os.open(os.fsencode(tmp_path) + b"/\xff.json", os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    (bad,) = settled(scanner).bad.values()
    assert bad.mistakes[0].reason == "has a name that is not UTF-8; rename it"


def test_a_loop_of_links_is_told_and_does_not_count_as_gone(tmp_path: Path, scanner: TaskFileScanner) -> None:
    path = tmp_path / "a.json"
    path.symlink_to("a.json")
    (bad,) = settled(scanner).bad.values()
    assert bad.mistakes[0].reason == (
        "cannot be read: Too many levels of symbolic links; the agent's user needs read access"
    )
    path.unlink()
    path.write_text(text_of())
    assert commands(scanner.scan()) == {"a.json": "serve"}


def test_a_folder_that_cannot_be_listed_makes_nothing_gone(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "a.json").write_text(text_of())
    link = tmp_path / "link"
    link.symlink_to("tasks")
    scanner = TaskFileScanner(str(link))
    scanner.scan()
    link.unlink()
    link.symlink_to("link")
    scan = settled(scanner)
    assert not scan.is_complete
    assert scan.problem == f"{link} cannot be read: Too many levels of symbolic links; tasks from it are left alone"

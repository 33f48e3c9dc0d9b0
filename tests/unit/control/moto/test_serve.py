"""What moto has changed is kept in its journal, and done again from there: once, in order, with the same chance."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecscope.control.moto import serve
from ecscope.control.moto.serve import Application, Entry, Journal

ENTRIES = [
    Entry("1", 1.5, 7, "PUT", "/b/k%20y?x", [["Content-Type", "a"]], b"\0\n{}\xff" * 9),
    Entry("2", 2.5, 2**63, "POST", "/", [], b""),
    Entry("3", 3.5, 1, "POST", "/", [], b"last\n"),
]


def written(path: Path, entries: list[Entry]) -> bytes:
    journal = Journal(path)
    assert list(journal.entries()) == []
    for entry in entries:
        journal.append(entry)
    journal._file.close()
    return path.read_bytes()


def read(path: Path) -> list[Entry]:
    journal = Journal(path)
    found = list(journal.entries())
    journal.append(ENTRIES[0])  # whatever was there, it goes on
    journal._file.close()
    return found


def test_wherever_it_is_cut_off_all_before_is_there(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", ENTRIES)
    ends = [len(written(tmp_path / f"{count}", ENTRIES[:count])) for count in (1, 2, 3)]
    for size in (
        *range(0, len(whole), 9),
        *(end + more for end in ends for more in (-1, 0, 1) if end + more <= ends[-1]),
    ):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:size])
        count = sum(end <= size for end in ends)
        assert read(cut) == ENTRIES[:count], size
        assert read(cut) == [*ENTRIES[:count], ENTRIES[0]], size
    assert not (tmp_path / "cut.damaged").exists()


def test_what_is_damaged_is_set_aside_with_all_behind_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal"
    whole = written(path, ENTRIES)
    at = len(written(tmp_path / "first", ENTRIES[:1]))
    path.write_bytes(whole.replace(b'"seed": 9223372036854775808', b'"seed": 9223372036854775808 oops'))
    assert read(path) == ENTRIES[:1]
    assert b"oops" in (tmp_path / "journal.damaged").read_bytes()
    assert f"damaged at byte {at}" in capsys.readouterr().err


def test_a_body_that_rotted(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(written(path, ENTRIES).replace(b"last", b"lost"))
    assert read(path) == ENTRIES[:2]


class Dice:
    """Gives what it was seeded with."""

    def __init__(self) -> None:
        self.face = 0
        self._seed = 100

    @contextmanager
    def given(self, seed: int, *, at: float | None) -> Iterator[None]:
        self.face = seed
        yield
        self.face = 0

    def new_seed(self) -> int:
        self._seed += 1
        return self._seed


class Moto:
    """Counts what is put, and calls each by chance."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self.made: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read()
        if body == b"wrong":
            start("400 Bad Request", [])
            return [b"no"]
        if environ["REQUEST_METHOD"] == "PUT":
            self.made.append(f"{body.decode()}-{self._dice.face}")
        start("200 OK", [("X", "y")])
        return [self.made[-1].encode() if self.made else b"", b"!"]


def application(path: Path) -> tuple[Application, Moto]:
    dice = Dice()
    moto = Moto(dice)
    return Application(moto, Journal(path), dice), moto  # type: ignore[arg-type]


def asked(app: Application, method: str, body: bytes = b"", request_id: str = "") -> tuple[str, bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "RAW_URI": "/a%20b?c=d",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "text/x",
        "HTTP_X_META": "m",
        "wsgi.input": io.BytesIO(body),
    }
    if request_id:
        environ["HTTP_X_ECSCOPE_CHANGES"] = request_id
    started: list[str] = []
    answer = b"".join(app(environ, lambda status, headers: started.append(status)))
    return started[0], answer


@pytest.fixture
def plain_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without werkzeug, which comes with moto."""
    monkeypatch.setattr(
        serve, "_environ", lambda entry: {"REQUEST_METHOD": entry.method, "wsgi.input": io.BytesIO(entry.body)}
    )


@pytest.mark.usefixtures("plain_environ")
def test_what_changed_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, moto = application(path)
    assert first.replay() == 0
    assert asked(first, "PUT", b"a", "id1") == ("200 OK", b"a-101!")
    assert asked(first, "GET") == ("200 OK", b"a-101!")
    assert asked(first, "PUT", b"wrong", "id2") == ("400 Bad Request", b"no")
    assert asked(first, "PUT", b"b", "id3") == ("200 OK", b"b-103!")
    first._journal._file.close()

    again, moto_again = application(path)
    assert again.replay() == 2
    assert moto_again.made == moto.made == ["a-101", "b-103"]
    assert asked(again, "PUT", b"b", "id3") == ("200 OK", b"b-103!"), "its answer was lost with the process"
    assert moto_again.made == ["a-101", "b-103"], "and it was not done twice"
    assert asked(again, "PUT", b"c", "id4")[1].startswith(b"c-")
    again._journal._file.close()
    (entry, *_) = read(path)
    assert (entry.target, entry.headers) == ("/a%20b?c=d", [["Content-Type", "text/x"], ["X-Meta", "m"]])


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Here the parent has gone before it says so."""
    command = [sys.executable, "-I", serve.__file__, str(tmp_path / "socket"), str(tmp_path / "journal"), "1"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 1
    assert not (tmp_path / "journal").exists()

"""Tables line up and fit, ages and ports read well, and nothing from outside reaches the terminal as a command."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from ecscope.cli.client import Container, Port
from ecscope.cli.table import age, coloured, harmless, port_text, ports_of, table, wants_colour
from tests.tables import each_row

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_line_up_and_nothing_trails() -> None:
    assert table(("A", "LONGER", "Z"), [("aaa", "b", "z"), ("", "-", "")]) == [
        "A    LONGER  Z",
        "aaa  b       z",
        "     -       ",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("A", "B"), []) == ["A  B"]


def test_columns_give_way_in_their_order() -> None:
    rows = [("id", "x" * 40, "y" * 40)]
    lines = table(("ID", "X", "Y"), rows, width=50, shrink=(1, 2))
    assert [len(line.rstrip()) for line in lines[1:]] == [50]
    assert lines[1] == f"id  {'x' * 11}…  {'y' * 31}…"
    assert table(("ID", "X", "Y"), rows, width=70, shrink=(1, 2))[1] == f"id  {'x' * 23}…  {'y' * 40}"
    assert table(("ID", "X", "Y"), rows, width=200, shrink=(1, 2))[1] == f"id  {'x' * 40}  {'y' * 40}"


def test_a_column_never_shrinks_below_what_can_be_read() -> None:
    assert table(("X",), [("x" * 40,)], width=3, shrink=(0,))[1] == "x" * 11 + "…"
    assert table(("X",), [("short",)], width=3, shrink=(0,))[1] == "short"


def test_colours_do_not_move_columns() -> None:
    rows = [("RUNNING", "a"), ("PENDING", "b"), ("STOPPED", "c"), ("other", "d")]
    plain = table(("STATUS", "X"), rows)
    painted = table(("STATUS", "X"), rows, colour=True)
    assert painted[1] == "\x1b[32mRUNNING\x1b[0m  a"
    assert painted[4] == plain[4]
    assert [line for line in painted if "\x1b" not in line] == [plain[4]]


def test_only_status_words_have_a_colour() -> None:
    assert coloured("RUNNING", colour=False) == "RUNNING"
    assert coloured("running", colour=True) == "running"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ä", "plain ä"), ("\x1b[2J", "\\x1b[2J"), ("a\nb\t", "a\\nb\\t"), ("\x9b", "\\x9b"), ("\u202e", "\\u202e")],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown
    assert table(("A",), [(text,)])[1] == shown


def test_colour_only_on_a_terminal_that_wants_it() -> None:
    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})


@each_row(
    "seconds, text",
    [
        (0, "0s"),
        (-5, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (11520, "3h12m"),
        (86400, "1d"),
        (9 * 86400 + 4 * 3600 + 59, "9d4h"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_no_moment_has_no_age() -> None:
    assert age(None, NOW) == "-"


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (Port(80, "tcp", 8080), "8080->80/tcp"),
        (Port(53, "udp", 0), "53/udp"),
        (Port(0, "tcp", 0), "tcp"),
    ],
)
def test_a_port(port: Port, text: str) -> None:
    assert port_text(port) == text


def test_each_port_once() -> None:
    two = Container("1", "n", "a", started_at="x", ports=(Port(80, "tcp", 8080), Port(80, "tcp", 8080)))
    other = Container("2", "m", "b", started_at="x", ports=(Port(53, "udp", 0),))
    assert ports_of([two, other]) == "8080->80/tcp, 53/udp"
    assert ports_of([]) == "-"
    assert ports_of([Container("3", "o", "c", ports=(Port(80, "tcp", 8080),))]) == "-", "it never started"
    assert port_text(Port(80, "tcp", 32768, "127.0.0.1")) == "127.0.0.1:32768->80/tcp"

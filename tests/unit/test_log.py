"""Lines carry their fields on one line in both formats, go where they should, and never break the agent."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextvars import copy_context
from enum import Enum
from pathlib import Path

import pytest

from ecscope.log import (
    EVENT_ID,
    HAPPENING,
    TASK_ARN,
    LogFile,
    LogFormat,
    LogLevel,
    LogRollover,
    configure_logging,
    current_event_id,
)
from tests.tables import each_row

SOURCE = str(Path(__file__).parents[2] / "src")
LOG = logging.getLogger("ecscope.engine")


class Status(Enum):
    RUNNING = "RUNNING"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a test configures ends with it."""
    root, own = logging.getLogger(), logging.getLogger("ecscope")
    before = (root.level, list(root.handlers), own.level, logging.raiseExceptions)
    yield
    for handler in root.handlers:
        if handler not in before[1]:
            handler.close()
    root.level, root.handlers[:], own.level, logging.raiseExceptions = before
    root.manager._clear_cache()  # type: ignore[attr-defined]  # levels are cached per logger


def logfmt(stream: io.StringIO) -> str:
    """The one line that was written, without level and time."""
    (line,) = stream.getvalue().splitlines()
    level, time, rest = line.split(" ", 2)
    assert level.startswith("level=")
    assert time.startswith("time=20")
    assert time.endswith("Z")
    return rest


class TestLogfmt:
    def test_a_line_with_fields(self) -> None:
        configure_logging(stream=(stream := io.StringIO()))
        fields = {EVENT_ID: "e-1", TASK_ARN: "arn:aws:ecs:r:1:task/default/ab", HAPPENING: Status.RUNNING, "n": 5}
        LOG.info("container %s is up", "web", extra=fields)
        assert logfmt(stream) == (
            'msg="container web is up" module=engine eventId=e-1 taskARN=arn:aws:ecs:r:1:task/default/ab '
            "happening=RUNNING n=5"
        )

    @each_row(
        "value, shown",
        [
            ("", '""'),
            ("a b", '"a b"'),
            ('a"b', '"a\\"b"'),
            ("a=b", '"a=b"'),
            ("a\nlevel=error", '"a\\nlevel=error"'),
            ("\x1b[31m", '"\\u001b[31m"'),
            ("ä", '"ä"'),
            ("\udcff", '"\\\\udcff"'),
            (None, "null"),
            (True, "true"),
            (1.5, "1.5"),
            (Path("/a"), "/a"),
        ],
    )
    def test_a_value_stays_one_word_on_one_line(self, value: object, shown: str) -> None:
        configure_logging(stream=(stream := io.StringIO()))
        LOG.info("x", extra={"field": value})
        assert logfmt(stream) == f"msg=x module=engine field={shown}"

    def test_a_traceback_stays_on_the_line(self) -> None:
        configure_logging(stream=(stream := io.StringIO()))
        try:
            int("boom\nlevel=info forged")
        except ValueError:
            LOG.exception("bug")
        assert 'traceback="Traceback (most recent call last):\\n' in logfmt(stream)
        assert r"boom\\nlevel=info forged" in stream.getvalue()


class TestJson:
    def test_a_line_with_fields(self) -> None:
        configure_logging(stream=(stream := io.StringIO()), log_format=LogFormat.JSON)
        LOG.warning('say "%s"\n', "hi", extra={EVENT_ID: "e-1", HAPPENING: Status.RUNNING, "n": 5, "bad": "\udcff"})
        (line,) = stream.getvalue().splitlines()
        document = json.loads(line)
        assert document.pop("time").endswith("Z")
        assert document == {
            "level": "warn",
            "msg": 'say "hi"\n',
            "module": "engine",
            "eventId": "e-1",
            "happening": "RUNNING",
            "n": 5,
            "bad": "\\udcff",
        }


class TestEventId:
    def test_it_comes_from_the_context(self) -> None:
        configure_logging(stream=(stream := io.StringIO()))

        def handle() -> None:
            current_event_id.set("e-7")
            LOG.info("x")

        copy_context().run(handle)
        assert logfmt(stream) == "msg=x module=engine eventId=e-7"

    def test_the_record_s_own_wins(self) -> None:
        configure_logging(stream=(stream := io.StringIO()))

        def handle() -> None:
            current_event_id.set("e-7")
            LOG.info("x", extra={EVENT_ID: "e-8"})

        copy_context().run(handle)
        assert logfmt(stream) == "msg=x module=engine eventId=e-8"


class TestLevels:
    @each_row(
        "level, written",
        [
            (LogLevel.DEBUG, ["debug", "info", "warn", "error", "critical"]),
            (LogLevel.INFO, ["info", "warn", "error", "critical"]),
            (LogLevel.WARN, ["warn", "error", "critical"]),
            (LogLevel.ERROR, ["error", "critical"]),
            (LogLevel.CRIT, ["critical"]),
            (LogLevel.NONE, []),
        ],
    )
    def test_the_console(self, level: LogLevel, written: list[str]) -> None:
        configure_logging(stream=(stream := io.StringIO()), level=level, log_format=LogFormat.JSON)
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            LOG.log(number, "x")
        assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == written

    def test_the_file_has_a_level_of_its_own(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "agent.log"
        file = LogFile(path=str(path), level=LogLevel.DEBUG)
        configure_logging(stream=(stream := io.StringIO()), level=LogLevel.ERROR, file=file)
        LOG.debug("quiet")
        LOG.error("loud")
        assert "quiet" not in stream.getvalue()
        assert ["quiet" in path.read_text(), "loud" in path.read_text()] == [True, True]

    def test_no_file_at_level_none(self, tmp_path: Path) -> None:
        path = tmp_path / "agent.log"
        configure_logging(stream=io.StringIO(), file=LogFile(path=str(path), level=LogLevel.NONE))
        LOG.error("x")
        assert not path.exists()

    def test_libraries_are_heard_from_warnings_on(self) -> None:
        configure_logging(stream=(stream := io.StringIO()), level=LogLevel.DEBUG)
        logging.getLogger("some.library").info("chatter")
        logging.getLogger("some.library").warning("trouble")
        assert logfmt(stream) == "msg=trouble module=some.library"


class TestFile:
    def test_rotation_by_size_keeps_so_many(self, tmp_path: Path) -> None:
        file = LogFile(path=str(tmp_path / "a.log"), max_size_mb=0.001, max_roll_count=2)
        configure_logging(stream=io.StringIO(), file=file)
        for number in range(60):
            LOG.info("line %d %s", number, "x" * 40)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
        assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
        assert "line 59" in (tmp_path / "a.log").read_text()

    @pytest.mark.parametrize("rollover", [LogRollover.NONE, LogRollover.HOURLY])
    def test_other_kinds_do_not_look_at_the_size(self, tmp_path: Path, rollover: LogRollover) -> None:
        file = LogFile(path=str(tmp_path / "a.log"), max_size_mb=0.0001, rollover=rollover)
        configure_logging(stream=io.StringIO(), file=file)
        for _ in range(50):
            LOG.info("x" * 40)
        assert [path.name for path in tmp_path.iterdir()] == ["a.log"]

    def test_hourly_rotation_begins_a_new_file_when_the_hour_is_over(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        configure_logging(stream=io.StringIO(), file=LogFile(path=str(path), rollover=LogRollover.HOURLY))
        LOG.info("first")
        (handler,) = [h for h in logging.getLogger().handlers if hasattr(h, "rolloverAt")]
        handler.rolloverAt -= 3600
        LOG.info("second")
        assert len(list(tmp_path.iterdir())) == 2
        assert "first" not in path.read_text()

    def test_a_file_that_cannot_be_written_costs_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        configure_logging(stream=(stream := io.StringIO()), file=LogFile(path=str(tmp_path / "file" / "a.log")))
        LOG.info("goes on")
        first, second = stream.getvalue().splitlines()
        assert "cannot write the log file, going on with the console alone" in first
        assert "goes on" in second

    def test_configuring_again_replaces(self, tmp_path: Path) -> None:
        configure_logging(stream=(old := io.StringIO()), file=LogFile(path=str(tmp_path / "a.log")))
        configure_logging(stream=(new := io.StringIO()))
        LOG.info("x")
        assert old.getvalue() == ""
        assert (tmp_path / "a.log").read_text() == ""
        assert logfmt(new) == "msg=x module=engine"


def test_a_console_that_is_gone_does_not_break_the_agent() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    stream.close()
    LOG.error("nobody hears this")


def test_rotation_is_not_loaded_where_no_file_is_asked_for() -> None:
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r}); from ecscope.log import configure_logging; configure_logging(); "
        "sys.exit('logging.handlers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestForAPerson:
    def test_the_console_has_the_messages_and_the_file_the_fields(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        configure_logging(stream=(stream := io.StringIO()), file=LogFile(path=str(path)), program="ecscope up")
        LOG.warning("the disk\nis full", extra={"taskARN": "arn"})
        assert stream.getvalue() == "ecscope up: the disk\\nis full\n"
        assert "level=warn" in path.read_text()
        assert "taskARN=arn" in path.read_text()

    def test_of_an_exception_the_last_line_and_the_rest_in_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        configure_logging(stream=(stream := io.StringIO()), file=LogFile(path=str(path)), program="ecscope up")
        try:
            int("seven")
        except ValueError:
            LOG.exception("a bug")
        assert stream.getvalue() == ("ecscope up: a bug: ValueError: invalid literal for int() with base 10: 'seven'\n")
        assert "Traceback" in path.read_text()

    def test_configuring_again_replaces_it(self) -> None:
        configure_logging(stream=(old := io.StringIO()), program="ecscope up")
        configure_logging(stream=io.StringIO())
        LOG.info("x")
        assert old.getvalue() == ""

    def test_it_is_not_told_of_a_variable_that_it_did_not_set(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        file = LogFile(path=str(tmp_path / "file" / "a.log"))
        configure_logging(stream=(stream := io.StringIO()), file=file, program="ecscope up")
        assert stream.getvalue().startswith("ecscope up: cannot write the log file, going on with the console alone: ")
        assert "ECS_LOGFILE" not in stream.getvalue()


@pytest.mark.parametrize("rollover", list(LogRollover))
def test_a_private_file_is_its_owners_alone(tmp_path: Path, rollover: LogRollover) -> None:
    path = tmp_path / "a.log"
    path.write_text("from before\n")
    path.chmod(0o644)
    file = LogFile(path=str(path), rollover=rollover, is_private=True, max_size_mb=0.001, max_roll_count=2)
    configure_logging(stream=io.StringIO(), file=file)
    for number in range(60):
        LOG.info("line %d %s", number, "x" * 40)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert (len(list(tmp_path.iterdir())) > 1) == (rollover is LogRollover.SIZE)


def test_a_private_file_that_is_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "a.log").symlink_to(tmp_path / "target")
    stream = io.StringIO()
    configure_logging(stream=stream, file=LogFile(path=str(tmp_path / "a.log"), is_private=True))
    LOG.info("hello")
    assert (tmp_path / "target").read_text() == "mine"
    assert "it is a symbolic link" in stream.getvalue()

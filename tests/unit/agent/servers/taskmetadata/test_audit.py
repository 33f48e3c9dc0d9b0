"""Unit tests of the log of requests for credentials."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecscope.agent.servers.taskmetadata import audit
from ecscope.agent.servers.taskmetadata.audit import AuditLog, line
from ecscope.model.credentials import RoleType

AT = datetime(2026, 3, 1, 10, 0, 5, 900000, tzinfo=UTC)


def test_the_line_as_documented() -> None:
    told = line(
        at=AT,
        status=200,
        remote="169.254.172.2:41234",
        path="/v2/credentials/the-secret-id",
        user_agent="Boto3/1.40",
        task_arn="arn:task",
        role_type=RoleType.TASK_EXECUTION,
        cluster="prod-a",
        instance_arn="",
    )
    assert told == (
        '2026-03-01T10:00:05Z 200 169.254.172.2:41234 "/v2/credentials" "Boto3/1.40" arn:task'
        " GetCredentialsExecutionRole 2 prod-a -"
    )


def test_where_nothing_was_given_out_it_is_short() -> None:
    told = line(at=AT, status=429, remote="1.2.3.4:5", path="/v4/x", user_agent="")
    assert told == '2026-03-01T10:00:05Z 429 1.2.3.4:5 "/v4/x" "" -'


def test_what_a_client_sends_cannot_forge_fields_or_lines() -> None:
    told = line(at=AT, status=400, remote="r", path='/v1/credentials" "', user_agent='a\n"\\')
    assert told == '2026-03-01T10:00:05Z 400 r "/v1/credentials\\" \\"" "a\\u000a\\"\\\\" -'


def test_lines_go_to_a_file_of_the_owner_and_to_the_agents_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ecscope.audit")
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    log.write("one")
    log.write("two")
    log.close()
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert caplog.messages == ["one", "two"]


def test_a_full_file_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "LARGEST_BYTES", 10)
    log = AuditLog(tmp_path / "audit.log")
    for text in ("12345678", "abc"):
        log.write(text)
    log.close()
    assert (tmp_path / "audit.log").read_text() == "abc\n"
    assert (tmp_path / "audit.log.1").read_text() == "12345678\n"
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_switched_off_it_writes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ecscope.audit")
    log = AuditLog(None)
    log.write("one")
    log.close()
    assert caplog.messages == []


def test_a_path_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    log = AuditLog(tmp_path / "file" / "audit.log")
    log.write("one")
    log.write("two")
    log.close()
    assert [record.levelname for record in caplog.records if record.levelno > logging.INFO] == ["WARNING"]
    assert "in no audit log" in caplog.text


def test_a_full_disk_costs_the_line_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "open_private", lambda path, errors: Path("/dev/full").open("a"))  # noqa: SIM115
    log = AuditLog(tmp_path / "audit.log")
    log.write("one")
    log.write("two")
    log.close()
    assert capsys.readouterr().err == ""
    lost = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert lost == [f"lines of the audit log are lost: {tmp_path}/audit.log: [Errno 28] No space left on device"]


def test_a_file_that_is_a_link_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "target")
    log = AuditLog(tmp_path / "audit.log")
    log.write("one")
    log.close()
    assert not (tmp_path / "target").exists()
    assert "requests for credentials are in no audit log" in caplog.text

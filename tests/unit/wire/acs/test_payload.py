"""A task as ACS sends it keeps every member through decode and encode, and hides its secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecscope.wire.acs.payload import PayloadTask, PayloadVolume, RoleCredentials
from tests.tables import each_row

TRAFFIC = Path(__file__).parents[3] / "fixtures" / "official-agent" / "traffic"

TASKS: list[dict[str, Any]] = [
    task
    for path in sorted(TRAFFIC.glob("*.jsonl"))
    for record in map(json.loads, path.read_text().splitlines())
    if record.get("type") == "PayloadMessage"
    for task in record["message"]["tasks"]
]


def test_there_are_recorded_tasks() -> None:
    assert len(TASKS) >= 15


@each_row("task", TASKS, name=lambda task: str(task["family"]))
def test_a_recorded_task_comes_back_as_it_was(task: dict[str, Any]) -> None:
    decoded = msgspec.json.decode(json.dumps(task), type=PayloadTask)
    assert json.loads(msgspec.json.encode(decoded)) == task


def test_members_with_capitals_inside_have_the_names_of_the_service() -> None:
    volume = {"name": "v", "fsxWindowsFileServerVolumeConfiguration": {"fileSystemId": "fs-1"}}
    task = {
        "volumes": [volume],
        "elasticNetworkInterfaces": [
            {"ec2Id": "eni-1", "ipv4Addresses": [{"privateAddress": "10.0.0.2"}], "subnetGatewayIpv6Address": "::1/64"}
        ],
    }
    assert json.loads(msgspec.json.encode(msgspec.json.decode(json.dumps(task), type=PayloadTask))) == task


def test_null_and_absent_are_the_same_and_empty_is_not() -> None:
    decoded = msgspec.json.decode('{"arn": null, "volumes": [], "unknown": [{}]}', type=PayloadTask)
    assert decoded == PayloadTask(volumes=())
    assert msgspec.json.encode(decoded) == b'{"volumes":[]}'


def test_a_task_level_cpu_may_be_written_as_a_whole_number() -> None:
    assert msgspec.json.decode('{"cpu": 2}', type=PayloadTask).cpu == 2.0


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_a_number_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"memory": {number}}}', type=PayloadTask)


def test_credentials_show_neither_key_nor_token() -> None:
    credentials = RoleCredentials(
        credentials_id="id-1", access_key_id="AKIDX", secret_access_key="hush", session_token="tok", expiration="2030"
    )
    shown = repr(PayloadTask(arn="a", role_credentials=credentials, volumes=(PayloadVolume(name="v"),)))
    assert "id-1" in shown
    assert not any(secret in shown for secret in ("AKIDX", "hush", "tok"))

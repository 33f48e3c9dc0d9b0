"""``ecscope doctor`` beside a running ``ecscope up``: nothing is wrong, then three things are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import engine
from tests.e2e.ups import TASK_LABEL, Up, an_up

pytestmark = pytest.mark.timeout(120)


def doctor(up: Up, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the findings by check."""
    command = [sys.executable, "-m", "ecscope.cli.main", "doctor", "--json", "--data-dir", str(up.data_dir), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    document = json.loads(done.stdout)
    return done.returncode, document | {"findings": {one["check"]: one for one in document["findings"]}}


def test_a_sound_up_and_what_is_broken_in_it(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        _, sound = doctor(up)
        assert sound["agent"] == {
            "pid": up.agent_pid(),
            "dataDirectory": str(up.data_dir / "agent"),
            "isLocal": True,
        }
        assert [one for one in sound["findings"].values() if one["severity"] == "error"] == []
        assert sound["findings"]["permissions"]["severity"] == "ok"
        body = {"Image": sample_image, "Cmd": ["true"], "Labels": {TASK_LABEL: f"arn:aws:ecs:::task/{up.cluster}/gone"}}
        answer = engine().request(
            "POST", "/containers/create", body=json.dumps(body).encode(), content_type="application/json"
        )
        left = json.loads(answer)["Id"]
        try:
            code, broken = doctor(up)
        finally:
            engine().remove_container(left)
        assert code in (10, 11)
        assert left[:12] in broken["findings"]["leftover-containers"]["fix"]
        pid = up.agent_pid()
        up.end()
        os.chmod(up.data_dir / "agent", 0o777)
        with socket.create_server(("127.0.0.1", 51678)):
            code, ended = doctor(up)
        assert code == 11
        found = ended["findings"]
        assert ended["agent"]["pid"] is None and pid
        assert (found["agent"]["severity"], found["data-directory"]["severity"]) == ("error", "error")
        assert f"process {os.getpid()}" in found["port-51678"]["text"]
        os.chmod(up.data_dir / "agent", 0o700)

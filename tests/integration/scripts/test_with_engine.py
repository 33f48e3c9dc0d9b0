"""``scripts/with-engine`` gives a command an engine and the image, its exit code back, and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dockerengine

SCRIPT = Path(dockerengine.__file__).with_name("with-engine")


def with_engine(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_finds_the_image(docker_endpoint: str, sample_image: str) -> None:
    import_check = (
        "import dockerengine, json;"
        f"print(json.loads(dockerengine.configured().request('GET', '/images/{sample_image}/json'))['Config']['Cmd'])"
    )
    done = with_engine(sys.executable, "-c", import_check, PYTHONPATH=str(SCRIPT.parent))
    assert (done.returncode, done.stdout) == (0, "['sh']\n"), done.stderr


def test_the_exit_code_is_the_commands(docker_endpoint: str) -> None:
    assert with_engine("sh", "-c", "exit 7").returncode == 7
    assert with_engine("sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert with_engine("/no/such/command").returncode == 127


def test_a_signal_is_passed_on_and_the_command_waited_for(docker_endpoint: str, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    command = f"trap 'touch {ended}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen([sys.executable, str(SCRIPT), "sh", "-c", command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert ended.exists()


def test_without_an_engine_one_line_says_what_and_how(tmp_path: Path) -> None:
    done = with_engine("true", DOCKER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_an_optional_engine_may_be_absent_except_on_the_build_machine() -> None:
    assert with_engine("--optional", "true", DOCKER_HOST="tcp://127.0.0.1:1", CI="").returncode == 0
    assert with_engine("--optional", "true", DOCKER_HOST="tcp://127.0.0.1:1", CI="true").returncode == 1

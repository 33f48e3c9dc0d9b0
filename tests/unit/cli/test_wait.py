"""``ecscope wait`` ends when ``up`` is ready, when it has ended, and in time; the whole of it is in ``test_up.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecscope.cli import wait
from ecscope.cli.main import build_parser


def test_a_directory_of_somebody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o777)
    assert wait.run(build_parser().parse_args(["wait", "--timeout=0", f"--data-dir={tmp_path}"])) == 1
    assert "not ready" in capsys.readouterr().err


@pytest.mark.parametrize("timeout", ["soon", "-1", "nan", "1e9"])
def test_a_time_that_is_none(timeout: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["wait", f"--timeout={timeout}"])
    assert ended.value.code == 2
    assert "is not a number of seconds" in capsys.readouterr().err

"""Runs ``ecscope …`` in processes of their own that start with everything imported, which costs ten times the rest.

One process imports and waits; for each command it forks. What a command does to its process (log, garbage collection,
signals, name) ends with it, as in a process that was started for it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
_IMPORTED = ("ecscope.cli.main", "ecscope.cli.agent", "ecscope.cli.up", "ecscope.up.local", "ecscope.agent.app")


class Run(Protocol):
    """What ``commands`` gives."""

    def __call__(self, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run ``ecscope`` with these arguments to its end."""


@contextmanager
def commands(folder: Path) -> Iterator[Run]:
    """``folder`` is where the output goes."""
    python = [sys.executable, "-c", "from tests.commands import serve; serve()"]
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        python, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}
    ) as server:

        def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
            assert server.stdin is not None
            assert server.stdout is not None
            out, err = folder / "stdout", folder / "stderr"
            request = {"arguments": arguments, "environment": {**environment}, "out": str(out), "err": str(err)}
            print(json.dumps(request), file=server.stdin, flush=True)
            code = int(server.stdout.readline())
            return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

        try:
            yield run
        finally:
            server.kill()


def serve() -> None:
    """Fork for each line of the standard input, and answer with the exit code of the command."""
    for name in _IMPORTED:
        import_module(name)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(request)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(request: Mapping[str, Any]) -> None:
    """In the forked process, which ends with the command."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    out, err = (os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("out", "err"))
    for target, opened in enumerate((nothing, out, err)):
        os.dup2(opened, target)
    os.environ.clear()
    os.environ.update(request["environment"])
    from ecscope.cli.main import main  # noqa: PLC0415  # the tests that only want to run commands need none of it

    code = 1
    try:
        code = main(request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

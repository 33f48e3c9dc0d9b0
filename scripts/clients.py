"""Other people's clients that the tests try the control plane and task metadata with, in ``build/clients``: made when
first asked for.

They have environments of their own, because the AWS CLI insists on one version of botocore, which is not ours. All
come by version and hash (``requirements/{clients,metadata,exporter,moto,judges,airflow}.lock``,
``tests/clients/node/package-lock.json``) and anew when those change. ``python scripts/clients.py`` makes those of
``make test`` ahead of time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "clients"
REQUIREMENTS = ROOT / "requirements"
NODE = ROOT / "tests" / "clients" / "node"
_OLDEST_NODE = 20
_INSTALL_S = 600.0


class Unavailable(Exception):
    """These clients cannot be installed here; the message says why."""


def python() -> Path:
    """The folder with ``aws``, ``ecs``, ``ecs-doctor``, ``lazy-ecs`` and a ``python``. Raises ``Unavailable``."""
    return _python("python", "clients.lock")


def moto() -> Path:
    """The folder with ``moto_server`` and a ``python`` that has moto, which is no client. Raises ``Unavailable``."""
    return _python("moto", "moto.lock")


def judges() -> Path:
    """The folder with ``ansible-playbook`` and a ``python`` that has luigi. Raises ``Unavailable``."""
    return _python("judges", "judges.lock")


def airflow() -> Path:
    """The folder with a ``python`` that has Airflow and its Amazon provider. Raises ``Unavailable``."""
    return _python("airflow", "airflow.lock")


def task_metadata() -> Path:
    """The folder with a ``python`` that has boto3, ecs-metadata, newrelic and OpenTelemetry. Raises ``Unavailable``."""
    return _python("metadata", "metadata.lock")


def container_exporter() -> Path:
    """The folder with a ``python`` that has ecs-container-exporter. Raises ``Unavailable``."""
    return _python("exporter", "exporter.lock")


def node() -> Path:
    """The folder in which ``node`` finds the modules; beside it, scripts of ``tests/clients/node`` can be run.

    Raises ``Unavailable``.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < _OLDEST_NODE:
        raise Unavailable(f"node is {version}, and @aws-sdk/client-ecs needs {_OLDEST_NODE} or later")
    folder = BUILD / "node"
    _made(folder, (NODE / "package-lock.json").read_bytes() + version.encode(), _install_node)
    return folder


def _python(name: str, lock: str) -> Path:
    path = REQUIREMENTS / lock
    folder = BUILD / name
    _made(folder, path.read_bytes() + sys.version.encode(), partial(_install_python, lock=path))
    return folder / "bin"


def _install_python(folder: Path, *, lock: Path) -> None:
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "--require-hashes", "-r", str(lock)], folder)


def _install_node(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(NODE / name, folder / name)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], folder)


def _made(folder: Path, recipe: bytes, install: Callable[[Path], None]) -> None:
    stamp, wanted = folder / "made-from", hashlib.sha256(recipe).hexdigest()
    with _alone():
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"clients: installing those of {folder.name} into {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        stamp.write_text(wanted)


@contextmanager
def _alone() -> Iterator[None]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NODE_PATH")}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} took more than {_INSTALL_S:.0f} s") from error
    if done.returncode:
        told = (done.stderr or done.stdout).strip()[-1000:]
        raise Unavailable(f"{Path(command[0]).name} could not install them; it needs a package registry: {told}")


if __name__ == "__main__":
    try:
        print(python())
        print(task_metadata())
        print(container_exporter())
        print(moto())
        print(node())
    except Unavailable as error:
        sys.exit(f"clients: {error}")

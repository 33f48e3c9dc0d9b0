"""moto in server mode, beside the control plane: in an environment of its own under ``build/``, locked by hash."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clients
from bench.control_plane import REGION, free_port
from bench.needs import Missing
from bench.signed_calls import CallFailed, Key, SignedCalls

KEY = Key("bench", "bench")
_START_S = 60.0


class Moto:
    """One process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def instances(self, count: int) -> list[str]:
        """IDs of new EC2 instances: moto's ECS takes no others as container instances."""
        asked = {"Action": "RunInstances", "ImageId": "ami-12c6146b", "MinCount": count, "MaxCount": count}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/",
            data=urllib.parse.urlencode({**asked, "Version": "2016-11-15"}).encode(),
            headers={"Authorization": f"AWS4-HMAC-SHA256 Credential=bench/20260101/{REGION}/ec2/aws4_request"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.read().decode())


def command() -> str:
    """The program ``moto_server``; installed when it is not, or when the lock has changed. Raises ``Missing``."""
    try:
        return str(clients.moto() / "moto_server")
    except clients.Unavailable as error:
        raise Missing(str(error)) from error


@contextmanager
def moto_server() -> Iterator[Moto]:
    """A fresh one that answers; ended afterwards. Raises ``Missing``."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ecscope-bench-") as folder:
        log = Path(folder) / "moto.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [command(), "-H", "127.0.0.1", "-p", str(port)],
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "AWS_DEFAULT_REGION": REGION},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            if not asyncio.run(_answers(process, port)):
                words = " ".join(log.read_text(errors="replace").split())[-300:]
                raise Missing(f"moto does not answer; it said: {words}")
            yield Moto(process, port)
        finally:
            process.kill()
            process.wait()


async def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < end:
        calls = SignedCalls(port, KEY, region=REGION)
        try:
            await calls.call("ListClusters")
        except (OSError, EOFError, CallFailed):
            await asyncio.sleep(0.05)
        else:
            return True
        finally:
            calls.close()
    return False

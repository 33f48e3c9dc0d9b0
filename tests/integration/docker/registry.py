"""A real registry on 127.0.0.1 for one test session, and what is in it."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import debianpackage
import dockerengine
from tests.session import TEST_PREFIX

USER, PASSWORD = "me", "s3cret-pass"
PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuuV7fpPozvyqJfnY19y0802WTlXUm6Rjy"
"""bcrypt, the only form the registry takes."""


class Registry:
    """One that runs; images in it are named ``<host>/…``."""

    def __init__(self, host: str, engine: dockerengine.Engine) -> None:
        self.host = host
        self._engine = engine

    def put(self, source: str, name: str, *, auth: bool = False) -> str:
        """Push the local image ``source`` as ``name`` and drop the local name; returns the reference."""
        reference = f"{self.host}/{name}"
        repository, _, tag = reference.rpartition(":")
        self._engine.request("POST", f"/images/{source}/tag", repo=repository, tag=tag)
        credentials = {"username": USER, "password": PASSWORD} if auth else {}
        header = base64.urlsafe_b64encode(json.dumps(credentials).encode()).decode()
        status, output = self._engine._send(
            "POST", f"/images/{repository}/push?tag={tag}", None, {"X-Registry-Auth": header}, timeout_s=60
        )
        assert status == 200, output
        assert b'"error"' not in output, output
        self.forget(reference)
        return reference

    def put_new(self, name: str, *, size: int) -> str:
        """Push an image that nobody has: one layer with ``size`` random bytes; returns the reference."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("random")
            member.size = size
            tar.addfile(member, io.BytesIO(os.urandom(size)))
        source, tag = f"{TEST_PREFIX}{uuid4().hex[:8]}", "1"
        self._engine.request(
            "POST",
            "/images/create",
            body=archive.getvalue(),
            content_type="application/x-tar",
            fromSrc="-",
            repo=source,
            tag=tag,
        )
        try:
            return self.put(f"{source}:{tag}", name)
        finally:
            self._engine.request("DELETE", f"/images/{source}:{tag}", force="1")

    def forget(self, reference: str) -> None:
        """Remove every local name of that repository."""
        repository = reference.partition("@")[0].rpartition(":")[0]
        images = json.loads(self._engine.request("GET", "/images/json", all="1"))
        for image in images:
            for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []):
                if name.startswith((f"{repository}:", f"{repository}@")):
                    with suppress(dockerengine.EngineError):
                        self._engine.request("DELETE", f"/images/{name}")


@contextmanager
def running(folder: Path, engine: dockerengine.Engine, *, with_password: bool = False) -> Iterator[Registry]:
    """A registry of its own on a free port; stopped at the end, by its process id. Raises ``Unavailable``."""
    program = debianpackage.program("docker-registry", "docker-registry")
    port = _free_port()
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if with_password:
        (folder / "htpasswd").write_text(f"{USER}:{PASSWORD_HASH}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "serve", str(folder / "config.yml")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(port, process, folder / "log")
        yield Registry(f"127.0.0.1:{port}", engine)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers, and wants a password
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the registry does not answer: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])

"""What drills are carried out on: registries, files, ports that are taken. Made when the first drill wants it."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import debianpackage
from tests.e2e.agents import AgentProcess, an_agent, engine, eventually
from tests.integration.docker import registry
from tests.session import TEST_PREFIX

_STALLED_BYTES = 1 << 20


class Ground:
    """See the module docstring. Leave it by closing ``stack``."""

    def __init__(self, folder: Path, docker_host: str, stack: ExitStack) -> None:
        self.folder = folder
        self.docker_host = docker_host
        self._stack = stack
        self._lock = threading.Lock()

    def filled(self, value: Any) -> Any:
        """``value`` with the names of what is here in place of the words that drills use."""
        with self._lock:
            return self._filled(json.dumps(value))

    def _filled(self, text: str) -> Any:
        for word in ("OPEN_REGISTRY", "LOCKED_REGISTRY", "STALLED_REGISTRY", "FOLDER_OF_FILES"):
            if word in text:
                text = text.replace(word, getattr(self, word.lower()))
        for word in ("PORT_OF_PROCESS", "PORT_OF_TASK", "MOST_OF_CPU", "MOST_OF_MEMORY"):
            if word in text:
                text = text.replace(f'"{word}"', str(getattr(self, word.lower())))
        return json.loads(text)

    @cached_property
    def open_registry(self) -> str:
        """With web:1 and web:2, and big:1 of 48 MB."""
        found = self._registry("open", with_password=False)
        for tag in ("1", "2"):
            found.put("ecscope-sample:latest", f"web:{tag}")
        found.put_new("big:1", size=48_000_000)
        return found.host

    @contextmanager
    def registry_in_network_of(self, pid: int) -> Iterator[None]:
        """The open one, at the same address, for an engine that has a network of its own."""
        assert self.open_registry
        program = debianpackage.program("docker-registry", "docker-registry")
        inner = f"ip link set lo up; exec {program} serve {self.folder / 'open' / 'config.yml'}"
        with (self.folder / "second.log").open("wb") as log:
            process = subprocess.Popen(
                ["nsenter", "-t", str(pid), "-n", "--", "sh", "-c", inner], stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)

    @cached_property
    def locked_registry(self) -> str:
        """That wants a password."""
        return self._registry("locked", with_password=True).host

    def _registry(self, name: str, *, with_password: bool) -> registry.Registry:
        folder = self.folder / name
        folder.mkdir()
        return self._stack.enter_context(registry.running(folder, engine(), with_password=with_password))

    @cached_property
    def stalled_registry(self) -> str:
        """That begins to send a layer, and stops."""
        return self._stack.enter_context(_stalled())

    @cached_property
    def port_of_process(self) -> int:
        """Of the host, on which a process of the test listens."""
        server = self._stack.enter_context(socket.create_server(("0.0.0.0", 0)))
        return int(server.getsockname()[1])

    @cached_property
    def port_of_task(self) -> int:
        """Of the host, which a task of another agent on the same engine holds."""
        (port,) = {one["HostPort"] for one in self._holder["Containers"][0]["Ports"]}  # on IPv4 and IPv6
        return int(port)

    @cached_property
    def arn_of_holder(self) -> str:
        return str(self._holder["Arn"])

    @cached_property
    def _holder(self) -> dict[str, Any]:
        folder = self.folder / "holder"
        folder.mkdir()
        agent: AgentProcess = self._stack.enter_context(an_agent(folder, docker_host=self.docker_host))
        agent.write_task(
            "holder",
            "trap 'exit 0' TERM; while :; do sleep 0.1; done",
            family=f"{TEST_PREFIX}holder",
            portMappings=[{"containerPort": 80, "hostPort": _free_port()}],
        )
        agent.start()
        (task,) = eventually(
            agent.tasks, lambda tasks: [one["KnownStatus"] for one in tasks] == ["RUNNING"], "the other agent's task"
        )
        return task

    @cached_property
    def most_of_cpu(self) -> int:
        """CPU units that two tasks cannot have at once."""
        return int(self._info["NCPU"] * 1024 * 0.7)

    @cached_property
    def most_of_memory(self) -> int:
        """In MiB; see ``most_of_cpu``."""
        return int(self._info["MemTotal"] / 2**20 * 0.7)

    @cached_property
    def _info(self) -> dict[str, Any]:
        return dict(json.loads(engine().request("GET", "/info")))

    @cached_property
    def folder_of_files(self) -> str:
        files = self.folder / "files"
        files.mkdir()
        program = files / "program"
        program.write_bytes(bytes(range(1, 128)))
        program.chmod(0o755)
        return str(files)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _stalled() -> Iterator[str]:
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    layer = hashlib.sha256(b"never sent").hexdigest()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": _STALLED_BYTES,
                    "digest": f"sha256:{layer}",
                }
            ],
        }
    ).encode()
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if "/manifests/" in self.path:
                digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
                self._answer(manifest, "application/vnd.docker.distribution.manifest.v2+json", digest)
            elif layer in self.path:
                self.send_response(200)
                self.send_header("Content-Length", str(_STALLED_BYTES))
                self.end_headers()
                self.wfile.write(b"\x1f\x8b" + bytes(1000))
                self.wfile.flush()
                ended.wait()
            elif "/blobs/" in self.path:
                self._answer(config, "application/octet-stream", "")
            else:
                self._answer(b"{}", "application/json", "")

        def _answer(self, body: bytes, content_type: str, digest: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()

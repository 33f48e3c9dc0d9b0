"""The endpoint's clock, name and proxy, asked of a server on loopback."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from ecscope.agent.config.settings import Config
from ecscope.agent.diagnosis.doctor.facts import CallFact, ClockFact, NotKnown
from ecscope.agent.probes.aws import Aws
from ecscope.clock import SystemClock
from ecscope.model.container_instance import ObstacleKind

AHEAD = timedelta(minutes=10)


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Ten minutes behind, and refuses what is signed."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) - AHEAD, usegmt=True)

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = b'{"__type": "AccessDeniedException", "message": "User: a is not authorized to perform: ecs:X"}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def config() -> Iterator[Config]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Config(
            api_endpoint=f"http://127.0.0.1:{server.server_port}",
            region="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            cluster="c",
            imds_disabled=True,
        )
        server.shutdown()


async def test_a_call_that_is_refused_and_a_clock_that_differs(config: Config) -> None:
    aws = Aws(config, {"AWS_SECRET_ACCESS_KEY": "s"}, clock=SystemClock(), limit_s=5)
    try:
        call, clock, found = await aws.call(""), await aws.clock(), await aws.credentials()
        names = await aws.names()
    finally:
        await aws.close()
    assert isinstance(call, CallFact) and call.failure is ObstacleKind.ACCESS_DENIED
    assert isinstance(clock, ClockFact) and abs(clock.offset_s - AHEAD.total_seconds()) < 5
    assert (found.failure, found.source) == ("", "environment")
    assert names.addresses == 1  # type: ignore[union-attr]


async def test_nobody_at_the_endpoint_and_at_the_proxy(config: Config) -> None:
    closed = msgspec.structs.replace(config, api_endpoint="http://127.0.0.1:1")
    aws = Aws(closed, {"AWS_SECRET_ACCESS_KEY": "s"}, clock=SystemClock(), limit_s=5)
    try:
        call, clock = await aws.call(""), await aws.clock()
    finally:
        await aws.close()
    assert isinstance(call, CallFact) and call.failure is ObstacleKind.ENDPOINT_UNREACHABLE
    assert isinstance(clock, NotKnown)
    behind = msgspec.structs.replace(
        config, api_endpoint="http://ecs.example", http_proxy="http://user:hunter2@127.0.0.1:1", no_proxy=""
    )
    aws = Aws(behind, {}, clock=SystemClock(), limit_s=5)
    try:
        proxy, clock, names = await aws.proxy(), await aws.clock(), await aws.names()
    finally:
        await aws.close()
    assert proxy.proxy == "http://127.0.0.1:1"
    assert "does not answer" in proxy.failure and "hunter2" not in proxy.failure
    assert "169.254.169.254" in proxy.metadata_goes_through or proxy.metadata_goes_through == ()
    assert isinstance(clock, NotKnown) and isinstance(names, NotKnown)

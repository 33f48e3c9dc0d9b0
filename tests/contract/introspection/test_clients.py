"""Real clients read the answers: curl, ``http.client`` and ``urllib``."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import urllib.error
import urllib.request

import pytest

from tests.builders import a_container, a_task, an_arn
from tests.contract.introspection.captures import state_of
from tests.contract.introspection.wire import port_of, serving

MANY = state_of([a_task(a_container(docker_id=f"{number:064x}"), number=number) for number in range(1, 51)])


def with_http_client(port: int) -> None:
    """One connection for all requests, in every way they can be framed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    sockets = set()
    for method, body in (("GET", None), ("HEAD", None), ("POST", b"x=1"), ("FOO", None), ("OPTIONS", None)):
        for path in ("/v1/tasks", "/v1/metadata", "/"):
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200
            assert (content == b"") == (method == "HEAD")
            sockets.add(connection.sock)
    assert len(sockets) == 1
    connection.request("GET", "/v1/tasks")
    assert len(json.loads(connection.getresponse().read())["Tasks"]) == 50
    connection.close()


def with_urllib(base: str) -> None:
    with urllib.request.urlopen(f"{base}//v1//tasks?taskarn={an_arn(3)}", timeout=10) as answer:
        assert answer.url == f"{base}/v1/tasks?taskarn={an_arn(3)}"
        assert json.loads(answer.read())["Arn"] == an_arn(3)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{base}/v1/tasks?dockerid=", timeout=10)
    assert caught.value.code == 400
    caught.value.close()


async def test_http_client() -> None:
    async with serving(MANY) as server:
        await asyncio.to_thread(with_http_client, port_of(server))


async def test_urllib() -> None:
    async with serving(MANY) as server:
        await asyncio.to_thread(with_urllib, f"http://127.0.0.1:{port_of(server)}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("options", [(), ("--http1.0",), ("-X", "FOO"), ("-d", "x=1"), ("-H", "Expect: 100-continue")])
async def test_curl(options: tuple[str, ...]) -> None:
    async with serving(MANY) as server:
        url = f"http://127.0.0.1:{port_of(server)}/v1/tasks"
        curl = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--fail", "--max-time", "10", *options, url, url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await curl.communicate()
    assert curl.returncode == 0
    half = output[: len(output) // 2]
    assert output == half * 2
    assert len(json.loads(half)["Tasks"]) == 50


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_official_health_check() -> None:
    """``HEAD /v1/metadata`` on ``localhost``. Source: introspection-api.md §1.4."""
    async with serving(MANY, addresses=("127.0.0.1",)) as server:
        url = f"http://localhost:{port_of(server)}/v1/metadata"
        curl = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--head", "--max-time", "10", url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await curl.communicate()
    assert output.startswith(b"HTTP/1.1 200 OK\r\n")
    assert output.endswith(b"\r\n\r\n")

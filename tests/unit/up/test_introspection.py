"""Who answers on a port: an agent by its container instance, something else, nobody."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ecscope.up.introspection import instance_at

ARN = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/aa"


async def asked(answer: bytes) -> str | None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /v1/metadata ")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await instance_at(server.sockets[0].getsockname()[1])


async def test_an_agent() -> None:
    body = f'{{"Cluster":"default","ContainerInstanceArn":"{ARN}","Version":"x"}}'
    assert await asked(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body.encode()) == ARN


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
        b'HTTP/1.1 200 OK\r\n\r\n{"ContainerInstanceArn":null}',
        b'HTTP/1.1 503 No\r\n\r\n{"error":"ContainerInstanceNotRegistered"}',
    ],
)
async def test_something_else(answer: bytes) -> None:
    assert await asked(answer) == ""


async def test_an_answer_without_end_is_something_else() -> None:
    assert await asked(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 300_000) == ""


async def test_nobody() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert await instance_at(free.getsockname()[1]) is None


async def test_somebody_who_listens_a_little_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    asking = asyncio.create_task(instance_at(port, patience_s=10.0))
    await asyncio.sleep(0.1)
    assert not asking.done()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f'HTTP/1.1 200 OK\r\n\r\n{{"ContainerInstanceArn":"{ARN}"}}'.encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        assert await asking == ARN

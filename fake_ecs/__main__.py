"""``python -m fake_ecs``: the back end as a process; the first line on stdout says where it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from fake_ecs.certificate import self_signed
from fake_ecs.control import control_app
from fake_ecs.replay import recorded, replay, with_image
from fake_ecs.server import Backend


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fake_ecs", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the back end; 0: any that is free")
    parser.add_argument("--control-port", type=int, default=0, help="on which it is told what to do; 0: any")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write all traffic, as the recordings are")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send what a recording sent, once connected")
    parser.add_argument("--image", help="with --replay: in place of busybox:latest")
    parser.add_argument("--cluster", action="append", help="one that exists from the start; none: --no-cluster")
    parser.add_argument("--no-cluster", action="store_true")
    parser.add_argument("--heartbeat-s", type=float, default=30.0)
    parser.add_argument("--seq-num", type=int, help="the first one; else the seconds since the epoch")
    parser.add_argument("--manifest-on-connect", action="store_true")
    parser.add_argument("--tls", type=Path, metavar="DIRECTORY", help="serve TLS; the certificate is written there")
    parser.add_argument("--until-stdin-ends", action="store_true", help="end when stdin is closed")
    return parser.parse_args()


async def serve(chosen: argparse.Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if chosen.until_stdin_ends:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else ended.set())
    async with Backend(
        port=chosen.port,
        certificate=self_signed(chosen.tls) if chosen.tls else None,
        clusters=() if chosen.no_cluster else chosen.cluster or ("default",),
        heartbeat_s=chosen.heartbeat_s or None,
        seq_num=chosen.seq_num,
        manifest_on_connect=chosen.manifest_on_connect,
        record=chosen.record,
    ) as backend:
        control = web.AppRunner(control_app(backend), access_log=None, shutdown_timeout=0.1)
        await control.setup()
        site = web.TCPSite(control, "127.0.0.1", chosen.control_port)
        await site.start()
        told = {
            "url": backend.url,
            "control_port": control.addresses[0][1],
            "environment": backend.environment(),
            "pid": os.getpid(),
        }
        print(json.dumps(told), flush=True)
        replaying = asyncio.create_task(_replay(backend, chosen)) if chosen.replay else None
        await ended.wait()
        if replaying is not None:
            replaying.cancel()
        await control.cleanup()


async def _replay(backend: Backend, chosen: argparse.Namespace) -> None:
    await backend.connected(timeout_s=3600)
    change = with_image(chosen.image) if chosen.image else lambda task: task
    await replay(backend, recorded(chosen.replay), change=change)
    print("replayed", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(serve(arguments()))

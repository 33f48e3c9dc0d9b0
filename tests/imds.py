"""A small instance metadata service: version 2 enforced, a role that comes and goes, and its ways to fail."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from aiohttp import web

DOCUMENT = '{\n  "region" : "us-west-2",\n  "instanceId" : "i-0123456789abcdef0"\n}'


@dataclass(kw_only=True)
class Role:
    """What the service gives out for the instance's role. All of it may be changed while it runs."""

    name: str = "ecsInstanceRole"
    access_key_id: str = "ASIAEXAMPLE"
    secret_access_key: str = "role-secret"
    token: str = "role-token"
    expires_at: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=6))
    code: str = "Success"
    """Else the answer is an error of this code, without keys."""


class Imds:
    """``async with Imds() as imds``; ``imds.url`` goes where ``AWS_EC2_METADATA_SERVICE_ENDPOINT`` does."""

    def __init__(self) -> None:
        self.role: Role | None = Role()
        """``None``: none is attached."""
        self.values = {
            "meta-data/instance-id": "i-0123456789abcdef0",
            "meta-data/placement/region": "us-west-2",
            "dynamic/instance-identity/document": DOCUMENT,
            "dynamic/instance-identity/signature": "c2lnbmVk",
        }
        """What stands under ``/latest/``, beside the role; what does not stand here is answered with 404."""
        self.knows_version_2 = True
        self.token_status: int | None = None
        """Answer requests for a token with this; ``None``: as the service does."""
        self.failing: list[int] = []
        """Statuses of the next answers, used up one by one; tokens not counted."""
        self.is_silent = False
        """Take requests and say nothing until the end."""
        self.requests: list[str] = []
        """``GET meta-data/instance-id`` and so on, in order."""
        self.tokens: set[str] = set()
        self._end = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/latest/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        await self._runner.cleanup()

    def count(self, path: str) -> int:
        """How often ``path`` was asked for, tokens told from values by their path."""
        return sum(request.partition(" ")[2] == path for request in self.requests)

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.requests.append(f"{request.method} {path}")
        if self.is_silent:
            await self._end.wait()
        if path == "api/token":
            return self._token(request)
        if self.failing:
            return web.Response(status=self.failing.pop(0))
        if self.knows_version_2 and request.headers.get("X-aws-ec2-metadata-token") not in self.tokens:
            return web.Response(status=401)
        return self._value(path)

    def _token(self, request: web.Request) -> web.Response:
        if self.token_status is not None:
            return web.Response(status=self.token_status)
        if not self.knows_version_2:
            return web.Response(status=404)
        if request.method != "PUT" or not request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
            return web.Response(status=400)
        token = f"session-{len(self.tokens)}"
        self.tokens.add(token)
        return web.Response(text=token)

    def _value(self, path: str) -> web.Response:
        roles = "meta-data/iam/security-credentials/"
        if path.startswith(roles):
            if self.role is None or path.removeprefix(roles) not in ("", self.role.name):
                return web.Response(status=404)
            return web.Response(text=self.role.name if path == roles else self._credentials(self.role))
        if path in self.values:
            return web.Response(text=self.values[path])
        return web.Response(status=404)

    def _credentials(self, role: Role) -> str:
        if role.code != "Success":
            return json.dumps({"Code": role.code, "Message": "EC2 cannot assume the role", "LastUpdated": ""})
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": role.access_key_id,
                "SecretAccessKey": role.secret_access_key,
                "Token": role.token,
                "Expiration": role.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

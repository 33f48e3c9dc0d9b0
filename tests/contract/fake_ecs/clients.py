"""Real clients of the back end: botocore's own ECS client, and aiohttp's websocket signed by botocore."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import yarl
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from fake_ecs import Principal
from fake_ecs.observed import DEADLINE_S
from tests.aws import a_client

TOTAL = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
]
ARN = "arn:aws:ecs:us-west-2:012345678910:container-instance/default/" + "a" * 32


class Place(Protocol):
    """Where a back end is, and whose key to use."""

    region: str

    @property
    def url(self) -> str: ...

    @property
    def principal(self) -> Principal: ...


class Ecs:
    """botocore's ECS client; each call runs in a thread, so that the back end can answer it."""

    error = ClientError

    def __init__(self, backend: Place, *, attempts: int = 1, read_timeout_s: float = 5.0, **keys: Any) -> None:
        principal = backend.principal
        self._client = a_client(
            "ecs",
            region_name=keys.get("region", backend.region),
            endpoint_url=backend.url,
            verify=keys.get("verify"),
            aws_access_key_id=keys.get("key", principal.access_key_id),
            aws_secret_access_key=keys.get("secret", principal.secret_access_key),
            aws_session_token=keys.get("token", principal.session_token or None),
            config=Config(retries={"total_max_attempts": attempts}, read_timeout=read_timeout_s),
        )

    async def __aenter__(self) -> Ecs:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()

    async def call(self, operation: str, **parameters: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, operation), **parameters)

    async def register(self, **more: Any) -> str:
        answer = await self.call(
            "register_container_instance", **{"cluster": "default", "totalResources": TOTAL, "attributes": [], **more}
        )
        return str(answer["containerInstance"]["containerInstanceArn"])


def signed(backend: Place, url: str, body: bytes = b"", **extra: str) -> dict[str, str]:
    """Headers that sign a GET of ``url``, those of ``extra`` among them."""
    principal = backend.principal
    request = AWSRequest(method="GET", url=url, data=body, headers={"Host": urlsplit(url).netloc, **extra})
    credentials = Credentials(principal.access_key_id, principal.secret_access_key, principal.session_token or None)
    SigV4Auth(credentials, "ecs", backend.region).add_auth(request)
    return dict(request.headers.items())


def acs_url(backend: Place, **query: str) -> str:
    asked = {
        "agentVersion": "1.105.1",
        "clusterArn": "default",
        "containerInstanceArn": ARN,
        "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
        "sendCredentials": "true",
        "seqNum": "1",
        **query,
    }
    return f"{backend.url}/acs/ws?{urlencode(sorted(asked.items()), quote_via=quote)}"


def tcs_url(backend: Place) -> str:
    return f"{backend.url}/tcs/ws?" + urlencode({"cluster": "default", "containerInstance": ARN})


def telemetry_frame(backend: Place, url: str, name: str, message: Mapping[str, Any]) -> str:
    """As the official agent writes it: signed headers, an empty line, the envelope."""
    envelope = json.dumps({"type": name, "message": message})
    headers = signed(backend, url, envelope.encode(), **{"content-length": str(len(envelope.encode()))})
    headers.pop("content-length")
    return "".join(f"{key}: {headers[key]}\r\n" for key in sorted(headers)) + "\r\n" + envelope


class Agent:
    """A websocket client that answers what every agent answers."""

    def __init__(self, session: aiohttp.ClientSession, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.session = session
        self.websocket = websocket

    @classmethod
    async def dial(cls, backend: Place, url: str | None = None, **query: str) -> Agent:
        url = url or acs_url(backend, **query)
        session = aiohttp.ClientSession()
        try:
            websocket = await session.ws_connect(
                yarl.URL(url, encoded=True), headers=signed(backend, url), max_msg_size=0
            )
        except BaseException:
            await session.close()
            raise
        return cls(session, websocket)

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.websocket.close()
        await self.session.close()

    async def receive(self) -> dict[str, Any]:
        return dict(await self.websocket.receive_json(timeout=DEADLINE_S))

    async def send(self, name: str, **message: Any) -> None:
        await self.websocket.send_str(json.dumps({"type": name, "message": message}))

    async def ack(self, message: Mapping[str, Any]) -> None:
        await self.send(
            "AckRequest",
            cluster=message["clusterArn"],
            containerInstance=message["containerInstanceArn"],
            messageId=message["messageId"],
        )

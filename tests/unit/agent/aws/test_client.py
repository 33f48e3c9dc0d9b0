"""Calls reach a back end that checks their signatures, and each way in which they fail has its name."""

from __future__ import annotations

import asyncio
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from ecscope.agent.aws.client import AwsClient, Timeouts
from ecscope.agent.aws.credentials import Credentials, CredentialsProvider
from ecscope.agent.aws.endpoints import Proxies
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.clock import Clock, SystemClock
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from fake_ecs import Backend, Principal, an_instance_role, self_signed
from fake_ecs.signatures import signed_frame, verify
from tests import traffic

DISCOVER = {
    "containerInstance": "arn:aws:ecs:us-west-2:012345678910:container-instance/default/a",
    "cluster": "default",
}


class FakePlace:
    """Gives out what a test puts there; the last one again and again."""

    def __init__(self, *found: Credentials | str) -> None:
        self.found = list(found)
        self.looks = 0

    def look(self) -> Credentials | str:
        self.looks += 1
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


class SkewedClock:
    """Ahead of the host's."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def keys(principal: Principal) -> Credentials:
    return Credentials(
        access_key_id=principal.access_key_id,
        secret_access_key=principal.secret_access_key,
        session_token=principal.session_token,
    )


GOOD = keys(an_instance_role())


@asynccontextmanager
async def a_client(
    endpoint: str, *, place: FakePlace | None = None, clock: Clock | None = None, **arguments: Any
) -> AsyncIterator[AwsClient]:
    clock = clock or SystemClock()
    provider = CredentialsProvider((place or FakePlace(GOOD),), clock=clock)
    client = AwsClient(region="us-west-2", credentials=provider, clock=clock, endpoint=endpoint, **arguments)
    try:
        yield client
    finally:
        await client.close()


async def failure_of(client: AwsClient, operation: str = "DiscoverPollEndpoint") -> ApiFailure:
    with pytest.raises(AwsCallFailed) as failed:
        await client.call(operation, DISCOVER)
    return failed.value.failure


@asynccontextmanager
async def served(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server that answers everything with ``handler``; its URL."""
    server = web.Server(handler)
    runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend() as backend:
        yield backend
    assert backend.problems == []


# --- what works --------------------------------------------------------------------------------------


async def test_a_call_is_signed_and_answered(backend: Backend) -> None:
    async with a_client(backend.url) as client:
        answer = await client.call("CreateCluster", {"clusterName": "blue"})
    assert answer["cluster"]["clusterName"] == "blue"
    assert [call.body for call in backend.calls_of("CreateCluster")] == [{"clusterName": "blue"}]


async def test_a_call_with_temporary_keys_carries_their_token() -> None:
    principal = Principal(access_key_id="ASIAEXAMPLE", secret_access_key="hush", session_token="token")
    async with (
        Backend(principals=[principal]) as backend,
        a_client(backend.url, place=FakePlace(keys(principal))) as client,
    ):
        await client.call("CreateCluster", {"clusterName": "blue"})
        assert backend.calls[0].principal == principal.arn


async def test_the_headers_are_those_of_the_official_agent(backend: Backend) -> None:
    recorded = traffic.records(traffic.SEQUENCE, "api")[0]["headers"]
    async with a_client(backend.url, new_id=lambda: "an-id", detailed_os_family="AL2023") as client:
        await client.call("CreateCluster", {"clusterName": "blue"})
    headers = dict(backend.calls[0].headers)
    assert set(headers) == set(recorded)
    same = ("Content-Type", "Accept-Encoding")
    assert [headers[name] for name in same] == [recorded[name] for name in same]
    assert headers["Amz-Sdk-Invocation-Id"] == "an-id"
    assert headers["Amz-Sdk-Request"] == "attempt=1; max=2"
    assert headers["User-Agent"].startswith("Amazon ECS Agent - v")
    assert headers["User-Agent"].endswith(") (linux; AL2023) (+http://aws.amazon.com/ecs/)")
    signed = "amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;x-amz-date;x-amz-target"
    assert f"SignedHeaders={signed}, " in recorded["Authorization"]
    assert f"SignedHeaders={signed}, " in headers["Authorization"]


async def test_upgrades_and_frames_pass_the_back_end_s_check() -> None:
    principal = Principal(access_key_id="ASIAEXAMPLE", secret_access_key="hush", session_token="token")
    url = "ws://127.0.0.1:18000/tcs/ws?dockerVersion=DockerVersion:%2020.10&cluster=a"
    async with a_client("http://127.0.0.1:1", place=FakePlace(keys(principal))) as client:
        upgrade = await client.upgrade_headers(url)
        frame = await client.sign_frame(url, '{"type":"x"}')
    assert set(upgrade) == {"Authorization", "X-Amz-Date", "X-Amz-Security-Token"}
    headers, body = signed_frame(frame)
    assert body == '{"type":"x"}'
    length = ("Content-Length", str(len(body)))
    for sent, text in (([("Host", "127.0.0.1:18000"), *upgrade.items()], b""), ([*headers, length], body.encode())):
        verify(
            {principal.access_key_id: principal},
            method="GET",
            url=url.replace("ws://", "http://"),
            headers=sent,
            body=text,
            service="ecs",
            region="us-west-2",
            now=datetime.now(UTC),
        )


async def test_each_upgrade_has_the_keys_of_the_last_minute() -> None:
    class Ticking(FakePlace):
        now_s = 0.0

        def monotonic(self) -> float:
            return self.now_s

    place = Ticking(GOOD, Credentials(access_key_id="AKIDNEW", secret_access_key="hush"))
    provider = CredentialsProvider((place,), clock=SystemClock(), monotonic=place.monotonic)
    client = AwsClient(region="us-west-2", credentials=provider, clock=SystemClock())
    signed_by = []
    for place.now_s in (0.0, 59.0, 60.0):
        headers = await client.upgrade_headers("wss://acs.example/ws")
        signed_by.append(headers["Authorization"].partition("Credential=")[2].partition("/")[0])
    await client.close()
    assert signed_by == ["AKIDEXAMPLE", "AKIDEXAMPLE", "AKIDNEW"]


async def test_packed_answers_are_unpacked() -> None:
    async def packed(request: web.BaseRequest) -> web.Response:
        response = web.json_response({"said": "x" * 1000})
        response.enable_compression()
        return response

    async with served(packed) as url, a_client(url) as client:
        assert (await client.call("CreateCluster", {}))["said"] == "x" * 1000


async def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(backend: Backend) -> None:
    async with a_client(backend.url) as client:
        await client.call("CreateCluster", {"clusterName": "blue"})
        backend.drop("CreateCluster", taken=False, times=1)
        await client.call("CreateCluster", {"clusterName": "green"})
    assert backend.calls[-1].status == 200


# --- what AWS refuses --------------------------------------------------------------------------------


async def test_a_denial_names_role_and_action_and_the_role_is_looked_at_again(backend: Backend) -> None:
    backend.deny("ecs:CreateCluster")
    place = FakePlace(GOOD)
    async with a_client(backend.url, place=place) as client:
        failure = await failure_of(client, "CreateCluster")
    assert (failure.kind, failure.action) == (ObstacleKind.ACCESS_DENIED, "ecs:CreateCluster")
    assert failure.role_arn == backend.principal.arn
    assert failure.endpoint == backend.url
    assert len(backend.calls) == 1


async def test_keys_that_aws_does_not_know_are_looked_for_anew_and_the_call_made_again(backend: Backend) -> None:
    place = FakePlace(Credentials(access_key_id="AKIDOLD", secret_access_key="hush"), GOOD)
    async with a_client(backend.url, place=place) as client:
        await client.call("CreateCluster", {"clusterName": "blue"})
    assert (len(backend.calls), place.looks) == (2, 2)
    first, second = (dict(call.headers) for call in backend.calls)
    assert second["Amz-Sdk-Request"] == "attempt=2; max=2"
    assert first["Amz-Sdk-Invocation-Id"] == second["Amz-Sdk-Invocation-Id"]


async def test_an_expired_token_is_replaced() -> None:
    now = datetime.now(UTC)
    old = Principal(
        access_key_id="ASIAOLD", secret_access_key="a", session_token="t", expires_at=now - timedelta(hours=1)
    )
    new = Principal(access_key_id="ASIANEW", secret_access_key="b", session_token="u")
    async with (
        Backend(principals=[old, new]) as backend,
        a_client(backend.url, place=FakePlace(keys(old), keys(new))) as client,
    ):
        await client.call("CreateCluster", {"clusterName": "blue"})
        assert [call.status for call in backend.calls] == [400, 200]


async def test_keys_that_stay_wrong_are_tried_once(backend: Backend) -> None:
    place = FakePlace(Credentials(access_key_id="AKIDWRONG", secret_access_key="hush"))
    async with a_client(backend.url, place=place) as client:
        failure = await failure_of(client)
    assert (failure.kind, failure.code) == (ObstacleKind.INVALID_CREDENTIALS, "UnrecognizedClientException")
    assert (len(backend.calls), place.looks) == (1, 2)


async def test_a_wrong_secret_is_told_without_what_aws_quotes(backend: Backend) -> None:
    wrong = Credentials(access_key_id=GOOD.access_key_id, secret_access_key="wrong")
    async with a_client(backend.url, place=FakePlace(wrong)) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.INVALID_CREDENTIALS
    assert "Canonical" not in failure.message


async def test_without_credentials_the_call_says_where_it_looked() -> None:
    async with a_client("http://127.0.0.1:1", place=FakePlace("environment: not set")) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.NO_CREDENTIALS
    assert failure.operation == "DiscoverPollEndpoint"
    assert failure.looked_in == ("environment: not set",)
    assert failure.endpoint == "http://127.0.0.1:1"


@pytest.mark.parametrize("ahead_s", [3600, -3600])
async def test_a_clock_that_is_off_is_measured(backend: Backend, ahead_s: float) -> None:
    async with a_client(backend.url, clock=SkewedClock(timedelta(seconds=ahead_s))) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.CLOCK_SKEW
    assert failure.skew_s == pytest.approx(ahead_s, abs=5)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ThrottlingException", ObstacleKind.THROTTLED),
        (500, "ServerException", ObstacleKind.SERVER_ERROR),
        (400, "InvalidParameterException", ObstacleKind.REGISTRATION_REFUSED),
        (400, "ClusterNotFoundException", ObstacleKind.CLUSTER_NOT_FOUND),
    ],
)
async def test_other_refusals_keep_their_names(backend: Backend, status: int, code: str, kind: ObstacleKind) -> None:
    backend.fail("*", status=status, code=code, message="words")
    async with a_client(backend.url) as client:
        failure = await failure_of(client)
    assert (failure.kind, failure.code, failure.message, failure.status) == (kind, code, "words", status)


# --- what does not get through -----------------------------------------------------------------------


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        async with a_client(url) as client:
            failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message == f"no connection to {url}: Connection refused"
    assert failure.status == 0


async def test_an_unknown_name_is_told() -> None:
    async with a_client("http://ecs.invalid:8000") as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message.startswith("the name ecs.invalid cannot be resolved")


async def test_an_endpoint_that_is_none_is_told() -> None:
    async with a_client("ftp://user:hush@ecs.example") as client:
        failure = await failure_of(client)
        with pytest.raises(AwsCallFailed, match="http://:80 is not an address"):
            await client.call_service(
                "ecr",
                "GetAuthorizationToken",
                {},
                target="t",
                endpoint="http://:80",
                region="us-west-2",
                credentials=GOOD,
            )
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message == "ftp://ecs.example is not an address: correct ECS_BACKEND_HOST"


async def test_an_endpoint_that_says_nothing_is_given_up(backend: Backend) -> None:
    backend.hang("*")
    async with a_client(backend.url, timeouts=Timeouts(round_trip_s=0.1)) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message == f"no answer of {backend.url} within 0.1 s"


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    with socket.socket() as deaf:  # takes no connection beyond its queue, and the queue is full
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(address)
        async with a_client(f"http://127.0.0.1:{address[1]}", timeouts=Timeouts(dial_s=0.1)) as client:
            failure = await failure_of(client)
        for one in filling:
            one.close()
    assert failure.message == f"no connection to http://127.0.0.1:{address[1]} within 0.1 s"


async def test_an_answer_that_breaks_off_is_told(backend: Backend) -> None:
    backend.drop("*", times=None)
    async with a_client(backend.url) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message == f"{backend.url} closed the connection before it had answered"


async def test_an_answer_without_end_is_not_taken() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 2**20)
        except ConnectionError:
            return response

    async with served(endless) as url, a_client(url) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.SERVER_ERROR
    assert failure.message == f"{url} answered with more than 4194304 bytes"


async def test_what_is_no_http_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, a_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.SERVER_ERROR
    assert "does not answer in HTTP" in failure.message


async def test_a_redirection_is_not_followed() -> None:
    async def moved(request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://elsewhere.example/"})

    async with served(moved) as url, a_client(url) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.SERVER_ERROR
    assert failure.message.startswith("HTTP 302 (to http://elsewhere.example/)")


# --- TLS and proxies ---------------------------------------------------------------------------------


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with Backend(certificate=self_signed(tmp_path)) as backend, a_client(backend.url) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.CERTIFICATE_REFUSED
    assert failure.message == f"the certificate of {backend.url} is refused: self-signed certificate"


async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, name="other.example", address="127.0.0.2")
    tls = ssl.create_default_context(cafile=certificate.certificate)
    async with Backend(certificate=certificate) as backend, a_client(backend.url, tls=tls) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.CERTIFICATE_REFUSED
    assert "localhost" in failure.message


async def test_a_trusted_certificate_is_taken(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    tls = ssl.create_default_context(cafile=certificate.certificate)
    async with Backend(certificate=certificate) as backend, a_client(backend.url, tls=tls) as client:
        await client.call("CreateCluster", {"clusterName": "blue"})


async def test_plain_http_where_tls_is_expected_is_told(backend: Backend) -> None:
    async with a_client(backend.url.replace("http://", "https://")) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message.startswith("no TLS connection to https://127.0.0.1")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_server_that_speaks_no_tls_1_2_is_refused(tmp_path: Path) -> None:
    """By Python's own settings, or by OpenSSL's security level: which of them says so depends on the release."""
    certificate = self_signed(tmp_path)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(certificate.certificate, certificate.key)
    willing = ssl.create_default_context(cafile=certificate.certificate)
    for context in (old, willing):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    agreed = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").version())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=old)
    port = server.sockets[0].getsockname()[1]
    async with server:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=willing)
        writer.close()
        tls = ssl.create_default_context(cafile=certificate.certificate)
        async with a_client(f"https://127.0.0.1:{port}", tls=tls) as client:
            failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert agreed == ["TLSv1.1"], "with who wants to speak it, and with nobody else"


class Proxy:
    """Passes on what comes for ``to``, whatever host was meant."""

    def __init__(self, to: str) -> None:
        self.to = to
        self.asked: list[str] = []
        self.authorization: str | None = None

    async def serve(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(str(request.url))
        self.authorization = request.headers.get("Proxy-Authorization")
        headers = {name: value for name, value in request.headers.items() if not name.startswith("Proxy-")}
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(request.method, self.to, data=await request.read(), headers=headers) as response,
        ):
            return web.Response(status=response.status, body=await response.read(), content_type=response.content_type)


async def test_a_proxy_is_taken_where_one_is_set(backend: Backend) -> None:
    proxy = Proxy(backend.url)
    async with served(proxy.serve) as url:
        with_password = url.replace("http://", "http://user:password@")
        async with a_client("http://ecs.example", proxies=Proxies(http=with_password)) as client:
            await client.call("CreateCluster", {"clusterName": "blue"})
    assert proxy.asked == ["http://ecs.example/"]
    assert proxy.authorization == "Basic dXNlcjpwYXNzd29yZA=="


async def test_a_proxy_that_is_away_is_told_without_its_password() -> None:
    proxies = Proxies(https="http://user:password@127.0.0.1:1")
    async with a_client("", proxies=proxies) as client:
        failure = await failure_of(client)
    assert failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failure.message.startswith("the proxy http://127.0.0.1:1 cannot be reached: ")
    assert "password" not in failure.message
    assert failure.endpoint == "https://ecs.us-west-2.amazonaws.com"


async def test_what_is_no_proxy_is_told_without_its_password() -> None:
    proxies = Proxies(https="http://user:hush/hush@127.0.0.1:1")
    async with a_client("", proxies=proxies) as client:
        with pytest.raises(AwsCallFailed) as failed:
            await client.call("DiscoverPollEndpoint", DISCOVER)
    assert failed.value.failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failed.value.failure.message.startswith("HTTPS_PROXY is not the address of an HTTP proxy: ")
    assert "hush@" not in "".join(traceback.format_exception(failed.value)).partition("AwsCallFailed")[2]
    assert failed.value.__suppress_context__


async def test_a_proxy_that_refuses_is_told_without_its_password() -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        return web.Response(status=407)

    async with served(refuse) as url:
        with_password = url.replace("http://", "http://user:password@")
        async with a_client("", proxies=Proxies(https=with_password)) as client:
            with pytest.raises(AwsCallFailed) as failed:
                await client.call("DiscoverPollEndpoint", DISCOVER)
    assert failed.value.failure.kind is ObstacleKind.ENDPOINT_UNREACHABLE
    assert failed.value.failure.message.startswith(f"the proxy {url} answered 407")
    assert "password" not in "".join(traceback.format_exception(failed.value)).partition("AwsCallFailed")[2]
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__

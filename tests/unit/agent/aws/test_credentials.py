"""The chain finds credentials where the official agent does, keeps them in time, and says where it found none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from ecscope.agent.aws.credentials import (
    LOOK_AGAIN_S,
    REFRESH_BEFORE_S,
    ContainerEndpoint,
    Credentials,
    CredentialsFile,
    CredentialsProvider,
    EnvironmentVariables,
    InstanceRole,
    Place,
    chain,
)
from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.model.container_instance import ObstacleKind
from tests.imds import Imds, Role

NOW = datetime(2026, 11, 23, 15, 0, 0, tzinfo=UTC)


class FakeTime:
    """A clock and a monotonic one that go as a test says, together or apart."""

    def __init__(self) -> None:
        self.at = NOW
        self.monotonic_s = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.monotonic_s += seconds


class FakePlace:
    """A place with what a test puts there."""

    def __init__(self, found: Credentials | str) -> None:
        self.found = found
        self.looks = 0
        self.gate = threading.Event()
        """A look waits for it."""
        self.gate.set()

    def look(self) -> Credentials | str:
        self.looks += 1
        assert self.gate.wait(10)
        return self.found


def some(key: str = "AKIDEXAMPLE", *, expires_in_s: float | None = None) -> Credentials:
    expires_at = None if expires_in_s is None else NOW + timedelta(seconds=expires_in_s)
    return Credentials(access_key_id=key, secret_access_key="hush", expires_at=expires_at)


def a_provider(*places: Place, time: FakeTime | None = None) -> CredentialsProvider:
    time = time or FakeTime()
    return CredentialsProvider(places, clock=time, monotonic=time.monotonic)


# --- the cache ---------------------------------------------------------------------------------------


async def test_the_first_place_that_has_some_is_taken_and_asked_once() -> None:
    empty, full, never = FakePlace("nothing"), FakePlace(some()), FakePlace(some("OTHER"))
    provider = a_provider(empty, full, never)
    assert await provider.get() == await provider.get() == some()
    assert (empty.looks, full.looks, never.looks) == (1, 1, 0)


async def test_without_any_it_says_what_was_found_in_each_place_and_looks_again() -> None:
    place = FakePlace("shared file: there is none")
    provider = a_provider(FakePlace("environment: not set"), place)
    with pytest.raises(AwsCallFailed) as failed:
        await provider.get()
    assert failed.value.failure.kind is ObstacleKind.NO_CREDENTIALS
    assert failed.value.failure.looked_in == ("environment: not set", "shared file: there is none")
    assert "attach an IAM role to the instance" in failed.value.failure.message
    place.found = some()
    assert await provider.get() == some()


async def test_concurrent_callers_share_a_look_and_one_may_leave() -> None:
    place = FakePlace(some())
    place.gate.clear()
    provider = a_provider(place)
    first, second, third = (asyncio.create_task(provider.get()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    place.gate.set()
    assert await second == await third == some()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert place.looks == 1


async def test_a_look_that_nobody_waits_for_any_more_may_fail_in_silence() -> None:
    place = FakePlace("nothing")
    place.gate.clear()
    provider = a_provider(place)
    caller = asyncio.create_task(provider.get())
    await asyncio.sleep(0)
    caller.cancel()
    place.gate.set()
    with pytest.raises(AwsCallFailed):
        await provider.get()
    assert place.looks == 1


async def test_closing_ends_a_look() -> None:
    place = FakePlace(some())
    place.gate.clear()
    provider = a_provider(place)
    caller = asyncio.create_task(provider.get())
    await asyncio.sleep(0)
    await provider.close()
    place.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await provider.close()


async def test_keys_are_renewed_a_quarter_of_an_hour_before_they_expire() -> None:
    time, place = FakeTime(), FakePlace(some("OLD", expires_in_s=6 * 3600))
    provider = a_provider(place, time=time)
    await provider.get()
    place.found = some("NEW", expires_in_s=12 * 3600)
    time.pass_s(6 * 3600 - REFRESH_BEFORE_S - 1)
    assert (await provider.get()).access_key_id == "OLD"
    time.pass_s(1)
    assert (await provider.get()).access_key_id == "NEW"


async def test_what_is_not_renewed_in_time_is_asked_for_once_a_minute_until_it_expires() -> None:
    time, place = FakeTime(), FakePlace(some(expires_in_s=150))
    provider = a_provider(place, time=time)
    looks = []
    for _ in range(15):
        await provider.get()
        looks.append(place.looks)
        time.pass_s(10)
    assert looks == [1] * 6 + [2] * 6 + [3] * 3


async def test_a_role_that_is_taken_away_serves_until_its_keys_expire_and_not_longer() -> None:
    time, place = FakeTime(), FakePlace(some(expires_in_s=REFRESH_BEFORE_S + 10))
    provider = a_provider(place, time=time)
    await provider.get()
    place.found = "no role is attached"
    time.pass_s(REFRESH_BEFORE_S)
    assert (await provider.get()).access_key_id == "AKIDEXAMPLE"
    assert place.looks == 2
    time.pass_s(11)
    with pytest.raises(AwsCallFailed, match="no AWS credentials were found"):
        await provider.get()
    place.found = some("BACK", expires_in_s=7 * 3600)
    assert (await provider.get()).access_key_id == "BACK"


async def test_a_clock_set_back_keeps_no_expired_keys_alive() -> None:
    time, place = FakeTime(), FakePlace(some("OLD", expires_in_s=3600))
    provider = a_provider(place, time=time)
    await provider.get()
    time.at -= timedelta(hours=1)
    time.pass_s(3600)
    place.found = some("NEW", expires_in_s=7200)
    assert (await provider.get()).access_key_id == "NEW"


async def test_keys_that_have_expired_already_are_asked_for_again_at_once() -> None:
    time, place = FakeTime(), FakePlace(some(expires_in_s=-5))
    provider = a_provider(place, time=time)
    await provider.get()
    await provider.get()
    time.pass_s(1)
    await provider.get()
    assert place.looks == 2


async def test_refused_keys_are_forgotten() -> None:
    place = FakePlace(some("OLD"))
    provider = a_provider(place)
    old = await provider.get()
    place.found = some("NEW")
    provider.invalidate(some("OTHER"))
    assert await provider.get() == old
    provider.invalidate(old)
    assert (await provider.get()).access_key_id == "NEW"
    provider.invalidate()
    place.found = "nothing"
    with pytest.raises(AwsCallFailed):
        await provider.get()


async def test_the_log_says_where_they_come_from_when_that_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ecscope")
    place = FakePlace(msgspec.structs.replace(some(), source="environment"))
    provider = a_provider(place)
    for source in ("environment", "environment", "instance role a"):
        place.found = msgspec.structs.replace(some(), source=source)
        provider.invalidate()
        await provider.get()
    assert caplog.messages == [
        "AWS credentials come from: environment",
        "AWS credentials come from: instance role a",
    ]


async def test_doubtful_keys_are_asked_for_again_once_a_minute_and_kept_if_there_are_no_others() -> None:
    time, place = FakeTime(), FakePlace(some("OLD", expires_in_s=6 * 3600))
    provider = a_provider(place, time=time)
    await provider.get()
    provider.doubt()
    await provider.get()
    assert place.looks == 1
    time.pass_s(LOOK_AGAIN_S)
    place.found = "nothing"
    assert (await provider.get()).access_key_id == "OLD"
    assert place.looks == 2
    provider.doubt()
    time.pass_s(LOOK_AGAIN_S)
    place.found = some("NEW", expires_in_s=6 * 3600)
    assert (await provider.get()).access_key_id == "NEW"


def test_no_secret_is_shown() -> None:
    credentials = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key="hush", session_token="silence")
    assert "hush" not in repr(credentials)
    assert "silence" not in str(credentials)


# --- the places --------------------------------------------------------------------------------------


def test_the_environment_has_keys_of_a_user_or_temporary_ones() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush"}
    assert EnvironmentVariables(environ).look() == Credentials(
        access_key_id="AKIDEXAMPLE", secret_access_key="hush", source="environment"
    )
    temporary = EnvironmentVariables(
        environ | {"AWS_SESSION_TOKEN": "token", "AWS_CREDENTIAL_EXPIRATION": "2026-11-23T15:00:00Z"}
    ).look()
    assert isinstance(temporary, Credentials)
    assert (temporary.session_token, temporary.expires_at) == ("token", NOW)


def test_half_a_key_in_the_environment_is_told_from_none() -> None:
    assert EnvironmentVariables({}).look() == "environment: AWS_ACCESS_KEY_ID is not set"
    assert EnvironmentVariables({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}).look() == (
        "environment: AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"
    )


@pytest.mark.parametrize("moment", ["tomorrow", "99999999999999999999"])
def test_an_expiry_that_is_no_moment_is_told(moment: str) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush"}
    found = EnvironmentVariables(environ | {"AWS_CREDENTIAL_EXPIRATION": moment}).look()
    assert isinstance(found, str)
    assert found.startswith("environment: AWS_CREDENTIAL_EXPIRATION is not a time")


def a_file(path: Path, profile: str = "default", key: str = "AKIDEXAMPLE") -> Path:
    path.write_text(f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = hush\naws_session_token = t\n")
    return path


def test_a_file_has_a_profile(tmp_path: Path) -> None:
    path = a_file(tmp_path / "credentials", "agent")
    assert CredentialsFile("shared file", str(path), profile="agent").look() == Credentials(
        access_key_id="AKIDEXAMPLE", secret_access_key="hush", session_token="t", source=f"shared file {path}"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "the file does not exist"),
        ("[other]\naws_access_key_id = AKIDEXAMPLE\n", "it has no access key under profile default"),
        ("[default]\nregion = us-west-2\n", "it has no access key under profile default"),
        ("[default]\naws_access_key_id = AKIDEXAMPLE\n", "aws_secret_access_key is missing in profile default"),
        ("no sections", "it is not of the form that AWS's tools write"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "credentials"
    if content is not None:
        path.write_text(content)
    assert CredentialsFile("shared file", str(path), profile="default").look() == f"shared file {path}: {told}"


def test_a_file_that_cannot_be_read_is_told_from_none(tmp_path: Path) -> None:
    told = CredentialsFile("shared file", str(tmp_path), profile="default").look()
    assert told == f"shared file {tmp_path}: it cannot be read (Is a directory)"


async def test_the_rotating_file_is_read_again_every_minute(tmp_path: Path) -> None:
    time, path = FakeTime(), a_file(tmp_path / "credentials", key="OLD")
    places = chain({}, external=True, clock=time, imds_disabled=True, rotating_file=str(path))
    provider = a_provider(*places, time=time)
    await provider.get()
    a_file(path, key="NEW")
    time.pass_s(LOOK_AGAIN_S - 1)
    assert (await provider.get()).access_key_id == "OLD"
    time.pass_s(1)
    assert (await provider.get()).access_key_id == "NEW"


@pytest.fixture
async def imds() -> AsyncIterator[Imds]:
    async with Imds() as imds:
        yield imds


async def look(imds: Imds, *, tries: int = 1, timeout_s: float = 5.0) -> Credentials | str:
    role = InstanceRole(imds.url, disabled=False, timeout_s=timeout_s, tries=tries)
    return await asyncio.to_thread(role.look)


async def test_the_instance_role_comes_from_version_2_of_the_metadata_service(imds: Imds) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    imds.role = Role(expires_at=expires_at)
    assert await look(imds) == Credentials(
        access_key_id="ASIAEXAMPLE",
        secret_access_key="role-secret",
        session_token="role-token",
        source="instance role ecsInstanceRole",
        expires_at=expires_at,
    )
    assert imds.requests[0] == "PUT api/token"


async def test_it_goes_straight_to_the_metadata_service(imds: Imds, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(await look(imds), Credentials)


async def test_version_1_serves_where_there_is_no_version_2(imds: Imds) -> None:
    imds.knows_version_2 = False
    assert isinstance(await look(imds), Credentials)


async def test_a_hiccup_of_the_metadata_service_is_survived(imds: Imds) -> None:
    imds.failing = [500, 503]
    assert isinstance(await look(imds, tries=3), Credentials)


@pytest.mark.parametrize(
    ("status", "told"),
    [(500, "it answered 500"), (404, "no role is attached to the instance"), (401, "it answered 401")],
)
async def test_what_the_metadata_service_answered_instead_is_told(imds: Imds, status: int, told: str) -> None:
    imds.failing = [status]
    assert await look(imds) == f"instance role at {imds.url}: {told}"


async def test_a_role_without_credentials_is_told_in_the_service_s_words(imds: Imds) -> None:
    imds.role = Role(code="AssumeRoleUnauthorizedAccess")
    assert await look(imds) == (
        f"instance role at {imds.url}: the role has no credentials: AssumeRoleUnauthorizedAccess, "
        "EC2 cannot assume the role"
    )


async def test_a_silent_metadata_service_is_given_up(imds: Imds) -> None:
    imds.is_silent = True
    assert await look(imds, timeout_s=0.05) == f"instance role at {imds.url}: no answer in time"


def test_no_metadata_service_is_told_from_a_silent_one() -> None:
    told = InstanceRole("http://127.0.0.1:1", disabled=False, timeout_s=1.0, tries=1).look()
    assert told == "instance role at http://127.0.0.1:1: it cannot be reached"


def test_a_wrong_address_of_the_metadata_service_is_told() -> None:
    told = InstanceRole("http://[", disabled=False, timeout_s=1.0, tries=1).look()
    assert isinstance(told, str)
    assert told.startswith("instance role at http://[: ")


def test_a_metadata_service_that_is_switched_off_is_not_asked() -> None:
    told = InstanceRole("http://127.0.0.1:1", disabled=True, timeout_s=1.0, tries=1).look()
    assert told == "instance role: AWS_EC2_METADATA_DISABLED is set, the metadata service is not asked"


class ContainerCredentials:
    """The endpoint that ECS or EKS gives a container."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: dict[str, str] = {
            "AccessKeyId": "ASIACONTAINER",
            "SecretAccessKey": "hush",
            "Token": "token",
            "Expiration": "2026-11-23T15:00:00Z",
        }
        self.authorization: str | None = None

    async def serve(self, request: web.Request) -> web.Response:
        self.authorization = request.headers.get("Authorization")
        return web.json_response(self.answer, status=self.status)


async def test_the_container_endpoint_is_asked_where_it_is_named() -> None:
    served = ContainerCredentials()
    app = web.Application()
    app.router.add_get("/secret-path", served.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    place = ContainerEndpoint(
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "who I am"}
    )
    found = await asyncio.to_thread(place.look)
    served.status = 404
    refused = await asyncio.to_thread(place.look)
    served.status, served.answer = 200, {}
    empty = await asyncio.to_thread(place.look)
    await runner.cleanup()
    gone = await asyncio.to_thread(place.look)

    assert found == Credentials(
        access_key_id="ASIACONTAINER",
        secret_access_key="hush",
        session_token="token",
        source="container endpoint",
        expires_at=NOW,
    )
    assert served.authorization == "who I am"
    assert refused == "container endpoint: it answered 404"
    assert empty == "container endpoint: 'AccessKeyId' is missing in its answer"
    assert gone == "container endpoint: it cannot be reached"


def test_a_container_endpoint_elsewhere_is_not_trusted() -> None:
    told = ContainerEndpoint({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/"}).look()
    assert isinstance(told, str)
    assert told.startswith("container endpoint: Unsupported host 'evil.example'")


def test_without_a_container_endpoint_its_variables_are_named() -> None:
    told = ContainerEndpoint({}).look()
    assert isinstance(told, str)
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in told


# --- the chain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("external", "order"),
    [
        (False, ["environment", "shared file", "container endpoint", "instance role", "rotating file"]),
        (True, ["environment", "rotating file", "shared file", "instance role"]),
    ],
)
async def test_the_places_come_in_the_official_agent_s_order(tmp_path: Path, external: bool, order: list[str]) -> None:
    places = chain(
        {"HOME": str(tmp_path)},
        external=external,
        clock=FakeTime(),
        imds_disabled=True,
        rotating_file=str(tmp_path / "rotating"),
    )
    with pytest.raises(AwsCallFailed) as failed:
        await a_provider(*places).get()
    looked_in = failed.value.failure.looked_in
    assert len(looked_in) == len(order)
    assert all(told.startswith(place) for told, place in zip(looked_in, order, strict=True)), looked_in


async def test_variables_name_the_shared_file_and_the_profiles(tmp_path: Path) -> None:
    a_file(tmp_path / "shared", "mine", key="SHARED")
    a_file(tmp_path / "rotating", "other", key="ROTATING")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "shared"), "AWS_PROFILE": "mine"}
    found = []
    for external in (False, True):
        places = chain(
            environ,
            external=external,
            clock=FakeTime(),
            imds_disabled=True,
            rotating_file=str(tmp_path / "rotating"),
            rotating_profile="other",
        )
        found.append((await a_provider(*places).get()).access_key_id)
    assert found == ["SHARED", "ROTATING"]


async def test_the_shared_file_stands_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    a_file(tmp_path / ".aws" / "credentials")
    places = chain({"HOME": str(tmp_path)}, external=False, clock=FakeTime(), imds_disabled=True)
    assert (await a_provider(*places).get()).source == f"shared file {tmp_path}/.aws/credentials"


async def test_a_role_that_comes_goes_and_comes_back_is_followed(imds: Imds, tmp_path: Path) -> None:
    time = FakeTime()
    imds.role = None
    places = chain(
        {"HOME": str(tmp_path)}, external=False, clock=time, imds_endpoint=imds.url, rotating_file="/no/such/file"
    )
    provider = a_provider(*places, time=time)
    with pytest.raises(AwsCallFailed) as failed:
        await provider.get()
    assert f"instance role at {imds.url}: no role is attached to the instance" in failed.value.failure.looked_in

    imds.role = Role(access_key_id="ASIAFIRST", expires_at=NOW + timedelta(hours=1))
    assert (await provider.get()).access_key_id == "ASIAFIRST"

    imds.role = None
    time.pass_s(3601)
    with pytest.raises(AwsCallFailed):
        await provider.get()

    imds.role = Role(access_key_id="ASIASECOND", expires_at=NOW + timedelta(hours=8))
    assert (await provider.get()).access_key_id == "ASIASECOND"

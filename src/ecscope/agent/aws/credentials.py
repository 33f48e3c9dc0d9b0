"""Where the agent's own AWS credentials come from: the chain, asked again in time.

botocore's providers look into each place; this puts them in the official agent's order, keeps what was found until
shortly before it expires, and remembers what was found where, so that "no credentials" can say why. Blocking calls
run in a thread. No secret is logged, shown or kept on disk.

Importing this imports botocore: some 6 MB, so not before a cluster is to be joined (ADR 0013).

Source: agent-protocol.md §2.3; configuration.md §3.1.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import botocore.configloader
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import botocore.utils
import msgspec

from ecscope.agent.aws.interface import AwsCallFailed
from ecscope.clock import Clock
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.credentials import TaskCredentials

IMDS_ENDPOINT = "http://169.254.169.254"
ROTATING_FILE = "/rotatingcreds/credentials"
"""Where the init service mounts the file that the SSM agent keeps fresh."""

REFRESH_BEFORE_S = 15 * 60
"""Instance roles get new keys at least five minutes before the old ones expire, as a rule an hour."""
LOOK_AGAIN_S = 60.0
"""The rotating file is read again this often, and so is what should have been renewed by now."""
_SHORTEST_S = 1.0

log = logging.getLogger(__name__)

_NO_CREDENTIALS = (
    "no AWS credentials were found: attach an IAM role to the instance, or set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY"
)


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Keys to sign with. ``repr`` shows neither the secret nor the token."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    """``""``: the keys are a user's own, not temporary ones."""
    source: str = ""
    """The place they were found in."""
    expires_at: datetime | None = None
    """``None``: they do not say."""

    def __repr__(self) -> str:
        return f"Credentials(source={self.source!r}, expires_at={self.expires_at}, …)"


def of_task(credentials: TaskCredentials) -> Credentials:
    """Those of a task's role, to sign with."""
    return Credentials(
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        session_token=credentials.session_token,
        source=f"task role {credentials.role_arn}",
    )


class Place(Protocol):
    """One place of the chain. ``look`` blocks."""

    def look(self) -> Credentials | str:
        """What is there, or a clause that says what was found instead. Never raises for what a user did."""


class CredentialsProvider:
    """The chain behind one cache. Concurrent callers share one look; each may be cancelled."""

    def __init__(
        self, places: tuple[Place, ...], *, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """``places`` in the order in which they are looked into; see ``chain``."""
        self._places = places
        self._clock = clock
        self._monotonic = monotonic
        self._found: Credentials | None = None
        self._source = ""
        self._good_until_s = 0.0
        """By ``monotonic``, so that a host clock set back cannot keep expired keys alive."""
        self._look_at_s = 0.0
        self._looked_at_s = 0.0
        self._look: asyncio.Task[Credentials] | None = None

    async def get(self) -> Credentials:
        """Credentials that have not expired.

        Raises:
            AwsCallFailed: ``NO_CREDENTIALS``, with what was found in each place. A later call looks again.
        """
        if self._found is not None and self._monotonic() < self._look_at_s:
            return self._found
        if self._look is None:
            self._look = asyncio.get_running_loop().create_task(self._look_once(), name="aws credentials")
            self._look.add_done_callback(self._look_ended)
        return await asyncio.shield(self._look)

    def invalidate(self, refused: Credentials | None = None) -> None:
        """Forget them: AWS does not take them. The next ``get`` looks again and has nothing to fall back on.

        ``refused``: only if these are still what is known; another caller may have found new ones meanwhile.
        """
        if refused is None or refused == self._found:
            self._found = None

    def doubt(self) -> None:
        """The instance may have another role by now: look again at the next ``get``, once a minute at most.

        What is known stays good if nothing better is found.
        """
        self._look_at_s = min(self._look_at_s, self._looked_at_s + LOOK_AGAIN_S)

    async def close(self) -> None:
        """End a look that is under way; its thread ends by itself."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait([self._look])

    def _look_ended(self, look: asyncio.Task[Credentials]) -> None:
        self._look = None
        if not look.cancelled():
            look.exception()  # those who waited have it; without this asyncio complains when all were cancelled

    async def _look_once(self) -> Credentials:
        found, looked_in = await asyncio.to_thread(self._walk)
        if found is not None:
            self._keep(found)
            return found
        now_s = self._monotonic()
        if self._found is not None and now_s < self._good_until_s:
            self._looked_at_s, self._look_at_s = now_s, min(now_s + LOOK_AGAIN_S, self._good_until_s)
            return self._found
        self._found = None
        raise AwsCallFailed(
            ApiFailure(
                operation="GetCredentials",
                kind=ObstacleKind.NO_CREDENTIALS,
                message=_NO_CREDENTIALS,
                looked_in=looked_in,
            )
        )

    def _walk(self) -> tuple[Credentials | None, tuple[str, ...]]:
        """What was found, and what was found instead in each place before. Blocks."""
        looked_in: list[str] = []
        for place in self._places:
            found = place.look()
            if isinstance(found, Credentials):
                return found, tuple(looked_in)
            looked_in.append(found)
        return None, tuple(looked_in)

    def _keep(self, found: Credentials) -> None:
        now_s = self._monotonic()
        if found.source != self._source:
            self._source = found.source
            log.info("AWS credentials come from: %s", found.source)
        self._found, self._looked_at_s = found, now_s
        if found.expires_at is None:
            self._good_until_s = self._look_at_s = float("inf")
            return
        left_s = (found.expires_at - self._clock.now()).total_seconds()
        self._good_until_s = now_s + left_s
        self._look_at_s = now_s + max(left_s - REFRESH_BEFORE_S, min(LOOK_AGAIN_S, left_s), _SHORTEST_S)


def chain(
    environ: Mapping[str, str],
    *,
    external: bool,
    clock: Clock,
    imds_endpoint: str = "",
    imds_disabled: bool = False,
    rotating_file: str = ROTATING_FILE,
    rotating_profile: str = "",
    imds_timeout_s: float = 1.0,
    imds_tries: int = 3,
) -> tuple[Place, ...]:
    """The places in the official agent's order. Source: agent-protocol.md §2.3.

    Args:
        environ: variables that AWS's tools know: keys, ``AWS_SHARED_CREDENTIALS_FILE``, ``AWS_PROFILE``,
            ``AWS_CONTAINER_CREDENTIALS_…``, ``HOME``.
        external: on ECS Anywhere, where the rotating file comes before the shared one.
        imds_endpoint: ``""``: the usual one.
        rotating_profile: ``ECS_ALTERNATE_CREDENTIAL_PROFILE``; ``""``: ``default``.
        imds_timeout_s: for each request to the metadata service.
    """
    environment = EnvironmentVariables(environ)
    home = environ.get("HOME") or str(Path("~").expanduser())
    shared = CredentialsFile(
        "shared file",
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(Path(home, ".aws", "credentials")),
        profile=environ.get("AWS_PROFILE") or "default",
    )
    container = ContainerEndpoint(environ)
    role = InstanceRole(
        imds_endpoint or IMDS_ENDPOINT, disabled=imds_disabled, timeout_s=imds_timeout_s, tries=imds_tries
    )
    rotating = CredentialsFile(
        "rotating file",
        rotating_file,
        profile=rotating_profile or "default",
        read_again_s=LOOK_AGAIN_S,
        clock=clock,
    )
    if external:
        return environment, rotating, shared, role
    return environment, shared, container, role, rotating


class EnvironmentVariables:
    """``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def look(self) -> Credentials | str:
        try:
            found = botocore.credentials.EnvProvider(environ=dict(self._environ)).load()
        except botocore.exceptions.PartialCredentialsError as error:
            return f"environment: AWS_ACCESS_KEY_ID is set, and {error.kwargs['cred_var']} is not"
        except (ValueError, OverflowError):
            return "environment: AWS_CREDENTIAL_EXPIRATION is not a time such as 2026-11-23T15:00:00Z"
        if found is None:
            return "environment: AWS_ACCESS_KEY_ID is not set"
        return _credentials(found, "environment")


class CredentialsFile:
    """A profile in a file of AWS's form. Source: agent-protocol.md §2.3."""

    def __init__(
        self, name: str, path: str, *, profile: str, read_again_s: float | None = None, clock: Clock | None = None
    ) -> None:
        """``read_again_s``: how long what it says counts, by ``clock``; ``None``: as long as AWS takes it."""
        self._name = f"{name} {path}"
        self._path = str(Path(path).expanduser())
        self._profile = profile
        self._read_again_s = read_again_s
        self._clock = clock

    def look(self) -> Credentials | str:
        try:
            # botocore takes a file that it may not read for one that is not there
            with Path(self._path).open("rb"):
                pass
            found = botocore.credentials.SharedCredentialProvider(self._path, self._profile).load()
        except FileNotFoundError:
            return f"{self._name}: the file does not exist"
        except OSError as error:
            return f"{self._name}: it cannot be read ({error.strerror})"
        except botocore.exceptions.ConfigParseError:
            return f"{self._name}: it is not of the form that AWS's tools write"
        except botocore.exceptions.PartialCredentialsError as error:
            return f"{self._name}: {error.kwargs['cred_var']} is missing in profile {self._profile}"
        if found is None:
            return f"{self._name}: it has no access key under profile {self._profile}"
        credentials = _credentials(found, self._name)
        if self._read_again_s is None or self._clock is None:
            return credentials
        expires_at = self._clock.now() + timedelta(seconds=self._read_again_s)
        return msgspec.structs.replace(credentials, expires_at=expires_at)


class ContainerEndpoint:
    """What ECS or EKS offers to the container that the agent itself may run in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def look(self) -> Credentials | str:
        session = _DirectSession(botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS)
        fetcher = botocore.utils.ContainerMetadataFetcher(session=session, sleep=_no_sleep)
        provider = botocore.credentials.ContainerProvider(environ=dict(self._environ), fetcher=fetcher)
        try:
            found = provider.load()
        except botocore.exceptions.BotoCoreError:
            return f"container endpoint: {session.last}"  # its own message quotes the path, which is as good as a key
        except KeyError as error:
            return f"container endpoint: {error} is missing in its answer"
        except (ValueError, OSError) as error:
            return f"container endpoint: {_one_line(error)}"
        if found is None:
            return (
                "container endpoint: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor "
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
            )
        return _credentials(found, "container endpoint")


class InstanceRole:
    """The role of the EC2 instance, from the metadata service: version 2, or version 1 where 2 is not available."""

    def __init__(self, endpoint: str, *, disabled: bool, timeout_s: float, tries: int) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._disabled = disabled
        self._timeout_s = timeout_s
        self._tries = tries

    def look(self) -> Credentials | str:
        if self._disabled:
            return "instance role: AWS_EC2_METADATA_DISABLED is set, the metadata service is not asked"
        place = f"instance role at {self._endpoint}"
        try:
            session = _DirectSession(self._timeout_s)
            fetcher = _RoleFetcher(session, base_url=f"{self._endpoint}/", timeout=self._timeout_s, tries=self._tries)
            found = fetcher.retrieve_iam_role_credentials()
            if not found:
                return f"{place}: {session.last}"
            return Credentials(
                access_key_id=found["access_key"],
                secret_access_key=found["secret_key"],
                session_token=found["token"],
                source=f"instance role {found['role_name']}",
                expires_at=_moment(found["expiry_time"]),
            )
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            return f"{place}: {_one_line(error)}"


class _DirectSession:
    """botocore's HTTP without any proxy, which would not reach link-local addresses; remembers how it went last."""

    def __init__(self, timeout_s: float) -> None:
        self._session = botocore.httpsession.URLLib3Session(timeout=timeout_s, proxies={})
        self.last = "it was not asked"

    def send(self, request: Any) -> Any:
        try:
            response = self._session.send(request)
        except botocore.exceptions.BotoCoreError as error:
            self.last = "no answer in time" if "Timeout" in type(error).__name__ else "it cannot be reached"
            raise
        self.last = _described(request.url, response)
        return response


class _RoleFetcher(botocore.utils.InstanceMetadataFetcher):  # type: ignore[misc]  # botocore carries no types
    """botocore's, made to connect directly and to return the expiry as the service gives it."""

    def __init__(self, session: _DirectSession, *, base_url: str, timeout: float, tries: int) -> None:
        super().__init__(timeout=timeout, num_attempts=tries, base_url=base_url, env={})
        self._session = session

    def _evaluate_expiration(self, credentials: dict[str, str]) -> None:
        """botocore would write a later moment over one that is near; when to look again is ours to say."""


def _described(url: str, response: Any) -> str:
    """What an answer of the metadata service means where credentials were hoped for; never quotes any."""
    if response.status_code == 404 and url.endswith("/security-credentials/"):
        return "no role is attached to the instance"
    if response.status_code != 200:
        return f"it answered {response.status_code}"
    try:
        answer = msgspec.json.decode(response.content, type=_RoleAnswer)
    except (ValueError, RecursionError):
        return "its answer has no valid credentials"
    code, message = answer.code or "no code", answer.message or "no message"
    return f"the role has no credentials: {code}, {message}"


class _RoleAnswer(msgspec.Struct, rename="pascal"):
    code: str = ""
    message: str = ""


def _credentials(found: Any, source: str) -> Credentials:
    """From one of botocore's, as it is: asking it properly may start a refresh of its own."""
    frozen = getattr(found, "_frozen_credentials", found)
    return Credentials(
        access_key_id=frozen.access_key,
        secret_access_key=frozen.secret_key,
        session_token=frozen.token or "",
        source=source,
        expires_at=getattr(found, "_expiry_time", None),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _no_sleep(seconds: float) -> None:
    """The fetcher would wait a second between its tries; waiting is up to the caller."""

"""Registers the container instance: calls until ECS knows it, or until no call can help.

What follows a failure is decided in ``core.registration``; here are the calls and the waits.
Each new obstacle goes to the core as an event, so that it is saved, shown and said once.

Source: agent-protocol.md §1, §3.1, §3.2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from ecscope.agent.aws.interface import AwsCallFailed, EcsApi
from ecscope.agent.core import registration as rules
from ecscope.agent.core.capabilities import Offer, attributes
from ecscope.agent.core.events import InstanceNotRegistered, InstanceRegistered
from ecscope.agent.inbox import Inbox
from ecscope.backoff import Backoff
from ecscope.model.api_failure import ApiFailure
from ecscope.model.container_instance import Obstacle, ObstacleKind
from ecscope.model.resources import HostResources
from ecscope.wire import ecs_api

_log = logging.getLogger("ecscope.ecs")

_OPERATION = "RegisterContainerInstance"
_DEFAULT_CLUSTER = "default"

THROTTLED_AGAIN = Backoff(tries=None, first_s=3.0, cap_s=192.0, factor=2.0, jitter=0.2)
"""Source: agent-protocol.md §3.2. Without its end after an hour, which officially is left to the supervisor."""
HEALABLE_AGAIN = Backoff(tries=None, first_s=1.0, cap_s=30.0, factor=1.5, jitter=0.2)
"""For what a person, or the network, may put right at any moment."""
DOCKER_PATIENCE_S = 2.0
"""Until it is said that Docker is what is waited for."""
IDENTITY_PATIENCE_S = 2.0
"""Likewise for the instance metadata service."""

T = TypeVar("T")


class RegistrationRefused(Exception):
    """ECS refuses this instance, and trying again cannot help."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.message)
        self.obstacle = obstacle


class RegistrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is registered, beside what Docker decides."""

    cluster: str
    is_cluster_configured: bool
    """``False``: the default cluster is made where there is none."""
    saved_arn: str
    """``""``: the first registration."""
    client_token: str
    """A UUID, new for each start of the agent."""
    tags: Mapping[str, str] = {}


class Registration:
    """See the module docstring."""

    def __init__(
        self,
        *,
        api: EcsApi,
        settings: RegistrationSettings,
        what_docker_offers: Callable[[], Coroutine[Any, Any, tuple[Offer, HostResources]]],
        why_no_docker: Callable[[], str],
        identity: Callable[[], Coroutine[Any, Any, tuple[str, str]]],
        inbox: Inbox,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        docker_patience_s: float = DOCKER_PATIENCE_S,
        identity_patience_s: float = IDENTITY_PATIENCE_S,
    ) -> None:
        """Make no call yet.

        Args:
            what_docker_offers: returns as soon as Docker is connected.
            why_no_docker: what was last wrong with it, ``""``: nothing known.
            identity: the instance identity document and its signature, each ``""`` where there is none.
        """
        self._api = api
        self._settings = settings
        self._what_docker_offers = what_docker_offers
        self._why_no_docker = why_no_docker
        self._identity = identity
        self._inbox = inbox
        self._sleep = sleep
        self._docker_patience_s = docker_patience_s
        self._identity_patience_s = identity_patience_s
        self._has_created_cluster = False
        self._waits: dict[ObstacleKind, Iterator[float]] = {}

    async def run(self) -> None:
        """Return once ECS knows the instance. Raises ``RegistrationRefused``. Cancelling is safe."""
        offer, host = await self._docker()
        document, signature = await self._identity_document()
        offered = attributes(offer, is_first_registration=not self._settings.saved_arn)
        body = ecs_api.register_container_instance(
            cluster=self._settings.cluster,
            client_token=self._settings.client_token,
            resources=host,
            attributes=offered,
            tags=self._settings.tags,
            container_instance_arn=self._settings.saved_arn,
            identity_document=document,
            identity_document_signature=signature,
        )
        while True:
            try:
                answer = ecs_api.registration(await self._api.call(_OPERATION, body))
            except AwsCallFailed as failed:
                await self._after(failed.failure)
                continue
            except ecs_api.UnusableAnswer as error:
                await self._after(ApiFailure(operation=_OPERATION, kind=ObstacleKind.SERVER_ERROR, message=str(error)))
                continue
            missing = ecs_api.attributes_not_echoed(offered, answer)
            if missing:
                self._refuse(rules.attributes_not_echoed(missing, self._inbox.now()))
            self._inbox.post(
                InstanceRegistered(
                    **self._inbox.stamp(),
                    container_instance_arn=answer.container_instance_arn,
                    availability_zone=answer.availability_zone,
                )
            )
            return

    async def _docker(self) -> tuple[Offer, HostResources]:
        return await self._awaited(
            self._what_docker_offers(),
            patience_s=self._docker_patience_s,
            obstacle=lambda: rules.docker_unavailable(self._why_no_docker() or "it does not answer", self._inbox.now()),
        )

    async def _identity_document(self) -> tuple[str, str]:
        return await self._awaited(
            self._identity(),
            patience_s=self._identity_patience_s,
            obstacle=lambda: rules.instance_metadata_unavailable(self._inbox.now()),
        )

    async def _awaited(
        self, answer: Coroutine[Any, Any, T], *, patience_s: float, obstacle: Callable[[], Obstacle]
    ) -> T:
        """Report what is waited for longer than ``patience_s``, and report when it has come."""
        asking = asyncio.ensure_future(answer)
        try:
            done, _ = await asyncio.wait([asking], timeout=patience_s)
            if done:
                return asking.result()
            self._post_obstacle(obstacle())
            answered = await asking
            self._post_obstacle(rules.registering(self._inbox.now()))
            return answered
        finally:
            asking.cancel()

    async def _after(self, failure: ApiFailure) -> None:
        """Do what comes before the next try. Raises ``RegistrationRefused`` where there is none."""
        following = rules.after_failure(
            failure,
            is_cluster_configured=self._settings.is_cluster_configured,
            has_created_cluster=self._has_created_cluster,
        )
        if following is rules.Next.CREATE_CLUSTER:
            self._has_created_cluster = True
            try:
                await self._api.call("CreateCluster", ecs_api.create_cluster(_DEFAULT_CLUSTER))
            except AwsCallFailed as failed:
                failure = failed.failure
                self._has_created_cluster = False
            else:
                _log.info("made the cluster %s, which did not exist", _DEFAULT_CLUSTER)
                return
        obstacle = rules.obstacle_of(failure, cluster=self._settings.cluster, at=self._inbox.now())
        if following is rules.Next.GIVE_UP:
            self._refuse(obstacle)
        self._post_obstacle(obstacle)
        await self._sleep(self._wait_s(failure.kind))

    def _wait_s(self, kind: ObstacleKind) -> float:
        """Ever longer while the same thing is wrong."""
        waits = self._waits.get(kind)
        if waits is None:
            policy = THROTTLED_AGAIN if kind is ObstacleKind.THROTTLED else HEALABLE_AGAIN
            waits = policy.waits()
            self._waits = {kind: waits}
        return next(waits)

    def _post_obstacle(self, obstacle: Obstacle) -> None:
        self._inbox.post(InstanceNotRegistered(**self._inbox.stamp(), obstacle=obstacle))

    def _refuse(self, obstacle: Obstacle) -> None:
        self._post_obstacle(obstacle)
        raise RegistrationRefused(obstacle)

"""The part of an agent that is in a cluster: builds what talks to ECS, and runs it once the instance is registered.

``app`` builds the agent; this builds the part of it that only an agent with a cluster has, so
an agent with tasks from files loads none of it.

Source: agent-protocol.md §1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from ecscope import __version__
from ecscope.agent.aws.client import AwsClient
from ecscope.agent.aws.credentials import CredentialsProvider, chain
from ecscope.agent.aws.endpoints import Proxies, ServiceEndpoints
from ecscope.agent.aws.imds import InstanceMetadata, MetadataUnavailable
from ecscope.agent.aws.interface import AwsCallFailed, RegistryTokens
from ecscope.agent.aws.registry import AwsRegistryTokens
from ecscope.agent.aws.task_secrets import AwsTaskSecrets
from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.cluster.acs import AcsConnection
from ecscope.agent.cluster.acs_events import event_of
from ecscope.agent.cluster.connection import Dialling
from ecscope.agent.cluster.poll_endpoint import PollEndpoint
from ecscope.agent.cluster.registration import IDENTITY_PATIENCE_S, Registration, RegistrationSettings
from ecscope.agent.cluster.spot import SpotWatch
from ecscope.agent.cluster.tcs import TcsConnection
from ecscope.agent.config.settings import Config
from ecscope.agent.core.capabilities import Offer
from ecscope.agent.core.events import InstanceNotRegistered, InstanceRegistered
from ecscope.agent.core.registration import deregistered
from ecscope.agent.core.state import AgentState
from ecscope.agent.executors.attachments import AttachmentExecutor
from ecscope.agent.executors.ecs import EcsExecutor
from ecscope.agent.inbox import Inbox
from ecscope.agent.runtime.instance_health import InstanceHealthCheck
from ecscope.agent.runtime.interface import Runtime
from ecscope.agent.stats.collector import Collector
from ecscope.clock import Clock
from ecscope.log import TASK_ARN
from ecscope.model.resources import HostResources
from ecscope.model.task import Task
from ecscope.version import commit
from ecscope.wire.acs import to_task as acs_task
from ecscope.wire.acs.messages import CoreMessage
from ecscope.wire.acs.payload import PayloadTask
from ecscope.wire.acs.reconnect import connect_url
from ecscope.wire.ecs_api import update_container_instances_state
from ecscope.wire.tcs import messages as tcs

_log = logging.getLogger("ecscope.ecs")

_DRAIN_LIMIT_S = 5.0


class ClusterClient:
    """See the module docstring. Made inside a running loop; to be closed."""

    def __init__(
        self,
        config: Config,
        *,
        runtime: Runtime,
        states: Broadcaster[AgentState],
        inbox: Inbox,
        what_docker_offers: Callable[[], Coroutine[Any, Any, tuple[Offer, HostResources]]],
        why_no_docker: Callable[[], str],
        docker_version: Callable[[], str],
        clock: Clock,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Build; make no call yet.

        Args:
            states: the published state.
            what_docker_offers: returns as soon as Docker is connected.
            docker_version: of the engine that is connected.
            environ: where credentials may stand, and where shared files are.
        """

        def state() -> AgentState:
            return states.newest

        self._config = config
        self._states = states
        self._inbox = inbox
        self._docker_version = docker_version
        self._may_connect = asyncio.Event()
        self._is_known = asyncio.Event()
        """ECS has not said that the instance is deregistered."""
        self._is_known.set()
        self._health_check = InstanceHealthCheck(runtime=runtime, now=clock.now)
        self.collector = Collector(
            runtime=runtime,
            states=states,
            disabled=config.metrics_disabled,
            poll_every_s=config.polling_metrics_wait_s if config.poll_metrics else None,
        )
        self._credentials = CredentialsProvider(
            chain(
                {**environ, **config.aws_environment()},
                external=config.external,
                clock=clock,
                imds_endpoint=config.imds_endpoint,
                imds_disabled=config.imds_disabled,
                rotating_profile=config.alternate_credential_profile,
            ),
            clock=clock,
        )
        proxies = Proxies(http=config.http_proxy, https=config.https_proxy, no_proxy=config.no_proxy)
        self.api = AwsClient(
            region=config.region,
            credentials=self._credentials,
            clock=clock,
            endpoint=config.api_endpoint,
            proxies=proxies,
            detailed_os_family=config.detailed_os_family,
        )
        endpoints = ServiceEndpoints(
            of_all=config.aws_endpoint,
            of_services={
                "secretsmanager": config.secrets_manager_endpoint,
                "ssm": config.systems_manager_endpoint,
                "logs": config.logs_endpoint,
            },
        )
        self.registry_tokens: RegistryTokens = AwsRegistryTokens(self.api, clock=clock, endpoints=endpoints)
        self.task_secrets = AwsTaskSecrets(self.api, region=config.region, endpoints=endpoints)
        self._metadata = InstanceMetadata(endpoint=config.imds_endpoint, disabled=not config.may_ask_imds)
        self._registration = Registration(
            api=self.api,
            settings=RegistrationSettings(
                cluster=config.cluster,
                is_cluster_configured=config.cluster_is_configured,
                saved_arn=states.newest.instance.arn,
                client_token=str(uuid.uuid4()),
                tags=config.container_instance_tags,
            ),
            what_docker_offers=what_docker_offers,
            why_no_docker=why_no_docker,
            identity=self._identity,
            identity_patience_s=IDENTITY_PATIENCE_S,
            inbox=inbox,
        )
        endpoint = PollEndpoint(
            api=self.api,
            cluster=config.cluster,
            container_instance_arn=lambda: states.newest.instance.arn,
            monotonic=asyncio.get_running_loop().time,
        )
        dialling = Dialling(signer=self.api, proxy=proxies.for_url)
        self._acs = AcsConnection(
            dialling,
            endpoint=endpoint.acs,
            address=self._acs_address,
            deliver=self._deliver,
            connected=self._acs_connected,
            deregistered=self._deregistered,
            heartbeat=self._health_check.ask,
        )
        self._tcs = TcsConnection(
            dialling,
            endpoint=endpoint.tcs,
            address=self._tcs_address,
            state=state,
            metrics=self.collector,
            status=lambda: self._health_check.status,
            new_id=lambda: str(uuid.uuid4()),
            now=clock.now,
            until=states.until if config.report_health_at_once else None,
        )
        self.executor = EcsExecutor(
            api=self.api,
            cluster=config.cluster,
            state=state,
            inbox=inbox,
            send_acs=self._acs.send,
            connect=self._may_connect.set,
            exclude_ipv6=config.exclude_ipv6_port_binding,
        )
        self.attachments = AttachmentExecutor(
            api=self.api,
            cluster=config.cluster,
            inbox=inbox,
            makes_interfaces=config.task_network is not None,
        )
        self._spot = SpotWatch(instance_action=self._metadata.spot_instance_action, drain=self.drain)

    async def run(self) -> None:
        """For ever. Raises ``RegistrationRefused``. Cancelling is safe."""
        await self._registration.run()
        await self._may_connect.wait()  # until the registration is saved, the instance has no ARN
        lives = [self._acs.run(), self._telemetry(), self._health_check.run()]
        if self._config.spot_instance_draining and self._config.may_ask_imds:
            lives.append(self._spot.run())
        async with asyncio.TaskGroup() as group:
            for life in lives:
                group.create_task(life)

    async def drain(self) -> bool:
        """Set the instance to DRAINING; whether ECS took it. Never raises, and takes some seconds at most."""
        instance = self._states.newest.instance
        if self._states.newest.obstacle is not None or not instance.arn:
            return False
        body = update_container_instances_state(
            cluster=self._config.cluster, container_instance_arn=instance.arn, status="DRAINING"
        )
        try:
            async with asyncio.timeout(_DRAIN_LIMIT_S):
                await self.api.call("UpdateContainerInstancesState", body)
        except AwsCallFailed as failed:
            _log.warning("cannot set this container instance to DRAINING: %s", failed)
            return False
        except TimeoutError:
            _log.warning("cannot set this container instance to DRAINING: no answer within %g s", _DRAIN_LIMIT_S)
            return False
        _log.info("this container instance is DRAINING now")
        return True

    async def close(self) -> None:
        """End what is under way and release sockets."""
        await self.executor.close()
        await self.attachments.close()
        await self._credentials.close()
        await self._metadata.close()
        await self.api.close()

    # --- what the parts ask for --------------------------------------------------------------------

    async def _identity(self) -> tuple[str, str]:
        """Both empty where there is none, or where it is not available. Source: agent-protocol.md §3.2."""
        if self._config.no_iid:
            return "", ""
        try:
            document = await self._metadata.identity_document()
            return document, await self._metadata.identity_signature()
        except MetadataUnavailable as failure:
            level = logging.INFO if self._config.imds_disabled else logging.WARNING  # as was asked for
            _log.log(level, "registering without an instance identity document: %s", failure)
            return "", ""

    async def _telemetry(self) -> None:
        """For ever; not while ECS does not know the instance."""
        while True:
            await self._is_known.wait()
            await self._tcs.run()

    def _acs_address(self, endpoint: str, *, send_credentials: bool) -> str:
        return connect_url(
            endpoint,
            agent_hash=commit(),
            agent_version=__version__,
            cluster=self._config.cluster,
            container_instance_arn=self._states.newest.instance.arn,
            docker_version=self._docker_version(),
            send_credentials=send_credentials,
        )

    def _tcs_address(self, endpoint: str, *, cluster: str, container_instance: str) -> str:
        return tcs.connect_url(
            endpoint,
            cluster=cluster,
            container_instance=container_instance,
            agent_version=__version__,
            agent_hash=commit(),
            docker_version=self._docker_version(),
        )

    def _deliver(self, message: CoreMessage) -> None:
        stamp = self._inbox.stamp()
        self._inbox.post(event_of(message, to_task=lambda task: self._to_task(task, stamp["at"]), **stamp))

    def _to_task(self, task: PayloadTask, at: datetime) -> Task:
        if left_out := acs_task.left_out(task):
            _log.warning("runs without %s, which this agent does not have", left_out, extra={TASK_ARN: task.arn or ""})
        return acs_task.to_task(
            task,
            suffixes=lambda: os.urandom(10).hex(),
            endpoint_ids=lambda: str(uuid.uuid4()),  # from the kernel's random numbers
            received_at=at,
            has_task_network=self._config.task_network is not None,
        )

    def _acs_connected(self) -> None:
        self._is_known.set()
        instance = self._states.newest.instance
        if instance.is_inactive:  # so ECS takes it back
            self._inbox.post(
                InstanceRegistered(
                    **self._inbox.stamp(),
                    container_instance_arn=instance.arn,
                    availability_zone=instance.availability_zone,
                )
            )
        self.executor.wake()

    def _deregistered(self, words: str) -> None:
        self._is_known.clear()
        self._tcs.stop()
        stamp = self._inbox.stamp()
        self._inbox.post(InstanceNotRegistered(**stamp, obstacle=deregistered(words, stamp["at"])))

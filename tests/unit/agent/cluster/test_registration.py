"""Registering goes on until ECS knows the instance; what cannot heal ends it; each obstacle is told as it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from ecscope.agent.cluster.registration import Registration, RegistrationRefused, RegistrationSettings
from ecscope.agent.core import events as ev
from ecscope.agent.core.capabilities import Offer
from ecscope.agent.inbox import Inbox
from ecscope.model.container_instance import ObstacleKind
from ecscope.model.resources import HostResources
from tests.builders import AT
from tests.ecs import INSTANCE_ARN, FakeEcs, failing, registered

SETTINGS = RegistrationSettings(
    cluster="default", is_cluster_configured=False, saved_arn="", client_token="token", tags={"team": "web"}
)
OFFER = Offer(
    api_version="1.41",
    architecture="x86_64",
    volume_plugins=("local",),
    logging_drivers=("json-file",),
    has_task_limits=True,
    custom_attributes={"stack": "blue"},
)
HOST = HostResources(cpu_units=2048, memory_mib=4096, ports_tcp=frozenset({22, 51678}))


class Lab:
    def __init__(self, **settings: Any) -> None:
        self.api = FakeEcs()
        self.events: list[ev.AnyEvent] = []
        self.slept: list[float] = []
        self.docker = asyncio.Event()
        self.docker.set()
        self.metadata_service = asyncio.Event()
        self.metadata_service.set()
        self.registration = Registration(
            api=self.api,
            settings=msgspec.structs.replace(SETTINGS, **settings),
            what_docker_offers=self.what_docker_offers,
            why_no_docker=lambda: "connection refused",
            identity=self.identity,
            inbox=Inbox(self.events.append, new_id=lambda: "e1", now=lambda: AT),
            sleep=self.sleep,
            docker_patience_s=0.0,
            identity_patience_s=0.0,
        )

    async def what_docker_offers(self) -> tuple[Offer, HostResources]:
        await self.docker.wait()
        return OFFER, HOST

    async def identity(self) -> tuple[str, str]:
        await self.metadata_service.wait()
        return "document", "signature"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def obstacles(self) -> list[ObstacleKind]:
        return [e.obstacle.kind for e in self.events if isinstance(e, ev.InstanceNotRegistered)]


async def test_the_first_registration_tells_everything() -> None:
    lab = Lab()
    await lab.registration.run()
    assert lab.events == [
        ev.InstanceRegistered(id="e1", at=AT, container_instance_arn=INSTANCE_ARN, availability_zone="us-west-2a")
    ]
    (body,) = lab.api.bodies("RegisterContainerInstance")
    assert body["attributes"][0] == {"name": "stack", "value": "blue"}
    assert body["clientToken"] == "token"
    assert body["tags"] == [{"key": "team", "value": "web"}]
    assert body["instanceIdentityDocument"] == "document"
    assert body["instanceIdentityDocumentSignature"] == "signature"
    assert "containerInstanceArn" not in body


async def test_a_saved_arn_is_registered_again_without_custom_attributes() -> None:
    lab = Lab(saved_arn="arn:saved")
    await lab.registration.run()
    (body,) = lab.api.bodies("RegisterContainerInstance")
    assert body["containerInstanceArn"] == "arn:saved"
    assert {"name": "stack", "value": "blue"} not in body["attributes"]
    assert isinstance(lab.events[-1], ev.InstanceRegistered)


async def test_the_default_cluster_is_made_where_there_is_none_and_none_was_configured() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [failing(ObstacleKind.CLUSTER_NOT_FOUND), registered]
    await lab.registration.run()
    assert [name for name, _ in lab.api.calls] == [
        "RegisterContainerInstance",
        "CreateCluster",
        "RegisterContainerInstance",
    ]
    assert lab.api.bodies("CreateCluster") == [{"clusterName": "default"}]
    first, second = lab.api.bodies("RegisterContainerInstance")
    assert first == second, "the same client token, too"
    assert not lab.slept


async def test_a_configured_cluster_is_waited_for_and_never_made() -> None:
    lab = Lab(cluster="web", is_cluster_configured=True)
    lab.api.answers["RegisterContainerInstance"] = [failing(ObstacleKind.CLUSTER_NOT_FOUND), registered]
    await lab.registration.run()
    assert not lab.api.bodies("CreateCluster")
    assert lab.obstacles() == [ObstacleKind.CLUSTER_NOT_FOUND]


async def test_a_denied_cluster_creation_is_what_is_told() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [
        failing(ObstacleKind.CLUSTER_NOT_FOUND),
        failing(ObstacleKind.CLUSTER_NOT_FOUND),
        registered,
    ]
    lab.api.answers["CreateCluster"] = [failing(ObstacleKind.ACCESS_DENIED, operation="CreateCluster"), {}]
    await lab.registration.run()
    assert lab.obstacles() == [ObstacleKind.ACCESS_DENIED]
    assert len(lab.api.bodies("CreateCluster")) == 2


async def test_what_can_heal_is_tried_ever_more_slowly_and_begins_anew_with_another_obstacle() -> None:
    lab = Lab()
    denied, away = failing(ObstacleKind.ACCESS_DENIED), failing(ObstacleKind.ENDPOINT_UNREACHABLE)
    lab.api.answers["RegisterContainerInstance"] = [denied] * 12 + [away, registered]
    await lab.registration.run()
    assert lab.slept[0] < 1.3
    assert 25 < lab.slept[11] < 37
    assert lab.slept[12] < 1.3


async def test_throttling_is_answered_with_patience() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [failing(ObstacleKind.THROTTLED)] * 8 + [registered]
    await lab.registration.run()
    assert 3.0 <= lab.slept[0] <= 3.6
    assert lab.slept[-1] >= 192.0


async def test_what_ecs_refuses_ends_it() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [failing(ObstacleKind.REGISTRATION_REFUSED, message="bad attribute")]
    with pytest.raises(RegistrationRefused, match="bad attribute"):
        await lab.registration.run()
    assert lab.obstacles() == [ObstacleKind.REGISTRATION_REFUSED]


async def test_an_attribute_that_is_not_echoed_ends_it() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [lambda body: registered(body, without="ecs.os-type")]
    with pytest.raises(RegistrationRefused, match=r"Attribute validation failed: .*ecs\.os-type"):
        await lab.registration.run()


async def test_an_answer_without_an_arn_is_asked_again() -> None:
    lab = Lab()
    lab.api.answers["RegisterContainerInstance"] = [{"containerInstance": {}}, registered]
    await lab.registration.run()
    assert lab.obstacles() == [ObstacleKind.SERVER_ERROR]


async def test_docker_that_is_away_is_what_is_waited_for() -> None:
    lab = Lab()
    lab.docker.clear()
    running = asyncio.create_task(lab.registration.run())
    while not lab.events:
        await asyncio.sleep(0.001)
    assert lab.obstacles() == [ObstacleKind.DOCKER_UNAVAILABLE]
    assert not lab.api.calls
    lab.docker.set()
    await running
    assert lab.obstacles() == [ObstacleKind.DOCKER_UNAVAILABLE, ObstacleKind.STARTING], "it is there now"
    assert isinstance(lab.events[-1], ev.InstanceRegistered)


async def test_the_instance_metadata_service_is_named_while_it_is_waited_for() -> None:
    lab = Lab()
    lab.metadata_service.clear()
    running = asyncio.create_task(lab.registration.run())
    while not lab.events:
        await asyncio.sleep(0.001)
    assert lab.obstacles() == [ObstacleKind.INSTANCE_METADATA_UNAVAILABLE]
    assert not lab.api.calls
    lab.metadata_service.set()
    await running
    assert lab.obstacles() == [ObstacleKind.INSTANCE_METADATA_UNAVAILABLE, ObstacleKind.STARTING]
    assert isinstance(lab.events[-1], ev.InstanceRegistered)

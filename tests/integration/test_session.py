"""Two test sessions on one engine: neither counts, nor removes, what is the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import dockerengine
from tests import session

OTHERS = "ecscope-test-another-"


@pytest.fixture
def boxes(docker_endpoint: str, sample_image: str) -> Iterator[dict[str, str]]:
    """One container by name and one by cluster, of this session and of another."""
    engine = dockerengine.Engine(docker_endpoint.removeprefix("unix://"))
    made: dict[str, str] = {}
    try:
        for whose, prefix in (("mine", session.TEST_PREFIX), ("theirs", OTHERS)):
            label = {session.CLUSTER_LABEL: f"{prefix}cluster"}
            made[f"{whose} by name"] = _create(engine, sample_image, {}, name=f"{prefix}box")
            made[f"{whose} by cluster"] = _create(engine, sample_image, label)
            for name in (f"{prefix}volume", f"ecs-{prefix}family-1-volume"):
                engine.request(
                    "POST", "/volumes/create", body=json.dumps({"Name": name}).encode(), content_type="application/json"
                )
        yield made
    finally:
        for container_id in made.values():
            engine.remove_container(container_id)
        for prefix in (session.TEST_PREFIX, OTHERS):
            engine.remove_volume(f"{prefix}volume")
            engine.remove_volume(f"ecs-{prefix}family-1-volume")


def test_only_what_is_of_this_session_is_its_own(docker_endpoint: str, boxes: dict[str, str]) -> None:
    engine = dockerengine.Engine(docker_endpoint.removeprefix("unix://"))
    assert session.containers(engine) == sorted([boxes["mine by name"], boxes["mine by cluster"]])
    assert sorted(session.volumes(engine)) == sorted(
        [f"{session.TEST_PREFIX}volume", f"ecs-{session.TEST_PREFIX}family-1-volume"]
    )


def _create(engine: dockerengine.Engine, image: str, labels: dict[str, str], **query: str) -> str:
    body = json.dumps({"Image": image, "Labels": labels}).encode()
    made = engine.request("POST", "/containers/create", body=body, content_type="application/json", **query)
    return json.loads(made)["Id"]

"""Images come from the registry, by tag or digest and with credentials, and are found under their names."""

from __future__ import annotations

import pytest

from ecscope.agent.runtime.interface import RegistryAuth
from ecscope.model.runtime import PullProgress
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import failure_of


async def test_a_pull_takes_its_time_and_tells_progress(clock: Clock, fake: FakeRuntime) -> None:
    image = fake.add_pullable("h.example/app", pull_s=2.5, layers=4, size_bytes=1000)
    seen: list[PullProgress] = []
    before_s = clock.now_s
    await clock.run(fake.pull_image("h.example/app", None, seen.append))
    assert clock.now_s - before_s == pytest.approx(2.5)
    assert [(p.layers_done, p.bytes_done) for p in seen] == [(1, 400), (3, 800), (4, 1000)]
    assert fake.images >= {"h.example/app:latest", f"h.example/app@{image.digest}"}
    found = await clock.run(fake.inspect_image("h.example/app"))
    assert found.repo_digests == (f"h.example/app@{image.digest}",)


async def test_pulled_by_digest_and_tagged(clock: Clock, fake: FakeRuntime) -> None:
    image = fake.add_pullable("app:1", environment_names=frozenset({"AWS_REGION"}))
    digest = await clock.run(fake.resolve_digest("app:1", None))
    assert digest == image.digest
    await clock.run(fake.pull_image(f"app@{digest}", None, lambda _: None))
    assert await clock.run(fake.inspect_image("app:1")) is None
    await clock.run(fake.tag_image(f"app@{digest}", "app:1"))
    found = await clock.run(fake.inspect_image("app:1"))
    assert found.environment_names == {"AWS_REGION"}
    failure = await failure_of(clock, fake.pull_image("app@sha256:" + "0" * 64, None, lambda _: None))
    assert failure.is_not_found


async def test_a_local_image_that_no_registry_has(clock: Clock, fake: FakeRuntime) -> None:
    fake.add_local("mine:1")
    assert await clock.run(fake.inspect_image("mine:1")) is not None
    failure = await failure_of(clock, fake.resolve_digest("mine:1", None))
    assert str(failure) == (
        "CannotPullImageManifestError: Error response from daemon: manifest for mine:1 not found: "
        "manifest unknown: manifest unknown"
    )


async def test_an_image_that_asks_for_credentials(clock: Clock, fake: FakeRuntime) -> None:
    fake.add_pullable("h.example/app:1", username="me", password="s3cret")
    for auth in (None, RegistryAuth(username="me", password="wrong")):
        failure = await failure_of(clock, fake.pull_image("h.example/app:1", auth, lambda _: None))
        assert "no basic auth credentials" in str(failure)
    await clock.run(fake.pull_image("h.example/app:1", RegistryAuth(username="me", password="s3cret"), lambda _: None))

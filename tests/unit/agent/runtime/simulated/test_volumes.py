"""Volumes are made and removed as by Docker, and not removed while a container uses them."""

from __future__ import annotations

from ecscope.agent.runtime.interface import VolumeSpec
from tests.loop_clock import Clock
from tests.simulated_knobs import FakeRuntime
from tests.unit.agent.runtime.simulated.scenes import LIMIT_S, failure_of, spec


async def test_volumes_and_what_uses_them(clock: Clock, fake: FakeRuntime) -> None:
    other = VolumeSpec(name="v", driver="nothere", driver_options={}, labels={})
    failure = await failure_of(clock, fake.create_volume(other))
    assert 'error looking up volume plugin nothere: plugin "nothere" not found' in str(failure)
    binds = '{"Binds": ["v:/data", "/srv:/srv"]}'
    await clock.run(fake.create_container(spec(docker_host_config=binds), timeout_s=LIMIT_S))
    assert set(fake.volumes) == {"v"}
    assert [(mount.name, mount.source) for mount in fake.containers[0].mounts] == [
        ("v", "/var/lib/docker/volumes/v/_data"),
        ("", "/srv"),
    ]
    assert (await failure_of(clock, fake.remove_volume("v"))).is_conflict

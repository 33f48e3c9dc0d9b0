"""Which subnet the awsvpc tasks of a data directory get, and what is said when there is none for them."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ecscope.agent.runtime.interface import NetworkSpec, RuntimeFailure
from ecscope.model.container import NamedError
from ecscope.model.network import TaskNetwork
from ecscope.up.network import NoTaskNetwork, bridge_of, task_network
from tests.simulated_knobs import FakeRuntime

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT"


def routes(folder: Path, *destinations: str, interface: str = "tun0") -> Path:
    """The kernel's list, on this machine."""
    file = folder / "route"
    lines = [HEAD]
    for text in destinations:
        network = IPv4Network(text)
        address, mask = network.network_address.packed[::-1].hex(), network.netmask.packed[::-1].hex()
        lines.append(f"{interface}\t{address}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0")
    file.write_text("\n".join(lines) + "\n")
    return file


async def choose(data_dir: Path, runtime: FakeRuntime, *destinations: str) -> TaskNetwork:
    data_dir.mkdir(exist_ok=True)
    return await task_network(data_dir, runtime, routes=routes(data_dir, "0.0.0.0/0", *destinations))


def a_network(name: str, subnet: str) -> NetworkSpec:
    gateway = str(IPv4Network(subnet)[1])
    return NetworkSpec(name=name, bridge=name, subnet=subnet, gateway=gateway, labels={})


async def test_it_is_chosen_once_and_is_there_again_after_it_was_removed(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    chosen = await choose(tmp_path, runtime)
    assert IPv4Network(chosen.subnet).prefixlen == 20
    assert IPv4Network(chosen.subnet).is_private
    assert len(chosen.bridge) <= 15
    assert await runtime.subnets() == {chosen.bridge: (chosen.subnet,)}
    assert await choose(tmp_path, runtime) == chosen
    await runtime.remove_network(chosen.bridge)
    assert await choose(tmp_path, runtime) == chosen
    assert await runtime.subnets() == {chosen.bridge: (chosen.subnet,)}


async def test_its_own_route_and_network_are_in_nobodys_way(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    chosen = await choose(tmp_path, runtime)
    own = routes(tmp_path, chosen.subnet, interface=chosen.bridge)
    assert await task_network(tmp_path, runtime, routes=own) == chosen
    (tmp_path / "task-network.json").unlink()
    assert await task_network(tmp_path, runtime, routes=own) == chosen, "it is taken from Docker"


async def test_each_data_directory_has_one_of_its_own(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    chosen = [await choose(tmp_path / str(number), runtime) for number in range(20)]
    assert len({network.bridge for network in chosen}) == 20
    subnets = [IPv4Network(network.subnet) for network in chosen]
    assert not any(a.overlaps(b) for n, a in enumerate(subnets) for b in subnets[:n])


async def test_what_is_routed_elsewhere_is_not_chosen(tmp_path: Path) -> None:
    chosen = await choose(tmp_path, FakeRuntime(), "10.0.0.0/8", "172.30.0.0/17", "128.0.0.0/1")
    assert IPv4Network(chosen.subnet).subnet_of(IPv4Network("172.30.128.0/17"))


async def test_who_is_slower_takes_another(tmp_path: Path) -> None:
    first = await choose(tmp_path, FakeRuntime())
    (tmp_path / "task-network.json").unlink()

    class Crowded(FakeRuntime):
        async def create_network(self, spec: NetworkSpec) -> bool:
            if spec.subnet == first.subnet:
                await super().create_network(a_network("other", spec.subnet))
            return await super().create_network(spec)

    second = await choose(tmp_path, Crowded())
    assert second.bridge == first.bridge
    assert second.subnet != first.subnet


@pytest.mark.parametrize("taken_by", ["network", "route"])
async def test_a_saved_subnet_that_is_taken_is_not_given_up_silently(tmp_path: Path, taken_by: str) -> None:
    runtime = FakeRuntime()
    chosen = await choose(tmp_path, runtime)
    await runtime.remove_network(chosen.bridge)
    if taken_by == "network":
        await runtime.create_network(a_network("compose", chosen.subnet))
    with pytest.raises(NoTaskNetwork) as told:
        await choose(tmp_path, runtime, *([chosen.subnet] if taken_by == "route" else []))
    file = tmp_path / "task-network.json"
    holder = "the Docker network compose" if taken_by == "network" else "a route of tun0"
    assert str(told.value) == (
        f"the subnet {chosen.subnet} of the awsvpc tasks of this data directory is taken by {holder}: they are refused"
        f" until it is free. To have another one chosen, remove {file} while no awsvpc task runs"
    )


async def test_without_a_free_subnet_or_a_willing_docker_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoTaskNetwork, match="no private subnet is free on this host"):
        await choose(tmp_path, FakeRuntime(), "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")

    class Unwilling(FakeRuntime):
        async def create_network(self, spec: NetworkSpec) -> bool:
            raise RuntimeFailure(NamedError(name="CannotCreateNetworkError", message="no bridges here"))

    with pytest.raises(NoTaskNetwork, match="which are refused: no bridges here"):
        await choose(tmp_path, Unwilling())


def test_the_bridge_is_that_of_the_directory_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert bridge_of(tmp_path / "link") == bridge_of(tmp_path)

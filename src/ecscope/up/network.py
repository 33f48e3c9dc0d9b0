"""The subnet and the bridge of a data directory's awsvpc tasks: chosen once, kept, and made before the agent starts.

Whatever has a subnet already keeps it: other Docker networks, also those of another ``ecscope up``, and the routes of
this host. Docker makes the network and the bridge, and its refusal decides where two processes choose at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

import msgspec

from ecscope.agent.executors.resources.network import network_spec
from ecscope.agent.runtime.docker.runtime import DockerRuntime
from ecscope.agent.runtime.interface import Runtime, RuntimeFailure
from ecscope.model.names import PAUSE_IMAGE
from ecscope.model.network import TaskNetwork
from ecscope.owned_files import UnsafeFile, read_owned, write_owned

_NAME: Final = "task-network.json"
_ROUTES = Path("/proc/net/route")
_PREFIX = 20
_POOLS = tuple(
    map(IPv4Network, ("10.213.0.0/16", "10.214.0.0/16", "172.30.0.0/16", "192.168.128.0/17", "10.224.0.0/12"))
)
_ROTATED = 32
"""Of the first subnets, one is tried first that depends on the data directory: so that two seldom want the same."""
_SHORTEST_ROUTE = 8
"""Routes with fewer bits are ways to everywhere, such as those of a VPN."""


class NoTaskNetwork(Exception):
    """There can be no awsvpc tasks; the message says why, and what helps."""


class _Saved(msgspec.Struct, frozen=True):
    subnet: str


def bridge_of(data_dir: Path) -> str:
    """The name of the bridge, at most 15 characters long, which no other data directory has."""
    return f"ecs-{sha256(str(data_dir.resolve()).encode()).hexdigest()[:10]}"


async def task_network(data_dir: Path, runtime: Runtime, *, routes: Path = _ROUTES) -> TaskNetwork:
    """The network of the awsvpc tasks of this data directory, which is there afterwards.

    Raises:
        NoTaskNetwork: it is taken by something else, or none is free, or Docker refuses.
    """
    bridge = bridge_of(data_dir)
    file = data_dir / _NAME
    try:
        subnets = await runtime.subnets()
        saved = _read(file) or next(iter(subnets.get(bridge, ())), "")
        taken = _taken(bridge, subnets, routes)
        if saved:
            if holder := _holder(IPv4Network(saved), taken):
                raise NoTaskNetwork(
                    f"the subnet {saved} of the awsvpc tasks of this data directory is taken by {holder}: they are"
                    f" refused until it is free. To have another one chosen, remove {file} while no awsvpc task runs"
                )
            network = TaskNetwork(bridge=bridge, subnet=saved)
            await runtime.create_network(network_spec(network))
        else:
            network = await _first_free(bridge, runtime, taken)
        write_owned(file, msgspec.json.encode(_Saved(network.subnet)))
    except RuntimeFailure as failure:
        raise NoTaskNetwork(
            f"there is no network for awsvpc tasks, which are refused: {failure.error.message}"
        ) from failure
    except OSError as error:
        raise NoTaskNetwork(
            f"there is no network for awsvpc tasks, which are refused: {error.filename} cannot be written:"
            f" {error.strerror or error}"
        ) from error
    return network


async def remove_task_network(data_dir: Path, endpoint: str) -> None:
    """Remove the network, and the pause image; what is in use is left for the next start. Never raises."""
    runtime = DockerRuntime(endpoint)
    try:
        for removal in (runtime.remove_network(bridge_of(data_dir)), runtime.remove_image(PAUSE_IMAGE)):
            try:
                await removal
            except RuntimeFailure:
                continue
    finally:
        await runtime.close()


async def _first_free(bridge: str, runtime: Runtime, taken: Mapping[IPv4Network, str]) -> TaskNetwork:
    refusal: RuntimeFailure | None = None
    for subnet in _candidates(bridge):
        if _holder(subnet, taken):
            continue
        network = TaskNetwork(bridge=bridge, subnet=str(subnet))
        try:
            await runtime.create_network(network_spec(network))
        except RuntimeFailure as failure:
            if "verlap" not in failure.error.message:
                raise
            refusal = failure  # somebody was faster
        else:
            return network
    if refusal is not None:
        raise refusal
    raise NoTaskNetwork(
        "there is no network for awsvpc tasks, which are refused: no private subnet is free on this host. Remove Docker"
        " networks that are not used (docker network prune)"
    )


def _candidates(bridge: str) -> Iterator[IPv4Network]:
    """Another beginning for each bridge."""
    subnets = [subnet for pool in _POOLS for subnet in pool.subnets(new_prefix=_PREFIX)]
    first = int(sha256(bridge.encode()).hexdigest(), 16) % _ROTATED
    yield from (*subnets[first:_ROTATED], *subnets[:first], *subnets[_ROTATED:])


def _taken(bridge: str, subnets: Mapping[str, tuple[str, ...]], routes: Path) -> dict[IPv4Network, str]:
    """What has an address range already, but for the network of that bridge, with its holder in words."""
    found = {
        IPv4Network(subnet, strict=False): f"the Docker network {name}"
        for name, ranges in subnets.items()
        if name != bridge
        for subnet in ranges
    }
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        interface, destination, _, _, _, _, _, mask, *_ = line.split()
        prefix = _reversed(mask).bit_count()
        if interface != bridge and prefix >= _SHORTEST_ROUTE:
            found.setdefault(IPv4Network((_reversed(destination), prefix), strict=False), f"a route of {interface}")
    return found


def _reversed(digits: str) -> int:
    """The kernel writes addresses in the machine's byte order."""
    return int.from_bytes(bytes.fromhex(digits)[::-1])


def _holder(subnet: IPv4Network, taken: Mapping[IPv4Network, str]) -> str:
    """``""``: it is free."""
    return next((holder for other, holder in taken.items() if other.overlaps(subnet)), "")


def _read(file: Path) -> str:
    """The saved subnet; ``""``: there is none, or it cannot be read."""
    try:
        subnet = msgspec.json.decode(read_owned(file), type=_Saved).subnet
        return str(IPv4Network(subnet))
    except (OSError, UnsafeFile, ValueError, msgspec.DecodeError, UnicodeDecodeError):
        return ""

"""The network mode of a task, and what follows from it. Values only.

Source: engine.md §2.2, §7, §8; agent-protocol.md §5.3.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Interface, IPv4Network

import msgspec


class NetworkMode(Enum):
    """As ``networkMode`` names them. Ask for a property, not for the mode, where there is one."""

    DEFAULT = ""
    """Nothing is said: Docker's default network, which is a bridge."""
    BRIDGE = "bridge"
    HOST = "host"
    NONE = "none"
    AWSVPC = "awsvpc"

    @property
    def is_bridge(self) -> bool:
        """Each container has an address on a bridge of Docker's, and containers can be linked."""
        return self in (_DEFAULT, _BRIDGE)

    @property
    def publishes_ports(self) -> bool:
        """Docker publishes a container's ports as ports of the host, of which some may be chosen by the agent."""
        return self.is_bridge

    @property
    def has_port_bindings(self) -> bool:
        """Docker is asked to publish ports; with ``host`` and ``none`` it does not, and warns, as officially."""
        return self is not _AWSVPC

    @property
    def shares_host_ports(self) -> bool:
        """A container's port is the same port of the host."""
        return self is _HOST

    @property
    def has_one_port_number(self) -> bool:
        """In a port mapping ``hostPort`` is ``containerPort``, written or not."""
        return self in (_HOST, _AWSVPC)

    @property
    def reserves_host_ports(self) -> bool:
        """Host ports that the task names are counted among those of the instance.

        Quirk: with ``none`` too, although nothing listens there.
        """
        return self is not _AWSVPC

    @property
    def has_own_network(self) -> bool:
        """The task's traffic can be distinguished from the host's, and is measured."""
        return self not in (_HOST, _NONE)

    @property
    def has_task_address(self) -> bool:
        """The containers of a task share one network namespace, with an address of the task's own."""
        return self is _AWSVPC


_DEFAULT, _BRIDGE, _HOST = NetworkMode.DEFAULT, NetworkMode.BRIDGE, NetworkMode.HOST
_NONE, _AWSVPC = NetworkMode.NONE, NetworkMode.AWSVPC
"""Asked for every task; a name is found faster than a member of an enum."""


class TaskNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """The network of all awsvpc tasks of an agent."""

    bridge: str
    """Name of the bridge, and of the Docker network over it."""
    subnet: str
    """In CIDR notation."""

    @property
    def gateway(self) -> str:
        """This host's address on the bridge: the first of the subnet."""
        return str(IPv4Network(self.subnet)[1])


class TaskInterface(msgspec.Struct, frozen=True, kw_only=True):
    """The network interface of an awsvpc task, as ECS describes it. Source: agent-protocol.md §4.5."""

    eni_id: str
    attachment_arn: str = ""
    mac: str
    """In lower case, with colons."""
    ipv4: str
    """The task's own address."""
    gateway: str
    """Of its subnet, with the prefix length: ``10.213.0.1/20``."""
    private_dns_name: str = ""
    """``""``: it has none."""
    domain_name_servers: tuple[str, ...] = ()
    domain_names: tuple[str, ...] = ()
    """The search list."""

    @property
    def subnet(self) -> str:
        """In CIDR notation: ``10.213.0.0/20``."""
        return str(IPv4Interface(self.gateway).network)


def network_mode(text: str | None) -> NetworkMode | None:
    """The mode of that name, ``None`` or ``""`` for the default; ``None``: no such mode."""
    try:
        return NetworkMode(text or "")
    except ValueError:
        return None

"""The addresses of awsvpc tasks: which one a new task gets, and what follows from it.

An address belongs to its task until that is STOPPED. The next one is always the one that was given longest ago, so that
a connection of a task that has ended does not reach another one.

Source: control-plane.md §10.1; agent-protocol.md §4.5.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from ecscope.control.core.step import Step
from ecscope.model.network import TaskInterface

_FIRST = 4
"""Offset of the first address that a task can have: AWS keeps those before it, the second of which is the gateway."""


def new_interface(step: Step) -> TaskInterface | None:
    """With an address that no other task has; ``None``: none is free, or tasks have no network here."""
    subnet = _network(step.settings.task_subnet)
    address = _next_free(step, subnet) if subnet is not None else None
    if subnet is None or address is None:
        return None
    step.last_address = int(address)
    settings = step.settings
    domain = "ec2.internal" if settings.region == "us-east-1" else f"{settings.region}.compute.internal"
    return TaskInterface(
        eni_id=f"eni-{step.new_id()[:17]}",
        attachment_arn=f"arn:aws:ecs:{settings.region}:{settings.account}:attachment/{step.new_uuid()}",
        mac=f"02:ec:{address.packed.hex(':')}",
        ipv4=str(address),
        gateway=f"{subnet[1]}/{subnet.prefixlen}",
        private_dns_name=f"ip-{str(address).replace('.', '-')}.{domain}",
    )


@lru_cache(maxsize=4)
def _network(subnet: str | None) -> IPv4Network | None:
    return IPv4Network(subnet) if subnet else None


def _next_free(step: Step, subnet: IPv4Network) -> IPv4Address | None:
    first, end = int(subnet.network_address) + _FIRST, int(subnet.broadcast_address)
    start = step.last_address + 1 if first <= step.last_address < end else first
    for offset in range(end - first):
        address = IPv4Address(first + (start - first + offset) % (end - first))
        if str(address) not in step.addresses:
            return address
    return None

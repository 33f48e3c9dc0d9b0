"""Which host ports a container gets: those it asks for, and free ones chosen for the rest.

The agent chooses, not Docker. Whether a port is free is asked through ``is_free``; nothing is
opened here.

Source: engine.md §7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ecscope.model.container import NamedError, PortMapping

IsFree = Callable[[int, str], bool]


class NoPortError(Exception):
    """No host port is free; ``error`` is what ECS reports."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.error = NamedError(name="HostConfigError", message=f"error retrieving docker port map: {message}")


class HostPortChooser:
    """Scans upward from the last port it gave, wrapping once. One object per agent, used from one place."""

    def __init__(self, first: int, last: int) -> None:
        if not 0 < first <= last <= 65535:
            raise ValueError(f"no port range: {first}-{last}")
        self._first = first
        self._last = last
        self._last_given = first - 1

    def assign(self, mappings: Iterable[PortMapping], is_free: IsFree) -> Mapping[str, int]:
        """``"<container port>/<protocol>"`` → host port, ranges spelled out.

        Raises ``NoPortError``.
        """
        mappings = tuple(mappings)
        given: dict[str, int] = {}
        asked = {(mapping.host_port, mapping.protocol) for mapping in mappings}

        def is_free_here(port: int, protocol: str) -> bool:
            """Free on the host, and not another port of this container."""
            return (port, protocol) not in asked and is_free(port, protocol)

        for mapping in mappings:
            if mapping.container_port_range:
                low, _, high = mapping.container_port_range.partition("-")
                ports = range(int(low), int(high) + 1)
                start = self._block(len(ports), mapping.protocol, is_free_here)
                given.update({f"{port}/{mapping.protocol}": start + i for i, port in enumerate(ports)})
                asked |= {(start + i, mapping.protocol) for i in range(len(ports))}
            elif mapping.host_port > 0:
                given[f"{mapping.container_port}/{mapping.protocol}"] = mapping.host_port
            else:
                port = self._block(1, mapping.protocol, is_free_here)
                given[f"{mapping.container_port}/{mapping.protocol}"] = port
                asked.add((port, mapping.protocol))
        return given

    def assign_where_free(self, mappings: Iterable[PortMapping], is_free: IsFree) -> Mapping[str, int]:
        """Likewise, but each port under its own number where that is free, else under another, else under none."""
        given: dict[str, int] = {}

        def is_free_here(port: int, protocol: str) -> bool:
            taken = ((host_port, key.partition("/")[2]) for key, host_port in given.items())
            return (port, protocol) not in taken and is_free(port, protocol)

        others = []
        for mapping in mappings:
            ports = _container_ports(mapping)
            if all(is_free_here(port, mapping.protocol) for port in ports):
                given |= {f"{port}/{mapping.protocol}": port for port in ports}
            else:
                others.append(msgspec.structs.replace(mapping, host_port=0))
        for mapping in others:
            if all(f"{port}/{mapping.protocol}" in given for port in _container_ports(mapping)):
                continue  # another container of the task declares it, too
            try:
                given |= self.assign((mapping,), is_free_here)
            except NoPortError:
                continue
        return given

    def _block(self, length: int, protocol: str, is_free: IsFree) -> int:
        size = self._last - self._first + 1
        start = self._last_given + 1
        run = 0
        for step in range(size + length - 1):
            port = self._first + (start - self._first + step) % size
            if port == self._first:
                run = 0  # a block does not wrap
            run = run + 1 if is_free(port, protocol) else 0
            if run == length:
                self._last_given = port
                return port - length + 1
        if length == 1:
            raise NoPortError("a host port is unavailable")
        raise NoPortError(f"{length} contiguous host ports are unavailable")


def _container_ports(mapping: PortMapping) -> range:
    """Empty for a range that is none: its container is not created, with its own error."""
    if not mapping.container_port_range:
        return range(mapping.container_port, mapping.container_port + 1)
    low, _, high = mapping.container_port_range.partition("-")
    return range(int(low), int(high) + 1) if low.isdecimal() and high.isdecimal() else range(0)

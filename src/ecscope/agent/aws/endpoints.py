"""Which address an AWS service has in a region, and which proxy leads there. Names only, nothing is looked up.

Source: agent-protocol.md §2.2, §2.5; ``botocore/data/partitions.json`` 1.44.8 (suffixes by partition); the rules for
NO_PROXY are those of Go's ``golang.org/x/net/http/httpproxy``, which the official agent follows.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

_SUFFIXES = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
"""By the beginning of the region's name; ``us-gov-`` shares the suffix of all others."""
_PORTS = {"http": 80, "https": 443}
_PLAIN = {"ws": "http", "wss": "https"}


def ecs_endpoint(*, region: str, override: str) -> str:
    """Base URL of the ECS API, without a slash at its end. ``override``: ``ECS_BACKEND_HOST``, or ``""``."""
    if not override:
        return service_endpoint("ecs", region)
    return (override if "://" in override else f"https://{override}").rstrip("/")


def service_endpoint(service: str, region: str) -> str:
    """``https://<service>.<region>.<suffix of the partition>``."""
    suffix = next((suffix for begins, suffix in _SUFFIXES if region.startswith(begins)), "amazonaws.com")
    return f"https://{service}.{region}.{suffix}"


class ServiceEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where each service is: an endpoint that was set for it, else one for all, else the region's own.

    Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
    """

    of_all: str = ""
    """``AWS_ENDPOINT_URL``."""
    of_services: Mapping[str, str] = {}
    """By the name in signatures, as ``secretsmanager`` has ``AWS_ENDPOINT_URL_SECRETS_MANAGER``; ``""``: not set."""

    def of(self, service: str, region: str) -> str:
        """Base URL, without a slash at its end."""
        url = self.of_services.get(service) or self.of_all
        return url.rstrip("/") if url else service_endpoint(service, region)


def origin(url: str) -> str:
    """Scheme, host and port where one is given, as messages name an endpoint; never user information.

    Not even from what is not a valid URL because a password contains a slash.
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('/')[0]}"


def is_address(url: str) -> bool:
    """Whether something can be asked there at all: HTTP, a host, and a port that is a number."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in _PORTS and bool(host) and not any(character.isspace() for character in url)


class UnusableProxy(ValueError):
    """A variable does not name a usable proxy. The message never quotes it: it may contain a password."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"{variable} is not the address of an HTTP proxy: write http://host:port, if"
            " needed with user:password@ before the host and characters such as / @ % and blanks in it percent-encoded"
        )


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, as given. ``repr`` hides the passwords that may be in them."""

    http: str = ""
    """``""``: none. Without a scheme, ``http`` is assumed."""
    https: str = ""
    no_proxy: str = ""
    """Hosts, domains (with what is below them), ``.domains`` (only what is below), addresses and networks, each
    with a port if need be, with commas between; ``*``: everything."""

    def for_url(self, url: str) -> str | None:
        """URL of the proxy to take, ``None``: go straight there. Websockets go the way of HTTP.

        Raises ``UnusableProxy``.
        """
        parts = urlsplit(url)
        scheme = _PLAIN.get(parts.scheme, parts.scheme)
        proxy = self.https if scheme == "https" else self.http
        host = (parts.hostname or "").rstrip(".")
        if not proxy or _is_this_host(host) or self._excepts(host, parts.port or _PORTS.get(scheme, 0)):
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        if not is_address(proxy):
            raise UnusableProxy("HTTPS_PROXY" if scheme == "https" else "HTTP_PROXY")
        return proxy

    def _excepts(self, host: str, port: int) -> bool:
        entries = (entry.strip().lower() for entry in self.no_proxy.split(","))
        return any(_covers(entry, host, port) for entry in entries if entry)

    def __repr__(self) -> str:
        return f"Proxies(http={origin(self.http)!r}, https={origin(self.https)!r}, no_proxy={self.no_proxy!r})"


def _is_this_host(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, entry_port = _split_port(entry)
    if entry_port is not None and entry_port != port:
        return False
    if (entry_address := _address(name)) is not None:
        return entry_address == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int | None]:
    name, colon, port = entry.rpartition(":")
    if not colon or not port.isdigit() or _address(entry) is not None:
        return entry.strip("[]"), None
    return name.strip("[]"), int(port)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None

"""Where the Docker Engine listens: ``DOCKER_HOST`` taken apart. Source: configuration.md (``DOCKER_HOST``)."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"


class InvalidEndpoint(ValueError):
    """The endpoint cannot be used; the message says what to write."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A socket path or a host with a port, and the text it came from."""

    text: str
    socket_path: str = ""
    """``""``: not a unix socket."""
    base_url: str
    """What request paths are put behind."""


def parse_endpoint(text: str) -> Endpoint:
    """Take ``unix:///path`` or ``tcp://host:port`` apart.

    Raises:
        InvalidEndpoint: anything else.
    """
    advice = "write unix:///path/to/docker.sock or tcp://host:port"
    scheme, separator, rest = text.partition("://")
    if scheme == "unix" and separator:
        if not rest.startswith("/"):
            raise InvalidEndpoint(f"Docker endpoint {text!r} is not an absolute socket path: {advice}")
        return Endpoint(text=text, socket_path=rest, base_url="http://docker")
    if scheme == "tcp" and separator:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidEndpoint(f"Docker endpoint {text!r} has a bad host or port ({error}): {advice}") from error
        if not host or port is None or parts.path not in ("", "/") or parts.username is not None:
            raise InvalidEndpoint(f"Docker endpoint {text!r} needs a host and a port and nothing else: {advice}")
        return Endpoint(text=text, base_url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
    raise InvalidEndpoint(f"Docker endpoint {text!r} is not supported: {advice}")

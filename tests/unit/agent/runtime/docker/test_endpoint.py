"""``DOCKER_HOST`` is understood, or refused with what to write instead."""

from __future__ import annotations

import pytest

from ecscope.agent.runtime.docker.endpoint import Endpoint, InvalidEndpoint, parse_endpoint
from tests.tables import each_row


@pytest.mark.parametrize(
    ("text", "socket_path", "base_url"),
    [
        ("unix:///var/run/docker.sock", "/var/run/docker.sock", "http://docker"),
        ("tcp://127.0.0.1:2375", "", "http://127.0.0.1:2375"),
        ("tcp://engine.example:2375/", "", "http://engine.example:2375"),
        ("tcp://[::1]:2375", "", "http://[::1]:2375"),
    ],
)
def test_what_is_understood(text: str, socket_path: str, base_url: str) -> None:
    assert parse_endpoint(text) == Endpoint(text=text, socket_path=socket_path, base_url=base_url)


@each_row(
    "text, reason",
    [
        ("", "is not supported"),
        ("/var/run/docker.sock", "is not supported"),
        ("unix:/var/run/docker.sock", "is not supported"),
        ("npipe:////./pipe/docker", "is not supported"),
        ("unix://run/docker.sock", "is not an absolute socket path"),
        ("tcp://127.0.0.1", "needs a host and a port and nothing else"),
        ("tcp://:2375", "needs a host and a port and nothing else"),
        ("tcp://h:2375/v1", "needs a host and a port and nothing else"),
        ("tcp://user@h:2375", "needs a host and a port and nothing else"),
        ("tcp://h:port", "has a bad host or port"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        parse_endpoint(text)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("write unix:///path/to/docker.sock or tcp://host:port")

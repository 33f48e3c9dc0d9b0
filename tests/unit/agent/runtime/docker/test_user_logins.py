"""Logins come from ``config.json`` and programs that it names, run as its owner; what fails costs only the login."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecscope.agent.runtime.docker.auth import registry_auth_header
from ecscope.agent.runtime.docker.user_logins import UserLogins
from ecscope.agent.runtime.interface import RegistryAuth

IMAGE, SERVER = "registry.example/team/app:1", "registry.example"
ENCODED = b64encode(b"me:pass:word").decode()


class Home:
    """A user's files, with programs that say what they are told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.json"

    def write(self, **config: Any) -> None:
        self.config.write_text(json.dumps(config))

    def program(self, helper: str, script: str) -> None:
        path = self.folder / f"docker-credential-{helper}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def logins(self, **settings: Any) -> UserLogins:
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "AWS_ACCESS_KEY_ID": "ours", "HOME": "/root"}
        return UserLogins(self.config, environment=environment, **settings)


@pytest.fixture
def home() -> Iterator[Home]:
    """Where another user may go as well."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Home(Path(folder))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": ENCODED}, RegistryAuth(username="me", password="pass:word", server_address=SERVER)),
        ({"username": "me", "password": "x"}, RegistryAuth(username="me", password="x", server_address=SERVER)),
        ({"auth": ENCODED, "identitytoken": "t"}, RegistryAuth(identity_token="t", server_address=SERVER)),
        ({}, None),
    ],
)
async def test_of_the_file(home: Home, entry: dict[str, str], expected: RegistryAuth | None) -> None:
    logins = home.logins()
    assert await logins.of(IMAGE) is None, "there is no file yet"
    home.write(auths={f"https://{SERVER}/v2/": entry})
    assert await logins.of(IMAGE) == expected
    assert await logins.of("other.example/app") is None


async def test_of_a_program(home: Home) -> None:
    home.write(auths={SERVER: {}}, credsStore="of-all", credHelpers={"token.example": "of-one"})
    home.program(
        "of-all", 'read server; echo "{\\"Username\\":\\"of $server\\",\\"Secret\\":\\"$1 $AWS_ACCESS_KEY_ID\\"}"'
    )
    home.program("of-one", 'echo \'{"Username":"<token>","Secret":"t"}\'')
    logins = home.logins()
    found = await logins.of(IMAGE)
    assert found == RegistryAuth(username=f"of {SERVER}", password="get ", server_address=SERVER), "with no key of ours"
    by_token = await logins.of("token.example/a")
    assert by_token is not None
    assert by_token.identity_token == "t"
    assert "identitytoken" in json.loads(urlsafe_b64decode(registry_auth_header(by_token)))
    assert "of registry" not in repr(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
async def test_the_program_runs_as_the_owner_of_the_file(home: Home) -> None:
    home.write(credsStore="who")
    os.chown(home.config, 1, 1)
    home.program("who", 'echo "{\\"Username\\":\\"$(id -un) $(id -gn) $HOME\\",\\"Secret\\":\\"x\\"}"')
    found = await home.logins().of(IMAGE)
    assert found is not None
    assert found.username == "daemon daemon /usr/sbin"


@pytest.mark.parametrize(
    ("config", "script", "said"),
    [
        ({"credsStore": "x"}, "echo credentials not found in native keychain; exit 1", ""),
        ({"credsStore": "x"}, "echo secret is 1234; exit 3", "docker-credential-x, which .* names, ended with code 3"),
        ({"credsStore": "x"}, "echo secret is 1234", "answered with something else than a login"),
        ({"credsStore": "x"}, "sleep 100", "gives no answer in 0.3 s"),
        ({"credsStore": "gone"}, "", "docker-credential-gone, which .* cannot be run: No such file"),
        ({"credsStore": "../x"}, "", "which is not a name"),
        ({"auths": {SERVER: {"auth": "1234"}}}, "", "the login under 'registry.example' cannot be read"),
        ({"auths": 1234}, "", "is not a config.json of Docker"),
    ],
)
async def test_without_a_login(
    home: Home, caplog: pytest.LogCaptureFixture, config: dict[str, Any], script: str, said: str
) -> None:
    home.write(**config)
    home.program("x", script)
    logins = home.logins(helper_s=0.3 if "sleep" in script else 10)
    with caplog.at_level(logging.WARNING):
        assert await logins.of(IMAGE) is None
        assert await logins.of(IMAGE) is None
    assert len(caplog.records) == (1 if said else 0), "once"
    if said:
        assert caplog.records[0].getMessage().startswith("images of registry.example are pulled without a login: ")
        assert re.search(said, caplog.text)
    assert "1234" not in caplog.text


async def test_what_would_hang(home: Home) -> None:
    os.mkfifo(home.config)
    assert await home.logins().of(IMAGE) is None

"""The right registry gets the right credentials, others get none, and no secret is ever told."""

from __future__ import annotations

import base64
import json

import pytest

from ecscope.agent.runtime.docker.auth import (
    HUB_KEY,
    InvalidEngineAuth,
    credentials_for,
    parse_engine_auth,
    registry_auth_header,
)
from ecscope.agent.runtime.interface import RegistryAuth

SECRET = "s3cr:et"  # with a colon: only the first one separates


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_dockercfg() -> None:
    data = json.dumps({"https://h.example": {"auth": encoded(f"me:{SECRET}\0\0"), "email": "a@b"}})
    assert parse_engine_auth("dockercfg", data) == {
        "h.example": RegistryAuth(username="me", password=SECRET, email="a@b", server_address="https://h.example")
    }


def test_docker() -> None:
    data = json.dumps({"http://h.example/ns": {"username": "me", "password": SECRET, "email": "a@b"}})
    assert parse_engine_auth("docker", data) == {
        "h.example/ns": RegistryAuth(username="me", password=SECRET, email="a@b", server_address="http://h.example/ns")
    }


def test_no_type_means_none() -> None:
    assert parse_engine_auth("", "anything") == {}


@pytest.mark.parametrize(
    ("auth_type", "data", "reason"),
    [
        ("Docker", "{}", "ECS_ENGINE_AUTH_TYPE 'Docker' is not known: write docker or dockercfg"),
        ("docker", SECRET, 'asks for: {"<registry>":{"username":"…","password":"…"}}'),
        ("docker", json.dumps({"h": {"password": [SECRET]}}), "is not of the form"),
        ("docker", json.dumps({"h": SECRET}), "is not of the form"),
        ("docker", f'{{"h": "{SECRET}\udcff"}}', "is not of the form"),
        ("dockercfg", json.dumps({"h": {"password": SECRET}}), "base64 of user:password"),
        ("dockercfg", json.dumps({"h": {"auth": SECRET}}), "auth of 'h' is not the base64 form of user:password"),
        ("dockercfg", json.dumps({"h": {"auth": encoded("s3cr")}}), "auth of 'h' is not the base64 form"),
        ("dockercfg", json.dumps({"h": {"auth": "/w=="}}), "auth of 'h' is not the base64 form"),
    ],
)
def test_bad_data_is_explained_without_its_secrets(auth_type: str, data: str, reason: str) -> None:
    with pytest.raises(InvalidEngineAuth) as caught:
        parse_engine_auth(auth_type, data)
    assert reason in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cr" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("busybox", HUB_KEY),
        ("ns/app:1", HUB_KEY),
        ("docker.io/ns/app", HUB_KEY),
        ("registry-1.docker.io/ns/app", HUB_KEY),
        ("h.example/app", "h.example"),
        ("h.example/ns/app:1", "h.example/ns"),
        ("h.example/ns2/app", "h.example"),
        ("h.example/ns/deep/app", "h.example/ns/deep/"),
        ("h.example:5000/app", None),
        ("other.example/app", None),
        ("NOT A REFERENCE", None),
    ],
)
def test_whose_credentials_are_used(image: str, key: str | None) -> None:
    keys = [HUB_KEY, "h.example", "h.example/ns", "h.example/ns/deep/", "docker.io"]
    credentials = {name: RegistryAuth(username=name) for name in keys}
    found = credentials_for(image, credentials)
    assert (found.username if found else None) == key


def test_the_hub_has_one_key_only() -> None:
    assert credentials_for("busybox", {"docker.io": RegistryAuth(username="x")}) is None


def test_the_header_is_what_the_engine_reads() -> None:
    auth = RegistryAuth(username="me", password="ü?>", email="a@b", server_address="h.example")
    header = registry_auth_header(auth)
    assert not set(header) & set("+/")
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": "me",
        "password": "ü?>",
        "email": "a@b",
        "serveraddress": "h.example",
    }

"""The right registry gets the right credentials, others get none, and no secret is ever told."""

from __future__ import annotations

import base64
import json

import pytest

from ecscope.agent.runtime.docker.auth import (
    HUB_KEY,
    EngineAuth,
    credentials_for,
    parse_engine_auth,
    registry_auth_header,
)
from ecscope.agent.runtime.interface import RegistryAuth
from tests.tables import each_row

SECRET = "s3cr:et"  # with a colon: only the first one separates


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_dockercfg() -> None:
    data = json.dumps({"https://h.example": {"auth": encoded(f"me:{SECRET}\0\0"), "email": "a@b"}})
    expected = RegistryAuth(username="me", password=SECRET, email="a@b", server_address="https://h.example")
    assert parse_engine_auth("dockercfg", data) == EngineAuth(credentials={"h.example": expected})


def test_docker() -> None:
    data = json.dumps({"http://h.example/ns": {"username": "me", "password": SECRET, "email": "a@b"}})
    expected = RegistryAuth(username="me", password=SECRET, email="a@b", server_address="http://h.example/ns")
    assert parse_engine_auth("docker", data) == EngineAuth(credentials={"h.example/ns": expected})


def test_no_type_means_none() -> None:
    assert parse_engine_auth("", "anything") == EngineAuth()


GOOD = {
    "docker": {"username": "me", "password": SECRET, "email": None},
    "dockercfg": {"auth": encoded(f"me:{SECRET}"), "email": None},
}


@pytest.mark.parametrize("auth_type", GOOD)
@pytest.mark.parametrize("odd", [{}, None, 7, [], {"auth": "?"}, {"auth": SECRET}, {"password": SECRET}, SECRET])
def test_an_odd_entry_costs_no_other_registry(auth_type: str, odd: object) -> None:
    found = parse_engine_auth(auth_type, json.dumps({"odd.example": odd, "h.example": GOOD[auth_type]}))
    assert found.credentials == {
        "h.example": RegistryAuth(username="me", password=SECRET, email="", server_address="h.example")
    }
    (warning,) = found.warnings
    assert "'odd.example'" in warning
    assert SECRET not in warning


@pytest.mark.parametrize("auth_type", GOOD)
def test_the_nested_form_of_docker_is_explained(auth_type: str) -> None:
    found = parse_engine_auth(auth_type, json.dumps({"auths": {"h.example": GOOD["dockercfg"]}}))
    assert not found.credentials
    assert "give only the object under it" in found.warnings[0]


@each_row(
    "auth_type, data, reason",
    [
        ("Docker", "{}", "ECS_ENGINE_AUTH_TYPE 'Docker' is not known: write docker or dockercfg"),
        ("docker", SECRET, 'asks for: {"<registry>":{"username":"…","password":"…"}}'),
        ("docker", json.dumps({"h": {"password": [SECRET]}}), "'h' lacks a username or password"),
        ("docker", json.dumps([SECRET]), "is not of the form"),
        ("docker", f'{{"h": "{SECRET}\udcff"}}', "is not of the form"),
        ("dockercfg", json.dumps({"h": {"password": SECRET}}), "'h' has no auth"),
        ("dockercfg", json.dumps({"h": {"auth": SECRET}}), "auth of 'h' is not the base64 form of user:password"),
        ("dockercfg", json.dumps({"h": {"auth": encoded("s3cr")}}), "auth of 'h' is not the base64 form"),
        ("dockercfg", json.dumps({"h": {"auth": "/w=="}}), "auth of 'h' is not the base64 form"),
    ],
)
def test_bad_data_is_explained_without_its_secrets(auth_type: str, data: str, reason: str) -> None:
    found = parse_engine_auth(auth_type, data)
    assert not found.credentials
    (warning,) = found.warnings
    assert reason in warning
    assert "s3cr" not in warning


@each_row(
    "image, key",
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


@pytest.mark.parametrize("key", ["https://h.example", "http://h.example/v1/", "h.example/v2/", "h.example/other/team"])
def test_a_key_with_scheme_or_path_counts_for_its_host(key: str) -> None:
    data = json.dumps({key: GOOD["docker"], "h.example.org": GOOD["docker"]})
    found = credentials_for("h.example/ns/app:1", parse_engine_auth("docker", data).credentials)
    assert found is not None
    assert found.server_address == key


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

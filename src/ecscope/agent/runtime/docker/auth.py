"""Registry credentials from ``ECS_ENGINE_AUTH_TYPE`` and ``ECS_ENGINE_AUTH_DATA``.

Secrets stay in ``RegistryAuth``, which never prints them: no message here quotes the data.

Source: engine.md §4.4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ecscope.agent.runtime.interface import RegistryAuth
from ecscope.model.image_reference import ImageReference, InvalidImageReference, parse_image_reference

T = TypeVar("T")

HUB_KEY = "index.docker.io/v1/"
"""The one key under which credentials for Docker Hub stand."""


class InvalidEngineAuth(ValueError):
    """The two variables cannot be used; the message says why, without any secret."""


class _DockercfgEntry(msgspec.Struct):
    auth: str
    email: str = ""


class _DockerEntry(msgspec.Struct):
    username: str = ""
    password: str = ""
    email: str = ""


def parse_engine_auth(auth_type: str, auth_data: str) -> dict[str, RegistryAuth]:
    """Credentials by registry key, ``http://`` and ``https://`` stripped from the keys; no type means none.

    Raises:
        InvalidEngineAuth: unknown type, or data of another form.
    """
    match auth_type:
        case "":
            return {}
        case "dockercfg":
            entries = _decode(
                auth_data, dict[str, _DockercfgEntry], '{"<registry>":{"auth":"<base64 of user:password>"}}'
            )
            return {_key(key): _from_dockercfg(key, entry) for key, entry in entries.items()}
        case "docker":
            plain = _decode(auth_data, dict[str, _DockerEntry], '{"<registry>":{"username":"…","password":"…"}}')
            return {
                _key(key): RegistryAuth(
                    username=entry.username, password=entry.password, email=entry.email, server_address=key
                )
                for key, entry in plain.items()
            }
        case _:
            raise InvalidEngineAuth(f"ECS_ENGINE_AUTH_TYPE {auth_type!r} is not known: write docker or dockercfg")


def credentials_for(image: str, credentials: Mapping[str, RegistryAuth]) -> RegistryAuth | None:
    """The credentials to pull ``image`` with, ``None`` when there are none for its registry.

    For other registries than Docker Hub the longest key wins that is the host, or the host
    with the beginning of the path, whole parts only.
    """
    try:
        reference = parse_image_reference(image)
    except InvalidImageReference:
        return None  # Docker will refuse the name; that error says more than one about credentials
    if reference.is_hub:
        return credentials.get(HUB_KEY)
    matching = [key for key in credentials if _covers(key, reference)]
    return credentials[max(matching, key=len)] if matching else None


def registry_auth_header(auth: RegistryAuth) -> str:
    """The value of ``X-Registry-Auth``."""
    document = {
        "username": auth.username,
        "password": auth.password,
        "email": auth.email,
        "serveraddress": auth.server_address,
    }
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).decode()


def _covers(key: str, reference: ImageReference) -> bool:
    prefix = key.rstrip("/")
    return reference.name == prefix or reference.name.startswith(f"{prefix}/")


def _key(registry: str) -> str:
    return registry.removeprefix("http://").removeprefix("https://")


def _from_dockercfg(key: str, entry: _DockercfgEntry) -> RegistryAuth:
    try:
        user, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = user = password = ""
    if not colon:
        raise InvalidEngineAuth(f"ECS_ENGINE_AUTH_DATA: auth of {key!r} is not the base64 form of user:password")
    # Docker's own files may carry NUL bytes behind the password.
    return RegistryAuth(username=user, password=password.strip("\0"), email=entry.email, server_address=key)


def _decode(data: str, kind: type[T], form: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError):
        pass
    # Raised out here, without the cause: its text could quote a secret.
    raise InvalidEngineAuth(f"ECS_ENGINE_AUTH_DATA is not of the form that ECS_ENGINE_AUTH_TYPE asks for: {form}")

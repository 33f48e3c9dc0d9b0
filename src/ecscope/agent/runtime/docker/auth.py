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


_FORMS = {
    "docker": '{"<registry>":{"username":"…","password":"…"}}',
    "dockercfg": '{"<registry>":{"auth":"<base64 of user:password>"}}',
}
_NESTED = "auths"
"""The key under which Docker's own ``config.json`` has all registries."""


class EngineAuth(msgspec.Struct, frozen=True, kw_only=True):
    """What the two variables give."""

    credentials: Mapping[str, RegistryAuth] = {}
    """By registry key, ``http://`` and ``https://`` stripped."""
    warnings: tuple[str, ...] = ()
    """What could not be used, and why; without any secret."""


class _InvalidEntry(ValueError):
    """Why one registry's credentials cannot be used; the message has no secret."""


class _DockercfgEntry(msgspec.Struct):
    auth: str
    email: str | None = None


class _DockerEntry(msgspec.Struct):
    username: str
    password: str
    email: str | None = None


def parse_engine_auth(auth_type: str, auth_data: str) -> EngineAuth:
    """Read each registry separately: an unusable one does not affect the others. No type means none."""
    if not auth_type:
        return EngineAuth()
    if auth_type not in _FORMS:
        return EngineAuth(warnings=(f"ECS_ENGINE_AUTH_TYPE {auth_type!r} is not known: write docker or dockercfg",))
    entries = _decode(auth_data, dict[str, msgspec.Raw])
    if entries is None:
        reason = f"ECS_ENGINE_AUTH_DATA is not of the form that ECS_ENGINE_AUTH_TYPE asks for: {_FORMS[auth_type]}"
        return EngineAuth(warnings=(reason,))
    credentials: dict[str, RegistryAuth] = {}
    warnings: list[str] = []
    for key, entry in entries.items():
        try:
            credentials[_key(key)] = _read_entry(auth_type, key, entry)
        except _InvalidEntry as error:
            warnings.append(f"ECS_ENGINE_AUTH_DATA: {error}")
    return EngineAuth(credentials=credentials, warnings=tuple(warnings))


def _read_entry(auth_type: str, key: str, entry: msgspec.Raw) -> RegistryAuth:
    if key == _NESTED:
        raise _InvalidEntry(
            f'the registries are inside "{_NESTED}", as in config.json of Docker: give only the object under it, '
            f"{_FORMS['dockercfg']}, with ECS_ENGINE_AUTH_TYPE=dockercfg"
        )
    if auth_type == "dockercfg":
        encoded = _decode(entry, _DockercfgEntry)
        if encoded is None:
            raise _InvalidEntry(f"{key!r} has no auth: the form is {_FORMS[auth_type]}")
        return _from_dockercfg(key, encoded)
    plain = _decode(entry, _DockerEntry)
    if plain is None:
        raise _InvalidEntry(f"{key!r} lacks a username or password: the form is {_FORMS[auth_type]}")
    return RegistryAuth(username=plain.username, password=plain.password, email=plain.email or "", server_address=key)


def credentials_for(image: str, credentials: Mapping[str, RegistryAuth]) -> RegistryAuth | None:
    """The credentials to pull ``image`` with, ``None`` when there are none for its registry.

    For other registries than Docker Hub the longest key wins that is the host, or the host with the
    beginning of the path, whole parts only. Where none is, the shortest key of the same host is used, whatever
    its path (``https://host/v1/``).
    """
    try:
        reference = parse_image_reference(image)
    except InvalidImageReference:
        return None  # Docker will refuse the name; that error says more than one about credentials
    if reference.is_hub:
        return credentials.get(HUB_KEY)
    if matching := [key for key in credentials if _covers(key, reference)]:
        return credentials[max(matching, key=len)]
    same_host = [key for key in credentials if key.partition("/")[0] == reference.name.partition("/")[0]]
    return credentials[min(same_host, key=len)] if same_host else None


def registry_auth_header(auth: RegistryAuth) -> str:
    """The value of ``X-Registry-Auth``."""
    document = {
        "username": auth.username,
        "password": auth.password,
        "email": auth.email,
        "serveraddress": auth.server_address,
    }
    if auth.identity_token:
        document["identitytoken"] = auth.identity_token
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
        raise _InvalidEntry(f"auth of {key!r} is not the base64 form of user:password")
    # Docker's own files may carry NUL bytes behind the password.
    return RegistryAuth(username=user, password=password.strip("\0"), email=entry.email or "", server_address=key)


def _decode(data: str | msgspec.Raw, kind: type[T]) -> T | None:
    """``None``: of another form. The error goes no further: its text could quote a secret."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError):
        return None

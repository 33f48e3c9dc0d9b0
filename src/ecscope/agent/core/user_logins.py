"""Which of a user's Docker logins an image is pulled with, by the rules of Docker's own command line. Pure.

Source: docker/cli, ``cli/config/configfile`` and ``cli/config/credentials``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ecscope.model.image_reference import InvalidImageReference, parse_image_reference

HUB = "https://index.docker.io/v1/"
"""The server under which the login to Docker Hub is kept."""


class LoginPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Where ``config.json`` says that logins are."""

    helpers: Mapping[str, str] = {}
    """``credHelpers``: server → end of the name of a program."""
    store: str = ""
    """``credsStore``: that of all other servers; ``""``: they are in the file."""


def server_of(image: str) -> str:
    """What the login for an image is kept under; ``""``: it is not the reference of an image."""
    try:
        reference = parse_image_reference(image)
    except InvalidImageReference:
        return ""
    return HUB if reference.is_hub else reference.host


def helper_for(server: str, places: LoginPlaces) -> str:
    """The program ``docker-credential-…`` that is asked; ``""``: none, the file has the login."""
    return places.helpers.get(server, places.store)


def key_in_file(server: str, keys: Iterable[str]) -> str | None:
    """The key of ``auths`` that has the login: the server, else one with the same host. ``None``: there is none."""
    listed = tuple(keys)
    if server in listed:
        return server
    return next((key for key in listed if _host(key) == _host(server)), None)


def _host(server: str) -> str:
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]

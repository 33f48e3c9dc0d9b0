"""Which login of a user an image is pulled with, as Docker's command line chooses it."""

from __future__ import annotations

from ecscope.agent.core.user_logins import HUB, LoginPlaces, helper_for, key_in_file, server_of
from tests.tables import each_row


@each_row(
    "image, server",
    [
        ("nginx", HUB),
        ("docker.io/team/app:1", HUB),
        ("registry.example:5000/team/app", "registry.example:5000"),
        ("localhost/app", "localhost"),
        ("Not an image", ""),
    ],
)
def test_the_server(image: str, server: str) -> None:
    assert server_of(image) == server


def test_a_helper_of_one_server_goes_before_the_store_of_all() -> None:
    places = LoginPlaces(helpers={"a.example": "ecr-login"}, store="pass")
    assert (helper_for("a.example", places), helper_for("b.example", places)) == ("ecr-login", "pass")
    assert helper_for("b.example", LoginPlaces(helpers={"a.example": "x"})) == ""


@each_row(
    "server, keys, key",
    [
        (HUB, [HUB], HUB),
        ("a.example", ["b.example", "a.example"], "a.example"),
        ("a.example", ["https://a.example/v1/"], "https://a.example/v1/"),
        ("a.example", ["https://a.example/v1/", "a.example"], "a.example"),
        ("a.example", ["a.example:5000", "a.example.org"], None),
        ("a.example", [], None),
    ],
)
def test_the_key_in_the_file(server: str, keys: list[str], key: str | None) -> None:
    assert key_in_file(server, keys) == key

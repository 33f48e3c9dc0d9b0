"""A ``Host`` that somebody else could own in the DNS is refused, whatever it looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.servers.diagnostics.hosts import is_allowed, names_of
from tests.tables import each_row

NAMES = names_of("build-7.Example.org")


def test_the_names_of_a_host() -> None:
    assert NAMES == ("build-7.Example.org", "build-7")
    assert names_of("laptop") == ("laptop",)


@each_row(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:51680", "10.0.0.5:8080", "0.0.0.0", "[::1]", "[::1]:51680", "[fe80::1%25eth0]:51680"),
        *("localhost", "localhost:51680", "LOCALHOST", "localhost.", "localhost:"),
        *("build-7", "BUILD-7:51680", "build-7.example.org", "build-7.example.org.:51680"),
    ],
)  # fmt: skip
def test_addresses_localhost_and_the_host_itself(host: str) -> None:
    assert is_allowed(host, NAMES)


@each_row(
    "host",
    [
        *("", ":51680", "evil.example", "evil.example:51680", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("build-7.evil.example", "build-7.example.org.evil.example", "example.org", "127.1", "2130706433", "0x7f.1"),
        *("::1", "[::1", "[::1]x", "[localhost]", "[evil.example]", "localhost:x", "localhost:1:2", "user@localhost"),
        *("localhost evil.example", "localhost,evil.example", "localhost\n", "127.0.0.1/evil", "[1.2.3.4.5]"),
    ],
)  # fmt: skip
def test_everything_else(host: str) -> None:
    assert not is_allowed(host, NAMES)


def test_a_host_without_a_name_has_no_empty_one() -> None:
    assert not is_allowed("", names_of(""))
    assert not is_allowed(".", names_of(""))


@given(st.from_regex(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.example", fullmatch=True))
def test_no_other_name(host: str) -> None:
    assert not is_allowed(host, NAMES)

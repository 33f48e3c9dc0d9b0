"""References get their tag; IDs have the form of Docker's and repeat."""

from __future__ import annotations

from ecscope.agent.runtime.simulated.names import digest_of, tagged


def test_a_reference_gets_its_tag_and_what_is_none_stays() -> None:
    assert tagged("nginx") == "nginx:latest"
    assert tagged("nginx:1.25") == "nginx:1.25"
    assert tagged("NOT VALID") == "NOT VALID"


def test_ids_differ_by_each_part() -> None:
    assert len(digest_of("a")) == 64
    assert digest_of("a", "b") == digest_of("a", "b")
    assert len({digest_of("a", "b"), digest_of("ab"), digest_of("b", "a")}) == 3

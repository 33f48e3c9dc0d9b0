"""Pages give every entry once, whatever their size; a token serves the request it came from and no other."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.control.api.pages import page
from ecscope.control.core.errors import ApiError


def words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


def a_page(items: list[str], action: str = "ListTasks", **body: Any) -> dict[str, Any]:
    return page(action, body, "words", items, key=str, show=str.upper)


@given(count=st.integers(0, 250), size=st.integers(1, 100))
def test_pages_together_are_the_list(count: int, size: int) -> None:
    seen: list[str] = []
    answer = a_page(words(count), maxResults=size)
    while True:
        assert len(answer["words"]) <= size
        seen += answer["words"]
        if "nextToken" not in answer:
            break
        answer = a_page(words(count), maxResults=size, nextToken=answer["nextToken"])
    assert seen == [word.upper() for word in words(count)]


@pytest.mark.parametrize(
    ("action", "size"), [("ListTasks", 100), ("ListServices", 10), ("ListServiceDeployments", 20), ("Any", 100)]
)
def test_pages_have_a_size_by_default(action: str, size: int) -> None:
    assert len(a_page(words(150), action)["words"]) == size


@pytest.mark.parametrize("size", [0, -1, 101])
def test_a_page_has_bounds(size: int) -> None:
    with pytest.raises(ApiError, match="from 1 to 100"):
        a_page(words(3), maxResults=size)


def test_the_size_may_change_from_page_to_page() -> None:
    token = a_page(words(10), maxResults=3)["nextToken"]
    assert a_page(words(10), maxResults=2, nextToken=token)["words"] == ["W3", "W4"]


def test_a_list_that_changed_goes_on_after_the_last_entry() -> None:
    token = a_page(words(10), maxResults=3)["nextToken"]
    assert a_page(words(10)[1:], nextToken=token)["words"][0] == "W3"
    assert a_page(words(10)[:3] + words(10)[4:], nextToken=token)["words"][0] == "W4"
    assert a_page([], nextToken=token) == {"words": []}
    assert a_page(words(10)[4:], nextToken=token)["words"] == ["W7", "W8", "W9"]  # by number: nothing else is left


@pytest.mark.parametrize("size", [1, 3, 10])
def test_whoever_takes_each_entry_off_the_list_sees_all(size: int) -> None:
    """As a script that stops every running task, page by page."""
    left, seen, token = words(10), list[str](), {}
    while True:
        answer = a_page(left, maxResults=size, **token)
        seen += answer["words"]
        left = [word for word in left if word.upper() not in seen]
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert seen == [word.upper() for word in words(10)]


def test_a_list_is_taken_no_further_than_the_page_goes() -> None:
    taken: list[str] = []

    def listed() -> Iterator[str]:
        for word in words(10):
            taken.append(word)
            yield word

    page("ListTasks", {"maxResults": 3}, "words", listed(), key=str, show=str)
    assert taken == words(4)


def test_a_token_belongs_to_its_request() -> None:
    token = a_page(words(10), maxResults=3, cluster="a")["nextToken"]
    for action, body in (("ListTasks", {"cluster": "b"}), ("ListServices", {"cluster": "a"}), ("ListTasks", {})):
        with pytest.raises(ApiError, match="Invalid token"):
            a_page(words(10), action, nextToken=token, **body)


@pytest.mark.parametrize(
    "token", ["x", "é", "AAAA", urlsafe_b64encode(b"[]").decode(), urlsafe_b64encode(b'["",-1,"",""]').decode()]
)
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(ApiError, match="Invalid token"):
        a_page(words(3), nextToken=token)

"""Paths are cleaned, and queries read, as Go's mux and ``net/url`` do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.servers import targets
from tests.tables import each_row

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60).map(str.encode)
SEGMENTS = st.lists(st.sampled_from((b"", b".", b"..", b"a", b"b%2Fc", b"...")), max_size=8).map(b"/".join)


@each_row(
    "path, cleaned",
    [
        (b"", b"/"),
        (b"/", b"/"),
        (b"//", b"/"),
        (b"/v1/tasks", b"/v1/tasks"),
        (b"/v1/tasks/", b"/v1/tasks/"),
        (b"//v1//tasks", b"/v1/tasks"),
        (b"/v1/x/../metadata", b"/v1/metadata"),
        (b"/v1/./metadata", b"/v1/metadata"),
        (b"/v1/metadata/.", b"/v1/metadata"),
        (b"/v1/metadata/..", b"/v1"),
        (b"/../../etc/", b"/etc/"),
        (b"/..", b"/"),
        (b"///evil.example/x", b"/evil.example/x"),
    ],
)
def test_clean(path: bytes, cleaned: bytes) -> None:
    assert targets.clean(path) == cleaned


@given(SEGMENTS)
def test_a_clean_path_stays_as_it_is_and_leads_nowhere_else(path: bytes) -> None:
    cleaned = targets.clean(b"/" + path)
    assert targets.clean(cleaned) == cleaned
    assert cleaned.startswith(b"/")
    assert not cleaned.startswith(b"//")


@each_row(
    "target, parts",
    [
        (b"/v1/tasks", (b"/v1/tasks", b"")),
        (b"/v1/tasks?a=b?c", (b"/v1/tasks", b"a=b?c")),
        (b"//v1?x", (b"//v1", b"x")),
        (b"http://host/v1/tasks?a", (b"/v1/tasks", b"a")),
        (b"http://[::1]:51678/v1", (b"/v1", b"")),
        (b"http://user:word@host:80/v1", (b"/v1", b"")),
        (b"http://[fe80::1%25eth0]/v1", (b"/v1", b"")),
        (b"http:///v1", (b"/v1", b"")),
        (b"http://host", (b"", b"")),
        (b"http://host?a", (b"", b"a")),
        (b"/?%zz", (b"/", b"%zz")),
    ],
)
def test_split(target: bytes, parts: tuple[bytes, bytes]) -> None:
    assert targets.split(target) == parts


@each_row(
    "target",
    [
        *(b"v1/tasks", b"", b"host:80", b"/%zz", b"/a%2", b"/%"),
        *(b"http://a:x/", b"http://a%zz/", b"http://[::1/", b"http://::1]/", b"http://[a b]/", b"://a/"),
    ],
)
def test_unreadable_targets(target: bytes) -> None:
    with pytest.raises(targets.BadTarget):
        targets.split(target)


@each_row(
    "query, values",
    [
        (b"", {}),
        (b"dockerid", {b"dockerid": b""}),
        (b"dockerid=", {b"dockerid": b""}),
        (b"dockerid=a&dockerid=b", {b"dockerid": b"a"}),
        (b"DockerId=a", {b"DockerId": b"a"}),
        (b"taskarn=a;dockerid=b", {}),
        (b"taskarn=%zz&dockerid=b", {b"dockerid": b"b"}),
        (b"taskarn=%zz&taskarn=b", {b"taskarn": b"b"}),
        (b"%64ockerid=a%20b+c%2B", {b"dockerid": b"a b c+"}),
        (b"a=b=c", {b"a": b"b=c"}),
        (b"&&a=1&", {b"a": b"1"}),
        (b"=x", {b"": b"x"}),
        (b"a=%ff", {b"a": b"\xff"}),
    ],
)
def test_first_values(query: bytes, values: dict[bytes, bytes]) -> None:
    assert targets.first_values(query) == values


@given(PRINTABLE)
def test_any_query_can_be_read(query: bytes) -> None:
    assert all(b";" not in name or b"%3b" in query.lower() for name in targets.first_values(query))


def test_a_location_holds_only_what_go_leaves_in_one() -> None:
    assert targets.escape(b"/a\"<>b{}|\\^`#%20['x']") == b"/a%22%3C%3Eb%7B%7D%7C%5C%5E%60%23%20['x']"

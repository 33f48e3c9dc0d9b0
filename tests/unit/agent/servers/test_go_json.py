"""Our JSON is what Go's encoder writes: held to a reference written from its rules, character by character."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.agent.servers import go_json
from tests.tables import each_row

SHORT = {"\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


def reference(value: object) -> bytes:
    """Go's rules, one character at a time. Source: introspection-api.md §3."""
    match value:
        case str():
            return b'"' + b"".join(map(_character, value)) + b'"'
        case dict():
            return b"{" + b",".join(reference(key) + b":" + reference(item) for key, item in value.items()) + b"}"
        case list():
            return b"[" + b",".join(map(reference, value)) + b"]"
        case None:
            return b"null"
        case bool():
            return b"true" if value else b"false"
        case _:
            return str(value).encode()


def _character(character: str) -> bytes:
    if character in SHORT:
        return SHORT[character].encode()
    if character < " " or character in "<>&\u2028\u2029":
        return f"\\u{ord(character):04x}".encode()
    if "\ud800" <= character <= "\udfff":
        return rb"\ufffd"
    return character.encode()


TEXT = st.text(st.one_of(st.characters(), st.sampled_from('<>&\u2028\u2029"\\/\x00\x0b\x1f\x7f\udc80\ud800\ufffd')))
VALUES = st.recursive(
    st.one_of(TEXT, st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)),
    max_leaves=20,
)


@given(VALUES)
def test_same_as_the_reference(value: object) -> None:
    assert go_json.encode(value) == reference(value)


@given(TEXT.filter(lambda text: text.isprintable()))
def test_readers_get_the_text_back(text: str) -> None:
    assert json.loads(go_json.encode(text)) == text


@each_row(
    "text, encoded",
    [
        ("<a href='x'>&</a>", rb'"\u003ca href=' + b"'x'" + rb'\u003e\u0026\u003c/a\u003e"'),
        ("\u2028\u2029", rb'"\u2028\u2029"'),
        ("\x00\x0b\x1f", rb'"\u0000\u000b\u001f"'),
        ("\b\f\n\r\t", rb'"\b\f\n\r\t"'),
        ("\x7f", b'"\x7f"'),
        ("grüße 😀", '"grüße 😀"'.encode()),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), rb'"caf\ufffd"'),
        ("\ufffd", '"\ufffd"'.encode()),
    ],
)
def test_escapes(text: str, encoded: bytes) -> None:
    assert go_json.encode(text) == encoded


class Pair(msgspec.Struct, kw_only=True, omit_defaults=True):
    first: str
    second: str = ""


def test_structs_keep_their_order_and_omit_what_is_empty_even_with_broken_text() -> None:
    assert go_json.encode(Pair(first="a")) == b'{"first":"a"}'
    assert go_json.encode(Pair(second="<", first="\udcff")) == rb'{"first":"\ufffd","second":"\u003c"}'


def test_what_json_has_no_form_for_is_named() -> None:
    with pytest.raises(go_json.NotEncodable, match="object"):
        go_json.encode({"a": object()})


def test_broken_text_beside_what_json_has_no_form_for() -> None:
    with pytest.raises(go_json.NotEncodable):
        go_json.encode(["\udcff", object()])

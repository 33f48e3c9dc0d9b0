"""The JSON reader takes what the standard library takes, minus what it names, and knows where everything stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecscope.taskdefinition.positions import Duplicate, JsonError, Member, Node, kind, parse, plain
from tests.tables import each_row

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *"{}[],:\"-0.1\\'",
            '"a"',
            '"b"',
            "01",
            "1.5",
            "1e5",
            "1e",
            "true",
            "null",
            "fals",
            "NaN",
            "//",
            " ",
            "\n",
            "\t",
            "\\n",
            "\\u0041",
            "\\ud83d",
            "\\ude00",
            "\x00",
            "é",
            "😀",
        ]
    ),
    max_size=12,
).map("".join)


def places(node: Node) -> list[Node | Member]:
    found: list[Node | Member] = [node]
    if isinstance(node.value, list):
        for item in node.value:
            found += places(item)
    elif isinstance(node.value, dict):
        for member in node.value.values():
            found += [member, *places(member.node)]
    return found


def finite(text: str) -> float:
    if float(text) in (float("inf"), float("-inf")):
        raise ValueError(text)
    return float(text)


def failure(text: str) -> JsonError:
    with pytest.raises(JsonError) as caught:
        parse(text.encode())
    return caught.value


@given(VALUES, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_reads_what_the_standard_library_writes(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = parse(text.encode())
    assert plain(document.root) == value
    assert document.duplicates == ()


@given(VALUES, st.sampled_from([None, 1]))
def test_every_place_is_where_the_text_starts(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    lines = text.split("\n")
    for place in places(parse(text.encode()).root):
        rest = lines[place.line - 1][place.column - 1 :]
        if isinstance(place, Member):
            assert rest.startswith('"')
        elif isinstance(place.value, dict | list):
            assert rest.startswith("{" if isinstance(place.value, dict) else "[")
        else:
            assert rest.startswith(json.dumps(place.value))


@given(FRAGMENTS | st.text(max_size=20))
def test_takes_a_text_exactly_when_the_standard_library_does(text: str) -> None:
    theirs: object
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return  # no bytes can hold it
    try:
        theirs = json.loads(
            text.removeprefix("\ufeff"), parse_constant=int, parse_float=finite, object_pairs_hook=lambda pairs: pairs
        )
        json.dumps(theirs, ensure_ascii=False).encode()
    except (ValueError, UnicodeEncodeError):
        with pytest.raises(JsonError) as caught:
            parse(encoded)
        assert caught.value.line >= 1
        assert caught.value.column >= 1
        assert caught.value.reason
    else:
        parse(encoded)


@given(st.binary(max_size=40))
def test_no_bytes_get_anything_but_a_document_or_a_json_error(data: bytes) -> None:
    try:
        parse(data)
    except JsonError as error:
        assert error.reason


@each_row(
    "text, line, column, reason",
    [
        ("", 1, 1, "there is nothing in it; a JSON value was expected"),
        (" \n ", 2, 2, "there is nothing in it; a JSON value was expected"),
        ('{"a": 1,}', 1, 8, 'there is a comma too many before "}"'),
        ("[1,\n]", 1, 3, 'there is a comma too many before "]"'),
        ('{"a": 1\n "b": 2}', 2, 2, '"," or "}" was expected, but here is \'"\''),
        ('{"a" 1}', 1, 6, "\":\" was expected after the member's name, but here is '1'"),
        ("{a: 1}", 1, 2, "a member's name in double quotes was expected, but here is a word without quotes"),
        ("{'a': 1}", 1, 2, "a string must be in double quotes, not in single quotes"),
        ("[1 // one\n]", 1, 4, "JSON has no comments; remove this one"),
        ("# hello\n{}", 1, 1, "JSON has no comments; remove this one"),
        ('{"a": True}', 1, 7, "write true for True"),
        ('{"a": None}', 1, 7, "write null for None"),
        ("[NaN]", 1, 2, "NaN is not a JSON number"),
        ("[-Infinity]", 1, 2, 'a digit was expected after "-"'),
        ("[Infinity]", 1, 2, "Infinity is not a JSON number"),
        ("[1e999]", 1, 2, "this number is too large"),
        ("[" + "1" * 301 + "]", 1, 2, "this number has more than 300 digits"),
        ("[007]", 1, 2, "a number cannot start with 0"),
        ("[1.]", 1, 2, "this is not a number"),
        ("[0x1]", 1, 2, "a number cannot start with 0"),
        ('["a', 1, 2, "this string has no closing quote on its line; a line break is written \\n"),
        ('["a\n"]', 1, 2, "this string has no closing quote on its line; a line break is written \\n"),
        ('["\t"]', 1, 3, "a control character is written \\u0009 in a string"),
        ('["\\x"]', 1, 3, "unknown escape; a backslash itself is written \\\\"),
        ('["\\u12"]', 1, 3, "\\u is followed by four hexadecimal digits"),
        ('["\\ud800"]', 1, 3, "this is half of a surrogate pair, which is not a character"),
        ('{"a": [1, 2', 1, 12, 'the text ends too early: "]" is missing for what starts on line 1'),
        ('{"a": {\n"b": 1}\n', 3, 1, 'the text ends too early: "}" is missing for what starts on line 1'),
        ('{"a":', 1, 6, "the text ends too early: a value was expected"),
        ("{} {}", 1, 4, "the end of the text was expected, but here is '{'"),
        ("[1, tru]", 1, 5, "a value was expected, but here is a word without quotes"),
        ("[é]", 1, 2, "a value was expected, but here is '\\xe9'"),
        ("[" * 65 + "]" * 65, 1, 65, "values are nested deeper than 64 levels"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, line: int, column: int, reason: str) -> None:
    error = failure(text)
    assert (error.line, error.column, error.reason) == (line, column, reason)
    assert str(error) == f"line {line}, column {column}: {reason}"


def test_bytes_that_are_no_utf_8_are_named_with_their_place() -> None:
    with pytest.raises(JsonError) as caught:
        parse(b'{\n "a": "\xe9"}')
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert caught.value.reason == "here is a byte that is not UTF-8; save the file as UTF-8"


def test_size_and_depth_are_bounded() -> None:
    assert plain(parse(b"[1]", max_size_bytes=3).root) == [1]
    with pytest.raises(JsonError, match="longer than 3 bytes"):
        parse(b"[12]", max_size_bytes=3)
    assert plain(parse(b"[[1]]", max_depth=3).root) == [[1]]
    with pytest.raises(JsonError, match="deeper than 2 levels"):
        parse(b"[[1]]", max_depth=2)


def test_a_byte_order_mark_is_skipped() -> None:
    document = parse(b'\xef\xbb\xbf{"a": 1}')
    assert plain(document.root) == {"a": 1}
    assert document.root.column == 1


def test_duplicate_keys_are_told_with_path_and_both_lines_and_the_first_value_is_kept() -> None:
    document = parse(b'{"a": [{"b": 1,\n  "b": 2}],\n "a": 3}')
    assert document.duplicates == (
        Duplicate(path="a[0].b", line=2, column=3, first_line=1),
        Duplicate(path="a", line=3, column=2, first_line=1),
    )
    assert plain(document.root) == {"a": [{"b": 1}]}


@each_row(
    "text, words",
    [
        ("null", "null"), ("true", "true or false"), ('""', "a string"), ("1", "a number"), ("1.5", "a number"),
        ("[]", "a list"), ("{}", "an object"),
    ],
)  # fmt: skip
def test_kinds_have_words(text: str, words: str) -> None:
    assert kind(parse(text.encode()).root) == words

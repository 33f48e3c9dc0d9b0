"""Filter patterns select what CloudWatch Logs selects, and what is not supported is refused by name."""

from __future__ import annotations

import json

import pytest

from ecscope.control.core.errors import ApiError
from ecscope.control.logs.patterns import compiled
from tests.tables import each_row

MESSAGES = (
    "[ERROR] disk 500 full",
    "[WARN] disk slow",
    'said "no" to it',
    json.dumps({"level": "error", "code": 500, "user": {"name": "Jane Doe", "tags": ["a", "b"]}, "ok": False}),
    json.dumps({"level": "info", "code": 20.5, "user": None, "k.e y": 1}),
    "{not json",
)

SELECTED = [
    ("", (0, 1, 2, 3, 4, 5)),
    ("disk", (0, 1)),
    ("disk ERROR", (0,)),
    ("disk -ERROR", (1,)),
    ("?ERROR ?WARN", (0, 1)),
    ("?ERROR ?WARN slow", (1,)),
    ("-disk -error", (2, 4, 5)),
    ('"[ERROR] disk"', (0,)),
    ('-"[ERROR] disk" disk', (1,)),
    (r'"\"no\""', (2,)),
    ('{ $.level = "error" }', (3,)),
    ("{ $.level = err* }", (3,)),
    ("{ $.level = *o* }", (3, 4)),
    ("{ $.level != error }", (4,)),
    ("{ $.code = 500 }", (3,)),
    ("{ $.code = 5e2 }", (3,)),
    ("{ $.code < 21 }", (4,)),
    ("{ $.code >= 20.5 && $.code <= 500 }", (3, 4)),
    ("{ $.code != 500 }", (4,)),
    ("{ $.missing != 1 }", ()),
    ('{ $.user.name = "Jane*" }', (3,)),
    ("{ $.user.tags[1] = b }", (3,)),
    ("{ $.user.tags[*] = a }", (3,)),
    ("{ $.user.tags[2] = c }", ()),
    ("{ $['k.e y'] = 1 }", (4,)),
    ("{ $.user IS NULL }", (4,)),
    ("{ $.ok IS FALSE }", (3,)),
    ("{ $.ok IS TRUE }", ()),
    ("{ $.ok NOT EXISTS }", (4,)),
    ('{ ($.code = 500 || $.code = 20.5) && $.level = "info" }', (4,)),
    ('{ $.code = 500 || $.code = 20.5 && $.level = "none" }', (3,)),
]


@each_row("pattern, selected", SELECTED)
def test_each_pattern_selects_what_it_says(pattern: str, selected: tuple[int, ...]) -> None:
    matches = compiled(pattern)
    found = tuple(at for at, message in enumerate(MESSAGES) if matches is None or matches(message))
    assert found == selected


@each_row(
    "pattern, said",
    [
        ("[ip, user]", "space-delimited fields"),
        ("%err.r%", "regular expressions"),
        ("{ $.a = %b% }", "regular expressions"),
        ("foo:bar", "Invalid character(s) in term 'foo:bar'"),
        ('"open', "a quote is not closed"),
        ("{ $.a = 1", "the closing }"),
        ("{ $.a 1 }", "an operator is expected"),
        ("{ a = 1 }", "a selector such as"),
        ("{ $.a < b }", "compares numbers"),
        ("{ ($.a = 1 }", "a parenthesis is not closed"),
        ("{ $.a = 1 $.b = 2 }", "unexpected"),
        ("{ $.a IS MAYBE }", "IS NULL"),
        ("{" + "(" * 1000 + "}", "too many parentheses"),
        ("{}", "a selector such as"),
    ],
)
def test_what_cannot_be_read_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ApiError) as caught:
        compiled(pattern)
    assert caught.value.code == "InvalidParameterException"
    assert said in caught.value.message


@pytest.mark.timeout(5)
def test_stars_take_no_exponential_time() -> None:
    matches = compiled("{ $.a = " + "a*" * 200 + "b }")
    assert matches is not None
    assert not matches(json.dumps({"a": "a" * 50_000}))

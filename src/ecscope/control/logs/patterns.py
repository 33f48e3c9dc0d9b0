"""Filter patterns: terms, ``?`` and ``-``, quoted phrases, and selectors of JSON. Pure.

What AWS has beyond that, regular expressions between ``%`` and patterns of space-delimited fields, is refused by name.

Source: CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters, and Live Tail".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from ecscope.control.core.errors import ApiError

Matches = Callable[[str], bool]
Json = Callable[[Any], bool]
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))', re.DOTALL)
_PLAIN = re.compile(r"\w+")
_LEXEME = re.compile(
    r"""\s*(?:
      (?P<select>\$(?:\.(?:[\w*-]+)|\[(?:\d+|\*|'[^']*'|"[^"]*")\])+|\$)
    | (?P<and>&&) | (?P<or>\|\|) | (?P<open>\() | (?P<close>\))
    | (?P<op>!=|<=|>=|=|<|>)
    | (?P<quoted>"(?:[^"\\]|\\.)*")
    | (?P<regex>%[^%]*%)
    | (?P<word>[^\s()&|=!<>"%]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_STEP = re.compile(r"""\.([\w*-]+)|\[(?:(\d+)|(\*)|'([^']*)'|"([^"]*)")\]""")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_DEEPEST = 50


def _invalid(reason: str) -> ApiError:
    return ApiError("InvalidParameterException", f"Invalid filter pattern: {reason}")


def _unsupported(what: str) -> ApiError:
    return _invalid(
        f"{what} are not supported by ecscope; supported are terms, ?term, -term, quoted phrases and selectors of JSON"
        ' such as { $.level = "error" }'
    )


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Matches | None:
    """Decides whether a message matches; ``None``: every one does. Raises ``ApiError``."""
    text = pattern.strip()
    if not text:
        return None
    if text.startswith("{"):
        return _selector(text)
    if text.startswith("["):
        return _fields()
    return _terms(text)


def _fields() -> Matches:
    raise _unsupported("patterns of space-delimited fields ([…])")


def _terms(text: str) -> Matches | None:
    wanted: list[str] = []
    unwanted: list[str] = []
    optional: list[str] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            if not text[at:].strip():
                break
            raise _invalid("a quote is not closed")
        at = found.end()
        sign, quoted, plain = found.groups()
        if plain is not None and plain.startswith("%"):
            raise _unsupported("regular expressions (%…%)")
        if plain is not None and not _PLAIN.fullmatch(plain):
            raise ApiError("InvalidParameterException", f"Invalid character(s) in term '{sign}{plain}'")
        term = _unquoted(quoted) if quoted is not None else plain
        {"": wanted, "-": unwanted, "?": optional}[sign].append(term)
    if wanted or unwanted:
        optional = []  # Quirk: AWS ignores them beside other terms.

    def matches(message: str) -> bool:
        return (
            all(term in message for term in wanted)
            and not any(term in message for term in unwanted)
            and (not optional or any(term in message for term in optional))
        )

    return matches


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


# --- selectors of JSON ------------------------------------------------------------------------------------------


def _selector(text: str) -> Matches:
    if not text.endswith("}"):
        raise _invalid("the closing } is missing")
    holds = _Reader(text[1:-1]).whole()

    def matches(message: str) -> bool:
        if "{" not in message:
            return False
        try:
            value = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return False
        return isinstance(value, dict | list) and holds(value)

    return matches


class _Reader:
    """Recursive descent over the lexemes of one selector."""

    def __init__(self, text: str) -> None:
        self._lexemes: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _LEXEME.match(text, at)
            if found is None:
                raise _invalid(f"{text[at:].strip()[:40]!r} cannot be read")
            kind = str(found.lastgroup)
            if kind == "regex":
                raise _unsupported("regular expressions (%…%)")
            self._lexemes.append((kind, found[kind]))
            at = found.end()
        self._at = 0
        self._depth = 0

    def whole(self) -> Json:
        holds = self._any()
        if self._at < len(self._lexemes):
            raise _invalid(f"unexpected {self._lexemes[self._at][1]!r}")
        return holds

    def _next(self) -> tuple[str, str]:
        return self._lexemes[self._at] if self._at < len(self._lexemes) else ("end", "the end")

    def _take(self) -> tuple[str, str]:
        lexeme = self._next()
        self._at += 1
        return lexeme

    def _any(self) -> Json:
        parts = [self._all()]
        while self._next()[0] == "or":
            self._take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)

    def _all(self) -> Json:
        parts = [self._one()]
        while self._next()[0] == "and":
            self._take()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)

    def _one(self) -> Json:
        kind, text = self._take()
        if kind == "open":
            self._depth += 1
            if self._depth > _DEEPEST:
                raise _invalid("too many parentheses")
            inner = self._any()
            if self._take()[0] != "close":
                raise _invalid("a parenthesis is not closed")
            self._depth -= 1
            return inner
        if kind != "select":
            raise _invalid(f"a selector such as $.level is expected, and not {text!r}")
        return self._comparison(_path(text))

    def _comparison(self, path: Callable[[Any], list[Any]]) -> Json:
        kind, text = self._take()
        if kind == "word" and text.upper() in {"IS", "NOT"}:
            return self._state(path, text.upper())
        if kind != "op":
            raise _invalid(f"an operator is expected, and not {text!r}")
        kind, operand = self._take()
        if kind not in {"quoted", "word", "select"}:
            raise _invalid(f"a value is expected, and not {operand!r}")
        test = _test(text, operand, is_quoted=kind == "quoted")
        return lambda value: any(test(found) for found in path(value))

    def _state(self, path: Callable[[Any], list[Any]], word: str) -> Json:
        state = self._take()[1].upper()
        if (word, state) == ("NOT", "EXISTS"):
            return lambda value: not path(value)
        if word == "IS" and state in {"NULL", "TRUE", "FALSE"}:
            wanted = {"NULL": None, "TRUE": True, "FALSE": False}[state]
            return lambda value: any(found is wanted for found in path(value))
        raise _invalid(f"{word} is followed by {state!r}; known are IS NULL, IS TRUE, IS FALSE and NOT EXISTS")


def _path(text: str) -> Callable[[Any], list[Any]]:
    steps: list[str | int] = []
    for name, index, star, single, double in _STEP.findall(text):
        steps.append(int(index) if index else "*" if star else name or single or double)

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [each for one in found for each in _below(one, step)]
        return found

    return find


def _below(value: Any, step: str | int) -> list[Any]:
    match value, step:
        case dict(), "*":
            return list(value.values())
        case list(), "*":
            return value
        case dict(), str() if step in value:
            return [value[step]]
        case list(), int() if step < len(value):
            return [value[step]]
        case _:
            return []


def _test(operator: str, operand: str, *, is_quoted: bool) -> Json:
    if not is_quoted and _NUMBER.fullmatch(operand):
        number = float(operand)
        compare: dict[str, Callable[[float], bool]] = {
            "=": lambda found: found == number,
            "!=": lambda found: found != number,
            "<": lambda found: found < number,
            ">": lambda found: found > number,
            "<=": lambda found: found <= number,
            ">=": lambda found: found >= number,
        }
        fits = compare[operator]
        return lambda found: type(found) in (int, float) and fits(found)
    if operator not in {"=", "!="}:
        raise _invalid(f"{operator} compares numbers, and {operand} is not one")
    text = _unquoted(operand[1:-1]) if is_quoted else operand
    parts = text.split("*")
    regex = re.compile(_without_backtracking(parts), re.DOTALL)

    def same(found: Any) -> bool:
        match found:
            case str():
                return regex.fullmatch(found) is not None
            case bool():
                return not is_quoted and text == str(found).lower()
            case int() | float():
                return regex.fullmatch(msgspec.json.encode(found).decode()) is not None
            case _:
                return False

    return same if operator == "=" else lambda found: not same(found)


def _without_backtracking(parts: list[str]) -> str:
    """Between two stars the first occurrence is taken, for good: a pattern must not take exponential time."""
    first, *rest = map(re.escape, parts)
    return first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + "".join(f".*{part}" for part in rest[-1:])

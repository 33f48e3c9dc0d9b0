"""Read JSON and keep the line and column of every value and key.

It exists for files that people write: a mistake must be shown at its position. Stricter
than most readers: no NaN, no infinity, no number too large for a float, no half of a
surrogate pair, bounded in size and depth. Duplicate keys are collected rather than raised,
so that a caller can report them together with what else is wrong; a caller that goes on
without looking at ``Document.duplicates`` makes a mistake.

Source: RFC 8259.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import msgspec

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

MAX_SIZE_BYTES = 1024 * 1024
"""Default bound of a text. The ECS API takes 64 KiB for a whole task definition."""
MAX_DEPTH = 64
"""Default bound of nesting. A task definition needs 8."""
_MAX_DIGITS = 300

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[A-Za-z]+")
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_ALMOST = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "None": "null", "NULL": "null"}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One value and where it starts; lines and columns count from 1, columns in characters."""

    line: int
    column: int
    value: str | int | float | bool | list[Node] | dict[str, Member] | None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an object: the position of its key, and its value."""

    line: int
    column: int
    node: Node


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A key that its object has already had; the first value is the one that is kept."""

    path: str
    line: int
    column: int
    first_line: int


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole text."""

    root: Node
    duplicates: tuple[Duplicate, ...]


class JsonError(Exception):
    """The text is not JSON, or not JSON that is taken here.

    Attributes:
        line, column: where, counted from 1.
        reason: one sentence without the position and without more of the text than one word.
    """

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(line, column, reason)
        self.line = line
        self.column = column
        self.reason = reason

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}"


def parse(data: bytes, *, max_size_bytes: int = MAX_SIZE_BYTES, max_depth: int = MAX_DEPTH) -> Document:
    """The value in ``data`` (UTF-8, a byte order mark is skipped). Raises ``JsonError``."""
    if len(data) > max_size_bytes:
        raise JsonError(1, 1, f"the text is longer than {max_size_bytes} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1)
        raise JsonError(line, column + 1, "here is a byte that is not UTF-8; save the file as UTF-8") from None
    return _Parser(text.removeprefix("\ufeff"), max_depth).document()


def tree(value: Json) -> Node:
    """A value that has no text of its own, such as the body of a request. Lines count its nodes, in their order."""
    number = 0

    def of(value: Json) -> Node:
        nonlocal number
        number += 1
        line = number
        if isinstance(value, dict):
            members: dict[str, Member] = {}
            for name, member in value.items():
                number += 1
                members[name] = Member(line=number, column=1, node=of(member))
            return Node(line=line, column=1, value=members)
        if isinstance(value, list):
            return Node(line=line, column=1, value=[of(item) for item in value])
        return Node(line=line, column=1, value=value)

    return of(value)


def plain(node: Node) -> Json:
    """The value without positions, as ``json.loads`` would give it."""
    value = node.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(member.node) for key, member in value.items()}
    return value


def kind(node: Node) -> str:
    """What sort of value it is, in words with an article."""
    match node.value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"


class _Parser:
    def __init__(self, text: str, max_depth: int) -> None:
        self._text = text
        self._at = 0
        self._max_depth = max_depth
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._duplicates: list[Duplicate] = []

    def document(self) -> Document:
        self._skip_space()
        if self._at == len(self._text):
            raise self._error(self._at, "there is nothing in it; a JSON value was expected")
        root = self._value("", 1)
        self._skip_space()
        if self._at < len(self._text):
            raise self._unexpected("the end of the text was expected")
        return Document(root=root, duplicates=tuple(self._duplicates))

    # --- values ---------------------------------------------------------------------------------

    def _value(self, path: str, depth: int) -> Node:
        start = self._at
        if depth > self._max_depth:
            raise self._error(start, f"values are nested deeper than {self._max_depth} levels")
        line, column = self._position(start)
        char = self._text[start : start + 1]
        value: str | int | float | bool | list[Node] | dict[str, Member] | None
        if char == "{":
            value = self._object(path, depth)
        elif char == "[":
            value = self._list(path, depth)
        elif char == '"':
            value = self._string()
        elif char == "-" or (char.isascii() and char.isdigit()):
            value = self._number()
        else:
            value = self._word()
        return Node(line=line, column=column, value=value)

    def _object(self, path: str, depth: int) -> dict[str, Member]:
        start = self._at
        self._at += 1
        members: dict[str, Member] = {}
        self._skip_space()
        if self._take("}"):
            return members
        while True:
            key_at = self._at
            if self._text[key_at : key_at + 1] != '"':
                raise self._unexpected("a member's name in double quotes was expected", start=start, closing="}")
            key = self._string()
            line, column = self._position(key_at)
            self._skip_space()
            if not self._take(":"):
                raise self._unexpected('":" was expected after the member\'s name', start=start, closing="}")
            self._skip_space()
            key_path = f"{path}.{key}" if path else key
            node = self._value(key_path, depth + 1)
            if key in members:
                self._duplicates.append(
                    Duplicate(path=key_path, line=line, column=column, first_line=members[key].line)
                )
            else:
                members[key] = Member(line=line, column=column, node=node)
            if not self._goes_on(start, "}"):
                return members

    def _list(self, path: str, depth: int) -> list[Node]:
        start = self._at
        self._at += 1
        items: list[Node] = []
        self._skip_space()
        if self._take("]"):
            return items
        while True:
            items.append(self._value(f"{path}[{len(items)}]", depth + 1))
            if not self._goes_on(start, "]"):
                return items

    def _goes_on(self, start: int, closing: str) -> bool:
        """Take the comma (true) or the end of the object or list (false)."""
        self._skip_space()
        if self._take(closing):
            return False
        comma_at = self._at
        if not self._take(","):
            raise self._unexpected(f'"," or "{closing}" was expected', start=start, closing=closing)
        self._skip_space()
        if self._text[self._at : self._at + 1] == closing:
            raise self._error(comma_at, f'there is a comma too many before "{closing}"')
        return True

    def _string(self) -> str:
        start = self._at
        self._at += 1
        parts: list[str] = []
        while True:
            found = _PLAIN.match(self._text, self._at)
            assert found is not None
            parts.append(found.group())
            self._at = found.end()
            char = self._text[self._at : self._at + 1]
            if char == '"':
                self._at += 1
                return "".join(parts)
            if char == "\\":
                parts.append(self._escape())
            elif char in ("", "\n", "\r"):
                raise self._error(start, "this string has no closing quote on its line; a line break is written \\n")
            else:
                raise self._error(self._at, f"a control character is written \\u{ord(char):04x} in a string")

    def _escape(self) -> str:
        at = self._at
        char = self._text[at + 1 : at + 2]
        if char != "u":
            if char not in _ESCAPES or not char:
                raise self._error(at, "unknown escape; a backslash itself is written \\\\")
            self._at += 2
            return _ESCAPES[char]
        code = self._hex(at)
        self._at += 6
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", self._at):
            low = self._hex(self._at)
            if 0xDC00 <= low < 0xE000:
                self._at += 6
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= code < 0xE000:
            raise self._error(at, "this is half of a surrogate pair, which is not a character")
        return chr(code)

    def _hex(self, at: int) -> int:
        found = _HEX.match(self._text, at + 2)
        if found is None:
            raise self._error(at, "\\u is followed by four hexadecimal digits")
        return int(found.group(), 16)

    def _number(self) -> int | float:
        start = self._at
        found = _NUMBER.match(self._text, start)
        if found is None:
            raise self._error(start, 'a digit was expected after "-"')
        self._at = found.end()
        following = self._text[self._at : self._at + 1]
        if following.isascii() and (following.isalnum() or following in ("+", "-", ".", "_")) and following:
            reason = "a number cannot start with 0" if found.group().lstrip("-") == "0" else "this is not a number"
            raise self._error(start, reason)
        text = found.group()
        if len(text) > _MAX_DIGITS:
            raise self._error(start, f"this number has more than {_MAX_DIGITS} digits")
        if found.group(1) is None and found.group(2) is None:
            return int(text)
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise self._error(start, "this number is too large")
        return value

    def _word(self) -> bool | None:
        found = _WORD.match(self._text, self._at)
        if found is not None and found.group() in _WORDS:
            self._at = found.end()
            return _WORDS[found.group()]
        raise self._unexpected("a value was expected")

    # --- positions and errors -------------------------------------------------------------------

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _take(self, char: str) -> bool:
        if self._text[self._at : self._at + 1] != char:
            return False
        self._at += 1
        return True

    def _position(self, at: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, at)
        return line, at - self._line_starts[line - 1] + 1

    def _error(self, at: int, reason: str) -> JsonError:
        return JsonError(*self._position(at), reason)

    def _unexpected(self, expected: str, *, start: int | None = None, closing: str = "") -> JsonError:
        """What was found at the current position instead of what was expected, with advice where it is obvious."""
        at = self._at
        char = self._text[at : at + 1]
        if not char:
            if start is None:
                return self._error(at, f"the text ends too early: {expected}")
            line, _ = self._position(start)
            return self._error(at, f'the text ends too early: "{closing}" is missing for what starts on line {line}')
        if char == "#" or self._text.startswith(("//", "/*"), at):
            return self._error(at, "JSON has no comments; remove this one")
        if char == "'":
            return self._error(at, "a string must be in double quotes, not in single quotes")
        found = _WORD.match(self._text, at)
        if found is None:
            return self._error(at, f"{expected}, but here is {char!a}")
        word = found.group()
        if word in _ALMOST:
            return self._error(at, f"write {_ALMOST[word]} for {word}")
        if word in ("NaN", "Infinity"):
            return self._error(at, f"{word} is not a JSON number")
        return self._error(at, f"{expected}, but here is a word without quotes")

"""Regular expressions of users, matched in a time that their length bounds: one of them must not hold up everybody.

Python's own matcher tries every way in which a pattern can fit, which for ``(a+)+b`` takes longer than anybody waits,
and the control plane has one thread. Here all ways are followed at once. What cannot be done so is refused by name.

Source: R. Cox, "Regular Expression Matching Can Be Simple And Fast" (2007), with V. Glushkov's automaton.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

MOST_STEPS = 10_000
"""Steps of a pattern from one character to a next one; each character of a value costs these at most."""
LONGEST_VALUE = 1000
"""A longer value fits no pattern."""

_ATOM = re.compile(
    r"\[\^?\]?(?:\\.|[^\]\\])*\]"  # a class
    r"|\\(?:[dDwWsStnrfva]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[^A-Za-z0-9])"
    r"|[^\\()|*+?]",
    re.DOTALL,
)
_TIMES = re.compile(r"[*+?]|\{(?=[\d,])(\d*)(,?)(\d*)\}")

_Places = frozenset[int]
_Part = Callable[["_Automaton"], tuple[bool, _Places, _Places]]
"""Adds a part of a pattern; gives whether it fits nothing at all, and where it begins and ends."""
_NOWHERE: _Places = frozenset()


class PatternError(ValueError):
    """It is no regular expression, or one of a kind that is not known here; the text says why."""


class Pattern:
    """See the module docstring. Never changes."""

    def __init__(self, text: str) -> None:
        """Raises ``PatternError``."""
        self._automaton = _Automaton()
        try:
            re.compile(text)
            reader = _Reader(text)
            part = reader.alternatives()
            assert reader.is_at_end(), "Python has found every parenthesis closed"
            self._fits_nothing, self._begins, self._ends = part(self._automaton)
        except (re.error, OverflowError, RecursionError, FutureWarning) as error:
            raise PatternError(f"is no regular expression: {error}") from None
        self._fits = lru_cache(maxsize=1024)(self._fit)  # instances have few different values

    def fits(self, value: str) -> bool:
        """The whole value."""
        return self._fits(value)

    def _fit(self, value: str) -> bool:
        if len(value) > LONGEST_VALUE:
            return False
        if not value:
            return self._fits_nothing
        tests, follow = self._automaton.tests, self._automaton.follow
        wanted: set[int] | _Places = self._begins
        here: list[int] = []
        for character in value:
            here = [place for place in wanted if tests[place](character)]
            wanted = set[int]().union(*(follow[place] for place in here))
        return not self._ends.isdisjoint(here)


class _Automaton:
    """A place is a character of the pattern; ``follow`` says which ones can come after it."""

    def __init__(self) -> None:
        self.tests: list[Callable[[str], object]] = []
        self.follow: list[set[int]] = []
        self._steps = 0

    def place(self, test: Callable[[str], object]) -> _Places:
        self.count(1)
        self.tests.append(test)
        self.follow.append(set())
        return frozenset((len(self.tests) - 1,))

    def join(self, ends: _Places, begins: _Places) -> None:
        """What ``begins`` may come after what ``ends``."""
        for end in ends:
            before = len(self.follow[end])
            self.follow[end] |= begins
            self.count(len(self.follow[end]) - before)

    def count(self, steps: int) -> None:
        """Raises ``PatternError`` when there are too many."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise PatternError("has too many ways to go on: repeat less, or name the values with in [...]")


class _Reader:
    """Takes a pattern apart that Python has found well-formed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return _either(parts) if len(parts) > 1 else parts[0]

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while not self.is_at_end() and self._text[self._at] not in "|)":
            parts.append(self._repeated())
        return _row(parts)

    def _repeated(self) -> _Part:
        part = self._one()
        found = _TIMES.match(self._text, self._at)
        if found is None:
            return part
        self._at = found.end()
        if self._take("+"):
            raise PatternError("has a possessive quantifier, which is not known here")
        self._take("?")  # the shortest fit or the longest: the whole value is to fit
        return _times(part, *_bounds(found))

    def _one(self) -> _Part:
        if self._take("("):
            if self._text.startswith("?", self._at) and not self._text.startswith("?:", self._at):
                raise PatternError(
                    f"has ({self._text[self._at : self._at + 3]}…, and of these only (?:…) is known here"
                )
            self._at += 2 * self._text.startswith("?:", self._at)
            inner = self.alternatives()
            self._take(")")
            return inner
        character = self._text[self._at]
        if (character == "^" and self._at == 0) or (character == "$" and self._at == len(self._text) - 1):
            self._at += 1
            return _row([])  # it is always the whole value that is to fit
        found = _ATOM.match(self._text, self._at)
        if found is None or character in "^$":
            raise PatternError(f"has {self._text[self._at : self._at + 2]}, which is not known here")
        self._at = found.end()
        test = _test(found[0])
        return lambda automaton: (False, place := automaton.place(test), place)

    def _take(self, sign: str) -> bool:
        is_there = self._text.startswith(sign, self._at)
        self._at += len(sign) * is_there
        return is_there


@lru_cache(maxsize=1024)
def _test(atom: str) -> Callable[[str], object]:
    return re.compile(atom).fullmatch


def _bounds(found: re.Match[str]) -> tuple[int, int | None]:
    """How often at least, and at most."""
    if found[0] in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[0]]
    least = int(found[1] or 0)
    if not found[2]:
        return least, least
    return least, int(found[3]) if found[3] else None


def _either(parts: list[_Part]) -> _Part:
    def add(automaton: _Automaton) -> tuple[bool, _Places, _Places]:
        fits, begins, ends = zip(*(part(automaton) for part in parts), strict=True)
        return any(fits), _NOWHERE.union(*begins), _NOWHERE.union(*ends)

    return add


def _row(parts: list[_Part]) -> _Part:
    def add(automaton: _Automaton) -> tuple[bool, _Places, _Places]:
        is_empty, begins, ends = True, _NOWHERE, _NOWHERE
        automaton.count(1)  # nothing takes time, too, if it is repeated
        for part in parts:
            fits_nothing, first, last = part(automaton)
            automaton.join(ends, first)
            begins = begins | first if is_empty else begins
            ends = ends | last if fits_nothing else last
            is_empty = is_empty and fits_nothing
        return is_empty, begins, ends

    return add


def _times(part: _Part, least: int, most: int | None) -> _Part:
    def again(automaton: _Automaton) -> tuple[bool, _Places, _Places]:
        _, begins, ends = part(automaton)
        automaton.join(ends, begins)
        return True, begins, ends

    def once_or_not(automaton: _Automaton) -> tuple[bool, _Places, _Places]:
        return True, *part(automaton)[1:]

    rest = [again] if most is None else [once_or_not] * min(most - least, MOST_STEPS + 1)
    return _row([*[part] * min(least, MOST_STEPS + 1), *rest])

"""Regular expressions of users, matched by RE2: its time is bounded by the lengths of pattern and value.

Python's own matcher tries every way in which a pattern can fit, which for ``(a+)+b`` takes longer than anybody waits,
and the control plane has one thread. What RE2 does not have, such as backreferences and lookaround, is refused by name.

Source: the syntax of RE2; why it, and where it differs from Python: ADR 0021.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST_VALUE = 1000
"""Characters; a longer value fits no pattern."""
_MOST_BYTES = 256 * 1024
"""Of one pattern in RE2, together with what it remembers of the values that it has seen."""

_REFUSED = "is not a regular expression that is supported here"
_SPELLING = re.compile(
    r"(\[\^?\]?(?:\\.|[^\]\\])*\])|\\u([0-9A-Fa-f]{4})|\\.|\{,(\d+)\}|\{(?:\d+,)?(\d{5,})", re.DOTALL
)
_ESCAPES = re.compile(r"\\u([0-9A-Fa-f]{4})|\\.", re.DOTALL)


class PatternError(ValueError):
    """Not a regular expression, or one that is not supported; the text says why."""


class Pattern:
    """See the module docstring. Never changes."""

    def __init__(self, text: str) -> None:
        """Raises ``PatternError``."""
        self._compiled = _compiled(_SPELLING.sub(_spelled, text))

    def fits(self, value: str) -> bool:
        """The whole value."""
        return len(value) <= LONGEST_VALUE and self._compiled.fullmatch(value) is not None


def _compiled(text: str) -> Any:
    import re2  # noqa: PLC0415  # 2.8 MB, which only the first =~ needs

    options = re2.Options()
    options.max_mem = _MOST_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        raise PatternError(
            f"{_REFUSED}: {reason.decode(errors='replace') if isinstance(reason, bytes) else reason}"
        ) from None


def _spelled(found: re.Match[str]) -> str:
    r"""``\u0041`` and ``{,3}`` as RE2 writes them, in and outside of ``[…]``. Raises ``PatternError``."""
    if found[4]:  # taken for plain text where it is larger than RE2 reads
        raise PatternError(f"{_REFUSED}: {found[4]} repetitions are too many")
    if found[3]:
        return f"{{0,{found[3]}}}"
    return _ESCAPES.sub(lambda escape: rf"\x{{{escape[1]}}}" if escape[1] else escape[0], found[0])

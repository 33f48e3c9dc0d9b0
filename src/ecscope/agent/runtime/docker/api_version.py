"""Which version of its API an engine is spoken to in. Pure.

Source: engine.md §16.
"""

from __future__ import annotations

ApiVersion = tuple[int, int]

OLDEST = (1, 24)
NEWEST_TESTED = (1, 51)
"""That of Docker 28.5."""


def chosen(*, oldest: ApiVersion, newest: ApiVersion) -> ApiVersion | None:
    """The newest version that both support; ``None``: the engine is too old.

    An engine that supports only versions newer than the tested ones is used with its oldest, the nearest to them.
    """
    return None if newest < OLDEST else max(oldest, min(newest, NEWEST_TESTED))


def is_tested(version: ApiVersion) -> bool:
    """Whether it is at most the newest tested one."""
    return version <= NEWEST_TESTED


def parsed(text: str) -> ApiVersion:
    """``"1.41"`` as numbers. Raises ``ValueError``."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def text_of(version: ApiVersion) -> str:
    """As the engine writes it."""
    return f"{version[0]}.{version[1]}"

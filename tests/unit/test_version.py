"""The version line keeps the shape that monitoring agents parse, with and without a recorded commit."""

import re
import sys
from types import ModuleType

import pytest

from ecscope import __version__
from ecscope.version import commit, version_line

PARSED_BY_CLIENTS = re.compile(r"v([0-9.]+) \((\*?)([0-9a-f]+)\)")  # Source: introspection-api.md §5


def test_the_line_with_a_recorded_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    build = ModuleType("ecscope._build")
    build.COMMIT = "0123abcd"  # type: ignore[attr-defined]  # what make writes
    monkeypatch.setitem(sys.modules, "ecscope._build", build)
    assert version_line() == f"Amazon ECS Agent - v{__version__} (0123abcd)"


def test_the_line_of_an_unbuilt_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ecscope._build", None)  # what makes an import fail
    assert commit() == "00000000"
    found = PARSED_BY_CLIENTS.search(version_line())
    assert found is not None
    assert found.groups() == (__version__, "", "00000000")

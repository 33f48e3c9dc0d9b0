"""The licence texts are joined in their order, and one that is missing is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecscope.agent.servers.introspection import license as licence


def test_texts_in_order_with_the_separator(tmp_path: Path) -> None:
    for name, text in (("THIRD-PARTY", b"three\n"), ("LICENSE", b"one\n"), ("NOTICE", b"tw\xc3\xb6")):
        (tmp_path / name).write_bytes(text)
    line = b"\n" + b"=" * 80 + b"\n"
    assert licence.text(tmp_path) == b"one\n" + line + b"tw\xc3\xb6" + line + b"three\n"


@pytest.mark.parametrize("missing", licence.FILES)
def test_each_text_must_be_there(tmp_path: Path, missing: str) -> None:
    for name in licence.FILES:
        if name != missing:
            (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match=missing):
        licence.text(tmp_path)

"""The busybox of the sample image: found in Debian's package among its namesakes."""

from __future__ import annotations

from pathlib import Path

import pytest

import sampleimage
from dockerengine import Unavailable


def _package(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name / "busybox"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return folder


def test_a_hook_of_the_same_name_is_not_the_program(tmp_path: Path) -> None:
    package = _package(tmp_path, a_hook=b"#!/bin/sh\n", bin=b"\x7fELF static", z_hook=b"#!/bin/sh\n")
    assert sampleimage._program_in(package) == b"\x7fELF static"


def test_a_program_that_needs_a_loader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no static busybox"):
        sampleimage._program_in(_package(tmp_path, bin=b"\x7fELF /lib64/ld-linux-x86-64.so.2"))

"""``ecscope why`` names the cause and the culprit of every drill, and is never wrong and sure.

``make drills`` runs this and writes docs/causes.md; ``ECSCOPE_DRILLS="a b"`` chooses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.drill import carry_out, drills
from tests.drills.table import document
from tests.e2e.ups import Up, an_up

pytestmark = pytest.mark.timeout(420)


@pytest.fixture
def up(tmp_path: Path, docker_endpoint: str, sample_image: str) -> Iterator[Up]:
    with an_up(tmp_path, docker_endpoint) as up:
        up.start()
        yield up


def test_every_drill(up: Up) -> None:
    chosen = os.environ.get("ECSCOPE_DRILLS", "").split()
    results = carry_out([drill for drill in drills() if not chosen or drill.name in chosen], up)
    if table := os.environ.get("DRILLS_TABLE"):
        Path(table).write_text(document(results))
    wrong = [result.error for result in results if result.error]
    assert not wrong, "\n".join(wrong)

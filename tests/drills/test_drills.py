"""``ecscope why`` names the cause and the culprit of every drill, and is never wrong and sure.

``make drills`` runs this and writes docs/causes.md; ``ECSCOPE_DRILLS="a b"`` chooses.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

import clients
from tests.drills.drill import drills
from tests.drills.ground import Ground
from tests.drills.stages import carry_out
from tests.drills.table import document
from tests.e2e.ups import an_up

pytestmark = pytest.mark.timeout(900)  # the first one installs moto, and a restart loop takes minutes


def test_every_drill(tmp_path: Path, docker_endpoint: str, sample_image: str) -> None:
    chosen = os.environ.get("ECSCOPE_DRILLS", "").split()
    wanted = [drill for drill in drills() if not chosen or drill.name in chosen]
    with ExitStack() as stack:
        ground = Ground(tmp_path, docker_endpoint, stack)
        up = stack.enter_context(an_up(tmp_path / "shared", docker_endpoint))
        up.environment = {"ECSCOPE_MOTO_PYTHON": str(clients.moto() / "python")}
        up.start()
        results = carry_out(wanted, up, ground)
    if table := os.environ.get("DRILLS_TABLE"):
        Path(table).write_text(document(results))
    wrong = [result.error for result in results if result.error]
    assert not wrong, "\n".join(wrong)

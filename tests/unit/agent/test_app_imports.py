"""The agent loads what only a cluster needs when it joins one, and not before."""

from __future__ import annotations

import subprocess
import sys


def test_botocore_is_not_loaded_with_the_agent() -> None:
    program = "import sys, ecscope.agent.app; print([name for name in sys.modules if name.startswith('botocore')])"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"

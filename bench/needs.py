"""What a benchmark cannot do without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


class Missing(Exception):
    """Something that is needed cannot be had; the message is one line that says what, and how to get it."""


def wrk() -> str:
    """Path of ``wrk``, installed with apt when it is absent and we may. Raises ``Missing``."""
    found = shutil.which("wrk")
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing("wrk is not installed; install it (Debian: apt-get install wrk)")
    print("bench: wrk is not installed; installing it with apt-get", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wrk"]
    subprocess.run(command, env=environment, check=False, capture_output=True)
    found = shutil.which("wrk")
    if not found:
        raise Missing("wrk cannot be installed with apt-get; install it by hand")
    return found

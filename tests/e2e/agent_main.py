"""The agent as a process of its own, on a port of its own: 51678 may be somebody else's on this machine.

Run by ``agents.AgentProcess``; everything else is as in ``ecscope agent``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ecscope.agent.app import Agent, run_until_signalled
from ecscope.agent.config import load_config
from ecscope.log import configure_logging


def main() -> int:
    loaded = load_config(os.environ, standalone=True)
    if loaded.errors:
        print(loaded.errors, file=sys.stderr)
        return 2
    configure_logging(level=loaded.config.log_level)
    run_until_signalled(
        Agent(
            loaded.config,
            tasks_path=Path(os.environ["TEST_TASKS"]),
            introspection_port=int(os.environ["TEST_PORT"]),
            checked=True,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

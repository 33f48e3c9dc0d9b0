"""The agent as a process of its own, on a port of its own: 51678 may be somebody else's on this machine.

With ``TEST_TASKS`` empty it joins a cluster. Run by ``agents.AgentProcess``; all else is as in ``ecscope agent``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ecscope.agent.app import Agent, run_until_signalled
from ecscope.agent.config.load import load_config
from ecscope.log import configure_logging


def main() -> int:
    tasks = os.environ.get("TEST_TASKS")
    loaded = load_config(os.environ, standalone=bool(tasks))
    if loaded.errors:
        print(loaded.errors, file=sys.stderr)
        return 2
    configure_logging(level=loaded.config.log_level)
    run_until_signalled(
        Agent(
            loaded.config,
            tasks_path=Path(tasks) if tasks else None,
            introspection_port=int(os.environ["TEST_PORT"]),
            diagnostics_port=int(os.environ["TEST_DIAGNOSTICS_PORT"]),
            checked=True,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

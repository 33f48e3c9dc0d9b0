"""Where agents keep their state on this host, and which of them runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ecscope.sqlitefile.lock import holder_of


def places(data_dir: str | None) -> list[Path]:
    """Data directories of agents, in the order in which they are looked into.

    ``data_dir``: ``--data-dir``, of an agent or of `ecscope up`; ``None``: the usual ones.
    """
    from ecscope.agent.config.load import STANDALONE_DATA_DIR, load_config  # noqa: PLC0415 - only where it is needed

    if data_dir:
        own = Path(data_dir) / "agent"
        return [own, Path(data_dir)] if own.is_dir() or is_of_up(own) else [Path(data_dir)]
    found = [Path(load_config(os.environ, standalone=False).config.data_dir), Path(STANDALONE_DATA_DIR)]
    with suppress(RuntimeError):  # no home directory
        found.append(Path.home() / ".ecscope" / "agent")
    return list(dict.fromkeys(found))


def is_of_up(agent_dir: Path) -> bool:
    """It belongs to the agent of an `ecscope up`."""
    return agent_dir.name == "agent" and (agent_dir.parent / "control.db").exists()


def running(among: list[Path]) -> tuple[Path, int] | None:
    """The first that an agent uses now, with that agent's process ID; ``None``: none."""
    return next(((place, pid) for place in among if (pid := holder_of(place)) is not None), None)

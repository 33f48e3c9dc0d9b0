"""Where agents keep their state on this host, and which of them runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ecscope.sqlitefile.lock import holder_of


def places(data_dir: str | None, *, port: int = 51678) -> list[Path]:
    """Data directories of agents, in the order in which they are looked into.

    Args:
        data_dir: ``--data-dir``, of an agent or of `ecscope up`; ``None``: the usual ones, and that of the agent that
            answers on ``port`` if none of them is in use.
    """
    from ecscope.agent.config.load import STANDALONE_DATA_DIR, load_config  # noqa: PLC0415 - only where it is needed

    if data_dir:
        own = Path(data_dir) / "agent"
        return [own, Path(data_dir)] if own.is_dir() or is_of_up(own) else [Path(data_dir)]
    found = [Path(load_config(os.environ, standalone=False).config.data_dir), Path(STANDALONE_DATA_DIR)]
    with suppress(RuntimeError):  # no home directory
        found.append(Path.home() / ".ecscope" / "agent")
    usual = list(dict.fromkeys(found))
    if running(usual) is None and (answering := _of_agent_on(port)) is not None:
        usual.insert(0, answering)
    return usual


def _of_agent_on(port: int) -> Path | None:
    """The data directory of the agent that listens there; ``None``: nobody does, or the process may not be seen."""
    from ecscope.agent.probes import host  # noqa: PLC0415
    from ecscope.cli.agent import overrides_of  # noqa: PLC0415

    with suppress(OSError, SystemExit, KeyError):
        for holder in host.ports((port,)).holders.get(port, ()):
            if holder.pid is None:
                continue
            environ, command = host.environment_of(holder.pid), host.command_of(holder.pid)
            if "ECS_DATADIR" in environ and "--data-dir" not in command:
                return Path(environ["ECS_DATADIR"])
            if "agent" in command:
                from ecscope.agent.config.load import load_config  # noqa: PLC0415
                from ecscope.cli.main import build_parser  # noqa: PLC0415

                arguments = build_parser().parse_args(command[command.index("agent") :])
                overrides = overrides_of(arguments)
                loaded = load_config(environ, standalone=arguments.tasks is not None, overrides=overrides)
                return Path(loaded.config.data_dir)
    return None


def is_of_up(agent_dir: Path) -> bool:
    """It belongs to the agent of an `ecscope up`."""
    return agent_dir.name == "agent" and (agent_dir.parent / "control.db").exists()


def running(among: list[Path]) -> tuple[Path, int] | None:
    """The first that an agent uses now, with that agent's process ID; ``None``: none."""
    return next(((place, pid) for place in among if (pid := holder_of(place)) is not None), None)

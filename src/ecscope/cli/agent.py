"""``ecscope agent``: run the agent until SIGTERM or SIGINT.

With ``--tasks`` it runs the tasks of files, without it joins a cluster.

Only reads the configuration and hands over; loads nothing that the first answer on 51678
would have to wait for.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from ecscope.agent.config import LoadedConfig, load_config
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_TERMINAL, EXIT_USAGE
from ecscope.log import configure_logging

_log = logging.getLogger("ecscope.agent")


def run(args: argparse.Namespace) -> int:
    """``args``: ``tasks`` (path or ``None``), ``cluster``, ``data_dir`` and ``log_level`` (text or ``None``)."""
    loaded = load_config(os.environ, standalone=args.tasks is not None, overrides=overrides_of(args))
    if loaded.errors:
        _print_mistakes(loaded)
        return EXIT_USAGE
    if args.tasks is None:
        print(
            "ecscope agent: joining an ECS cluster is not built yet; give --tasks PATH, a file or folder of task"
            " definitions, to run tasks on this machine",
            file=sys.stderr,
        )
        return EXIT_USAGE
    configure_logging(
        level=loaded.config.log_level, log_format=loaded.config.log_format, file=loaded.config.log_target()
    )
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    return _live(loaded, Path(args.tasks))


def overrides_of(args: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """The settings that the command line gives, as ``load_config`` takes them."""
    overrides = {}
    if args.cluster is not None:
        overrides["cluster"] = ("--cluster", args.cluster)
    if args.data_dir is not None:
        overrides["data_dir"] = ("--data-dir", args.data_dir)
    if args.log_level is not None:
        overrides["log_level"] = ("--log-level", args.log_level)
    return overrides


def _print_mistakes(loaded: LoadedConfig) -> None:
    print("ecscope agent: the configuration is wrong, so the agent does not start:", file=sys.stderr)
    for mistake in loaded.errors:
        print(f"  {mistake}", file=sys.stderr)


def _live(loaded: LoadedConfig, tasks_path: Path) -> int:
    # Loaded late: nothing of it is needed to tell a mistake.
    from ecscope.agent.app import Agent, AgentError, run_until_signalled  # noqa: PLC0415

    try:
        run_until_signalled(Agent(loaded.config, tasks_path=tasks_path))
    except AgentError as error:
        print(f"ecscope agent: {error}", file=sys.stderr)
        return exit_code_of(error)
    return EXIT_FINE


def exit_code_of(error: Exception) -> int:
    """By which a supervisor knows whether to start the agent again: it should, except for ``EXIT_TERMINAL``."""
    from ecscope.agent.app import TerminalError  # noqa: PLC0415

    return EXIT_TERMINAL if isinstance(error, TerminalError) else EXIT_FAILED

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
from functools import partial
from pathlib import Path

from ecscope.agent.config import Config, LoadedConfig, load_config
from ecscope.agent.config_sources import InstanceData
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_TERMINAL, EXIT_USAGE
from ecscope.log import configure_logging

_log = logging.getLogger("ecscope.agent")


def run(args: argparse.Namespace) -> int:
    """``args``: ``tasks`` (path or ``None``), ``cluster``, ``data_dir`` and ``log_level`` (text or ``None``)."""
    load = partial(load_config, os.environ, standalone=args.tasks is not None, overrides=overrides_of(args))
    loaded = load()
    instance = InstanceData()
    if loaded.asks_imds and not loaded.errors:
        instance = _ask_instance(loaded.config)
        loaded = load(instance_data=instance)
    if loaded.errors:
        _print_mistakes(loaded)
        return EXIT_USAGE
    configure_logging(
        level=loaded.config.log_level, log_format=loaded.config.log_format, file=loaded.config.log_target()
    )
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    return _live(loaded, Path(args.tasks) if args.tasks is not None else None, instance.instance_id)


def _ask_instance(config: Config) -> InstanceData:
    """What EC2 knows of this instance, for the settings that nobody gave."""
    import asyncio  # noqa: PLC0415  # HTTP is loaded only where it is needed

    from ecscope.agent.instance_data import ask_instance  # noqa: PLC0415

    return asyncio.run(ask_instance(config))


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


def _live(loaded: LoadedConfig, tasks_path: Path | None, ec2_instance_id: str) -> int:
    # Loaded late: nothing of it is needed to tell a mistake.
    from ecscope.agent.app import Agent, AgentError, run_until_signalled  # noqa: PLC0415

    try:
        run_until_signalled(Agent(loaded.config, tasks_path=tasks_path, ec2_instance_id=ec2_instance_id))
    except AgentError as error:
        print(f"ecscope agent: {error}", file=sys.stderr)
        return exit_code_of(error)
    return EXIT_FINE


def exit_code_of(error: Exception) -> int:
    """By which a supervisor knows whether to start the agent again: it should, except for ``EXIT_TERMINAL``."""
    from ecscope.agent.app import TerminalError  # noqa: PLC0415

    return EXIT_TERMINAL if isinstance(error, TerminalError) else EXIT_FAILED

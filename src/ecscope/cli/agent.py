"""``ecscope agent``: run the agent until SIGTERM or SIGINT.

With ``--tasks`` it runs the tasks of files, without it joins a cluster; with ``--simulated`` it only pretends.

Only reads the configuration and hands over; loads nothing that the first answer on 51678
would have to wait for.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ecscope.agent.config.load import LoadedConfig, load_config
from ecscope.agent.config.settings import Config
from ecscope.agent.config.sources import InstanceData
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_TERMINAL, EXIT_USAGE
from ecscope.log import configure_logging

if TYPE_CHECKING:
    from ecscope.agent.runtime.interface import Runtime

_log = logging.getLogger("ecscope.agent")

PROCESS_NAME = "agent"
"""Of the official agent's process; the ECS logs collector runs ``pgrep agent``."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``tasks`` (path or ``None``), ``cluster``, ``data_dir``, ``log_level`` (text or ``None``) and
    ``simulated``.
    """
    _take_process_name()
    load = partial(load_config, os.environ, standalone=args.tasks is not None, overrides=overrides_of(args))
    loaded = load()
    instance = InstanceData()
    if loaded.asks_imds and not loaded.errors:
        instance = _ask_instance(loaded.config)
        loaded = load(instance_data=instance)
    if loaded.errors:
        _print_mistakes(loaded)
        return EXIT_USAGE
    if args.simulated and args.tasks is None and not loaded.config.api_endpoint:
        print(
            "ecscope agent: --simulated cannot join a cluster of AWS, where its tasks would look real: set"
            " ECS_BACKEND_HOST to what `ecscope up` printed as AWS_ENDPOINT_URL_ECS",
            file=sys.stderr,
        )
        return EXIT_USAGE
    configure_logging(
        level=loaded.config.log_level, log_format=loaded.config.log_format, file=loaded.config.log_target()
    )
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    tasks_path = Path(args.tasks) if args.tasks is not None else None
    return _live(loaded, tasks_path, instance.instance_id, is_simulated=args.simulated)


def _take_process_name() -> None:
    """What ``pgrep`` and ``top`` show. Not worth a word where it cannot be done."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(PROCESS_NAME)


def _ask_instance(config: Config) -> InstanceData:
    """What EC2 knows about this instance, for the settings that were not given."""
    import asyncio  # noqa: PLC0415  # HTTP is loaded only where it is needed

    from ecscope.agent.aws.instance_data import ask_instance  # noqa: PLC0415

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
    if args.log_format is not None:
        overrides["log_format"] = ("--log-format", args.log_format)
    if args.simulated:  # the simulated machine is not an EC2 instance, and has no control groups
        overrides |= {"imds_disabled": ("--simulated", "true"), "task_cpu_mem_limit": ("--simulated", "false")}
        overrides |= dict.fromkeys(
            ("task_iam_role_enabled", "task_iam_role_enabled_for_network_host"), ("--simulated", "true")
        )
    return overrides


def _print_mistakes(loaded: LoadedConfig) -> None:
    print("ecscope agent: the configuration is invalid, so the agent does not start:", file=sys.stderr)
    for mistake in loaded.errors:
        print(f"  {mistake}", file=sys.stderr)


def _live(loaded: LoadedConfig, tasks_path: Path | None, ec2_instance_id: str, *, is_simulated: bool) -> int:
    # Loaded late: reporting a mistake needs none of it.
    from ecscope.agent.app import Agent, AgentError, run_until_signalled  # noqa: PLC0415

    config, runtime = _simulation(loaded.config) if is_simulated else (loaded.config, None)
    try:
        run_until_signalled(Agent(config, tasks_path=tasks_path, ec2_instance_id=ec2_instance_id, runtime=runtime))
    except AgentError as error:
        print(f"ecscope agent: {error}", file=sys.stderr)
        return exit_code_of(error)
    return EXIT_FINE


def _simulation(config: Config) -> tuple[Config, Runtime]:
    """The log and an attribute of the container instance say that it is simulated."""
    from ecscope.agent.runtime.simulated.host import SIMULATED_ATTRIBUTE, simulated_runtime  # noqa: PLC0415

    _log.warning(
        "SIMULATED: no container runs here and no image is pulled; tasks only appear to run, until they are stopped."
        " The attribute %s of the container instance says so too",
        SIMULATED_ATTRIBUTE,
    )
    attributes = {**config.instance_attributes, SIMULATED_ATTRIBUTE: "true"}
    return msgspec.structs.replace(config, instance_attributes=attributes), simulated_runtime()


def exit_code_of(error: Exception) -> int:
    """By which a supervisor knows whether to start the agent again: only for ``EXIT_FAILED``."""
    from ecscope.agent.app import TerminalError, WrongSetting  # noqa: PLC0415

    if isinstance(error, WrongSetting):
        return EXIT_USAGE
    return EXIT_TERMINAL if isinstance(error, TerminalError) else EXIT_FAILED

"""``ecscope doctor``: whether an agent can work on this host, check by check, and what to do where it cannot.

It looks at the agent that runs, with that agent's own settings, else at one that would be started from this shell.
Nothing is changed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ecscope.agent.config.load import LoadedConfig, load_config
from ecscope.agent.diagnosis.doctor.checks import examine
from ecscope.agent.diagnosis.doctor.facts import AgentFact, SettingsFact
from ecscope.agent.diagnosis.doctor.findings import RANK, Finding, Severity
from ecscope.cli.client import DEFAULT_ENDPOINT, AgentProblem, BadEndpoint, Client, Metadata, Task
from ecscope.cli.exit_codes import EXIT_ERRORS, EXIT_FINE, EXIT_WARNINGS
from ecscope.cli.places import is_of_up, places, running
from ecscope.cli.table import BOLD, harmless, wants_colour
from ecscope.clock import SystemClock
from ecscope.model.container_instance import ObstacleKind
from ecscope.version import version_line

_AGENT_TIMEOUT_S = 0.5
_NO_METADATA = Metadata(cluster="", container_instance_arn=None)
_COLOURS = {Severity.OK: "\x1b[32m", Severity.WARNING: "\x1b[33m", Severity.ERROR: "\x1b[31m"}
_RESET = "\x1b[0m"
_QUIET = (Severity.OK, Severity.NOT_NEEDED)


class Found(msgspec.Struct, kw_only=True):
    """The agent that is looked at."""

    loaded: LoadedConfig
    environ: dict[str, str]
    pid: int | None
    standalone: bool
    is_local: bool


def run(args: argparse.Namespace) -> int:
    """``args``: ``data_dir`` (text or ``None``), ``json``, ``verbose``."""
    begun_s = time.monotonic()
    from ecscope.agent.probes.gather import gather  # noqa: PLC0415 - botocore and aiohttp

    found = agent_of(places(args.data_dir), args.data_dir)
    settings = SettingsFact(
        errors=tuple(map(str, found.loaded.errors)),
        warnings=tuple(str(mistake) for mistake in found.loaded.warnings if not mistake.is_note),
        joins_cluster=not found.standalone,
        may_ask_imds=found.loaded.config.may_ask_imds,
        log_drivers=found.loaded.config.available_logging_drivers,
        task_roles=found.loaded.config.task_iam_role_enabled,
        is_local=found.is_local,
    )
    agent, tasks, metadata = _asked(found.pid)
    facts = asyncio.run(
        gather(
            found.loaded,
            found.environ,
            settings=settings,
            agent=agent,
            container_instance_arn=metadata.container_instance_arn or "",
            known=None if tasks is None else _known(tasks),
            ecscope_version=version_line(),
            agent_version=metadata.version if agent.answers_51680 else "",
            clock=SystemClock(),
        )
    )
    findings = examine(facts)
    took_s = time.monotonic() - begun_s
    if args.json:
        print(json_of(findings, found, took_s))
    else:
        print("\n".join(lines_of(findings, verbose=args.verbose, colour=wants_colour(sys.stdout), took_s=took_s)))
    return exit_code_of(findings)


def exit_code_of(findings: Sequence[Finding]) -> int:
    """By the worst finding. What is not known does not count."""
    worst = max((RANK[finding.severity] for finding in findings), default=0)
    if worst == RANK[Severity.ERROR]:
        return EXIT_ERRORS
    return EXIT_WARNINGS if worst == RANK[Severity.WARNING] else EXIT_FINE


def lines_of(findings: Sequence[Finding], *, verbose: bool, colour: bool, took_s: float) -> list[str]:
    """What is wrong first, each with what to do; then one line about the rest, or with ``verbose`` all of it."""
    lines = []
    width = max(len(finding.check) for finding in findings)
    for finding in sorted(findings, key=lambda one: -RANK[one.severity]):
        if finding.severity in _QUIET and not verbose:
            continue
        word = finding.severity.value.upper() if finding.severity not in _QUIET else finding.severity.value
        code = _COLOURS.get(finding.severity, "") if colour else ""
        shown = f"{code}{word:<10}{_RESET if code else ''}"
        lines.append(f"{shown}  {finding.check:<{width}}  {harmless(finding.text)}")
        if finding.fix:
            lines.append(f"{'':<{width + 14}}→ {harmless(finding.fix)}")
    counts = {severity: sum(finding.severity is severity for finding in findings) for severity in Severity}
    named = [f"{counts[severity]} {severity.value}" for severity in Severity if counts[severity]]
    summary = f"{len(findings)} check{'s' if len(findings) != 1 else ''} in {took_s:.1f} s: {', '.join(named)}"
    lines += ["", f"{BOLD}{summary}{_RESET}" if colour else summary] if lines else [summary]
    return lines


def json_of(findings: Sequence[Finding], found: Found, took_s: float) -> str:
    """For programs. ``severity`` is one of ``ok``, ``not needed``, ``not known``, ``warning``, ``error``."""
    document = {
        "agent": {"pid": found.pid, "dataDirectory": found.loaded.config.data_dir, "isLocal": found.is_local},
        "tookSeconds": round(took_s, 3),
        "findings": [
            {"check": one.check, "severity": one.severity.value, "text": one.text, "fix": one.fix} for one in findings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def agent_of(among: list[Path], data_dir: str | None) -> Found:
    """The agent of the data directory, else the first one of the usual places that runs, else none."""
    from ecscope.agent.probes import host  # noqa: PLC0415

    found = running(among)
    if found is None:
        place = next((place for place in among if (place / "ecscope.db").exists()), among[0])
        overrides = {"data_dir": ("--data-dir", str(place))} if data_dir or place != among[0] else {}
        loaded = load_config(os.environ, standalone=False, overrides=overrides)
        return Found(loaded=loaded, environ=dict(os.environ), pid=None, standalone=False, is_local=is_of_up(place))
    place, pid = found
    environ, arguments = dict(os.environ), argparse.Namespace(tasks=None)
    overrides = {"data_dir": ("--data-dir", str(place))}
    with suppress(OSError):  # another user's: judged by the settings of this shell
        environ, arguments = host.environment_of(pid), _arguments(host.command_of(pid))
        if hasattr(arguments, "cluster"):
            from ecscope.cli.agent import overrides_of  # noqa: PLC0415

            overrides = overrides_of(arguments)
    is_standalone = arguments.tasks is not None
    loaded = load_config(environ, standalone=is_standalone, overrides=overrides)
    return Found(loaded=loaded, environ=environ, pid=pid, standalone=is_standalone, is_local=is_of_up(place))


def _arguments(command: list[str]) -> argparse.Namespace:
    """The options of a running `ecscope agent`."""
    from ecscope.cli.main import build_parser  # noqa: PLC0415

    if "agent" in command:
        with suppress(SystemExit):  # of another version, with other options
            return build_parser().parse_args(command[command.index("agent") :])
    return argparse.Namespace(tasks=None)


def _asked(pid: int | None) -> tuple[AgentFact, list[Task] | None, Metadata]:
    """The agent as its ports show it; its tasks (``None``: no answer) and its metadata."""
    client = Client(os.environ.get("ECSCOPE_ENDPOINT") or DEFAULT_ENDPOINT, timeout_s=_AGENT_TIMEOUT_S)
    shown = client.instance()
    fact = AgentFact(pid=pid, answers_51680=shown is not None)
    if shown is not None and shown.reason:
        with suppress(ValueError):
            fact = msgspec.structs.replace(
                fact,
                obstacle=ObstacleKind(shown.reason),
                obstacle_message=shown.message,
                obstacle_since=shown.since,
            )
    try:
        tasks = client.tasks()
        metadata, _ = client.metadata()
    except (AgentProblem, BadEndpoint) as problem:
        return msgspec.structs.replace(fact, why_not=str(problem)), None, _NO_METADATA
    fact = msgspec.structs.replace(fact, answers_51678=True)
    return fact, tasks, metadata


def _known(tasks: Sequence[Task]) -> dict[str, frozenset[str]]:
    containers = [container for task in tasks for container in task.containers]
    return {
        "containers": frozenset(container.docker_id for container in containers),
        "volumes": frozenset(volume.docker_name for container in containers for volume in container.volumes),
    }

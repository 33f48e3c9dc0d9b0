"""``ecscope services``: the services of a cluster, with their newest deployment and event.

Asks the control plane of `ecscope up`, or ECS with the caller's own credentials.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE
from ecscope.cli.places import places
from ecscope.cli.table import NO_VALUE, harmless, table, wants_colour
from ecscope.cli.why import where_of

if TYPE_CHECKING:
    from ecscope.agent.diagnosis.why.service import Service

HEADER = ("SERVICE", "TASK DEFINITION", "RUNNING", "DEPLOYMENT", "NEWEST EVENT")
_DEFINITION_COLUMN, _EVENT_COLUMN = 1, 4
_WIDTH = 80
"""Where the output is not a terminal."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``data_dir`` (text or ``None``)."""
    from ecscope.agent.probes.ecs import services  # noqa: PLC0415 - botocore

    where = next((found for place in places(args.data_dir) if (found := where_of(place)) is not None), None)
    if where is None:
        return _failed("no `ecscope up` runs here; start it, name its --data-dir, or set AWS_PROFILE to ask AWS")
    listed = asyncio.run(services(where))
    at = where.endpoint or f"ECS in {where.region}"
    if listed is None:
        return _failed(f"{at} gave no answer about cluster {where.cluster}; `ecscope doctor` shows what can be wrong")
    if listed:
        print("\n".join(lines_of(listed)))
    else:
        print(f"ecscope services: no services in cluster {where.cluster} of {at}", file=sys.stderr)
    return EXIT_FINE


def lines_of(found: Sequence[Service]) -> list[str]:
    """The table, fitted to the terminal, or to 80 columns where there is none."""
    return table(
        HEADER,
        [row_of(one) for one in sorted(found, key=lambda one: one.service_name)],
        colour=wants_colour(sys.stdout),
        width=shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH,
        shrink=(_EVENT_COLUMN, _DEFINITION_COLUMN),
    )


def row_of(service: Service) -> tuple[str, ...]:
    """One service in the order of ``HEADER``."""
    newest = next((one for one in service.deployments if one.status == "PRIMARY"), None)
    definition = newest.task_definition.rpartition("/")[2] if newest is not None else ""
    deployment = newest.rollout_state if newest is not None else service.status
    if newest is not None and newest.failed_tasks:
        deployment += f", {newest.failed_tasks} failed"
    count = f"{service.running_count}/{service.desired_count}"
    if service.pending_count:
        count += f" +{service.pending_count}"
    event = service.events[0].message.removeprefix(f"(service {service.service_name}) ") if service.events else ""
    return (service.service_name, definition or NO_VALUE, count, deployment or NO_VALUE, event or NO_VALUE)


def _failed(sentence: str) -> int:
    print(f"ecscope services: {harmless(sentence)}", file=sys.stderr)
    return EXIT_FAILED

"""``ecscope tasks``: the tasks of an agent, as a table or as JSON, once or again and again.

Source: introspection-api.md §6.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from ecscope.cli.client import AgentProblem, BadEndpoint, Client, Task, client_for
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.table import NO_VALUE, age, harmless, ports_of, table, wants_colour
from ecscope.model.docker_time import parse_docker_time

STATUSES = ("PENDING", "RUNNING", "STOPPED")
HEADER = ("TASK", "FAMILY", "DESIRED", "KNOWN", "CONTAINERS", "PORTS", "AGE")
_CONTAINERS_COLUMN, _PORTS_COLUMN = 4, 5
_INTERVAL_S = 2.0
_TO_THE_TOP, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


def run(args: argparse.Namespace, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """``args``: ``family``, ``status`` (text or ``None``), ``watch``, ``json``, ``endpoint``."""
    status = args.status.upper() if args.status is not None else None
    if status is not None and status not in STATUSES:
        return _usage(f"--status {args.status!r} is not a status: write {', '.join(STATUSES[:-1])} or {STATUSES[-1]}")
    if args.watch and args.json:
        return _usage("--watch and --json cannot be combined")
    try:
        client = client_for(args.endpoint)
    except BadEndpoint as error:
        return _usage(str(error))

    def fetch() -> list[Task]:
        return sorted(matching(client.tasks(), family=args.family, status=status), key=_order)

    try:
        tasks = fetch()
    except AgentProblem as problem:
        print(f"ecscope tasks: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED
    if args.watch:
        return _watch(client, tasks, fetch, sleep)
    if args.json:
        print(json_of(tasks))
    elif tasks:
        print("\n".join(lines_of(tasks, now=datetime.now(UTC))))
    if tasks:
        return EXIT_FINE
    is_filtered = args.family is not None or status is not None
    if is_filtered or not args.json:
        what = "no task matches" if is_filtered else "no tasks"
        print(f"ecscope tasks: {what} on {client.endpoint}", file=sys.stderr)
    return EXIT_NO_MATCH if is_filtered else EXIT_FINE


def matching(tasks: Iterable[Task], *, family: str | None, status: str | None) -> list[Task]:
    """Those of this family (``web``) or revision (``web:3``) and of this known status; ``None``: any."""
    return [
        task
        for task in tasks
        if (family is None or family in {task.family, f"{task.family}:{task.version}"})
        and (status is None or task.known == status)
    ]


def json_of(tasks: Iterable[Task]) -> str:
    """The agent's own list, with its own objects."""
    document = msgspec.json.encode({"Tasks": [task.raw for task in tasks]})
    return msgspec.json.format(document, indent=2).decode()


def lines_of(tasks: Iterable[Task], *, now: datetime) -> list[str]:
    """The table, fitted to the terminal if there is one."""
    is_terminal = sys.stdout.isatty()
    return table(
        HEADER,
        [row_of(task, now=now) for task in tasks],
        colour=wants_colour(sys.stdout),
        width=shutil.get_terminal_size().columns if is_terminal else None,
        shrink=(_CONTAINERS_COLUMN, _PORTS_COLUMN),
    )


def row_of(task: Task, *, now: datetime) -> tuple[str, ...]:
    """One task in the order of ``HEADER``; its age counts from its first container."""
    created = [moment for c in task.containers if (moment := parse_docker_time(c.created_at)) is not None]
    return (
        task.id,
        f"{task.family}:{task.version}",
        task.desired or NO_VALUE,
        task.known,
        ", ".join(sorted(container.name for container in task.containers)) or NO_VALUE,
        ports_of(task.containers),
        age(min(created, default=None), now),
    )


def _watch(client: Client, tasks: list[Task], fetch: Callable[[], list[Task]], sleep: Callable[[float], None]) -> int:
    """An agent that is away for a moment, as in a restart, does not end it."""
    problem = ""
    try:
        while True:
            now = datetime.now(UTC)
            lines = [f"{client.endpoint}  {now:%H:%M:%S} UTC  {_count_of(tasks)}  (Ctrl-C ends)"]
            lines += [problem] if problem else lines_of(tasks, now=now)
            _draw(lines)
            sleep(_INTERVAL_S)
            problem = ""
            try:
                tasks = fetch()
            except AgentProblem as error:
                tasks, problem = [], harmless(str(error))
    except KeyboardInterrupt:
        return EXIT_FINE


def _count_of(tasks: list[Task]) -> str:
    return f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"


def _draw(lines: list[str]) -> None:
    if not sys.stdout.isatty():
        print("\n".join([*lines, ""]), flush=True)
        return
    room = shutil.get_terminal_size().lines - 1
    if len(lines) > room > 1:
        lines = [*lines[: room - 1], f"… {len(lines) - room + 1} more"]
    text = "".join(f"{line}{_CLEAR_LINE}\n" for line in lines)
    print(f"{_TO_THE_TOP}{text}{_CLEAR_REST}", end="", flush=True)


def _order(task: Task) -> tuple[str, str, str]:
    return task.family, task.version.rjust(10, "0"), task.id


def _usage(message: str) -> int:
    print(f"ecscope tasks: {message}", file=sys.stderr)
    return EXIT_USAGE

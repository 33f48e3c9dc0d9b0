"""``ecscope tasks``: the tasks of an agent, newest first, as a table or as JSON, once or again and again.

They come from port 51678; how each ended, is, or what it waits for comes from the state that an ecscope agent keeps on
this host. With no agent running that state is all there is.

Source: introspection-api.md §6.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from ecscope.cli.client import DEFAULT_ENDPOINT, AgentProblem, BadEndpoint, Client, Task, client_for
from ecscope.cli.exit_codes import EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.kept import as_shown, kept, state_of, with_ports
from ecscope.cli.places import places
from ecscope.cli.table import NO_VALUE, age, harmless, ports_of, table, wants_colour
from ecscope.model import task as model
from ecscope.model.docker_time import parse_docker_time

STATUSES = ("PENDING", "RUNNING", "STOPPED")
HEADER = ("TASK", "FAMILY", "STATUS", "AGE", "PORTS", "STATE")
_FAMILY_COLUMN, _PORTS_COLUMN, _STATE_COLUMN = 1, 4, 5
_ID_SHOWN = 12
"""Characters of an ID, as many as `docker ps` shows; any beginning is enough for `ecscope task`."""
_WIDTH = 80
"""Where the output is not a terminal."""
_INTERVAL_S = 2.0
_TO_THE_TOP, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


def run(args: argparse.Namespace, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """``args``: ``family``, ``status``, ``data_dir`` (text or ``None``), ``all``, ``watch``, ``json``, ``endpoint``."""
    status = args.status.upper() if args.status is not None else None
    if status is not None and status not in STATUSES:
        return _usage(f"--status {args.status!r} is not a status: write {', '.join(STATUSES[:-1])} or {STATUSES[-1]}")
    if args.watch and args.json:
        return _usage("--watch and --json cannot be combined")
    try:
        client = client_for(args.endpoint)
    except BadEndpoint as error:
        return _usage(str(error))

    def fetch() -> list[Listed]:
        return listed(client, args.data_dir, family=args.family, status=status, all_=args.all or args.json)

    try:
        tasks = fetch()
    except AgentProblem as problem:
        print(f"ecscope tasks: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED
    if args.watch:
        return _watch(client, tasks, fetch, sleep)
    if args.json:
        print(json_of([one.task for one in tasks]))
    elif tasks:
        print("\n".join(lines_of(tasks, now=datetime.now(UTC))))
    if tasks:
        return EXIT_FINE
    is_filtered = args.family is not None or status is not None
    if is_filtered or not args.json:
        what = "no task matches" if is_filtered else "no tasks" if args.all or args.json else "no task runs or waits"
        print(f"ecscope tasks: {what} on {client.endpoint}", file=sys.stderr)
    return EXIT_NO_MATCH if is_filtered else EXIT_FINE


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A task, and what its agent keeps of it."""

    task: Task
    record: model.Task | None = None
    """``None``: not found here."""

    @property
    def began_at(self) -> datetime | None:
        """When the agent took it, else when its first container was created; ``None``: neither is known."""
        if self.record is not None:
            return self.record.received_at
        created = [moment for c in self.task.containers if (moment := parse_docker_time(c.created_at)) is not None]
        return min(created, default=None)


def listed(client: Client, data_dir: str | None, *, family: str | None, status: str | None, all_: bool) -> list[Listed]:
    """Those that match, the newest first. Raises ``AgentProblem``.

    Args:
        data_dir: of the agent; ``None``: that of the agent that answers.
        all_: stopped ones too; they are listed as well if ``status`` asks for them.
    """
    problem: AgentProblem | None = None
    shown: list[Task] | None = None
    try:
        shown = client.tasks()
    except AgentProblem as error:
        problem = error
    found = kept(client, places(data_dir, port=client.port), shown) if client.is_local else None
    if shown is None:
        assert problem is not None
        if found is None or not problem.is_absence or not (data_dir or client.endpoint == DEFAULT_ENDPOINT):
            raise problem  # one that was named, and is not there, is not any other
        shown = [as_shown(task) for task in found.tasks.values() if not task.is_refused]
    records = found.tasks if found is not None else {}
    wanted = matching(shown, family=family, status=status)
    if not all_ and status is None:
        wanted = [task for task in wanted if task.known != "STOPPED"]
    tasks = [Listed(task=with_ports(task, records.get(task.arn)), record=records.get(task.arn)) for task in wanted]
    return sorted(tasks, key=_order, reverse=True)


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


def lines_of(tasks: Sequence[Listed], *, now: datetime) -> list[str]:
    """The table, fitted to the terminal, or to 80 columns where there is none."""
    is_terminal = sys.stdout.isatty()
    return table(
        HEADER,
        [row_of(one, now=now) for one in tasks],
        colour=wants_colour(sys.stdout),
        width=shutil.get_terminal_size().columns if is_terminal else _WIDTH,
        shrink=(_STATE_COLUMN, _PORTS_COLUMN, _FAMILY_COLUMN),
    )


def row_of(one: Listed, *, now: datetime) -> tuple[str, ...]:
    """One task in the order of ``HEADER``."""
    task = one.task
    status = task.known if task.desired in ("", task.known, "RUNNING") else f"{task.known}→{task.desired}"
    return (
        task.id[:_ID_SHOWN],
        f"{task.family}:{task.version}",
        status,
        age(one.began_at, now),
        ports_of(task.containers),
        (state_of(one.record) if one.record is not None else "") or NO_VALUE,
    )


def _watch(
    client: Client, tasks: list[Listed], fetch: Callable[[], list[Listed]], sleep: Callable[[float], None]
) -> int:
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


def _count_of(tasks: list[Listed]) -> str:
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


def _order(one: Listed) -> tuple[float, str]:
    return (one.began_at.timestamp() if one.began_at is not None else 0.0, one.task.id)


def _usage(message: str) -> int:
    print(f"ecscope tasks: {message}", file=sys.stderr)
    return EXIT_USAGE

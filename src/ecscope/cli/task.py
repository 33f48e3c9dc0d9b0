"""``ecscope task``: everything an agent reports about one task, and its history.

The task comes from port 51678; the events from the state an ecscope agent keeps on this host.

Source: introspection-api.md §6.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from ecscope.cli.client import AgentProblem, BadEndpoint, Client, Container, Task, client_for
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.places import places
from ecscope.cli.table import BOLD, NO_VALUE, age, coloured, harmless, ports_of, table, wants_colour
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.history import HistoryEntry

_LABEL_WIDTH = 12
_SHORTEST_LOOKUP = 6
"""Characters from which on a Docker ID is looked up that no listed task has."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``which``, ``events`` (a number), ``data_dir`` (text or ``None``), ``json``, ``endpoint``."""
    which = args.which.strip()
    if not which:
        print(
            "ecscope task: TASK is empty: give an ARN, an ID, or a part of one; `ecscope tasks` lists them",
            file=sys.stderr,
        )
        return EXIT_USAGE
    try:
        client = client_for(args.endpoint)
        found = find(client, which)
    except BadEndpoint as error:
        print(f"ecscope task: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AgentProblem as problem:
        print(f"ecscope task: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED
    if not found:
        print(
            f"ecscope task: no task on {client.endpoint} has {harmless(which)!r}; `ecscope tasks` lists them",
            file=sys.stderr,
        )
        return EXIT_NO_MATCH
    if len(found) > 1:
        _print_candidates(which, found)
        return EXIT_AMBIGUOUS
    entries, why_none = events_of(client, found[0], data_dir=args.data_dir, limit=args.events)
    if args.json:
        print(json_of(found[0], entries, why_none))
    else:
        colour = wants_colour(sys.stdout)
        if client.is_local and (because := _because(found[0], args.data_dir)):
            print(f"{because}\n")
        print("\n".join(lines_of(found[0], now=datetime.now(UTC), colour=colour)))
        if args.events:
            print("\n".join(["", *event_lines(entries, why_none, colour=colour)]))
    return EXIT_FINE


def find(client: Client, which: str) -> list[Task]:
    """The tasks that ``which`` can mean. Raises ``AgentProblem``.

    A whole name beats the beginning of an ID, which beats any part. Tasks that the agent made for
    itself are not listed; they are found by whole ARN or by the beginning of a Docker ID.
    """
    tasks = client.tasks()
    for fits in (_is_named, _begins, _has_part):
        found = [task for task in tasks if fits(task, which)]
        if found:
            return sorted(found, key=lambda task: (task.family, task.id))
    hidden = None
    if which.startswith("arn:"):
        hidden = client.find("taskarn", which)
    elif len(which) >= _SHORTEST_LOOKUP:
        hidden = client.find("dockerid", which)
    return [hidden] if hidden is not None else []


def _because(task: Task, data_dir: str | None) -> str:
    """Why it stopped or waits, in one sentence; ``""``: it runs, or its agent's state is not found here."""
    if task.known == "RUNNING":
        return ""
    from ecscope.agent.store.interface import StoreError  # noqa: PLC0415 - only where something is wrong
    from ecscope.cli.why import answer_about, subjects  # noqa: PLC0415

    with suppress(StoreError):
        found, _ = subjects(places(data_dir), task.arn)
        if found:
            verdict = answer_about(found[0]).verdict
            begin = "Stopped because" if task.known == "STOPPED" else "Waits because"
            return f"{begin} {harmless(verdict.sentence)} ({verdict.code}, {verdict.certainty.value})"
    return ""


def events_of(client: Client, task: Task, *, data_dir: str | None, limit: int) -> tuple[Sequence[HistoryEntry], str]:
    """The newest events, oldest first; without any, one sentence that says why."""
    if not limit:
        return (), "none were requested"
    if not client.is_local:
        return (), f"events are kept by the agent on its own host: ask there ({client.host})"
    from ecscope.agent.store.interface import StoreError  # noqa: PLC0415 - sqlite3, and only for events
    from ecscope.agent.store.reader import read_history  # noqa: PLC0415

    problems = []
    folders = places(data_dir)
    for folder in folders:
        try:
            if entries := read_history(folder, task.arn, limit):
                return entries, ""
        except StoreError as error:
            problems.append(f"{error}; --data-dir names another, that of `ecscope up` too")
    return (), problems[0] if len(problems) == len(folders) else "none are kept about this task"


def json_of(task: Task, entries: Iterable[HistoryEntry], why_none: str) -> str:
    """``Task``: the agent's own object. ``Events``: the history. ``EventsMissing``: why there are none, or ``""``."""
    document = msgspec.json.encode(
        {"Task": task.raw, "Events": [event_of(entry) for entry in entries], "EventsMissing": why_none}
    )
    return msgspec.json.format(document, indent=2).decode()


def event_of(entry: HistoryEntry) -> dict[str, object]:
    """One entry as ``--json`` shows it."""
    return {
        "at": entry.at,
        "event_id": entry.event_id,
        "cause": entry.cause,
        "happening": entry.kind,
        "task_arn": entry.task_arn,
        "container_name": entry.container_name,
        "text": entry.text,
        "detail": entry.detail,
    }


def lines_of(task: Task, *, now: datetime, colour: bool) -> list[str]:
    """The task, then each container."""
    status = coloured(harmless(task.known), colour=colour)
    lines = [
        _labelled("Task", task.id),
        _labelled("ARN", task.arn),
        _labelled("Family", f"{task.family}:{task.version}"),
        f"{'Status':<{_LABEL_WIDTH}}  {status}" + (f" (desired {harmless(task.desired)})" if task.desired else ""),
    ]
    if not task.containers:
        lines.append(_labelled("Containers", "none yet"))
    for container in sorted(task.containers, key=lambda container: container.name):
        title = f"Container {harmless(container.name)}"
        lines += ["", f"{BOLD}{title}\x1b[0m" if colour else title]
        lines += [f"  {line}" for line in _container_lines(container, now)]
    return lines


def event_lines(entries: Sequence[HistoryEntry], why_none: str, *, colour: bool) -> list[str]:
    """The history as a table; one line when there is none."""
    if not entries:
        return [f"Events: {harmless(why_none)}"]
    rows = [
        (
            f"{entry.at:%Y-%m-%d %H:%M:%S}.{entry.at.microsecond // 1000:03d}Z",
            entry.kind,
            entry.container_name or NO_VALUE,
            entry.text + _what_the_text_lacks(entry),
        )
        for entry in entries
    ]
    return table(("WHEN", "EVENT", "CONTAINER", "WHAT"), rows, colour=colour)


def _what_the_text_lacks(entry: HistoryEntry) -> str:
    """The details that are not already in the sentence."""
    return "".join(
        f"  {name}={value}"
        for name, value in entry.detail.items()
        if name not in entry.what.in_sentence
        and value not in (None, "")
        and not (isinstance(value, str) and value in entry.text)
    )


def _container_lines(container: Container, now: datetime) -> list[str]:
    lines = [
        _labelled("Docker ID", container.docker_id),
        _labelled("Docker name", container.docker_name),
        _labelled("Image", f"{container.image} ({container.image_id})" if container.image_id else container.image),
        _labelled("Created", _moment(container.created_at, now)),
        _labelled("Started", _moment(container.started_at, now)),
        _labelled("Ports", ports_of([container])),
    ]
    if container.restart_count is not None:
        lines.append(_labelled("Restarts", str(container.restart_count)))
    lines += [
        _labelled("Network", " ".join([network.network_mode, *network.ipv4_addresses, *network.ipv6_addresses]))
        for network in container.networks
    ]
    lines += [
        _labelled("Volume", f"{volume.docker_name or volume.source} on {volume.destination}")
        for volume in container.volumes
    ]
    return lines


def _labelled(label: str, value: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}  {harmless(value) or NO_VALUE}"


def _moment(text: str, now: datetime) -> str:
    moment = parse_docker_time(text)
    return f"{text} ({age(moment, now)} ago)" if moment is not None else text


def _ids(task: Task) -> list[str]:
    return [task.id, *(container.docker_id for container in task.containers if container.docker_id)]


def _names(task: Task) -> list[str]:
    docker_names = [container.docker_name for container in task.containers if container.docker_name]
    return [task.arn, task.family, f"{task.family}:{task.version}", *docker_names]


def _is_named(task: Task, which: str) -> bool:
    return which in _ids(task) or which in _names(task)


def _begins(task: Task, which: str) -> bool:
    return any(one.startswith(which) for one in _ids(task))


def _has_part(task: Task, which: str) -> bool:
    return any(which in one for one in [*_ids(task), *_names(task)])


def _print_candidates(which: str, found: Sequence[Task]) -> None:
    print(f"ecscope task: {harmless(which)!r} matches {len(found)} tasks; give more of the ID:", file=sys.stderr)
    rows = [(task.id, f"{task.family}:{task.version}", task.known) for task in found]
    for line in table(("TASK", "FAMILY", "KNOWN"), rows, colour=wants_colour(sys.stderr)):
        print(f"  {line}", file=sys.stderr)

"""``ecscope task``: everything an agent reports about one task, and its history.

The task comes from port 51678; the events from the state an ecscope agent keeps on this host.

Source: introspection-api.md §6.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ecscope.cli.client import DEFAULT_ENDPOINT, AgentProblem, BadEndpoint, Client, Container, Task, client_for
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.kept import Kept, as_shown, kept, with_ports
from ecscope.cli.places import places
from ecscope.cli.table import BOLD, NO_VALUE, age, coloured, harmless, ports_of, table, wants_colour
from ecscope.model import container as model_container
from ecscope.model import history
from ecscope.model import task as model
from ecscope.model.docker_time import parse_docker_time
from ecscope.model.history import HistoryEntry
from ecscope.model.status import HealthStatus

_LABEL_WIDTH = 12
_SHORTEST_LOOKUP = 6
"""Characters from which on a Docker ID is looked up that no listed task has."""
_SHORT, _ALL = 15, 100_000
"""Events that are shown."""
_LONGEST = 160
"""Characters of a short event."""
_NOT_NOTABLE = (
    history.ContainerWaits,
    history.ContainerWaitsForDependency,
    history.CredentialsReceived,
    history.ImagePullProgress,
    history.StateChangeAccepted,
    history.StateChangeQueued,
    history.TaskDesiredStatusChanged,
    history.TaskHostResourcesHeld,
    history.TaskResourceCreated,
)
"""Of these, other events of the same task say what matters."""
_ENDS_OF_WAYS = ("RUNNING", "RESOURCES_PROVISIONED", "STOPPED")
"""Statuses on the way there are not notable."""


def run(args: argparse.Namespace) -> int:
    """``args``: ``which``, ``events`` (a number or ``None``), ``verbose``, ``data_dir`` (text or ``None``), ``json``,
    ``endpoint``.
    """
    which = args.which.strip()
    if not which:
        print(
            "ecscope task: TASK is empty: give an ARN, an ID, or a part of one; `ecscope tasks` lists them",
            file=sys.stderr,
        )
        return EXIT_USAGE
    records: Kept | None = None
    try:
        client = client_for(args.endpoint)
        folders = places(args.data_dir, port=client.port) if client.is_local else []
        try:
            found = find(client, which)
            records = kept(client, folders, found)
        except AgentProblem as problem:
            is_any = args.data_dir or client.endpoint == DEFAULT_ENDPOINT
            records = kept(client, folders, None) if problem.is_absence and is_any else None
            if records is None:
                raise
            found = chosen([as_shown(task) for task in records.tasks.values()], which)
    except BadEndpoint as error:
        print(f"ecscope task: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AgentProblem as problem:
        print(f"ecscope task: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED
    if not found:
        print(
            f"ecscope task: no task on {client.endpoint} has {harmless(which)!r}; `ecscope tasks --all` lists them",
            file=sys.stderr,
        )
        return EXIT_NO_MATCH
    if len(found) > 1:
        _print_candidates(which, found)
        return EXIT_AMBIGUOUS
    task = found[0]
    if records is not None:  # the agent that answers comes before any other whose state is here
        folders = [records.data_dir, *(folder for folder in folders if folder != records.data_dir)]
    most = _ALL if args.verbose or args.json else _SHORT
    limit = args.events if args.events is not None else most
    entries, why_none = events_of(client, task, folders=folders, limit=limit, notable=not (args.verbose or args.json))
    if args.json:
        print(json_of(task, entries, why_none))
        return EXIT_FINE
    colour = wants_colour(sys.stdout)
    if because := _because(task, folders):
        print(f"{BOLD}{because}\x1b[0m\n" if colour else f"{because}\n")
    record = records.tasks.get(task.arn) if records is not None else None
    print("\n".join(lines_of(with_ports(task, record), now=datetime.now(UTC), colour=colour, record=record)))
    if limit:
        lines = event_lines if args.verbose else short_lines
        print("\n".join(["", *lines(entries, why_none, colour=colour)]))
    return EXIT_FINE


def find(client: Client, which: str) -> list[Task]:
    """The tasks that ``which`` can mean. Raises ``AgentProblem``.

    A whole name beats the beginning of an ID, which beats any part. Tasks that the agent made for
    itself are not listed; they are found by whole ARN or by the beginning of a Docker ID.
    """
    if found := chosen(client.tasks(), which):
        return found
    hidden = None
    if which.startswith("arn:"):
        hidden = client.find("taskarn", which)
    elif len(which) >= _SHORTEST_LOOKUP:
        hidden = client.find("dockerid", which)
    return [hidden] if hidden is not None else []


def chosen(tasks: Sequence[Task], which: str) -> list[Task]:
    """Those of ``tasks`` that ``which`` can mean; see ``find``."""
    for fits in (_is_named, _begins, _has_part):
        if found := [task for task in tasks if fits(task, which)]:
            return sorted(found, key=lambda task: (task.family, task.id))
    return []


def _because(task: Task, folders: Sequence[Path]) -> str:
    """Why it stopped or waits, in one sentence; ``""``: it runs, or its agent's state is not found here."""
    if task.known == "RUNNING":
        return ""
    from ecscope.agent.store.interface import StoreError  # noqa: PLC0415 - only where something is wrong
    from ecscope.cli.why import answer_about, subjects  # noqa: PLC0415

    with suppress(StoreError):
        found, _ = subjects(folders, task.arn)
        if found:
            verdict = answer_about(found[0]).verdict
            begin = "Stopped because" if task.known == "STOPPED" else "Waits because"
            return f"{begin} {harmless(verdict.sentence)} ({verdict.code}, {verdict.certainty.value})"
    return ""


def events_of(
    client: Client, task: Task, *, folders: Sequence[Path], limit: int, notable: bool = False
) -> tuple[Sequence[HistoryEntry], str]:
    """The newest events, oldest first; without any, one sentence that says why.

    ``notable``: without those that only say how something was done.
    """
    if not limit:
        return (), "none were requested"
    if not client.is_local:
        return (), f"events are kept by the agent on its own host: ask there ({client.host})"
    from ecscope.agent.store.interface import StoreError  # noqa: PLC0415 - sqlite3, and only for events
    from ecscope.agent.store.reader import read_history  # noqa: PLC0415

    problems = []
    for folder in folders:
        try:
            if entries := read_history(folder, task.arn, _ALL if notable else limit):
                shown = [entry for entry in entries if _is_notable(entry)] if notable else entries
                return shown[-limit:], ""
        except StoreError as error:
            problems.append(f"{error}; --data-dir names another, that of `ecscope up` too")
    return (), problems[0] if len(problems) == len(folders) else "none are kept about this task"


def _is_notable(entry: HistoryEntry) -> bool:
    if isinstance(entry.what, history.ContainerStatusChanged | history.TaskStatusChanged):
        return entry.what.to.value in _ENDS_OF_WAYS
    return not isinstance(entry.what, _NOT_NOTABLE)


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


def lines_of(task: Task, *, now: datetime, colour: bool, record: model.Task | None = None) -> list[str]:
    """The task, then each container. ``record``: what its agent keeps of it; ``None``: that is not here."""
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
        of_record = record.container(container.name) if record is not None else None
        lines += [f"  {line}" for line in _container_lines(container, of_record, now)]
    return lines


def short_lines(entries: Sequence[HistoryEntry], why_none: str, *, colour: bool) -> list[str]:
    """The history, a short line for each event; one line when there is none."""
    if not entries:
        return [f"Events: {harmless(why_none)}"]
    title = "Events (UTC; -v shows all)"
    width = max(len(entry.container_name) for entry in entries)
    lines = [f"{BOLD}{title}\x1b[0m" if colour else title]
    for entry in entries:
        text = harmless(entry.text)
        who = harmless(entry.container_name)
        lines.append(f"  {entry.at:%m-%d %H:%M:%S}  {who:<{width}}{'  ' if width else ''}{_cut(text)}")
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


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


def _container_lines(container: Container, record: model_container.Container | None, now: datetime) -> list[str]:
    lines = [
        *(_ends(record, now) if record is not None else ()),
        _labelled("Docker ID", container.docker_id),
        _labelled("Docker name", container.docker_name),
        _labelled("Image", f"{container.image} ({container.image_id})" if container.image_id else container.image),
        _labelled("Created", _moment(container.created_at, now)),
        _labelled("Started", _moment(container.started_at, now)),
        _labelled("Ports", ports_of([container])),
    ]
    if container.restart_count is not None and record is None:
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


def _ends(record: model_container.Container, now: datetime) -> list[str]:
    """What people ask first: how it ended, its health, its restarts."""
    lines = [_labelled("Status", record.known.value)]
    if record.exit_code is not None:
        lines.append(_labelled("Exit code", exit_text(record.exit_code)))
    if record.error is not None:
        lines.append(_labelled("Error", f"{record.error.name}: {record.error.message}"))
    if record.health.status is not HealthStatus.UNKNOWN:
        lines.append(_labelled("Health", record.health.status.value))
    if record.restart_count or record.definition.restart_policy is not None:
        lines.append(_labelled("Restarts", str(record.restart_count)))
    if record.finished_at and record.is_stopped:
        lines.append(_labelled("Finished", _moment(record.finished_at, now)))
    return lines


def exit_text(code: int) -> str:
    """``0``, ``1``, ``137 (SIGKILL)``."""
    with suppress(ValueError):
        return f"{code} ({signal.Signals(code - 128).name})" if 128 < code < 160 else str(code)
    return str(code)


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

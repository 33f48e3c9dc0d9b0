"""``ecscope why``: the cause of a task's end, or of its wait, with its evidence.

Works with a running agent, after it ended, and for tasks of an earlier run: it reads the state that the agent keeps,
and asks the engine, the kernel and ECS for what they still know.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.story import StoppedBy, story_of
from ecscope.agent.diagnosis.why.verdict import Answer, Certainty
from ecscope.agent.store.interface import StoreError
from ecscope.agent.store.reader import read_history, read_tasks
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_UNKNOWN
from ecscope.cli.places import is_of_up, places
from ecscope.cli.table import BOLD, harmless, wants_colour
from ecscope.model import history
from ecscope.model.history import HistoryEntry
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task

_ENTRIES = 5000
_SHORTEST = 4
"""Characters of an ID that are enough to look for it."""
_OWN_CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"})
"""Without one of these, the caller has no credentials of their own."""
_RESET = "\x1b[0m"
_COLOURS = {Certainty.PROVEN: "\x1b[31m", Certainty.LIKELY: "\x1b[33m", Certainty.UNKNOWN: "\x1b[90m"}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about: a task, or one container of it."""

    data_dir: Path
    arn: str
    task: Task | None
    """``None``: its record is gone, and its history is not."""
    container: str = ""


def run(args: argparse.Namespace) -> int:
    """``args``: ``which`` (text or ``None``), ``data_dir`` (text or ``None``), ``json``."""
    which = (args.which or "").strip()
    found, problems = subjects(places(args.data_dir), which)
    if not found:
        return _nothing(which, problems)
    if len(found) > 1:
        print(f"ecscope why: {which} can be any of these; give more of one:", file=sys.stderr)
        for one in found[:20]:
            print(f"  {one.arn}{' ' + one.container if one.container else ''}", file=sys.stderr)
        return EXIT_AMBIGUOUS
    given = answer_about(found[0])
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(given), indent=2).decode())
    else:
        print("\n".join(lines_of(given, colour=wants_colour(sys.stdout))))
    return EXIT_UNKNOWN if given.verdict.certainty is Certainty.UNKNOWN else EXIT_FINE


def answer_about(subject: Subject) -> Answer:
    """Read, look and decide."""
    from ecscope.agent.probes.task import observe  # noqa: PLC0415 - aiohttp, and only here

    entries = read_history(subject.data_dir, subject.arn, _ENTRIES)
    story = story_of(subject.arn, subject.task, entries)
    observed = asyncio.run(observe(story, _docker_host()))
    if story.requested_by and (said := _asked_of_ecs(subject)) is not None:
        observed = msgspec.structs.replace(observed, stopped_by=said)
    story = msgspec.structs.replace(story, observed=observed, gaps=_gaps(subject.data_dir, entries))
    return answer(story, subject.container)


def subjects(data_dirs: Sequence[Path], which: str) -> tuple[list[Subject], list[str]]:
    """What ``which`` can mean, and why a directory could not be read. ``""``: the newest failure."""
    problems = []
    for data_dir in data_dirs:
        try:
            tasks = read_tasks(data_dir)
            found = _newest_failure(data_dir, tasks) if not which else _named(data_dir, tasks, which)
        except StoreError as error:
            problems.append(str(error))
            continue
        if found:
            return found, []
    return [], problems


def _named(data_dir: Path, tasks: Sequence[Task], which: str) -> list[Subject]:
    """A whole name takes precedence over the beginning of an ID, which takes precedence over a family or service."""
    by_docker = [
        Subject(data_dir=data_dir, arn=task.arn, task=task, container=container.name)
        for task in tasks
        for container in task.containers
        if (len(which) >= _SHORTEST and container.docker_id.startswith(which)) or container.docker_name == which
    ]
    if by_docker:
        return by_docker
    for fits in (
        lambda task: which in (task.arn, task.arn.rpartition("/")[2]),
        lambda task: task.arn.rpartition("/")[2].startswith(which),
    ):
        if found := [task for task in tasks if fits(task)]:
            return [Subject(data_dir=data_dir, arn=task.arn, task=task) for task in found]
    task_part, slash, container = which.rpartition("/")
    if slash and not which.startswith("arn:"):
        inner = _named(data_dir, tasks, task_part)
        if inner:
            return [msgspec.structs.replace(one, container=container) for one in inner]
    grouped = [task for task in tasks if which in (task.family, f"{task.family}:{task.version}", task.service_name)]
    if grouped:
        worst = _newest_failure(data_dir, grouped) or [
            Subject(data_dir=data_dir, arn=grouped[-1].arn, task=grouped[-1])
        ]
        return worst
    named = [
        Subject(data_dir=data_dir, arn=task.arn, task=task, container=which)
        for task in tasks
        if task.container(which) is not None
    ]
    if named:
        return named[-1:]
    if read_history(data_dir, which, 1):
        return [Subject(data_dir=data_dir, arn=which, task=None)]
    return _of_history(data_dir, which)


def _of_history(data_dir: Path, which: str) -> list[Subject]:
    """Tasks that were cleaned up, by the beginning of their ID."""
    if len(which) < _SHORTEST:
        return []
    arns = dict.fromkeys(entry.task_arn for entry in read_history(data_dir, None, _ENTRIES))
    fitting = [arn for arn in arns if arn.rpartition("/")[2].startswith(which)]
    return [Subject(data_dir=data_dir, arn=arn, task=None) for arn in fitting]


def _newest_failure(data_dir: Path, tasks: Sequence[Task]) -> list[Subject]:
    """The task that failed last: stopped without being asked, or running with something wrong; else one that waits."""

    def moment(task: Task) -> datetime:
        return task.stopped_at or task.received_at

    failed = [task for task in tasks if task.known is TaskStatus.STOPPED and not task.stop_requested_by]
    waiting = [task for task in tasks if task.known < TaskStatus.RUNNING and task.waiting is not None]
    stopped = [task for task in tasks if task.known is TaskStatus.STOPPED]
    for candidates in (failed, waiting, stopped):
        if candidates:
            newest = max(candidates, key=moment)
            return [Subject(data_dir=data_dir, arn=newest.arn, task=newest)]
    ended = [
        entry
        for entry in read_history(data_dir, None, _ENTRIES)
        if isinstance(entry.what, history.TaskStatusChanged) and entry.what.to is TaskStatus.STOPPED
    ]
    return [Subject(data_dir=data_dir, arn=ended[-1].task_arn, task=None)] if ended else []


def lines_of(given: Answer, *, colour: bool) -> list[str]:
    """The sentence first; then the evidence, what it was not, and what to do."""
    verdict = given.verdict
    who = f"container {given.subject['container']} of " if "container" in given.subject else ""
    task = (
        f"{who}task {given.subject['task'].rpartition('/')[2]} ({given.subject['family']}), {given.subject['status']}"
    )
    head = f"{_COLOURS[verdict.certainty]}{BOLD}" if colour else ""
    lines = [f"{head}{harmless(verdict.sentence)}{_RESET if colour else ''}"]
    lines.append(f"  {verdict.code}, {verdict.certainty.value}; {task}")
    if given.evidence:
        lines += ["", "Evidence"]
        for piece in given.evidence:
            at = piece.at[11:] if piece.at else "now"
            first, *rest = piece.text.splitlines() or [""]
            lines.append(f"  {at:<13} {piece.source:<13} {harmless(first)}")
            lines += [f"  {'':<13} {'':<13} {harmless(line)}" for line in rest]
    if given.considered:
        lines += ["", "Not"]
        lines += [f"  {one.code}: {harmless(one.why_not)}" for one in given.considered]
    if given.actions:
        lines += ["", "To do"]
        lines += [f"  {harmless(action)}" for action in given.actions]
    return lines


def _nothing(which: str, problems: Sequence[str]) -> int:
    if problems and not which:
        print(f"ecscope why: {problems[0]}; --data-dir names another, that of `ecscope up` too", file=sys.stderr)
        return EXIT_FAILED
    if which:
        print(
            f"ecscope why: no task here has {harmless(which)!r}; `ecscope tasks` lists them, and --data-dir"
            " names another agent's state",
            file=sys.stderr,
        )
    else:
        print("ecscope why: no task of this agent has failed, and none waits", file=sys.stderr)
    return EXIT_NO_MATCH


def _docker_host() -> str:
    from ecscope.agent.config.load import load_config  # noqa: PLC0415

    return load_config(os.environ, standalone=False).config.docker_host


def _gaps(data_dir: Path, entries: Sequence[HistoryEntry]) -> tuple[tuple[datetime, datetime], ...]:
    """Between the last entry of an agent that was killed and the start of the next."""
    lives = [
        entry
        for entry in read_history(data_dir, "", 500)
        if isinstance(entry.what, history.AgentStarted | history.AgentStopped)
    ]
    found = []
    for before, entry in zip([None, *lives], lives, strict=False):
        if isinstance(entry.what, history.AgentStarted) and before is not None:
            begun = max(
                [before.at, *(e.at for e in entries if before.at <= e.at < entry.at)],
            )
            found.append((begun, entry.at))
    return tuple(found)


def _asked_of_ecs(subject: Subject) -> StoppedBy | None:
    """What ECS says of the stop: the control plane of `ecscope up`, or AWS with the caller's own credentials."""
    from ecscope.agent.probes.ecs import stopped_by  # noqa: PLC0415 - botocore
    from ecscope.up import running  # noqa: PLC0415

    if not is_of_up(subject.data_dir):
        if not _OWN_CREDENTIALS & os.environ.keys():
            return None
        return asyncio.run(stopped_by(subject.arn, environ=os.environ, endpoint=""))
    with suppress(running.NotRunning, OSError):
        up = running.find(subject.data_dir.parent)
        own = {"AWS_ACCESS_KEY_ID": up.access_key_id, "AWS_SECRET_ACCESS_KEY": up.secret_access_key}
        return asyncio.run(stopped_by(subject.arn, environ=own, endpoint=up.url))
    return None

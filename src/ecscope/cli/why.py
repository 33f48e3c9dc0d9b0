"""``ecscope why``: the cause of the end or wait of a task, or of the trouble of a service or agent, with its evidence.

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
from typing import TYPE_CHECKING

import msgspec

from ecscope.agent.diagnosis.why import agent, service
from ecscope.agent.diagnosis.why.engine import answer
from ecscope.agent.diagnosis.why.service import is_failure
from ecscope.agent.diagnosis.why.story import StoppedBy, Story, breaks_of, neighbours_of, story_of
from ecscope.agent.diagnosis.why.verdict import Answer, Certainty
from ecscope.agent.store.interface import StoreError
from ecscope.agent.store.reader import DATABASE_NAME, read_history, read_tasks
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_UNKNOWN
from ecscope.cli.places import is_of_up, places, running
from ecscope.cli.table import BOLD, harmless, wants_colour
from ecscope.model import history
from ecscope.model.history import HistoryEntry
from ecscope.model.status import TaskStatus
from ecscope.model.task import Task
from ecscope.model.waiting import WaitingReason

if TYPE_CHECKING:
    from ecscope.agent.probes.ecs import Where

AGENT = "agent"
"""The word for the agent itself."""
_DEPLOYMENT = "ecs-svc/"
_ENTRIES = 5000
_OF_AGENT = 500
_SERVICES = 10
"""Services that are looked at where nobody names one."""
_OF_SERVICE = 20
"""Tasks of a service that are looked at, the newest first."""
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
    try:
        return _run(args)
    except StoreError as error:
        print(f"ecscope why: {harmless(str(error))}", file=sys.stderr)
        return EXIT_FAILED


def _run(args: argparse.Namespace) -> int:
    which = (args.which or "").strip()
    data_dirs = places(args.data_dir)
    given: Answer | None = None
    found: list[Subject] = []
    problems: list[str] = []
    if which == AGENT:
        given = answer_about_agent(data_dirs)
    elif not which.startswith(_DEPLOYMENT):
        found, problems = subjects(data_dirs, which)
        if len(found) > 1:
            return _ambiguous(which, found)
        if found and not _is_service(found[0], which):
            given = _of_family(found[0], which, answer_about(found[0]))
        if not which and (given is None or given.verdict.certainty is Certainty.UNKNOWN or not is_failure(given)):
            given = _of_agent_if_broken(data_dirs) or _of_service_in_trouble(data_dirs) or given
    if given is None and which:
        given = answer_about_service(data_dirs, which)
        if given is None and found:
            given = answer_about(found[0])
    if given is None:
        return _nothing(which, problems)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(given), indent=2).decode())
    else:
        print("\n".join(lines_of(given, colour=wants_colour(sys.stdout))))
    return EXIT_UNKNOWN if given.verdict.certainty is Certainty.UNKNOWN else EXIT_FINE


def _ambiguous(which: str, found: Sequence[Subject]) -> int:
    print(f"ecscope why: {which} can be any of these; give more of one:", file=sys.stderr)
    for one in found[:20]:
        print(f"  {one.arn}{' ' + one.container if one.container else ''}", file=sys.stderr)
    return EXIT_AMBIGUOUS


def _is_service(found: Subject, which: str) -> bool:
    """It was found by the name of its service, so the service is asked about."""
    return bool(which) and not found.container and found.task is not None and which == found.task.service_name


def _of_family(subject: Subject, which: str, given: Answer) -> Answer:
    """Where no single task was named: tasks that ended alike are one answer."""
    task = subject.task
    if task is None or subject.container or which not in ("", task.family, f"{task.family}:{task.version}"):
        return given
    return service.of_family(given, task, read_tasks(subject.data_dir))


def answer_about(subject: Subject) -> Answer:
    """Read, look and decide."""
    from ecscope.agent.probes.task import observe  # noqa: PLC0415 - aiohttp, and only here

    story = _story(subject)
    observed = asyncio.run(observe(story, _docker_host()))
    if story.requested_by and (said := _asked_of_ecs(subject)) is not None:
        observed = msgspec.structs.replace(observed, stopped_by=said)
    return answer(msgspec.structs.replace(story, observed=observed), subject.container)


def _story(subject: Subject) -> Story:
    """What the agent's state says."""
    entries = read_history(subject.data_dir, subject.arn, _ENTRIES)
    of_agent = read_history(subject.data_dir, "", _OF_AGENT)
    story = story_of(subject.arn, subject.task, entries)
    story = msgspec.structs.replace(story, gaps=_gaps(of_agent, entries), engine_breaks=breaks_of(of_agent))
    if story.waiting is None or story.waiting.reason not in (WaitingReason.HOST_RESOURCES, WaitingReason.QUEUE):
        return story
    tasks = read_tasks(subject.data_dir)
    head = next((task for task in tasks if task.arn == story.waiting.on), None)
    of_head = None
    if head is not None:
        of_head = story_of(head.arn, head, ())
        of_head = msgspec.structs.replace(of_head, neighbours=neighbours_of(head.arn, tasks))
    return msgspec.structs.replace(story, neighbours=neighbours_of(subject.arn, tasks), head=of_head)


def answer_about_agent(data_dirs: Sequence[Path]) -> Answer | None:
    """Of the agent that runs, else of the first that has kept state; ``None``: there is none."""
    story = _agent_story(data_dirs)
    return agent.answer(story) if story is not None else None


def _of_agent_if_broken(data_dirs: Sequence[Path]) -> Answer | None:
    """``None``: there is none, or nothing is wrong with it now."""
    story = _agent_story(data_dirs)
    return agent.answer(story) if story is not None and story.pid is not None and not agent.is_sound(story) else None


def _of_service_in_trouble(data_dirs: Sequence[Path]) -> Answer | None:
    """The first that does not get what it wants; ``None``: there is none, or nobody could be asked."""
    from ecscope.agent.probes.ecs import service_names  # noqa: PLC0415 - botocore

    for data_dir in data_dirs:
        where = where_of(data_dir)
        names = asyncio.run(service_names(where)) if where is not None else ()
        for name in names[:_SERVICES]:
            given = answer_about_service([data_dir], name)
            is_as_wanted = given is None or given.verdict.code == "deploy.desired_zero"
            if given is not None and not is_as_wanted and given.verdict.certainty is not Certainty.UNKNOWN:
                return given
    return None


def _agent_story(data_dirs: Sequence[Path]) -> agent.AgentStory | None:
    from ecscope.agent.probes.agent import seen  # noqa: PLC0415 - aiohttp and botocore
    from ecscope.cli.doctor import agent_of  # noqa: PLC0415

    kept = [one for one in data_dirs if (one / DATABASE_NAME).exists()]  # one of `ecscope up` itself has none
    if not kept:
        return None
    found = running(kept)
    data_dir = found[0] if found else kept[0]
    entries = tuple(read_history(data_dir, "", _OF_AGENT))
    looked = agent_of([data_dir], str(data_dir))
    joins = any(isinstance(one.what, history.InstanceRegistered | history.InstanceNotRegistered) for one in entries)
    docker, call = asyncio.run(
        seen(looked.loaded.config, looked.environ, asks_ecs=joins and not looked.standalone and found is not None)
    )
    return agent.AgentStory(
        data_dir=str(data_dir), pid=found[1] if found else None, entries=entries, docker=docker, call=call
    )


def answer_about_service(data_dirs: Sequence[Path], which: str) -> Answer | None:
    """A service or a deployment, as ECS shows it; ``None``: it has none of that name, or nobody could be asked."""
    from ecscope.agent.probes.ecs import service_seen  # noqa: PLC0415 - botocore

    for data_dir in data_dirs:
        where = where_of(data_dir)
        story = asyncio.run(service_seen(which, where)) if where is not None else None
        if story is None:
            continue
        tasks: list[Task] = []
        with suppress(StoreError):
            tasks = read_tasks(data_dir)
        by_arn = {str(task.arn): task for task in tasks}
        answers = {}
        failed = [one for one in story.tasks if one.last_status not in ("RUNNING",)]
        for one in sorted(failed, key=lambda one: str(one.stopped_at or ""), reverse=True)[:_OF_SERVICE]:
            with suppress(StoreError):
                subject = Subject(data_dir=data_dir, arn=one.arn, task=by_arn.get(one.arn))
                if subject.task is not None or read_history(data_dir, one.arn, 1):
                    answers[one.arn] = answer_about(subject)
        story = msgspec.structs.replace(story, answers=answers, neighbours=neighbours_of("", tasks))
        return service.answer(story)
    return None


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
        worst = _newest_failure(data_dir, grouped, among_some=True) or [
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


def _newest_failure(data_dir: Path, tasks: Sequence[Task], *, among_some: bool = False) -> list[Subject]:
    """The task that failed last: stopped without being asked, or running with something wrong; else one that waits.

    ``among_some``: only ``tasks`` are meant; else those of which only the history is left, too.
    """

    def moment(task: Task) -> datetime:
        return task.stopped_at or task.received_at

    failed = [task for task in tasks if task.known is TaskStatus.STOPPED and not task.stop_requested_by]
    waiting = [task for task in tasks if task.known < TaskStatus.RUNNING and task.waiting is not None]
    stopped = [task for task in tasks if task.known is TaskStatus.STOPPED]
    for candidates in (failed, waiting, stopped):
        if candidates:
            newest = max(candidates, key=moment)
            return [Subject(data_dir=data_dir, arn=newest.arn, task=newest)]
    if among_some:
        return []
    ended = [
        entry
        for entry in read_history(data_dir, None, _ENTRIES)
        if isinstance(entry.what, history.TaskStatusChanged) and entry.what.to is TaskStatus.STOPPED
    ]
    return [Subject(data_dir=data_dir, arn=ended[-1].task_arn, task=None)] if ended else []


def lines_of(given: Answer, *, colour: bool) -> list[str]:
    """The sentence first; then the evidence, what it was not, and what to do."""
    verdict = given.verdict
    head = f"{_COLOURS[verdict.certainty]}{BOLD}" if colour else ""
    lines = [f"{head}{harmless(verdict.sentence)}{_RESET if colour else ''}"]
    lines.append(f"  {verdict.code}, {verdict.certainty.value}; {harmless(_subject(given))}")
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


def _subject(given: Answer) -> str:
    """What the answer is about, and how that is."""
    match given.subject:
        case {"agent": data_dir, "status": status}:
            return f"agent of {data_dir}, {status}"
        case {"deployment": deployment, "status": status}:
            return f"deployment {deployment}, {status}"
        case {"service": arn, "status": status}:
            return f"service {arn.rpartition('/')[2]}, {status}"
        case subject:
            who = f"container {subject['container']} of " if "container" in subject else ""
            return f"{who}task {subject['task'].rpartition('/')[2]} ({subject['family']}), {subject['status']}"


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


def _gaps(of_agent: Sequence[HistoryEntry], entries: Sequence[HistoryEntry]) -> tuple[tuple[datetime, datetime], ...]:
    """Between the last entry of an agent that was killed and the start of the next."""
    lives = [entry for entry in of_agent if isinstance(entry.what, history.AgentStarted | history.AgentStopped)]
    found = []
    for before, entry in zip([None, *lives], lives, strict=False):
        if isinstance(entry.what, history.AgentStarted) and before is not None:
            begun = max(
                [before.at, *(e.at for e in entries if before.at <= e.at < entry.at)],
            )
            found.append((begun, entry.at))
    return tuple(found)


def _asked_of_ecs(subject: Subject) -> StoppedBy | None:
    """What ECS says of the stop: the control plane of `ecscope up` by what it keeps, AWS by an answer."""
    if is_of_up(subject.data_dir):
        from ecscope.up.stops import stopped_by as kept  # noqa: PLC0415

        return kept(subject.data_dir.parent, subject.arn)
    from ecscope.agent.probes.ecs import stopped_by  # noqa: PLC0415 - botocore

    where = where_of(subject.data_dir, subject.arn)
    return asyncio.run(stopped_by(subject.arn, where)) if where is not None else None


def where_of(data_dir: Path, arn: str = "") -> Where | None:
    """The control plane of `ecscope up`, or AWS with the caller's own credentials; ``None``: neither can be asked.

    ``arn``: of a task of the cluster; ``""``: the cluster of this agent's tasks, or that of the caller's environment.
    """
    from ecscope.agent.probes.ecs import Where, cluster_of  # noqa: PLC0415 - botocore
    from ecscope.up import running as ups  # noqa: PLC0415

    if is_of_up(data_dir) or (data_dir / "control.db").exists():
        with suppress(ups.NotRunning, OSError):
            up = ups.find(data_dir.parent if is_of_up(data_dir) else data_dir)
            own = {"AWS_ACCESS_KEY_ID": up.access_key_id, "AWS_SECRET_ACCESS_KEY": up.secret_access_key}
            cluster = cluster_of(arn)[1] or up.cluster
            return Where(region=up.region, cluster=cluster, environ=own, endpoint=up.url)
        return None
    if not _OWN_CREDENTIALS & os.environ.keys():
        return None
    if not arn:
        with suppress(StoreError):
            arn = next((task.arn for task in read_tasks(data_dir)), "")
    region, cluster = cluster_of(arn)
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if not region:
        return None
    return Where(region=region, cluster=cluster or os.environ.get("ECS_CLUSTER") or "default", environ=os.environ)

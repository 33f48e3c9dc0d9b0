"""``ecscope logs``: the lines of a task's containers, from wherever they are: Docker, its cache, or our log store.

Which task it is says the agent, or the control plane for one that the agent has forgotten. Lines go out as they came,
but to a terminal no control character does, except for colours.
"""

from __future__ import annotations

import argparse
import difflib
import heapq
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from ecscope.agent.runtime.docker.endpoint import DEFAULT_ENDPOINT, InvalidEndpoint, parse_endpoint
from ecscope.cli.client import AgentProblem, BadEndpoint, Client, Task, client_for
from ecscope.cli.docker_logs import DockerLogs, DockerProblem, Line, LoggedContainer
from ecscope.cli.exit_codes import EXIT_AMBIGUOUS, EXIT_FAILED, EXIT_FINE, EXIT_NO_MATCH, EXIT_USAGE
from ecscope.cli.stored_logs import Refused, StoredContainer, StoredTask, UpApi
from ecscope.cli.table import harmless, table, wants_colour
from ecscope.cli.task import find
from ecscope.owned_files import UnsafeFile
from ecscope.up.running import NotRunning, default_data_dir
from ecscope.up.running import find as find_running

_COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m", "\x1b[92m")
_RESET = "\x1b[0m"
_CONTROL = re.compile(rb"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_LOOK_S = 0.2
_LOOK_AT_TASK_S = 1.0
_WAITING_LINES = 10_000


class Problem(Exception):
    """It cannot go on; the message is for the user."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """A container, and where to ask for its lines."""

    name: str
    docker_id: str
    """``""``: it has none yet."""
    stored: StoredContainer | None = None
    """What the control plane knows of it; ``None``: nothing, or it was not asked."""


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    since_ns: int
    tail: int | None


def run(args: argparse.Namespace) -> int:
    """``args``: ``which``, ``container`` (names), ``since``, ``tail``, ``follow``, ``data_dir``, ``endpoint``.

    ``None``: not given.
    """
    try:
        options = _Options(since_ns=since_ns(args.since, now=time.time()) if args.since else 0, tail=args.tail)
        docker = DockerLogs(parse_endpoint(os.environ.get("DOCKER_HOST") or DEFAULT_ENDPOINT))
        return _Command(args, options, docker).run()
    except Problem as problem:
        print(f"ecscope logs: {harmless(str(problem))}", file=sys.stderr)
        return problem.code
    except (BadEndpoint, InvalidEndpoint) as error:
        print(f"ecscope logs: {error}", file=sys.stderr)
        return EXIT_USAGE


def since_ns(text: str, *, now: float) -> int:
    """``10m``, ``1h30m``, ``2d``, a moment in ISO 8601, or epoch seconds. Raises ``Problem``."""
    if text.isascii() and text.isdigit() and len(text) < 12:
        return int(text) * 10**9
    found = _DURATION.fullmatch(text)
    if found is not None and text:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return max(0, int((now - (((days * 24 + hours) * 60 + minutes) * 60 + seconds)) * 10**9))
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Problem(
            f"--since {text!r} is not a time: write 10m, 1h30m or 2d, a moment such as 2026-12-01T09:30:00Z, or epoch"
            " seconds",
            EXIT_USAGE,
        ) from None
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 10**9))


class _Command:
    """One call."""

    def __init__(self, args: argparse.Namespace, options: _Options, docker: DockerLogs) -> None:
        self._which = args.which.strip()
        self._wanted: Sequence[str] = args.container or ()
        self._follows: bool = args.follow
        self._data_dir = Path(args.data_dir) if args.data_dir else default_data_dir()
        self._options = options
        self._docker = docker
        self._client: Client = client_for(args.endpoint)
        self._up: UpApi | None = None
        self._why_no_up = ""
        self._out = sys.stdout.buffer
        self._is_terminal = sys.stdout.isatty()
        self._has_colour = wants_colour(sys.stdout)

    def run(self) -> int:
        if not self._which:
            raise Problem("TASK is empty: give an ARN, an ID, or a part of one; `ecscope tasks` lists them", EXIT_USAGE)
        arn, sources = self._task()
        self._check_names(sources)
        sources = [source for source in sources if not self._wanted or source.name in self._wanted]
        printer = Printer(
            self._out,
            [source.name for source in sources],
            is_terminal=self._is_terminal,
            has_colour=self._has_colour,
        )
        if self._follows:
            return self._follow(arn, sources, printer)
        problems: list[Problem] = []
        readers = [self._history(source, problems) for source in sources]
        for line, name in heapq.merge(*readers, key=lambda found: found[0].at_ns):
            printer.show(name, line)
        printer.flush()
        for problem in problems:
            print(f"ecscope logs: {harmless(str(problem))}", file=sys.stderr)
        return EXIT_FAILED if problems and len(problems) == len(sources) else EXIT_FINE

    # --- which task --------------------------------------------------------------------------------------------

    def _task(self) -> tuple[str, list[_Source]]:
        """ARN and containers. Raises ``Problem``."""
        trouble = ""
        found: list[Task] = []
        listed: list[Task] = []
        try:
            found = find(self._client, self._which)
            listed = [] if found else self._client.tasks()
        except AgentProblem as problem:
            trouble = str(problem)
        if len(found) > 1:
            rows = [(task.id, f"{task.family}:{task.version}", task.known) for task in found]
            lines = "\n  ".join(table(("TASK", "FAMILY", "KNOWN"), rows))
            print(
                f"ecscope logs: {harmless(self._which)!r} matches {len(found)} tasks; give more of the ID:\n  {lines}",
                file=sys.stderr,
            )
            raise SystemExit(EXIT_AMBIGUOUS)
        if found:
            return found[0].arn, _sources_of(found[0])
        stored = self._stored_task(self._which)
        if stored is not None:
            return stored.arn, [
                _Source(name=each.name, docker_id=each.docker_id, stored=each) for each in stored.containers
            ]
        if trouble:
            raise Problem(trouble)
        raise Problem(self._no_such_task(listed), EXIT_NO_MATCH)

    def _no_such_task(self, listed: Sequence[Task]) -> str:
        names = {each for task in listed for each in (task.id, task.family, f"{task.family}:{task.version}")}
        with suppress(Refused):
            names.update(self._api().task_ids())
        near = difflib.get_close_matches(self._which, sorted(names), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`ecscope tasks` lists them"
        return f"no task on {self._client.endpoint} has {self._which!r}; {hint}"

    def _check_names(self, sources: Sequence[_Source]) -> None:
        names = [source.name for source in sources]
        for wanted in self._wanted:
            if wanted not in names:
                raise Problem(
                    f"the task has no container {wanted!r}; it has {', '.join(names) or 'none yet'}", EXIT_NO_MATCH
                )

    def _api(self) -> UpApi:
        """Raises ``Refused``."""
        if self._up is None:
            try:
                self._up = UpApi(find_running(self._data_dir))
            except NotRunning as error:
                raise Refused(str(error)) from error
            except UnsafeFile as error:
                raise Refused(error.sentence) from error
            except OSError as error:
                raise Refused(f"{self._data_dir} cannot be read: {error.strerror or error}") from error
        return self._up

    def _stored_task(self, which: str) -> StoredTask | None:
        try:
            return self._api().task(which)
        except Refused:
            return None

    # --- where the lines are -----------------------------------------------------------------------------------

    def _history(self, source: _Source, problems: list[Problem]) -> Iterator[tuple[Line, str]]:
        try:
            for line in self._lines(source):
                yield line, source.name
        except Problem as problem:
            problems.append(problem)

    def _lines(self, source: _Source) -> Iterator[Line]:
        """Until now. Raises ``Problem`` that says where they are, or why there are none."""
        options = self._options
        container = self._inspect(source)
        if container is not None and container.driver != "none":
            try:
                yield from self._docker.lines(container, since_ns=options.since_ns, tail=options.tail)
                return
            except DockerProblem as problem:
                if container.driver != "awslogs":
                    raise Problem(_unreadable(source.name, container, problem)) from problem
        group, stream = self._where(source, container)
        try:
            yield from self._api().lines(group, stream, since_ns=options.since_ns, tail=options.tail)
        except Refused as refusal:
            raise Problem(
                f"the lines of {source.name} are in the log stream {stream} of {group}, which cannot be read: {refusal}"
            ) from refusal

    def _inspect(self, source: _Source) -> LoggedContainer | None:
        if not source.docker_id:
            return None
        try:
            return self._docker.inspect(source.docker_id)
        except DockerProblem as problem:
            if source.stored is not None and source.stored.group:
                return None
            raise Problem(str(problem)) from problem

    def _where(self, source: _Source, container: LoggedContainer | None) -> tuple[str, str]:
        """Group and stream. Raises ``Problem``: there are none."""
        if container is not None:
            if container.driver == "none":
                raise Problem(f"{source.name} has the log driver none: its lines are kept nowhere")
            group, stream = container.options.get("awslogs-group", ""), container.options.get("awslogs-stream", "")
            return group, stream or container.id
        stored = source.stored
        if stored is None:
            task = self._stored_task(self._which)
            stored = next((each for each in task.containers if each.name == source.name), None) if task else None
        if stored is not None and stored.group:
            return stored.group, stored.stream
        if not source.docker_id:
            raise Problem(f"{source.name} was not created, and has written nothing")
        kept = f" Its log driver was {stored.driver}." if stored is not None and stored.driver else ""
        raise Problem(
            f"the container of {source.name} ({source.docker_id[:12]}) was removed, and its lines with it.{kept} With"
            " awslogs they would be kept; ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION says how long stopped containers are"
        )

    # --- following ---------------------------------------------------------------------------------------------

    def _follow(self, arn: str, sources: Sequence[_Source], printer: Printer) -> int:
        lines: queue.Queue[tuple[str, Line | Problem | None]] = queue.Queue(_WAITING_LINES)
        is_over = threading.Event()
        followed: set[tuple[str, str]] = set()
        alive = failed = 0
        known = list(sources)

        def start(source: _Source) -> int:
            key = source.name, source.docker_id
            if not source.docker_id or key in followed:
                return 0
            followed.add(key)
            follower = _Follower(self, source, lines, is_over)
            threading.Thread(target=follower.run, name=f"logs of {source.name}", daemon=True).start()
            return 1

        for source in sources:
            alive += start(source)
        look_at_s = time.monotonic() + _LOOK_AT_TASK_S
        while alive or not is_over.is_set():
            try:
                name, found = lines.get(timeout=_LOOK_S)
                while True:
                    if isinstance(found, Line):
                        printer.show(name, found)
                    else:
                        alive -= 1
                        if found is not None:
                            failed += 1
                            print(f"ecscope logs: {harmless(str(found))}", file=sys.stderr)
                    name, found = lines.get_nowait()
            except queue.Empty:
                printer.flush()
            if failed and failed == len(followed) and all(source.docker_id for source in known):
                return EXIT_FAILED
            if not is_over.is_set() and time.monotonic() >= look_at_s:
                look_at_s = time.monotonic() + _LOOK_AT_TASK_S
                is_stopped, now = self._task_now(arn)
                known = [source for source in now if not self._wanted or source.name in self._wanted] or known
                for source in known:
                    printer.know(source.name)
                    alive += start(source)
                if is_stopped:
                    is_over.set()
        printer.flush()
        return EXIT_FINE

    def _task_now(self, arn: str) -> tuple[bool, list[_Source]]:
        """Whether it has stopped for good, and its containers."""
        try:
            task = self._client.find("taskarn", arn)
        except AgentProblem:
            return False, []  # the agent starts again: what is followed goes on
        if task is None:
            stored = self._stored_task(arn)
            return stored is None or stored.status == "STOPPED", []
        return task.known == "STOPPED", _sources_of(task)

    def follow(self, source: _Source, is_over: threading.Event) -> Iterator[Line]:
        """Over all restarts of the container, until the task has stopped. Raises ``Problem``."""
        since, tail = self._options.since_ns, self._options.tail
        if tail == 0:
            since, tail = max(since, time.time_ns()), None
        last_ns, shown_then = -1, 0
        while True:
            is_last = is_over.is_set()
            container = self._inspect(source)
            if container is None or container.driver == "none":
                if last_ns >= 0:
                    return
                group, stream = self._where(source, container)
                yield from self._stored_lines(group, stream, is_over)
                return
            skip = shown_then
            try:
                for line in self._docker.lines(container, since_ns=since, tail=tail, follows=container.is_running):
                    if line.at_ns < last_ns:
                        continue  # Docker's since is inclusive
                    if line.at_ns == last_ns:
                        if skip:
                            skip -= 1
                            continue
                        shown_then += 1
                    else:
                        last_ns, shown_then, skip = line.at_ns, 1, 0
                    yield line
            except DockerProblem as problem:
                if container.driver == "awslogs" and last_ns < 0:
                    yield from self._stored_lines(*self._where(source, container), is_over)
                    return
                if is_last or last_ns < 0:
                    raise Problem(_unreadable(source.name, container, problem)) from problem
            if last_ns >= 0:
                since, tail = last_ns, None
            if is_last:
                return
            is_over.wait(_LOOK_S)

    def _stored_lines(self, group: str, stream: str, is_over: threading.Event) -> Iterator[Line]:
        options = self._options
        try:
            yield from self._api().lines(
                group, stream, since_ns=options.since_ns, tail=options.tail, until=is_over.is_set
            )
        except Refused as refusal:
            raise Problem(f"the log stream {stream} of {group} cannot be read: {refusal}") from refusal


class _Follower:
    """A thread's work: one container."""

    def __init__(
        self,
        command: _Command,
        source: _Source,
        lines: queue.Queue[tuple[str, Line | Problem | None]],
        is_over: threading.Event,
    ) -> None:
        self._command = command
        self._source = source
        self._lines = lines
        self._is_over = is_over

    def run(self) -> None:
        name = self._source.name
        end: Problem | None = None
        try:
            for line in self._command.follow(self._source, self._is_over):
                self._lines.put((name, line))
        except Problem as problem:
            end = problem
        except Exception as error:  # a bug ends this container's lines, not the command
            end = Problem(f"the lines of {name} end here, by a bug of ecscope: {error!r}")
        self._lines.put((name, end))


class Printer:
    """Writes lines, with the container's name before each where there are several."""

    def __init__(self, out: BinaryIO, names: Sequence[str], *, is_terminal: bool, has_colour: bool) -> None:
        self._out = out
        self._names = list(names)
        self._is_terminal = is_terminal
        self._has_colour = has_colour

    def know(self, name: str) -> None:
        """One more container, that was not there before."""
        if name not in self._names:
            self._names.append(name)

    def show(self, name: str, line: Line) -> None:
        text = _CONTROL.sub(_shown, line.text) if self._is_terminal else line.text
        self._out.write(self._prefix(name) + text + (_RESET.encode() if b"\x1b" in text else b"") + b"\n")

    def flush(self) -> None:
        self._out.flush()

    def _prefix(self, name: str) -> bytes:
        if len(self._names) < 2:
            return b""
        padded = harmless(name).ljust(max(map(len, self._names)))
        if not self._has_colour:
            return f"{padded} | ".encode()
        return f"{_COLOURS[self._names.index(name) % len(_COLOURS)]}{padded} |{_RESET} ".encode()


def _shown(found: re.Match[bytes]) -> bytes:
    """Colours stay; every other control character is written as an escape."""
    if found[1]:
        return found[1]
    return "".join(f"\\x{byte:02x}" for byte in found[0][-1:]).encode()


def _sources_of(task: Task) -> list[_Source]:
    return [_Source(name=each.name, docker_id=each.docker_id) for each in task.containers]


def _unreadable(name: str, container: LoggedContainer, problem: DockerProblem) -> str:
    return f"Docker cannot read the lines of {name}, which go to the log driver {container.driver}: {problem}"

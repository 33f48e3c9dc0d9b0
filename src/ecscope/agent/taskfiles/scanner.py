"""Look for task definitions in a file or a folder, and notice what changed.

A scan is a few ``stat`` calls; a file is read only when its stat values changed (or it is
so young that a second write could hide behind the same time stamp). It blocks, so it runs
in a thread. Decides nothing about tasks: that is ``core/taskfiles``.

Why polling: two scans a second cost under a thousandth of a core, work the same on network
and overlay filesystems, on bind mounts and over a vanished folder, and need no library;
inotify reports none of these reliably.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

import msgspec

from ecscope.taskdefinition.positions import MAX_SIZE_BYTES
from ecscope.taskdefinition.read import Mistake, TaskDefinition, TaskDefinitionError, read_task_definition

SETTLING_SCANS = 2
"""A wrong or missing file must be so in this many further scans before it is believed."""
_YOUNG_NS = 2_500_000_000
"""File times can be as coarse as 2 s: a younger file is read again, for its stat values may lie."""


class BadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that exists but is not a task definition."""

    path: str
    mistakes: tuple[Mistake, ...]
    """``line`` is 0 when the file could not be read at all."""


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What is there now. Keys are absolute paths."""

    definitions: Mapping[str, TaskDefinition] = {}
    bad: Mapping[str, BadFile] = {}
    """Their tasks, from former good versions, are left alone."""
    unsettled: frozenset[str] = frozenset()
    """Wrong or missing just now, perhaps half written: to be left alone until a later scan."""
    is_complete: bool = True
    """False: the folder could not be listed, so that a missing file means nothing."""
    problem: str = ""
    """Why it is not complete, or that the path does not exist; ``""``: all is well."""


class _Fingerprint(msgspec.Struct, frozen=True):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class _Known(msgspec.Struct):
    """The last reading of one file."""

    fingerprint: _Fingerprint | None
    read_at_ns: int
    content_digest: bytes | None
    """``None``: it could not be read, or not in peace."""
    outcome: TaskDefinition | tuple[Mistake, ...]
    wrong_scans: int = 0
    """How many earlier scans saw this same wrong content."""

    def is_fresh(self, fingerprint: _Fingerprint) -> bool:
        """The file need not be read again."""
        if self.content_digest is None or fingerprint != self.fingerprint:
            return False
        age_ns = self.read_at_ns - max(fingerprint.mtime_ns, fingerprint.ctime_ns)
        return age_ns > _YOUNG_NS


class TaskFileScanner:
    """Scans one path again and again. Not thread-safe: one scan at a time."""

    def __init__(
        self, path: str, *, expected: Iterable[str] = (), wall_clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """``path``: a file, or a folder of ``*.json`` files.

        Args:
            expected: paths that were there before the agent started: if they are missing now,
                that too is believed only after a few scans.
        """
        self._path = os.path.abspath(path)  # noqa: PTH100  # Path.absolute keeps ".."
        self._wall_clock_ns = wall_clock_ns
        self._known: dict[str, _Known] = {}
        self._expected = set(expected)
        self._missing: dict[str, int] = {}
        self._last = Scan()

    @property
    def path(self) -> str:
        """The absolute path."""
        return self._path

    def scan(self, *, is_regular: bool = True) -> Scan:
        """What is there now; the very same object as before when nothing changed.

        Blocks for the time of a few ``stat`` calls. Only regular scans, which come at a steady
        pace, count towards believing what is wrong or missing.
        """
        listed, is_complete, problem = self._list()
        definitions: dict[str, TaskDefinition] = {}
        bad: dict[str, BadFile] = {}
        unsettled: set[str] = set()
        for path in listed:
            known = self._look_at(path)
            if known is None:
                continue
            self._missing.pop(path, None)
            if isinstance(known.outcome, TaskDefinition):
                definitions[path] = known.outcome
            elif known.wrong_scans < SETTLING_SCANS:
                known.wrong_scans += is_regular
                unsettled.add(path)
            else:
                bad[path] = BadFile(path=path, mistakes=known.outcome)
        present = definitions.keys() | bad.keys() | unsettled
        for path in (self._known.keys() | self._expected) - present if is_complete else ():
            seen = self._missing.get(path, 0)
            if seen < SETTLING_SCANS:
                self._missing[path] = seen + is_regular
                unsettled.add(path)
            else:
                self._known.pop(path, None)
                self._missing.pop(path, None)
                self._expected.discard(path)
        scan = Scan(
            definitions=definitions,
            bad=bad,
            unsettled=frozenset(unsettled),
            is_complete=is_complete,
            problem=problem,
        )
        if scan != self._last:
            self._last = scan
        return self._last

    def _list(self) -> tuple[list[str], bool, str]:
        """Candidate paths in order, whether that is all of them, and what is wrong."""
        try:
            mode = os.stat(self._path).st_mode  # noqa: PTH116  # a Path object per scan costs more than the call
            if stat.S_ISREG(mode):
                return [self._path], True, ""
            if not stat.S_ISDIR(mode):
                return [], True, f"{self._path} is neither a file nor a folder; name one of these"
            with os.scandir(self._path) as entries:
                return sorted(entry.path for entry in entries if _is_candidate(entry.name)), True, ""
        except (FileNotFoundError, NotADirectoryError):
            return [], True, f"{self._path} does not exist; create it, or start the agent with another path"
        except OSError as error:
            return [], False, f"{self._path} cannot be read: {error.strerror}; tasks from it are left alone"

    def _look_at(self, path: str) -> _Known | None:
        """The present reading; ``None``: the file does not exist, or is not a regular file."""
        known = self._known.get(path)
        try:
            found = os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return self._wrong(path, known, _unreadable(error))
        if not stat.S_ISREG(found.st_mode):
            return None
        fingerprint = _fingerprint(found)
        if known is not None and known.is_fresh(fingerprint):
            return known
        return self._read(path, known)

    def _read(self, path: str, known: _Known | None) -> _Known | None:
        read_at_ns = self._wall_clock_ns()
        try:
            path.encode()
            # Must not hang on a pipe that has replaced the file since.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:  # noqa: PTH123  # it is a descriptor
                before = _fingerprint(os.fstat(descriptor))
                content = file.read(MAX_SIZE_BYTES + 1)
                is_steady = _fingerprint(os.fstat(descriptor)) == before
        except FileNotFoundError:
            return None
        except UnicodeEncodeError:
            return self._wrong(path, known, _reason("has a name that is not UTF-8; rename it"))
        except OSError as error:
            return self._wrong(path, known, _unreadable(error))
        if not is_steady:
            # It was written to while we read: what we have may be neither the old nor the new text.
            return self._wrong(
                path, known, _reason("changes all the time; write it elsewhere and rename it into place")
            )
        content_digest = sha256(content).digest()
        if known is not None and known.content_digest == content_digest:
            known.fingerprint = before
            known.read_at_ns = read_at_ns
            return known
        outcome: TaskDefinition | tuple[Mistake, ...]
        try:
            outcome = read_task_definition(content)
        except TaskDefinitionError as error:
            outcome = error.mistakes
        self._known[path] = _Known(
            fingerprint=before, read_at_ns=read_at_ns, content_digest=content_digest, outcome=outcome
        )
        return self._known[path]

    def _wrong(self, path: str, known: _Known | None, mistakes: tuple[Mistake, ...]) -> _Known:
        """It could not be read; the same trouble scan after scan is counted on."""
        if known is None or known.outcome != mistakes:
            known = _Known(fingerprint=None, read_at_ns=0, content_digest=None, outcome=mistakes)
            self._known[path] = known
        return known


def _is_candidate(name: str) -> bool:
    """Not hidden, not an editor's back-up or lock."""
    return name.endswith(".json") and not name.startswith((".", "~", "#"))


def _fingerprint(found: os.stat_result) -> _Fingerprint:
    return _Fingerprint(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _unreadable(error: OSError) -> tuple[Mistake, ...]:
    return _reason(f"cannot be read: {error.strerror}; the agent's user needs read access")


def _reason(reason: str) -> tuple[Mistake, ...]:
    return (Mistake(line=0, column=0, path="", reason=reason),)

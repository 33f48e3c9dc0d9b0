"""The process that moto runs in: answers on a unix socket, one request at a time, and keeps its data in a journal.

Run as a file by a Python that has moto (``python -I serve.py SOCKET JOURNAL``); it imports nothing of ecscope. It says
``ready`` on standard output, and dies with the process that started it.

moto keeps everything in memory. So each request that changed something is appended to the journal before it is
answered, with the moment and the seed that it was carried out with; at the next start they are carried out again, with
the same clock and the same chance, and give the same ARNs, versions and keys. Only what OpenSSL draws (asymmetric keys)
comes out differently. A request that comes again after such a start, because its answer was lost with the process, gets
the answer of the first time. Calls that moto makes meanwhile, such as those to subscribers of a topic, are left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import fcntl
import io
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

CHANGES_HEADER = "X-Ecscope-Changes"
"""An ID of the request, which may change something, and so belongs in the journal if it succeeds."""
_CHANGES = "HTTP_X_ECSCOPE_CHANGES"
_PR_SET_PDEATHSIG = 1
_LOCK_S = 10.0
_LONGEST_HEAD = 1 << 20
_REMEMBERED = 32
"""Answers of a replay: those that may have been lost are among the last ones."""


class Entry(NamedTuple):
    """A request that was carried out."""

    id: str
    at: float
    """Epoch seconds."""
    seed: int
    method: str
    target: str
    """Path and query, as they were sent."""
    headers: list[list[str]]
    body: bytes


class JournalError(Exception):
    """Nothing more can be kept; the message says why."""


class Journal:
    """A file of entries: a line of JSON about each, and its body. What a crash cut off is dropped."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError``, also where another process has it."""
        self._path = path
        self._file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")  # noqa: SIM115, PTH123
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)  # the process that died a moment ago

    def entries(self) -> Iterator[Entry]:
        """All that was kept, oldest first; to be read to its end before ``append``.

        What cannot be read, and all behind it, is set aside as ``….damaged``, unless it is one entry that was cut off.
        """
        self._file.seek(0)
        good = 0
        while (entry := _read(self._file)) is not None:
            yield entry
            good = self._file.tell()
        self._file.seek(good)
        rest = self._file.read()
        if b"\n" in rest and not _is_cut_off(rest):
            aside = self._path.with_suffix(".damaged")
            aside.write_bytes(rest)
            _say(f"{self._path} is damaged at byte {good}: what follows was set aside as {aside}")
        self._file.truncate(good)
        self._file.seek(good)

    def append(self, entry: Entry) -> None:
        """Keep it, also if the machine goes off now. Raises ``JournalError``."""
        begin = self._file.tell()
        try:
            self._file.write(_written(entry))
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(begin)
            raise JournalError(f"{self._path} cannot be written: {error.strerror}") from error


def _written(entry: Entry) -> bytes:
    head = entry._asdict() | {"body": len(entry.body), "crc": zlib.crc32(entry.body)}
    return json.dumps(head).encode() + b"\n" + entry.body + b"\n"


def _read(file: IO[bytes]) -> Entry | None:
    """``None``: there is no further whole entry."""
    try:
        head = json.loads(file.readline(_LONGEST_HEAD))
        size, crc = head.pop("body"), head.pop("crc")
        body = file.read(size)
        if len(body) != size or zlib.crc32(body) != crc or file.read(1) != b"\n":
            return None
        return Entry(**head, body=body)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_cut_off(rest: bytes) -> bool:
    """The last entry lacks its end: its head says more than there is."""
    head, _, body = rest.partition(b"\n")
    try:
        return bool(len(body) <= json.loads(head)["body"])
    except (ValueError, KeyError, TypeError):
        return False


class Chance:
    """What moto takes for chance and for the time, so that both can be given again."""

    def __init__(self) -> None:
        self._bytes = random.Random()  # noqa: S311  # data of tests, of which nothing is secret
        self._is_given = False
        self._at: float | None = None
        self._time = time.time
        self._urandom = os.urandom

    def install(self) -> None:
        """Before moto is imported: its modules take these functions by name."""
        time.time = self._now
        os.urandom = self._draw
        random._urandom = self._draw  # type: ignore[attr-defined]  # of which SystemRandom and secrets draw
        import moto.core.utils  # noqa: PLC0415

        moto.core.utils.utcnow = lambda: datetime.datetime.fromtimestamp(self._now(), datetime.UTC).replace(tzinfo=None)

    @contextlib.contextmanager
    def given(self, seed: int, *, at: float | None) -> Iterator[None]:
        """Within, chance follows from ``seed``; the clock stands at ``at`` or, with ``None``, goes on."""
        from moto.moto_api._internal import mock_random  # noqa: PLC0415

        mock_random.seed(seed)
        random.seed(seed)
        self._bytes.seed(seed)
        self._is_given, self._at = True, at
        try:
            yield
        finally:
            self._is_given, self._at = False, None

    def new_seed(self) -> int:
        return int.from_bytes(self._urandom(8))

    def _now(self) -> float:
        return self._time() if self._at is None else self._at

    def _draw(self, count: int) -> bytes:
        return self._bytes.randbytes(count) if self._is_given else self._urandom(count)


class Application:
    """moto as a WSGI application that keeps what changes."""

    def __init__(self, moto: Callable[..., Iterable[bytes]], journal: Journal, chance: Chance) -> None:
        self._moto = moto
        self._journal = journal
        self._chance = chance
        self._one_at_a_time = threading.Lock()
        self._given: dict[str, tuple[str, list[tuple[str, str]], bytes]] = {}
        """Answers that were given again, by the IDs of their requests."""

    def replay(self) -> int:
        """Carry out what the journal has; how many there were."""
        count = 0
        for entry in self._journal.entries():
            with self._chance.given(entry.seed, at=entry.at):
                try:
                    self._given[entry.id] = self._carry_out(_environ(entry))
                except Exception as error:  # one that another version of moto cannot do any more
                    _say(f"cannot repeat {entry.method} {entry.target[:200]}: {error!r}")
            count += 1
            if len(self._given) > _REMEMBERED:
                del self._given[next(iter(self._given))]
        return count

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = environ.pop(_CHANGES, "")
        entry = _entry(request_id, environ, seed=self._chance.new_seed()) if request_id else None
        with self._one_at_a_time:
            if request_id in self._given:
                status, headers, body = self._given[request_id]
            elif entry is None:
                status, headers, body = self._carry_out(environ)
            else:
                with self._chance.given(entry.seed, at=None):
                    status, headers, body = self._carry_out(environ | {"wsgi.input": io.BytesIO(entry.body)})
                if status < "4":
                    try:
                        self._journal.append(entry)
                    except JournalError as error:
                        # What is in memory is not kept: another process begins with what is.
                        _say(str(error))
                        os._exit(1)
        start_response(status, headers)
        return [body]

    def _carry_out(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []
        answer = self._moto(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        try:
            body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        (status, headers) = started[-1]
        return status, headers, body


def _entry(request_id: str, environ: dict[str, Any], *, seed: int) -> Entry:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    names = {"CONTENT_TYPE": "Content-Type"}
    names |= {name: name[5:].replace("_", "-").title() for name in environ if name.startswith("HTTP_")}
    return Entry(
        id=request_id,
        at=time.time(),
        seed=seed,
        method=environ["REQUEST_METHOD"],
        target=environ["RAW_URI"],
        headers=[[name, environ[key]] for key, name in names.items() if environ.get(key)],
        body=environ["wsgi.input"].read(length),
    )


def _environ(entry: Entry) -> dict[str, Any]:
    from werkzeug.test import EnvironBuilder  # noqa: PLC0415

    environ: dict[str, Any] = EnvironBuilder(
        path=entry.target, method=entry.method, headers=[(name, value) for name, value in entry.headers]
    ).get_environ()
    _, _, query = entry.target.partition("?")
    return environ | {
        "RAW_URI": entry.target,
        "REQUEST_URI": entry.target,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(entry.body)),
        "wsgi.input": io.BytesIO(entry.body),
    }


@contextlib.contextmanager
def _without_calls_of_others() -> Iterator[None]:
    """A subscriber of a topic has had its messages."""
    import requests  # noqa: PLC0415

    def nothing(self: object, request: object, **settings: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 200
        return answer

    kept = requests.Session.send
    requests.Session.send = nothing
    try:
        yield
    finally:
        requests.Session.send = kept


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> int:
    """``SOCKET JOURNAL PARENT``: paths, and the process to die with."""
    socket_path, journal_path, parent = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    _die_with(parent)
    os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "true"  # buckets are in the path by now
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    chance = Chance()
    chance.install()
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    try:
        journal = Journal(journal_path)
    except OSError as error:
        _say(f"{journal_path} cannot be used: {error.strerror}")
        return 1
    application = Application(DomainDispatcherApplication(create_backend_app), journal, chance)
    with _without_calls_of_others():
        application.replay()
    server = make_server(f"unix://{socket_path}", 0, application, threaded=True, request_handler=MotoRequestHandler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

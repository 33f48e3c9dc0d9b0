"""Builds the control plane from its parts and runs it: the only place that does.

The order of starting: saved state, then the writer, then the port; so that the first answer already shows everything
that was saved.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ecscope.backoff import Backoff
from ecscope.clock import Clock, SystemClock
from ecscope.control.acs.server import AcsServer
from ecscope.control.core.effects import AnyEffect, Disconnect, ReportOvercommitment, ReportUnlimitedStorage, WakeAt
from ecscope.control.core.events import ApiRequest, TaskExplained, TimePassed
from ecscope.control.core.records import Json
from ecscope.control.core.restore import restored_state
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.core.step import LAST_ADDRESS_KEY, REVISION_KEY
from ecscope.control.moto.process import MotoProcess
from ecscope.control.server.http import BACKLOG, READY, ApiServer, Front
from ecscope.control.server.logs import SIGNING_NAME, LogsApi
from ecscope.control.server.other_services import OtherServices
from ecscope.control.server.principals import IamFileError, Principals
from ecscope.control.store.interface import Loaded, Store, StoreError
from ecscope.control.store.sqlite import SqliteStore
from ecscope.control.tcs.server import TcsServer
from ecscope.control.writer import Writer
from ecscope.model.arn import TaskArn
from ecscope.sqlitefile.errors import WHOLE_FILE, UnsafeStore

if TYPE_CHECKING:
    from ecscope.control.server.signatures import AccessKey

_log = logging.getLogger("ecscope.control")

PORT = 51677
HOST = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - who is answered is decided for each connection

LOGS_BYTES = 2**30
_LOGS_DIR = "logs"

_SAVE_RETRY = Backoff(tries=None, first_s=0.1, cap_s=2.0, factor=2.0, jitter=0.2)
_TIME_PASSES_S = 30.0
"""Something is due sooner or later (old tasks are forgotten, waits of services end): looked at so often at least."""
_LAST_ANSWERS_S = 3.0
"""So long requests that are under way may take when it ends."""
_REGION_KEY = "region"
_CHECK_STORE_S = 1.0
"""How soon a state file that was truncated or removed from outside is written again, even if nothing is saved."""


class ControlPlaneError(Exception):
    """The control plane cannot start; the message says why and what helps."""


class WrongOption(ControlPlaneError):
    """It cannot start with these options, now or later."""


class ControlPlane:
    """A whole control plane. Between ``start`` and ``stop`` it answers on its port."""

    def __init__(
        self,
        *,
        data_dir: Path,
        settings: Settings | None = None,
        host: str = HOST,
        port: int = PORT,
        iam_file: Path | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        bridges: tuple[str, ...] = (),
        checks_output: bool = False,
        logs_bytes: int = LOGS_BYTES,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Nothing is opened before ``start``.

        Args:
            data_dir: state and keys; made when it does not exist.
            settings: ``endpoint`` is set here.
            port: 0 takes a free one.
            iam_file: users, roles and policies; ``None``: the two principals that always exist.
            bridges: interfaces whose containers are answered as well, wherever they ask it; ``()``: only ``host``.
            checks_output: hold each answer to the model, and call one that differs a bug. For tests.
            logs_bytes: on disk; the oldest log events are removed beyond that.
            say: gets sentences for the user, about the log store and the machine; ``None``: they only go to the log.
        """
        self._logs_bytes = logs_bytes
        self._say = say
        self._said: set[str] = set()
        """What was said about tasks on Fargate, each once."""
        self._logs: LogsApi | None = None
        self._data_dir = data_dir
        self._settings = settings or Settings()
        self._host = host
        self._port = port
        self._iam_file = iam_file
        self._bridges = bridges
        self._store: Store = store if store is not None else SqliteStore(data_dir)
        self._clock = clock or SystemClock()
        self._checks_output = checks_output
        self._writer: Writer | None = None
        self._acs: AcsServer | None = None
        self._tcs: TcsServer | None = None
        self._principals: Principals | None = None
        self._front: Front | None = None
        self._others: OtherServices | None = None
        self.health: Callable[[], str] = lambda: READY
        """What ``/health`` says: ``READY``, or what is awaited. May be replaced before the start."""
        self._lives: list[asyncio.Task[None]] = []

    # --- to be read while it runs ------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where clients and agents find it."""
        return f"http://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The number that was asked for or, after ``start``, found."""
        return self._port

    @property
    def state(self) -> ControlState:
        """The published state."""
        return self._running().state

    @property
    def connected(self) -> frozenset[str]:
        """ARNs of the instances whose agents are connected."""
        return frozenset(arn for arn, instance in self.state.instances.items() if instance.is_connected)

    @property
    def administrator(self) -> AccessKey:
        """What a user of this machine signs with."""
        assert self._principals is not None
        return self._principals.administrator

    @property
    def instance_role(self) -> AccessKey:
        """What an agent signs with."""
        assert self._principals is not None
        return self._principals.instance_role

    @property
    def has_no_room(self) -> bool:
        """Whether the last save failed because the disk is full."""
        return self._running().has_no_room

    # --- life --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what was saved and answer. Raises ``ControlPlaneError``; then nothing is left open."""
        try:
            loaded = self._store.load()
        except UnsafeStore as error:
            raise WrongOption(str(error)) from error
        except StoreError as error:
            raise ControlPlaneError(str(error)) from error
        try:
            await self._start(loaded)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End: what was answered is saved. Agents and their tasks keep running. May be repeated."""
        for server in (self._acs, self._tcs):
            if server is not None:
                server.close()
        if self._logs is not None:
            self._logs.end_connections()
        if self._front is not None:
            await self._front.stop()
            self._front = None
        if self._others is not None:
            await self._others.close()
            self._others = None
        if self._logs is not None:
            await self._logs.close()
            self._logs = None
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        self._lives.clear()
        await self._store.close()

    async def failed(self) -> None:
        """Return never; raise when a part of it ends, which would be a bug."""
        done, _ = await asyncio.wait(self._lives, return_when=asyncio.FIRST_COMPLETED)
        for life in done:
            life.result()
            raise RuntimeError(f"{life.get_name()} ended, which it never should")

    async def ask(self, action: str, body: Json) -> Json:
        """Do what a client could ask for, as the administrator. Raises ``ApiError``."""
        principal = f"arn:aws:iam::{self._settings.account}:user/administrator"
        return await self._running().ask(
            ApiRequest(id=_new_id(), at=self._clock.now(), action=action, principal_arn=principal, body=body)
        )

    def explained(self, task_arn: str, code: str, sentence: str) -> None:
        """It was found out why a task of a service failed: the service's events are to say so."""
        event = TaskExplained(
            id=_new_id(), at=self._clock.now(), task_arn=TaskArn(task_arn), code=code, sentence=sentence
        )
        self._running().post(event)

    def change_settings(self, **fields: object) -> None:
        """Decide by these from now on."""
        writer = self._running()
        writer.change_settings(msgspec.structs.replace(writer.state.settings, **fields))

    async def _start(self, loaded: Loaded) -> None:
        began_s = time.perf_counter()
        region = loaded.meta.get(_REGION_KEY, self._settings.region)
        if region != self._settings.region:
            raise WrongOption(
                f"the state in {self._data_dir} is of region {region}, and --region is {self._settings.region}: set it"
                " back, or give another --data-dir"
            )
        try:
            self._principals = Principals(
                account=self._settings.account, data_dir=self._data_dir, iam_file=self._iam_file
            )
        except IamFileError as error:
            raise WrongOption(str(error)) from error
        if _REGION_KEY not in loaded.meta:
            await self._save_region()
        listener = self._listen()
        self._settings = msgspec.structs.replace(self._settings, endpoint=self.url)
        state = _state_of(loaded, self._settings)
        for bad in (bad for bad in loaded.bad if bad.kind != WHOLE_FILE):
            _log.error(
                "a saved %s record (%s) cannot be read and was set aside as %s: %s",
                bad.kind, bad.key, bad.set_aside_as, bad.reason,
            )  # fmt: skip
        writer = Writer(
            state=state,
            store=self._store,
            act=self._act,
            now=self._clock.now,
            new_id=_new_id,
            save_retry=_SAVE_RETRY,
        )
        self._writer = writer
        await self._serve(writer, listener)
        self._lives = [
            asyncio.create_task(writer.run(), name="writer"),
            asyncio.create_task(self._let_time_pass(writer), name="time"),
            asyncio.create_task(self._watch_the_store(), name="watch over the store"),
        ]
        _log.info(
            "listening at %s, with %d tasks and %d container instances of %s, %.2f s after the state was read",
            self.url, len(state.tasks), len(state.instances), self._data_dir, time.perf_counter() - began_s,
        )  # fmt: skip

    async def _save_region(self) -> None:
        """The ARNs of everything that comes after it name it."""
        try:
            await self._store.save([self._store.prepare({"meta": {_REGION_KEY: self._settings.region}})])
        except StoreError as error:
            raise ControlPlaneError(str(error)) from error

    def _listen(self) -> socket.socket:
        """The port, taken before anything is answered. Raises ``ControlPlaneError``."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_EVERYWHERE if self._bridges else self._host, self._port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise ControlPlaneError(
                    f"port {self._port} of {self._host} is taken: end what listens there, or give another with --port"
                ) from error
            raise ControlPlaneError(
                f"cannot listen on port {self._port} of {self._host}: {error.strerror or error}"
            ) from error
        self._port = listener.getsockname()[1]
        return listener

    async def _serve(self, writer: Writer, listener: socket.socket) -> None:
        assert self._principals is not None
        api = ApiServer(
            writer=writer,
            principals=self._principals,
            clock=self._clock,
            checks_output=self._checks_output,
            health=self.health,
        )
        self._acs = AcsServer(
            state=lambda: writer.state,
            post=writer.post,
            permit=api.permit,
            now=self._clock.now,
            new_id=_new_id,
        )
        self._tcs = TcsServer(
            state=lambda: writer.state,
            post=writer.post,
            permit=api.permit,
            permit_frame=api.permit_frame,
            now=self._clock.now,
            new_id=_new_id,
        )
        self._others = OtherServices(
            api=api,
            moto=MotoProcess(data_dir=self._data_dir / "moto", account=self._settings.account),
            account=self._settings.account,
            region=self._settings.region,
        )
        api.leave_others_to(self._others.serve)
        self._logs = LogsApi(
            front=api,
            settings=lambda: writer.state.settings,
            folder=self._data_dir / _LOGS_DIR,
            limit_bytes=self._logs_bytes,
            clock=self._clock,
            say=self._tell,
            checks_output=self._checks_output,
        )
        api.add(SIGNING_NAME, self._logs)
        application = api.application()
        application.router.add_get("/acs/ws", self._acs.handle)
        application.router.add_get("/tcs/ws", self._tcs.handle)
        self._front = Front(application, last_answers_s=_LAST_ANSWERS_S, bridges=self._bridges)
        await self._front.start(listener)

    def _tell(self, sentence: str) -> None:
        """Print it; warnings of the log are printed as well, so that it is none where both are."""
        if self._say is None:
            _log.warning("%s", sentence)
            return
        _log.info("%s", sentence)
        self._say(sentence)

    def _act(self, effect: AnyEffect) -> None:
        assert self._acs is not None
        assert self._tcs is not None
        assert not isinstance(effect, WakeAt), "the writer keeps time"
        if isinstance(effect, ReportOvercommitment):
            self._say_once(_overcommitment(effect), about=effect.instance_arn)
            return
        if isinstance(effect, ReportUnlimitedStorage):
            self._say_once("ephemeralStorage is shown, and is no limit here: tasks share the room that Docker has")
            return
        self._acs.act(effect)
        if isinstance(effect, Disconnect) and not effect.connection_id:
            self._tcs.disconnect(effect.instance_arn, effect.reason)

    def _say_once(self, sentence: str, *, about: str = "") -> None:
        """``about``: what it is about, if it need not be said again in other words; ``""``: the sentence itself."""
        if (about or sentence) in self._said:
            return
        self._said.add(about or sentence)
        self._tell(sentence)

    async def _let_time_pass(self, writer: Writer) -> None:
        while True:
            writer.post(TimePassed(id=_new_id(), at=self._clock.now()))
            await asyncio.sleep(_TIME_PASSES_S)

    async def _watch_the_store(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(_CHECK_STORE_S)
            try:
                await asyncio.shield(self._store.check())
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    _log.error("%s", said)
            else:
                said = ""

    def _running(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the control plane is not running yet")
        return self._writer


def _overcommitment(effect: ReportOvercommitment) -> str:
    return (
        f"the tasks on Fargate may use {effect.cpu_units} CPU units and {effect.memory_mib} MiB together with the"
        f" others, more than the {effect.has.cpu_units} and {effect.has.memory_mib} that this machine has:"
        " they share it"
    )


def _new_id() -> str:
    return secrets.token_hex(16)


def _state_of(loaded: Loaded, settings: Settings) -> ControlState:
    sequence, last_address = loaded.meta.get("sequence", 0), loaded.meta.get(LAST_ADDRESS_KEY, 0)
    retired = {
        key.removeprefix(REVISION_KEY): revision
        for key, revision in loaded.meta.items()
        if key.startswith(REVISION_KEY) and isinstance(revision, int)
    }
    return restored_state(
        settings=settings,
        clusters=loaded.clusters,
        task_definitions=loaded.task_definitions,
        instances=loaded.instances,
        tasks=loaded.tasks,
        services=loaded.services,
        tokens=loaded.tokens,
        account_settings=loaded.account_settings,
        sequence=sequence if isinstance(sequence, int) else 0,
        last_address=last_address if isinstance(last_address, int) else 0,
        retired=retired,
    )

"""The one writer: takes requests and events from one queue, decides, saves, publishes, acts, answers.

Order, always: decide → save what changed → publish the new state → carry out the effects → answer the clients.
Nothing is answered or done that was not saved, so a kill at any line loses nothing that was answered.

It holds no rule (those are in ``core`` and ``api``) and sends nothing (that is for ``acs``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from ecscope.backoff import Backoff
from ecscope.control.api.actions import ACTIONS
from ecscope.control.core.effects import AnyEffect, WakeAt
from ecscope.control.core.errors import ApiError
from ecscope.control.core.events import AnyEvent, ApiRequest, HealthReported, InstanceStatusReported, TimePassed
from ecscope.control.core.records import Json
from ecscope.control.core.state import ControlState, Settings
from ecscope.control.decide import decide, read
from ecscope.control.store.interface import Prepared, Store, StoreError
from ecscope.log import EVENT_ID

_log = logging.getLogger("ecscope.control")

_BATCH = 128
"""At most this many waiting events are decided before they are saved together."""
_BATCH_S = 0.01
"""Nor any after this long: readers are answered in between."""
_PATIENCE_S = 2.0
"""How long a save is tried again before requests fail with it; while it goes on failing, they fail at once."""

_COME_AGAIN = HealthReported | InstanceStatusReported | TimePassed
"""Events that agents repeat soon. They are dropped while nothing can be saved, so that memory does not grow."""


class _Asked(msgspec.Struct, frozen=True):
    request: ApiRequest
    answer: asyncio.Future[Json]


_Waiting = _Asked | AnyEvent


class _Batch(msgspec.Struct):
    """What was decided and is not saved yet."""

    state: ControlState
    taken: list[_Waiting] = []
    rows: list[Prepared] = []
    effects: list[AnyEffect] = []
    answers: list[tuple[asyncio.Future[Json], Json | ApiError]] = []
    """Refusals as well: they follow from a state that may never be saved."""


class Writer:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        state: ControlState,
        store: Store,
        act: Callable[[AnyEffect], None],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        save_retry: Backoff,
    ) -> None:
        """``act`` carries an effect out, or begins to, and returns at once; ``save_retry`` never ends.

        ``new_id`` gives 32 hex digits of chance. ``WakeAt`` is not for ``act``: the writer has the timer.
        """
        self._state = state
        self._store = store
        self._act = act
        self._now = now
        self._new_id = new_id
        self._save_retry = save_retry
        self._waiting: deque[_Waiting] = deque()
        self._has_work = asyncio.Event()
        self._idle = asyncio.Event()
        self._cannot_save = self._was_full = False
        self._wake_at: datetime | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> ControlState:
        """The published state: saved, whole and never changed."""
        return self._state

    @property
    def has_no_room(self) -> bool:
        """Whether the last save failed because the disk is full."""
        return self._cannot_save and self._was_full

    async def ask(self, request: ApiRequest) -> Json:
        """The answer, when what was asked for is saved. Raises ``ApiError`` when it is refused: nothing changed.

        What only reads is answered at once, from the published state. The caller may be cancelled; the request is
        then carried out or not.
        """
        if ACTIONS[request.action].is_reader:
            try:
                return read(self._state, request)
            except ApiError:
                raise
            except Exception as error:
                raise self._bug(request) from error
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._add(_Asked(request, answer))
        return await answer

    def post(self, event: AnyEvent) -> None:
        """Hand over an event; never blocks, never raises."""
        self._add(event)

    def change_settings(self, settings: Settings) -> None:
        """Decide by these from the next event on; settings are not saved."""
        self._state = msgspec.structs.replace(self._state, settings=settings)

    async def settled(self) -> None:
        """Return when everything that was handed over so far is decided, saved and acted on."""
        await self._idle.wait()

    async def run(self) -> None:
        """Never returns. Cancelled during a save, it completes it first: all is saved, answered and done, or none."""
        waits = self._save_retry.waits()
        while True:
            if not self._waiting:
                self._idle.set()
                await self._has_work.wait()
            handling = asyncio.ensure_future(self._handle())
            try:
                is_saved = await asyncio.shield(handling)
            except asyncio.CancelledError:
                await handling
                raise
            if is_saved:
                waits = self._save_retry.waits()
            else:
                await asyncio.sleep(next(waits))

    def _add(self, item: _Waiting) -> None:
        self._waiting.append(item)
        self._idle.clear()
        self._has_work.set()

    async def _handle(self) -> bool:
        """Take some of what waits all the way; whether it could be saved. What could not stays, requests apart."""
        batch = self._decided()
        error = await self._save(batch.rows) if batch.rows else None
        if error is not None:
            self._give_back(batch, error)
            return False
        settings = self._state.settings  # may have been changed meanwhile
        self._state = (
            batch.state if batch.state.settings is settings else msgspec.structs.replace(batch.state, settings=settings)
        )
        for effect in batch.effects:
            if isinstance(effect, WakeAt):
                self._wake(effect.at)
            else:
                self._carry_out(effect)
        for future, answer in batch.answers:
            if future.done():
                continue  # the caller has gone
            if isinstance(answer, ApiError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        return True

    def _decided(self) -> _Batch:
        batch = _Batch(state=self._state)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _BATCH_S
        while self._waiting and len(batch.taken) < _BATCH and loop.time() < until_s:
            item = self._waiting.popleft()
            if isinstance(item, _Asked):
                if item.answer.done():
                    continue  # the caller has gone
                self._decide(batch, item, item.request, item.answer)
            else:
                self._decide(batch, item, item, None)
        if not self._waiting:
            self._has_work.clear()
        return batch

    def _decide(self, batch: _Batch, item: _Waiting, event: AnyEvent, future: asyncio.Future[Json] | None) -> None:
        batch.taken.append(item)
        try:
            decision = decide(batch.state, event)
            rows = self._store.prepare(decision.records)
        except ApiError as refused:
            answer: Json | ApiError = refused
        except Exception:
            answer = self._bug(event)
        else:
            answer = decision.answer or {}
            batch.state = decision.state
            batch.effects.extend(decision.effects)
            if rows:
                batch.rows.append(rows)
        if future is not None:
            batch.answers.append((future, answer))

    async def _save(self, rows: list[Prepared]) -> StoreError | None:
        """Try for a while; while the disk is known to fail, once."""
        loop = asyncio.get_running_loop()
        give_up_at_s = loop.time() + (0.0 if self._cannot_save else _PATIENCE_S)
        waits = self._save_retry.waits()
        while True:
            try:
                await self._store.save(rows)
            except StoreError as error:
                wait_s = next(waits)
                if loop.time() + wait_s >= give_up_at_s:
                    return error
                await asyncio.sleep(wait_s)
            except Exception as error:
                # A bug of the store's. The batch is not saved, and must not be lost for it.
                _log.exception("the store failed on a batch of %d", len(rows))
                return StoreError(f"the state cannot be saved: {type(error).__name__}")
            else:
                if self._cannot_save:
                    self._cannot_save = False
                    # That the disk is full, and that it is not any more, is said by ``up``.
                    _log.log(logging.INFO if self._was_full else logging.WARNING, "state can be saved again; going on")
                return None

    def _give_back(self, batch: _Batch, error: StoreError) -> None:
        """Requests fail, and nothing was changed; events remain true, and are decided again later."""
        if not self._cannot_save:
            self._cannot_save = True
            self._was_full = error.is_full
            level = logging.INFO if error.is_full else logging.ERROR
            _log.log(
                level, "cannot save state, so requests that change it are refused until it can be saved: %s", error
            )
        events: list[_Waiting] = []
        for item in batch.taken:
            if not isinstance(item, _Asked):
                if not isinstance(item, _COME_AGAIN):
                    events.append(item)
            elif not item.answer.done():
                item.answer.set_exception(
                    ApiError(
                        "ServerException", f"The control plane cannot save its state, so nothing was changed: {error}"
                    )
                )
        self._waiting.extendleft(reversed(events))
        if self._waiting:
            self._has_work.set()

    def _bug(self, event: AnyEvent) -> ApiError:
        """Tell the log. The state is as it was; one event is lost, the control plane is not."""
        # Only its kind is logged: a task's environment does not belong in a log.
        what = event.action if isinstance(event, ApiRequest) else type(event).__name__
        _log.exception("the control plane failed on %s", what, extra={EVENT_ID: event.id})
        return ApiError("ServerException", "The control plane failed on this request; its log says more.")

    def _carry_out(self, effect: AnyEffect) -> None:
        try:
            self._act(effect)
        except Exception:
            _log.exception("%s could not be carried out", type(effect).__name__)

    # --- the timer ---------------------------------------------------------------------------------

    def _wake(self, at: datetime) -> None:
        if self._wake_at is not None and self._wake_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = at
        wait_s = max(0.0, (at - self._now()).total_seconds())
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._woken)

    def _woken(self) -> None:
        self._wake_at = self._timer = None
        self.post(TimePassed(id=self._new_id(), at=self._now()))

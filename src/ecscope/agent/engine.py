"""The one writer: takes events from one queue, decides, saves, publishes, acts.

Order, always: decide → save what changed → publish the new state → carry out the actions.
Nothing is done that was not saved, so a kill at any line costs nothing: what was saved is
taken up again, what was not saved was not started.

It holds no rule (those are in ``core``) and calls no runtime (that is the executor's).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from ecscope.agent.broadcaster import Broadcaster
from ecscope.agent.core.actions import AnyAction
from ecscope.agent.core.decide import decide
from ecscope.agent.core.events import AnyEvent
from ecscope.agent.core.invariants import check_step
from ecscope.agent.core.state import AgentState
from ecscope.agent.history_log import log_entry
from ecscope.agent.store.interface import Batch, Store, StoreError
from ecscope.backoff import Backoff
from ecscope.log import EVENT_ID
from ecscope.model import history
from ecscope.model.history import HistoryEntry

_log = logging.getLogger("ecscope.engine")

_BATCH = 256
"""At most this many waiting events are decided before they are saved together, or others have their turn."""
_MOST_UNSAVED_NOTES = 10_000
"""Of history, while nothing can be saved: the newest."""

NoteListener = Callable[[Sequence[HistoryEntry], AgentState], None]
"""Gets history entries right after they were saved, and the state that was saved with them; must not block."""


class _Decided(msgspec.Struct):
    """What is decided, and is not saved yet."""

    state: AgentState
    batch: Batch = msgspec.field(default_factory=Batch)
    actions: list[AnyAction] = []


class Engine:
    """See the module docstring. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        state: AgentState,
        store: Store,
        act: Callable[[AnyAction], None],
        save_retry: Backoff,
        checked: bool = False,
    ) -> None:
        """``act`` starts an action and returns at once; ``save_retry`` never gives up.

        ``checked`` runs the invariants after every event (tests).
        """
        self.states = Broadcaster(state)
        """The published state, for those that read it and those that wait for the next."""
        self._store = store
        self._act = act
        self._save_retry = save_retry
        self._checked = checked
        self._queue: asyncio.Queue[AnyEvent] = asyncio.Queue()
        self._idle = asyncio.Event()
        self._listeners: list[NoteListener] = [_log_saved]

    @property
    def state(self) -> AgentState:
        """The published state: saved, whole and never changed."""
        return self.states.newest

    def listen(self, listener: NoteListener) -> None:
        """Have ``listener`` called with what is noted from now on. One that raises is logged, and called again."""
        self._listeners.append(listener)

    def post(self, event: AnyEvent) -> None:
        """Hand over an event; never blocks, never raises."""
        self._idle.clear()
        self._queue.put_nowait(event)

    async def settled(self) -> None:
        """Return when every event posted so far has been decided, saved and acted on (tests)."""
        await self._idle.wait()

    async def run(self) -> None:
        """For ever. Cancelling is safe at any moment."""
        while True:
            if self._queue.empty():
                self._idle.set()
            decided = _Decided(state=self.states.newest)
            self._decide(await self._queue.get(), decided)
            self._decide_waiting(decided)
            if not decided.batch.is_empty:
                await self._save(decided)
            self.states.publish(decided.state)
            if decided.batch.history:
                self._notify_listeners(decided)
            for action in decided.actions:
                self._act(action)

    def _notify_listeners(self, decided: _Decided) -> None:
        for listener in self._listeners:
            try:
                listener(decided.batch.history, decided.state)
            except Exception:  # a fault of one reader must not cost the agent
                _log.exception("a reader of the history failed")

    def _decide_waiting(self, decided: _Decided) -> None:
        for _ in range(_BATCH):
            if self._queue.empty():
                return
            self._decide(self._queue.get_nowait(), decided)

    def _decide(self, event: AnyEvent, decided: _Decided) -> None:
        try:
            decision = decide(decided.state, event)
        except Exception:
            # A bug in the core. The state is as it was; one event is lost, the agent is not.
            # Only its kind is logged: a task's environment does not belong in a log.
            _log.exception("the core failed on an event", extra={EVENT_ID: event.id, "event": type(event).__name__})
            return
        if self._checked:
            check_step(decided.state, decision.state)
        decided.state = state = decision.state
        decided.actions.extend(decision.actions)
        batch = decided.batch
        batch.tasks.update((arn, state.tasks.get(arn)) for arn in decision.tasks)
        batch.images.update((name, state.images.get(name)) for name in decision.images)
        batch.sources.update((key, state.sources.get(key)) for key in decision.sources)
        batch.metadata.update(decision.metadata)
        for note in decision.notes:
            if isinstance(note.what, history.NoChange):
                log_entry(note, state)
            else:
                batch.history.append(note)

    async def _save(self, decided: _Decided) -> None:
        """Try until it is on disk: until then nothing is published and nothing is done.

        What happens meanwhile is decided at once and saved with the rest, because it may be long until the disk has
        room, and ECS and Docker go on: a payload that comes again or a listing that shows nothing new then takes no
        memory, as it would in the queue.
        """
        waits = None
        while True:
            try:
                await self._store.save(decided.batch)
            except StoreError as error:
                if waits is None:
                    waits = self._save_retry.waits()
                    _log.error(  # the reason is in the error; a traceback adds nothing
                        "cannot save state, so no action is taken until it can be saved: %s", error
                    )
                await asyncio.sleep(next(waits))
                while not self._queue.empty():
                    self._decide_waiting(decided)
                    await asyncio.sleep(0)
                del decided.batch.history[:-_MOST_UNSAVED_NOTES]
            else:
                if waits is not None:
                    _log.info("state can be saved again; going on")
                return


def _log_saved(notes: Sequence[HistoryEntry], state: AgentState) -> None:
    for note in notes:
        log_entry(note, state)

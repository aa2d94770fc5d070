"""Which model to start or stop, and which request goes in: a function of state and event. No clock, task or process.

One scan of the queue, oldest request first, decides everything. A request whose model is not in memory takes a free
place, or the place of a model that is on its way out, or chooses a victim; from there on the victim takes no requests
from further back in the queue. So draining is never stored: when the request that caused it leaves, it is over.
"""

from __future__ import annotations

from msgspec.structs import replace

from roci.errors import RociError, ServerBusyError
from roci.server.pool.events import (
    Action,
    Asked,
    Closing,
    Event,
    Exited,
    Grant,
    InMemory,
    Left,
    Limits,
    Loaded,
    LoadFailed,
    PoolState,
    Refuse,
    Start,
    Stop,
    Waiting,
)

RETRY_AFTER_S = 5.0


def decide(state: PoolState, event: Event, limits: Limits) -> tuple[PoolState, tuple[Action, ...]]:
    """The state after `event`, and what is to be done about it, in order."""
    draft = _Draft(state, limits)
    match event:
        case Asked(request, key, slots):
            return _asked(state, draft, Waiting(request, key, slots))
        case Left(request):
            draft.forget(request)
        case Loaded(key, slots):
            draft.loaded(key, slots)
        case LoadFailed(key, error):
            was_wanted = draft.models[key].phase == "loading"
            del draft.models[key]
            if was_wanted:
                draft.refuse_waiting_for(key, error)
        case Exited(key):
            del draft.models[key]
        case Closing(error):
            draft.close(error)
    draft.settle()
    return draft.done()


def _asked(state: PoolState, draft: _Draft, waiting: Waiting) -> tuple[PoolState, tuple[Action, ...]]:
    if state.is_closing:
        return state, (Refuse(waiting.request, shutting_down()),)
    draft.queue.append(waiting)
    draft.settle()
    if waiting in draft.queue and len(state.queue) >= draft.limits.queue_limit:
        return state, (Refuse(waiting.request, _queue_is_full(len(state.queue))),)  # as if it had never asked
    return draft.done()


class _Draft:
    """The next state while it is being worked out."""

    def __init__(self, state: PoolState, limits: Limits) -> None:
        self.limits = limits
        self.models = dict(state.models)
        self.queue = list(state.queue)
        self.tick = state.tick + 1
        self.is_closing = state.is_closing
        self.actions: list[Action] = []

    def done(self) -> tuple[PoolState, tuple[Action, ...]]:
        state = PoolState(models=self.models, queue=tuple(self.queue), tick=self.tick, is_closing=self.is_closing)
        return state, tuple(self.actions)

    def forget(self, request: int) -> None:
        self.queue = [waiting for waiting in self.queue if waiting.request != request]
        for key, model in self.models.items():
            if request in model.running:
                running = {inside: slots for inside, slots in model.running.items() if inside != request}
                self.models[key] = replace(model, running=running, idle_since=self.tick)
                return

    def loaded(self, key: str, slots: int) -> None:
        if self.models[key].phase != "loading":
            return  # told to stop meanwhile
        self.models[key] = InMemory(phase="ready", slots=slots, granted_at=self.tick, idle_since=self.tick)
        # All that wait for it go in before a drain is thought of: models that are asked for in turn are
        # loaded once a group, not once a request.
        for waiting in [waiting for waiting in self.queue if waiting.key == key]:
            if not self.models[key].has_room_for(waiting.slots):
                break
            self._grant(waiting)

    def refuse_waiting_for(self, key: str, error: RociError) -> None:
        self.actions += [Refuse(waiting.request, error) for waiting in self.queue if waiting.key == key]
        self.queue = [waiting for waiting in self.queue if waiting.key != key]

    def close(self, error: RociError) -> None:
        self.is_closing = True
        self.actions += [Refuse(waiting.request, error) for waiting in self.queue]
        self.queue = []

    def settle(self) -> None:
        """Do all that can be done now."""
        self._stop_unwanted()
        coming = sum(model.phase == "stopping" for model in self.models.values())
        full: set[str] = set()
        draining: set[str] = set()
        placed: set[str] = set()
        for waiting in list(self.queue):
            model = self.models.get(waiting.key)
            if model is not None and model.phase == "ready":
                if waiting.key in full or waiting.key in draining:
                    continue
                if model.has_room_for(waiting.slots):
                    self._grant(waiting)
                else:
                    full.add(waiting.key)  # who wants less must not overtake who wants more for ever
            elif waiting.key in placed or (model is not None and model.phase == "loading"):
                continue
            elif model is None and len(self.models) < self.limits.max_loaded:
                self._start(waiting.key)
            elif coming > 0:
                coming -= 1
                placed.add(waiting.key)
            else:
                placed.add(waiting.key)
                self._drain_one(draining)

    def _stop_unwanted(self) -> None:
        wanted = {waiting.key for waiting in self.queue}
        for key, model in list(self.models.items()):
            is_unwanted_load = model.phase == "loading" and key not in wanted
            if is_unwanted_load or (self.is_closing and model.phase == "ready" and not model.running):
                self._stop(key)

    def _drain_one(self, draining: set[str]) -> None:
        victim = self._victim(draining)
        if victim is None:
            return
        draining.add(victim)
        if not self.models[victim].running:
            self._stop(victim)

    def _victim(self, draining: set[str]) -> str | None:
        """The model that has been idle longest, else the busy one whose last grant is longest ago."""
        ranks = {
            key: (1, model.granted_at) if model.running else (0, model.idle_since)
            for key, model in self.models.items()
            if model.phase == "ready" and key not in draining
        }
        return min(ranks, key=lambda key: ranks[key], default=None)

    def _start(self, key: str) -> None:
        self.models[key] = InMemory(phase="loading")
        self.actions.append(Start(key))

    def _stop(self, key: str) -> None:
        self.models[key] = replace(self.models[key], phase="stopping")
        self.actions.append(Stop(key))

    def _grant(self, waiting: Waiting) -> None:
        model = self.models[waiting.key]
        self.models[waiting.key] = replace(
            model, running={**model.running, waiting.request: min(waiting.slots, model.slots)}, granted_at=self.tick
        )
        self.queue.remove(waiting)
        self.actions.append(Grant(waiting.request, waiting.key))


def shutting_down() -> ServerBusyError:
    """What a request is told that comes, or still waits, when the gateway ends."""
    return ServerBusyError(
        "The server is shutting down.", status=503, code="shutting_down", retry_after_s=RETRY_AFTER_S
    )


def _queue_is_full(length: int) -> ServerBusyError:
    return ServerBusyError(
        f"{length} requests are waiting already.",
        status=503,
        code="queue_full",
        retry_after_s=RETRY_AFTER_S,
        hint="Ask again later, or let the server hold more models or more requests at once.",
    )

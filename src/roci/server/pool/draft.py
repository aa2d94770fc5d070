"""The pool's next state while it is being worked out; `decide.py` says which event does what to it."""

from __future__ import annotations

from msgspec.structs import replace

from roci.errors import RociError
from roci.server.pool.events import (
    Action,
    Grant,
    InMemory,
    Limits,
    Loaded,
    PoolState,
    Refuse,
    Short,
    Start,
    Stop,
    Waiting,
)


class Draft:
    """A copy of a state that may be changed, and the actions that go with the changes."""

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
        for name, model in self.models.items():
            if request in model.running:
                running = {inside: slots for inside, slots in model.running.items() if inside != request}
                self.models[name] = replace(model, running=running, idle_since=self.tick)
                return

    def loaded(self, event: Loaded) -> None:
        model = self.models[event.id]
        if model.phase != "loading":
            return  # told to stop meanwhile
        self.models[event.id] = replace(
            model,
            phase="ready",
            slots=event.slots,
            needed_bytes=event.needed_bytes,
            granted_at=self.tick,
            idle_since=self.tick,
        )
        # All that wait for it go in before a drain is thought of: models that are asked for in turn are
        # loaded once a group, not once a request.
        for waiting in [waiting for waiting in self.queue if waiting.id == event.id]:
            if not self.models[event.id].has_room_for(waiting.slots):
                break
            self._grant(waiting)

    def gone(self, name: str) -> None:
        """The instance's process is no more; who waits for memory is due to be judged again."""
        del self.models[name]
        for other, model in self.models.items():
            if model.phase == "short":
                self.models[other] = replace(model, is_due=True)

    def short(self, event: Short) -> None:
        if self.models[event.id].phase != "loading":
            self.gone(event.id)  # told to stop meanwhile, and there is no process
            return
        others = [model for name, model in self.models.items() if name != event.id]
        may_go = sum(model.needed_bytes for model in others if _may_go(model))
        is_going = any(model.phase == "stopping" for model in others)
        if may_go < event.missing_bytes and not is_going:
            # Nobody is put out of memory in vain.
            self.gone(event.id)
            self.refuse_waiting_for(event.id, event.error)
        else:
            self.models[event.id] = replace(self.models[event.id], phase="short", was_short=True)

    def expire(self, name: str, idle_since: int) -> None:
        model = self.models.get(name)
        if model is not None and model.is_idle and model.idle_since == idle_since:
            self._stop(name)

    def unload(self, name: str, error: RociError) -> None:
        model = self.models.get(name)
        if model is None:
            return
        if model.phase in ("loading", "short"):
            self.refuse_waiting_for(name, error)  # a load that nobody wants is stopped
        else:
            self.models[name] = replace(model, is_leaving=True)
            # Who came on demand waits on, and has it loaded again.
            self.refuse_waiting_for(name, error, on_demand_too=False)

    def refuse_waiting_for(self, name: str, error: RociError, *, on_demand_too: bool = True) -> None:
        refused = [w for w in self.queue if w.id == name and (on_demand_too or not w.is_on_demand)]
        self.actions += [Refuse(waiting.request, error) for waiting in refused]
        self.queue = [waiting for waiting in self.queue if waiting not in refused]

    def close(self, error: RociError) -> None:
        self.is_closing = True
        self.actions += [Refuse(waiting.request, error) for waiting in self.queue]
        self.queue = []

    def settle(self) -> None:
        """Do all that can be done now."""
        self._stop_unwanted()
        if self.queue:
            self._scan()

    def _scan(self) -> None:
        # Places that will be free: of those on their way out, less those promised to requests further ahead.
        free = self.limits.max_loaded - sum(model.is_on_demand for model in self.models.values())
        coming = sum(model.is_on_demand and _is_going(model) for model in self.models.values())
        full: set[str] = set()
        draining: set[str] = set()
        placed: set[str] = set()
        lacks_memory = False
        for waiting in list(self.queue):
            name = waiting.id
            model = self.models.get(name)
            if model is not None and model.is_open:
                if name in full or name in draining:
                    continue
                if model.has_room_for(waiting.slots):
                    self._grant(waiting)
                else:
                    full.add(name)  # who wants less must not overtake who wants more for ever
                continue
            if name in placed or lacks_memory:
                continue
            placed.add(name)
            if model is not None and model.phase in ("loading", "short"):
                # What memory comes free is for the one that has waited for it longest.
                lacks_memory = model.was_short
                self._make_room(name, model, draining)
            elif not waiting.is_on_demand:
                if model is None:
                    self._start(waiting)
            elif free > 0:
                free -= 1
                if model is None:  # else it starts when its predecessor of the same name has exited
                    self._start(waiting)
            elif coming > 0:
                coming -= 1
            else:
                self._drain_one(draining)

    def _make_room(self, name: str, model: InMemory, draining: set[str]) -> None:
        """Lets a model that waits for memory be judged again, or sees to it that some is given back."""
        if model.phase == "loading":
            return
        if model.is_due:
            self.models[name] = replace(model, phase="loading", is_due=False)
            self.actions.append(Start(name))
        elif not any(other.phase == "stopping" for other in self.models.values()):
            self._drain_one(draining)

    def _stop_unwanted(self) -> None:
        wanted = {waiting.id for waiting in self.queue}
        for name, model in list(self.models.items()):
            is_unwanted_load = model.phase == "loading" and name not in wanted
            if model.phase == "short" and name not in wanted:
                del self.models[name]
            elif is_unwanted_load or (model.is_idle and (model.is_leaving or self.is_closing)):
                self._stop(name)

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
            name: (1, model.granted_at) if model.running else (0, model.idle_since)
            for name, model in self.models.items()
            if model.is_open and model.is_on_demand and name not in draining
        }
        return min(ranks, key=lambda name: ranks[name], default=None)

    def _start(self, waiting: Waiting) -> None:
        self.models[waiting.id] = InMemory(phase="loading", is_on_demand=waiting.is_on_demand)
        self.actions.append(Start(waiting.id))

    def _stop(self, name: str) -> None:
        self.models[name] = replace(self.models[name], phase="stopping")
        self.actions.append(Stop(name))

    def _grant(self, waiting: Waiting) -> None:
        model = self.models[waiting.id]
        self.models[waiting.id] = replace(
            model, running={**model.running, waiting.request: min(waiting.slots, model.slots)}, granted_at=self.tick
        )
        self.queue.remove(waiting)
        self.actions.append(Grant(waiting.request, waiting.id))


def _is_going(model: InMemory) -> bool:
    return model.phase == "stopping" or model.is_leaving


def _may_go(model: InMemory) -> bool:
    """Its memory can be had without taking it from what somebody loaded by name."""
    return _is_going(model) or (model.phase == "ready" and model.is_on_demand)

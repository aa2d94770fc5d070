"""Which model to start or stop, and which request goes in: a function of state and event. No clock, task or process.

One scan of the queue, oldest request first, decides everything. A request whose model is not in memory takes a free
place, or the place of a model that is on its way out, or chooses a victim; from there on the victim takes no requests
from further back in the queue. So draining for another is never stored: when the request that caused it leaves, it is
over. What somebody loaded by name stands outside of this: it takes no place and is nobody's victim.
"""

from __future__ import annotations

from roci.server.pool.draft import Draft
from roci.server.pool.events import (
    Action,
    Asked,
    Closing,
    Event,
    Exited,
    Expired,
    Left,
    Limits,
    Loaded,
    LoadFailed,
    PoolState,
    Refuse,
    Short,
    Unload,
    Waiting,
)
from roci.server.pool.refusals import queue_is_full, shutting_down, unloaded


def decide(state: PoolState, event: Event, limits: Limits) -> tuple[PoolState, tuple[Action, ...]]:
    """The state after `event`, and what is to be done about it, in order."""
    draft = Draft(state, limits)
    match event:
        case Asked():
            return _asked(state, draft, event)
        case Left(request):
            draft.forget(request)
        case Loaded():
            draft.loaded(event)
        case LoadFailed(name, error):
            was_wanted = draft.models[name].phase == "loading"
            draft.gone(name)
            if was_wanted:
                draft.refuse_waiting_for(name, error)
        case Short():
            draft.short(event)
        case Exited(name):
            draft.gone(name)
        case Expired(name, idle_since):
            draft.expire(name, idle_since)
        case Unload(name, error):
            draft.unload(name, error)
        case Closing(error):
            draft.close(error)
    draft.settle()
    return draft.done()


def _asked(state: PoolState, draft: Draft, asked: Asked) -> tuple[PoolState, tuple[Action, ...]]:
    if state.is_closing:
        return state, (Refuse(asked.request, shutting_down()),)
    model = state.models.get(asked.id)
    is_going = model is None or model.is_leaving or model.phase == "stopping"
    if is_going and asked.slots and not asked.is_on_demand:
        return state, (Refuse(asked.request, unloaded(asked.id)),)
    waiting = Waiting(asked.request, asked.id, asked.slots, asked.is_on_demand)
    draft.queue.append(waiting)
    draft.settle()
    if waiting in draft.queue and len(state.queue) >= draft.limits.queue_limit:
        return state, (Refuse(asked.request, queue_is_full(len(state.queue))),)  # as if it had never asked
    return draft.done()

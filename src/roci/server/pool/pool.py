"""The owner of every worker: performs what `decide` says, and tells it what happened. Lives on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Final

from msgspec.structs import replace

from roci.engine.worker_options import WorkerReady, check_options
from roci.errors import RociError
from roci.server.pool.decide import decide
from roci.server.pool.events import (
    Action,
    Asked,
    Closing,
    Event,
    Grant,
    InMemory,
    Left,
    Limits,
    Loaded,
    PoolState,
    Refuse,
    Short,
    Start,
    Stop,
    Unload,
)
from roci.server.pool.expiry import Expiry
from roci.server.pool.instance import Instance, InstanceState, free_id
from roci.server.pool.listeners import LoadListeners, OnLoad
from roci.server.pool.refusals import not_loaded, shutting_down, unloaded
from roci.server.pool.worker import Starter, Worker
from roci.wire.generation import LoadEvent, LoadProgress

DRAIN_S: Final = 30.0


class ModelPool:
    """Models in memory. Used, and closed with `aclose()`, on one event loop."""

    def __init__(self, limits: Limits, command: Sequence[str] | None = None) -> None:
        """
        Args:
            command: what to run for each instance instead of our own worker, with the same flags.
        """
        self.limits = limits
        self._starter = Starter(command)
        self._state = PoolState()
        self._numbers = count(1)
        self._asked: dict[int, Instance] = {}
        self._waiting: dict[int, asyncio.Future[Worker]] = {}
        self._listeners = LoadListeners()
        self._workers: dict[str, Worker] = {}
        self._expiry = Expiry(self._tell)
        self._lives: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def models(self) -> dict[str, InMemory]:
        """Id -> what the decisions know of each instance in memory, in the order in which they were started."""
        return self._state.models

    @property
    def instances(self) -> list[InstanceState]:
        """Every instance that is loading, in memory or on its way out, in load order."""
        return [self._describe(name) for name in self._state.models]

    @property
    def queue_length(self) -> int:
        return len(self._state.queue)

    @property
    def running(self) -> int:
        """Requests that are inside a model."""
        return sum(len(model.running) for model in self._state.models.values())

    @property
    def can_load(self) -> bool:
        """Whether a request for a model that is not in memory would have it loaded without waiting for answers."""
        on_demand = [model for model in self._state.models.values() if model.is_on_demand]
        has_room = len(on_demand) < self.limits.max_loaded
        has_victim = any(model.is_idle for model in on_demand) and not self._state.queue
        return not self._state.is_closing and (has_room or has_victim)

    @property
    def is_closing(self) -> bool:
        return self._state.is_closing

    def get(self, instance_id: str) -> InstanceState | None:
        """The instance of this very id, if it takes requests or will."""
        model = self._state.models.get(instance_id)
        if model is None or model.is_leaving or model.phase == "stopping":
            return None
        return self._describe(instance_id)

    @property
    def open_instances(self) -> list[Instance]:
        """Those that take requests or will, in load order; every request asks for them."""
        return [
            self._workers[name].instance
            for name, model in self._state.models.items()
            if not model.is_leaving and model.phase != "stopping"
        ]

    def loaded(self, instance_id: str) -> WorkerReady | None:
        """What the worker of an instance said of itself; None where it is not ready."""
        model = self._state.models.get(instance_id)
        return self._workers[instance_id].ready if model is not None and model.phase == "ready" else None

    @contextlib.asynccontextmanager
    async def place(self, instance: Instance, slots: int = 1, on_load: OnLoad | None = None) -> AsyncIterator[Worker]:
        """Waits for a place in `instance`, which is loaded if need be; the place is free again at the block's end.

        If the id is in memory already, that one is taken, with the options and ttl that it was loaded with.

        Args:
            slots: answers that the request wants at once.
            on_load: told of the load, if the request waits for one. It must not raise.

        Raises:
            LoadFailedError: the model cannot be loaded.
            UsageError: its options exclude each other.
            ServerBusyError: the queue is full, the gateway is shutting down, or somebody unloaded the instance.
        """
        request = next(self._numbers)
        granted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting[request] = granted
        self._asked[request] = instance
        if on_load is not None:
            self._listeners.add(request, instance.id, on_load)
        self._tell(Asked(request, instance.id, slots, instance.is_on_demand))
        if instance.id in self._workers and self._state.models[instance.id].phase in ("loading", "short"):
            self._listeners.progressed(instance.id, self._workers[instance.id].progress_ratio)
        worker: Worker | None = None
        try:
            worker = await granted
            yield worker
        finally:
            if worker is not None:
                worker.last_used_at = time.time()
            self._waiting.pop(request, None)
            self._asked.pop(request, None)
            self._listeners.remove(request)
            self._tell(Left(request))

    def new_id(self, instance: Instance) -> str:
        """The id that `load` would give to `instance` at this moment.

        Raises:
            BadRequestError: the id that it has is taken, blank, too long or unprintable.
        """
        return free_id(instance, {*self._state.models, *(waiting.id for waiting in self._state.queue)})

    async def load(self, instance: Instance, on_progress: Callable[[float], None] | None = None) -> InstanceState:
        """Loads a model because somebody said so: it takes no on-demand place, and is never stopped for another.

        Cancelling stops the load. A model that is in memory already gets another instance.

        Args:
            instance: an empty id is chosen here; `is_on_demand` does not count.
            on_progress: called with the load's ratio, from 0 to 1. It must not raise.

        Raises:
            BadRequestError: the id is taken, empty or too long.
            LoadFailedError: the model cannot be loaded.
            UsageError: its options exclude each other.
            ServerBusyError: the queue is full, or the gateway is shutting down.
        """
        check_options(instance.options)
        instance = replace(instance, id=self.new_id(instance), is_on_demand=False)

        def tell(event: LoadEvent) -> None:
            if on_progress is not None and isinstance(event, LoadProgress):
                on_progress(event.ratio)

        async with self.place(instance, slots=0, on_load=tell):
            return self._describe(instance.id)

    async def unload(self, instance_id: str, drain_s: float = DRAIN_S) -> None:
        """Takes an instance out of memory; returns when its process is gone.

        Args:
            drain_s: seconds that the answers in progress may still take; then they are broken off.

        Raises:
            ModelNotFoundError: there is no such instance.
        """
        if instance_id not in self._state.models:
            raise not_loaded(instance_id, tuple(self._state.models))
        worker = self._workers[instance_id]
        self._tell(Unload(instance_id, unloaded(instance_id)))
        try:
            await asyncio.wait_for(worker.gone.wait(), drain_s)
        except TimeoutError:
            self._starter.stop(worker)
            await worker.gone.wait()

    def close(self) -> None:
        """Takes no more requests and refuses those that wait. Workers end as they fall idle."""
        self._tell(Closing(shutting_down()))

    async def wait_until_empty(self) -> None:
        """Returns once no worker is left. After `close()` this waits for the answers in progress."""
        await self._is_empty.wait()

    async def stop_workers(self) -> None:
        """Ends every worker now, whatever it is doing."""
        for worker in list(self._workers.values()):
            self._starter.stop(worker)
        await self.wait_until_empty()

    async def aclose(self) -> None:
        """The end: no worker, thread, timer or socket is left behind."""
        self.close()
        await self.stop_workers()
        await asyncio.gather(*self._lives)
        self._expiry.close()
        self._starter.close()

    def _describe(self, name: str) -> InstanceState:
        model = self._state.models[name]
        remaining_s = self._expiry.remaining_s(name, model)
        return self._workers[name].state(
            model,
            queued=sum(waiting.id == name for waiting in self._state.queue),
            expires_at=None if remaining_s is None else time.time() + remaining_s,
        )

    def _tell(self, event: Event) -> None:
        self._state, actions = decide(self._state, event, self.limits)
        for action in actions:
            self._perform(action)
        self._expiry.follow(self._state.models, lambda name: self._workers[name].instance.ttl_s)
        for name in [name for name in self._workers if name not in self._state.models]:
            self._workers.pop(name).gone.set()  # it waited for memory, and nobody wants it any more
        if self._state.models:
            self._is_empty.clear()
        else:
            self._is_empty.set()

    def _perform(self, action: Action) -> None:
        match action:
            case Grant(request, name):
                self._workers[name].last_used_at = time.time()
                self._answer(request, self._workers[name])
            case Refuse(request, error):
                self._answer(request, error)
            case Start(name):
                self._start(name)
            case Stop(name):
                self._starter.stop(self._workers[name])

    def _answer(self, request: int, answer: Worker | RociError) -> None:
        waiting = self._waiting.pop(request)
        if waiting.done():
            return  # cancelled in this very moment; its `Left` is on the way
        if isinstance(answer, Worker):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)

    def _start(self, name: str) -> None:
        worker = self._workers.get(name)
        if worker is None:
            # The oldest that waits for it causes the load, so that its options and ttl are those in force.
            request = next(waiting.request for waiting in self._state.queue if waiting.id == name)
            worker = self._workers[name] = Worker(self._asked[request])
        self._listeners.progressed(name, 0.0)
        life = asyncio.get_running_loop().create_task(self._live(worker), name=f"worker of {name}")
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    async def _live(self, worker: Worker) -> None:
        event = await worker.live(self._starter, self._heard_progress, self._heard_ready)
        if not isinstance(event, Short):
            del self._workers[worker.id]
        self._tell(event)
        if self._workers.get(worker.id) is not worker:
            worker.gone.set()

    def _heard_progress(self, worker: Worker, ratio: float) -> None:
        worker.progress_ratio = max(worker.progress_ratio, ratio)
        if not worker.is_unwanted:
            self._listeners.progressed(worker.id, worker.progress_ratio)

    def _heard_ready(self, worker: Worker) -> None:
        if not worker.is_unwanted:
            self._listeners.ended(worker.id, worker.ready.load_time_s)
        self._tell(Loaded(worker.id, worker.ready.parallel, worker.needed_bytes or 0))

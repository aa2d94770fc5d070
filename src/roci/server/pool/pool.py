"""The owner of every worker: performs what `decide` says, and tells it what happened. Lives on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Final

from roci.engine.library import LocalModel
from roci.engine.worker_process import WorkerOptions, WorkerProcess, WorkerReady
from roci.errors import LoadFailedError, RociError, WorkerDiedError
from roci.server.pool.decide import decide, shutting_down
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
)

EXIT_WAIT_S: Final = 1.0

_log = logging.getLogger(__name__)


class Worker:
    """One model's process, from its start to its exit, as the pool sees it."""

    ready: WorkerReady
    """Set before any request is let in."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self.process: WorkerProcess | None = None
        self.is_unwanted = False

    @property
    def key(self) -> str:
        return self.model.key

    async def death(self) -> WorkerDiedError:
        """Why its connection broke; waits a moment for the exit status, which comes after the broken connection."""
        assert self.process is not None
        await asyncio.wait([asyncio.wrap_future(self.process.exited)], timeout=EXIT_WAIT_S)
        return self.process.death()


class ModelPool:
    """Models in memory. `start()` it on the loop that uses it, and `aclose()` it there."""

    def __init__(self, limits: Limits, options: WorkerOptions, command: Sequence[str] | None = None) -> None:
        self.limits = limits
        self._options = options
        self._command = command
        self._state = PoolState()
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Worker]] = {}
        self._models: dict[str, LocalModel] = {}
        self._workers: dict[str, Worker] = {}
        self._lives: set[asyncio.Task[None]] = set()
        # Starting reads a header and stopping reaps a process: neither belongs on the loop, and neither may
        # wait behind other work's threads.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="roci-pool")
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def models(self) -> dict[str, InMemory]:
        """Key -> how it stands with each model that has a process."""
        return self._state.models

    @property
    def queue_length(self) -> int:
        return len(self._state.queue)

    @property
    def running(self) -> int:
        """Requests that are inside a model."""
        return sum(len(model.running) for model in self._state.models.values())

    @property
    def is_closing(self) -> bool:
        return self._state.is_closing

    def loaded(self, key: str) -> WorkerReady | None:
        """What the worker of `key` said of itself; None where it is not ready."""
        model = self._state.models.get(key)
        return self._workers[key].ready if model is not None and model.phase == "ready" else None

    @contextlib.asynccontextmanager
    async def place(self, model: LocalModel, slots: int = 1) -> AsyncIterator[Worker]:
        """Waits for a place in `model`, which is loaded if need be; the place is free again at the end of the block.

        Args:
            slots: answers that the request wants at once.

        Raises:
            LoadFailedError: the model cannot be loaded.
            ServerBusyError: the queue is full, or the gateway is shutting down.
        """
        request = next(self._numbers)
        granted: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting[request] = granted
        self._models[model.key] = model
        self._tell(Asked(request, model.key, slots))
        try:
            yield await granted
        finally:
            self._waiting.pop(request, None)
            self._tell(Left(request))

    def close(self) -> None:
        """Takes no more requests and refuses those that wait. Workers end as they fall idle."""
        self._tell(Closing(shutting_down()))

    async def wait_until_empty(self) -> None:
        """Returns once no worker is left. After `close()` this waits for the answers in progress."""
        await self._is_empty.wait()

    async def stop_workers(self) -> None:
        """Ends every worker now, whatever it is doing."""
        for worker in list(self._workers.values()):
            self._stop(worker)
        await self.wait_until_empty()

    async def aclose(self) -> None:
        """The end: no worker, thread or socket is left behind."""
        self.close()
        await self.stop_workers()
        await asyncio.gather(*self._lives)
        self._threads.shutdown()

    def _tell(self, event: Event) -> None:
        self._state, actions = decide(self._state, event, self.limits)
        for action in actions:
            self._perform(action)
        if self._state.models:
            self._is_empty.clear()
        else:
            self._is_empty.set()

    def _perform(self, action: Action) -> None:
        match action:
            case Grant(request, key):
                self._answer(request, self._workers[key])
            case Refuse(request, error):
                self._answer(request, error)
            case Start(key):
                worker = self._workers[key] = Worker(self._models[key])
                life = asyncio.get_running_loop().create_task(self._live(worker), name=f"worker of {key}")
                self._lives.add(life)
                life.add_done_callback(self._lives.discard)
            case Stop(key):
                self._stop(self._workers[key])

    def _answer(self, request: int, answer: Worker | RociError) -> None:
        waiting = self._waiting.pop(request)
        if waiting.done():
            return  # cancelled in this very moment; its `Left` is on the way
        if isinstance(answer, Worker):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)

    def _stop(self, worker: Worker) -> None:
        worker.is_unwanted = True
        if worker.process is not None:
            self._threads.submit(worker.process.stop)

    async def _live(self, worker: Worker) -> None:
        """A worker's whole life, and the only teller of its events."""
        error: RociError | None = None
        try:
            await self._load(worker)
            assert worker.process is not None
            await asyncio.wrap_future(worker.process.exited)
            if not worker.is_unwanted:
                _log.warning("%s", worker.process.death())
        except RociError as failure:
            error = failure
            if not worker.is_unwanted:
                _log.warning("Loading %s failed: %s", worker.key, failure)
        except Exception as failure:  # noqa: BLE001 - logged, and told to all who wait for the model
            _log.exception("Loading %s failed.", worker.key)
            error = LoadFailedError(f"The model {worker.key} could not be loaded: {failure}", key=worker.key)
            error.__cause__ = failure
        finally:
            del self._workers[worker.key]
        self._tell(Exited(worker.key) if error is None else LoadFailed(worker.key, error))

    async def _load(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        worker.process = process = await loop.run_in_executor(self._threads, self._start_process, worker.model)
        if worker.is_unwanted:
            self._stop(worker)
        try:
            worker.ready = await asyncio.wrap_future(process.ready)
        except BaseException:
            await loop.run_in_executor(self._threads, process.stop)
            raise
        _log.info("Loaded %s in %.1f s.", worker.key, worker.ready.load_time_s)
        self._tell(Loaded(worker.key, worker.ready.parallel))

    def _start_process(self, model: LocalModel) -> WorkerProcess:
        return WorkerProcess.start(model.key, model.path, self._options, command=self._command)

"""One instance's process as the pool sees it: its life, and the judgement of memory before it is started."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from msgspec.structs import replace

from roci.engine.local_model import LocalModel
from roci.engine.memory import missing_bytes
from roci.engine.worker_options import WorkerReady
from roci.engine.worker_process import WorkerProcess
from roci.errors import LoadFailedError, NotEnoughMemoryError, RociError, WorkerDiedError
from roci.server.pool.events import Exited, InMemory, LoadFailed, Short
from roci.server.pool.instance import Instance, InstanceState

EXIT_WAIT_S: Final = 1.0

_log = logging.getLogger(__name__)


class Worker:
    """One instance's process, from before its start to its exit."""

    ready: WorkerReady
    """Set before any request is let in."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.process: WorkerProcess | None = None
        self.is_unwanted = False
        """It was told to stop."""
        self.progress_ratio = 0.0
        self.loaded_at: float | None = None
        self.last_used_at: float | None = None
        self.gone = asyncio.Event()

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def name(self) -> str:
        """What its process calls its model in replies: the instance's id."""
        return self.instance.id

    @property
    def model(self) -> LocalModel:
        return self.instance.model

    @property
    def needed_bytes(self) -> int | None:
        return None if self.process is None else self.process.memory.needed_bytes

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def state(self, model: InMemory, *, queued: int, expires_at: float | None) -> InstanceState:
        """How it stands, for the rest of the gateway."""
        phase = "loading" if model.phase == "short" else model.phase
        return InstanceState(
            instance=self.instance,
            phase="draining" if phase == "ready" and model.is_leaving else phase,
            progress_ratio=self.progress_ratio,
            running=len(model.running),
            queued=queued,
            slots=model.slots,
            ready=None if self.loaded_at is None else self.ready,
            needed_bytes=self.needed_bytes,
            pid=self.pid,
            loaded_at=self.loaded_at,
            last_used_at=self.last_used_at,
            expires_at=expires_at,
        )

    async def death(self) -> WorkerDiedError:
        """Why its connection broke; waits a moment for the exit status, which comes after the broken connection."""
        assert self.process is not None
        await asyncio.wait([asyncio.wrap_future(self.process.exited)], timeout=EXIT_WAIT_S)
        return self.process.death()

    async def live(
        self,
        starter: Starter,
        on_progress: Callable[[Worker, float], None],
        on_ready: Callable[[Worker], None],
    ) -> Exited | LoadFailed | Short:
        """Its whole life, which never raises; gives the event that it ended with."""
        try:
            return await self._live(starter, on_progress, on_ready)
        except RociError as error:
            if not self.is_unwanted:
                _log.warning("Loading %s failed: %s", self.id, error)
            return LoadFailed(self.id, error)
        except Exception as failure:  # noqa: BLE001 - told to all who wait for the model
            _log.exception("Loading %s failed.", self.id)
            error = LoadFailedError(f"The model {self.id} could not be loaded: {failure}", key=self.model.key)
            error.__cause__ = failure
            return LoadFailed(self.id, error)

    async def _live(
        self,
        starter: Starter,
        on_progress: Callable[[Worker, float], None],
        on_ready: Callable[[Worker], None],
    ) -> Exited | Short:
        loop = asyncio.get_running_loop()

        def tell_loop(ratio: float) -> None:
            loop.call_soon_threadsafe(on_progress, self, ratio)

        try:
            self.process = process = await starter.start(self.instance, tell_loop)
        except NotEnoughMemoryError as error:
            return Exited(self.id) if self.is_unwanted else Short(self.id, error, missing_bytes(error))
        if self.is_unwanted:
            starter.stop(self)
        self.ready = await asyncio.wrap_future(process.ready)
        self.loaded_at = time.time()
        self.progress_ratio = 1.0
        _log.info("Loaded %s in %.1f s.", self.id, self.ready.load_time_s)
        on_ready(self)
        await asyncio.wrap_future(process.exited)
        if not self.is_unwanted:
            _log.warning("%s", process.death())
        return Exited(self.id)


class Starter:
    """Starts processes, one at a time, so that no two of them count the same free memory."""

    def __init__(self, command: Sequence[str] | None) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._processes: list[WorkerProcess] = []
        # Starting reads a header and stopping reaps a process: neither belongs on the loop, and neither may
        # wait behind other work's threads.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="roci-pool")

    async def start(self, instance: Instance, on_progress: Callable[[float], None]) -> WorkerProcess:
        """
        Args:
            on_progress: called in another thread with the load's ratio.

        Raises:
            LoadFailedError: it cannot be loaded; a `NotEnoughMemoryError` where it does not fit at this moment.
            UsageError: its options exclude each other.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._start, instance, on_progress)

    def stop(self, worker: Worker) -> None:
        """Ends the worker's process soon, also one that is only being started."""
        worker.is_unwanted = True
        if worker.process is not None:
            self._threads.submit(worker.process.stop)

    def close(self) -> None:
        self._threads.shutdown()

    def _start(self, instance: Instance, on_progress: Callable[[float], None]) -> WorkerProcess:
        model, options = instance.model, instance.options
        if options.mmproj is None and model.projector is not None:
            options = replace(options, mmproj=str(model.projector))
        with self._lock:
            self._processes = [process for process in self._processes if not process.exited.done()]
            process = WorkerProcess.start(
                instance.id,
                model.path,
                options,
                command=self._command,
                on_progress=on_progress,
                claimed_bytes=sum(process.unclaimed_bytes() for process in self._processes),
            )
            self._processes.append(process)
            return process

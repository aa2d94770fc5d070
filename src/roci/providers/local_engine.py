"""One model file's worker, which a provider starts when it is first needed, and starts again when it has died."""

from __future__ import annotations

import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

from roci.engine.extras import need_engine
from roci.engine.library import LocalModel, find_model
from roci.engine.settings_files import settings_at
from roci.engine.worker_process import WorkerOptions, WorkerProcess, WorkerReady
from roci.errors import TimedOutError
from roci.providers.connections import Connections

ENGINE_ADDRESS = "http://worker"
"""Stands in the URLs of requests to a worker, which go by its Unix socket."""

# One slot loads several times faster than four, and most programs ask one thing at a time.
_DEFAULTS = {"parallel": 1}


class LocalEngine:
    """At most one worker for one model file, started when it is first needed and again when it has died."""

    def __init__(self, home: Path, model: LocalModel, asked: WorkerOptions | None) -> None:
        self.model = model
        self.asked = asked
        settings = settings_at(home, model.key, model.facts.max_context_length, defaults=_DEFAULTS)
        self.options = asked or settings.worker_options(lambda key: find_model(home, key, paths=True).path)
        self.sampling = settings.sampling()
        self._lock = threading.Lock()
        self.worker: WorkerProcess | None = None
        self.connections: Connections | None = None

    def ready_now(self) -> WorkerReady | None:
        """The worker's report, if there is a worker that can answer."""
        worker = self.worker
        if worker is None or worker.exited.done() or not worker.ready.done() or worker.ready.exception():
            return None
        return worker.ready.result()

    def connect(self, limit_s: float | None) -> Connections:
        """Connections to the worker, once it can answer. A load that outlasts `limit_s` goes on for a later call.

        Raises:
            WorkerError: it could not be loaded.
            TimedOutError: it is not loaded yet.
        """
        try:
            return self._connections(self._start().ready.result(limit_s))
        except FutureTimeoutError as error:
            raise self._still_loading(limit_s) from error

    async def aconnect(self, limit_s: float | None) -> Connections:
        """Connections to the worker, once it can answer. A load that outlasts `limit_s` goes on for a later call.

        Raises:
            WorkerError: it could not be loaded.
            TimedOutError: it is not loaded yet.
        """
        ready = self.ready_now()
        if ready is None:
            import asyncio

            worker = await asyncio.to_thread(self._start)
            try:
                ready = await asyncio.wait_for(asyncio.wrap_future(worker.ready), limit_s)
            except TimeoutError as error:
                raise self._still_loading(limit_s) from error
        return self._connections(ready)

    def _still_loading(self, limit_s: float | None) -> TimedOutError:
        return TimedOutError(
            f"{self.model.key} is not loaded after {limit_s:g} s.",
            phase="first_token",
            waited_s=limit_s or 0.0,
            hint="It goes on loading; allow more with Timeouts(first_token_s=…) or ROCI_TIMEOUT_FIRST_TOKEN_S.",
        )

    def stop(self) -> None:
        with self._lock:
            worker, self.worker = self.worker, None
            connections, self.connections = self.connections, None
        if connections is not None:
            connections.close()
        if worker is not None:
            worker.stop()

    def _start(self) -> WorkerProcess:
        with self._lock:
            if self.worker is None or self.worker.exited.done() or self.worker.stopping:
                need_engine()
                self.worker = WorkerProcess.start(self.model.key, self.model.path, self.options)
                self.connections = None
            return self.worker

    def _connections(self, ready: WorkerReady) -> Connections:
        with self._lock:
            if self.connections is None:
                self.connections = Connections(ENGINE_ADDRESS, uds=str(ready.socket_path))
            return self.connections


_shared_engines: dict[tuple[Path, str, WorkerOptions | None], LocalEngine] = {}
_shared_lock = threading.Lock()


def shared_engine(home: Path, name: str, options: WorkerOptions | None) -> LocalEngine:
    """The engine that all selector strings for one file have in common; it lasts as long as the program.

    The disk is searched when a name is first used, not at each call: a call may come from an event loop.
    """
    with _shared_lock:
        engine = _shared_engines.get((home, name, options))
        if engine is None or not engine.model.path.is_file():
            model = find_model(home, name, paths=True)
            known = (other for other in _shared_engines.values() if (other.model, other.asked) == (model, options))
            engine = _shared_engines[home, name, options] = next(known, None) or LocalEngine(home, model, options)
        return engine

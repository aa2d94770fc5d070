"""Running the gateway: its port, its signals, and an end that leaves no process, socket or answer hanging."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Final

import uvicorn
import uvloop

from roci.server.app import create_app, gateway_of
from roci.server.listening import bind
from roci.server.settings import ServerSettings, check_reach
from roci.server.state.tokens import list_tokens

SLOW_CLIENT_S: Final = 3
"""What a client that does not read gets after the end of all answers."""
KEEP_ALIVE_S: Final = 65
STOP_WORKERS_S: Final = 15.0


def serve(settings: ServerSettings, home: Path, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Args:
        on_ready: called with the address once requests are answered; by default it is said on standard error.

    Raises:
        PortBusyError: somebody else has the port.
    """
    with Serving(settings, home, on_ready=on_ready) as serving:
        _log_to_stderr(settings.verbose)
        serving.run()


class Serving:
    """One run of the gateway. Has its port from the start, so that a busy one is known before anything else."""

    def __init__(
        self,
        settings: ServerSettings,
        home: Path,
        *,
        worker_command: Sequence[str] | None = None,
        on_ready: Callable[[str], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            say: told what happens at the end; by default standard error is.

        Raises:
            PortBusyError: somebody else has the port.
            ConfigError: strangers could reach it and need no token.
        """
        check_reach(settings, has_token=settings.require_token and bool(list_tokens(home)))
        self._settings = settings
        self._say = say or _say
        self._on_ready = on_ready or (lambda url: self._say(f"roci serves on {url}"))
        self._socket = bind(settings.host, settings.port)
        self._app = create_app(settings, home=home, worker_command=worker_command)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stop_at_once = asyncio.Event()

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Serves until it is told to stop, on an event loop of its own."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run())

    def stop(self) -> None:
        """Ends the run once the answers in progress are finished; called again, at once. From any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked_to_stop)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = _Uvicorn(self._config(), lambda: self._on_ready(self.url))
        with self._signals():
            running = asyncio.create_task(server.serve(sockets=[self._socket]), name="uvicorn")
            told = asyncio.create_task(self._stop.wait(), name="wait for the end")
            try:
                await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    await self._drain()
            finally:
                told.cancel()
                server.should_exit = True
                await running
                self._loop = None

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,  # pyright: ignore[reportArgumentType] - Litestar spells ASGI's types in its own way
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SLOW_CLIENT_S,
        )

    async def _drain(self) -> None:
        """No new requests; the answers in progress may finish; then every worker is gone."""
        gateway = gateway_of(self._app)
        pool = gateway.pool
        pool.close()
        await gateway.downloads.aclose()
        if pool.running:
            self._say(f"Finishing {_answers(pool.running)}; Ctrl-C again stops at once.")
            finished = asyncio.create_task(pool.wait_until_empty())
            hurried = asyncio.create_task(self._stop_at_once.wait())
            both = {finished, hurried}
            try:
                limit_s = self._settings.drain_s
                await asyncio.wait(both, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        if pool.running:
            self._say(f"Breaking off {_answers(pool.running)}.")
        await asyncio.wait_for(pool.stop_workers(), STOP_WORKERS_S)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._stop_at_once.set()
        self._stop.set()

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        assert self._loop is not None
        loop, kinds = self._loop, (signal.SIGINT, signal.SIGTERM)
        for kind in kinds:
            loop.add_signal_handler(kind, self._asked_to_stop)
        try:
            yield
        finally:
            for kind in kinds:
                loop.remove_signal_handler(kind)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to `Serving`: its own handling raises them once more at the end."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def _log_to_stderr(verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("roci")
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    log.propagate = False
    for noisy in ("httpx2", "httpcore2", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""Coroutines that may stop their loop for moments: run in a thread with a loop of their own, cancelled from ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def in_own_loop(threads: Executor, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine returns that `make` makes.

    Cancelling this cancels the coroutine, and waits until it has ended.
    """
    run = _Run(make)
    future = threads.submit(run)
    waiting = asyncio.ensure_future(asyncio.wrap_future(future))
    try:
        await asyncio.wait({waiting})
    except asyncio.CancelledError:
        if not future.cancel():
            run.cancel()
        await asyncio.wait({waiting})
        if not waiting.cancelled():
            waiting.exception()  # has been looked at
        raise
    return waiting.result()


class _Run(Generic[T]):
    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None

    def __call__(self) -> T:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            with self._lock:
                self._task = loop.create_task(self._make())
                self._loop = loop
                if self._is_cancelled:
                    self._task.cancel()
            try:
                return loop.run_until_complete(self._task)
            finally:
                with self._lock:
                    self._loop = None

    def cancel(self) -> None:
        """From any thread, also before it has begun and after it has ended."""
        with self._lock:
            self._is_cancelled = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

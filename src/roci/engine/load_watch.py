"""How far a load is, seen from outside: the memory that the worker holds, against what it is thought to take."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from roci.engine.memory import resident

EVERY_S: Final = 0.1
STEP: Final = 0.01

_log = logging.getLogger(__name__)


class LoadWatch:
    """A thread that looks at a loading process until it is told that the load is over.

    llama.cpp tells only the beginning and the end of reading a small file, and nothing of the cache that it allocates
    afterwards, which is most of the time for a small model with a long context.
    """

    def __init__(self, pid: int, needed_bytes: int, on_progress: Callable[[float], None]) -> None:
        """Starts to watch.

        Args:
            on_progress: called in the watching thread with a ratio that rises from 0 and stays below 1.
        """
        self._pid = pid
        self._needed_bytes = needed_bytes
        self._on_progress = on_progress
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"roci-worker-{pid}-load", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self._is_over.is_set()

    def end(self) -> None:
        """The load is over, well or not; nothing is told once this has returned."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        told = 0.0
        while not self._is_over.wait(EVERY_S):
            now = resident(self._pid)
            if now is None:
                return
            # The estimate may be short of the truth, and only the worker can say that all is loaded.
            ratio = min(now.total_bytes / self._needed_bytes, 1 - STEP)
            if ratio < told + STEP:
                continue
            told = ratio
            try:
                self._on_progress(ratio)
            except Exception:  # noqa: BLE001 - whoever listens cannot break the load
                _log.exception("A listener to a load failed and is not called again.")
                return

"""A real gateway on a real port, in a thread of the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roci.server.serving import Serving
from roci.server.settings import ServerSettings

PATIENCE_S = 60.0


class Served:
    """A gateway that runs; `words` is what it said to the terminal."""

    def __init__(self, serving: Serving, thread: threading.Thread, words: list[str]) -> None:
        self.serving = serving
        self.url = serving.url
        self.words = words
        self._thread = thread

    def stop(self) -> None:
        """As Ctrl-C does; twice is as twice."""
        self.serving.stop()

    def wait_until_ended(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the gateway did not end"


@contextmanager
def serve(home: Path, *, worker_command: Sequence[str] | None = None, **settings: Any) -> Iterator[Served]:
    """A gateway over the models in `home` on a free port; ended, at once, with the block.

    Args:
        worker_command: instead of the real worker; see `fake_worker.py`.
        settings: fields of `ServerSettings`.
    """
    words: list[str] = []
    ready = threading.Event()
    failures: list[BaseException] = []
    with Serving(
        ServerSettings(**{"port": 0, **settings}),
        home,
        worker_command=worker_command,
        on_ready=lambda _: ready.set(),
        say=words.append,
    ) as serving:

        def run() -> None:
            try:
                serving.run()
            except BaseException as error:
                failures.append(error)
                raise
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="gateway")
        thread.start()
        served = Served(serving, thread, words)
        try:
            assert ready.wait(PATIENCE_S), "the gateway did not start"
            assert not failures, failures
            yield served
        finally:
            served.stop()
            served.stop()
            served.wait_until_ended()

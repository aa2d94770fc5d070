"""A worker never outlives its parent, however the parent ends.

The parent holds the other end of standard input and never writes to it, so its end shows as a hang-up.
Loading a model keeps Python from running for seconds (the binding holds the interpreter's lock), and only the
kernel can act then: `killed_by_the_pipe` asks it for a signal. Afterwards `end_with_the_parent` waits in
Python, which can tidy up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator

CHECK_PARENT_EVERY_S = 0.5


@contextlib.contextmanager
def killed_by_the_pipe(parent: int) -> Iterator[None]:
    """Within the block a hang-up of standard input kills this process, even while Python cannot run."""
    # SIGIO's default action ends a process on Linux and is ignored elsewhere: there the hang-up is seen
    # once Python runs again.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    is_pipe = stat.S_ISFIFO(os.fstat(0).st_mode)
    if is_pipe:
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        _set_async(on=True)
    if os.getppid() != parent or _has_hung_up():
        os._exit(0)
    yield
    if is_pipe:
        _set_async(on=False)


def end_with_the_parent(parent: int, tidy: Callable[[], None]) -> None:
    """Waits for the hang-up or for another parent; then tidies and ends the process. Never returns."""

    def end() -> None:
        try:
            tidy()
        finally:
            os._exit(0)

    def watch_parent() -> None:
        # A process forked from the parent may hold the pipe open, so the hang-up alone is not enough.
        while os.getppid() == parent:
            time.sleep(CHECK_PARENT_EVERY_S)
        end()

    threading.Thread(target=watch_parent, name="watch-parent", daemon=True).start()
    while os.read(0, 4096):
        print("The worker takes nothing on its standard input.", file=sys.stderr)  # noqa: T201
    end()


def _set_async(*, on: bool) -> None:
    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)


def _has_hung_up() -> bool:
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))

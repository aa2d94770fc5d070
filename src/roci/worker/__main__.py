"""`python -m roci.worker`: flags, one model, one ready line; then it waits for its parent's end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from roci.errors import LoadFailedError
from roci.worker.flags import read_flags
from roci.worker.parent_watch import end_with_the_parent, killed_by_the_pipe


def main() -> None:
    flags = read_flags(sys.argv[1:])
    ready_line = _own_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    try:
        with killed_by_the_pipe(flags.parent):
            # Imported only now, so that loading the binding already happens under the parent's watch.
            from roci.worker.llama_cpp_engine import LlamaCppEngine

            engine = LlamaCppEngine(flags)  # to be kept: the server stops when it is collected
            ready = json.dumps(engine.ready_line())
    except LoadFailedError as error:
        # A plain exit, so that llama.cpp's log thread still writes its last lines.
        sys.exit(str(error))
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, which the next line finds out
        os.write(ready_line, ready.encode() + b"\n")
    os.close(ready_line)
    end_with_the_parent(flags.parent, lambda: _remove_socket(flags.socket))


def _own_stdout() -> int:
    """A descriptor for the ready line alone: whatever else writes to standard output goes to the log."""
    own = os.dup(1)
    os.dup2(2, 1)
    return own


def _remove_socket(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: then it was not a folder of our own
        path.parent.rmdir()


if __name__ == "__main__":
    main()

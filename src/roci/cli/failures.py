"""Failures as users see them: on standard error in a few lines, and an exit status for scripts."""

from __future__ import annotations

import sys
from typing import Final

from roci.cli import output
from roci.errors import LoadFailedError, RociError, StarterModelError, UsageError, WorkerDiedError

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_BROKEN_PIPE: Final = 141  # likewise, by SIGPIPE
LOG_LINES_SHOWN: Final = 8


def tell(error: RociError) -> None:
    """Say what went wrong, what a process of ours said last, and what to do."""
    details: list[str] = []
    if isinstance(error, StarterModelError) or type(error) in (LoadFailedError, WorkerDiedError):
        log_tail: tuple[str, ...] = getattr(error, "log_tail", ())
        details = [f"  | {line}" for line in log_tail[-LOG_LINES_SHOWN:]]
    tell_words("\n".join([error.message, *details]), error.hint)


def tell_words(message: str, hint: str = "") -> None:
    label = output.styled("error:", "red", sys.stderr)
    output.note("\n".join(filter(None, [f"{label} {output.printable(message)}", output.printable(hint)])))


def exit_status(error: RociError) -> int:
    """2 where the command line or a setting must change, else 1."""
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE

"""A line from the user: edited and remembered on a terminal, read as it is elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from roci.cli import output

HISTORY_NAME: Final = "chat-history"
HISTORY_LINES: Final = 1000


@contextlib.contextmanager
def kept_history(home: Path) -> Iterator[None]:
    """Line editing with the history of earlier talks, written back at the end; nothing where there is no terminal."""
    if not is_interactive() or find_spec("readline") is None:
        yield
        return
    import readline

    path = home / HISTORY_NAME
    try:
        readline.read_history_file(path)
    except FileNotFoundError:
        pass  # the first talk
    except OSError as error:
        output.note(f"The history in {path} cannot be read: {error.strerror or error}.")
    readline.set_history_length(HISTORY_LINES)
    try:
        yield
    finally:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made by us first, because readline would give it the usual permissions.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        path.chmod(0o600)
        readline.write_history_file(path)


def is_interactive() -> bool:
    return output.is_terminal(sys.stdin)


def read_line(prompt: str) -> str | None:
    """The next line without its end; None at the end of the input.

    Raises:
        KeyboardInterrupt: the user wants the line away.
    """
    if not is_interactive():
        line = sys.stdin.readline() if sys.stdin is not None else ""
        return line.rstrip("\r\n") if line else None
    if not output.is_terminal(sys.stdout):
        # Python would write the prompt among the data.
        output.note(prompt, end="")
        prompt = ""
    try:
        return input(prompt)
    except EOFError:
        output.note("")
        return None

"""A question with yes or no, on standard error, so that standard output stays data."""

from __future__ import annotations

import sys

from roci.cli import output


def is_confirmed(question: str) -> bool:
    """Whether the user says yes; an empty line or the end of the input is a no."""
    output.note(f"{output.printable(question)} [y/N] ", end="")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        output.note("")
    return answer.strip().lower() in ("y", "yes")


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)

"""A process's output, line by line, however long the lines are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Final

LINE_LIMIT_BYTES: Final = 8192


def lines_of(pipe: IO[bytes]) -> Iterator[str]:
    """Lines without their ends; a line that is too long comes in pieces."""
    rest = b""
    while piece := os.read(pipe.fileno(), LINE_LIMIT_BYTES):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
        if len(rest) >= LINE_LIMIT_BYTES:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")

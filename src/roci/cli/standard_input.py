"""Standard input as context for a question: text, bounded, and never a silent wait."""

from __future__ import annotations

import select
import sys
from typing import Final

from roci.cli import output
from roci.errors import UsageError

LIMIT_BYTES: Final = 16 * 2**20
SILENCE_S: Final = 2.0


def piped_text() -> str:
    """What comes in by standard input, without the blank lines around it; empty for a terminal or nothing.

    Raises:
        UsageError: it is no UTF-8 text, or larger than 16 MiB.
    """
    stream = sys.stdin
    if stream is None or stream.closed or stream.isatty():
        return ""
    if not select.select([stream], [], [], SILENCE_S)[0]:
        output.note("Reading standard input; end it, or run with </dev/null if there is none to read.")
    data = stream.buffer.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise UsageError(
            f"Standard input is larger than {LIMIT_BYTES // 2**20} MiB.",
            field="stdin",
            hint="Give the part that matters, for instance with head or grep.",
        )
    try:
        return data.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"Standard input is not UTF-8 text (byte {error.start}).",
            field="stdin",
            hint="Convert it first, for instance with iconv.",
        ) from error

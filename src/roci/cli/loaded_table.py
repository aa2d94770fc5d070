"""Models in memory as a table, or as two lines each where a table would fold its cells."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from roci.cli import output
from roci.types.management import LoadedModel

NARROW_COLUMNS: Final = 100
HEADINGS: Final = ("identifier", "status", "size", "context", "parallel", "ttl", "queue")
_NUMBERS: Final = (2, 3, 4, 5, 6)


def show(copies: Sequence[LoadedModel], now_s: float) -> None:
    rows = [_row(copy, now_s) for copy in copies]
    if output.columns(sys.stdout) >= NARROW_COLUMNS:
        output.write_table(HEADINGS, rows, right=_NUMBERS)
        return
    for name, *facts in rows:
        told = [fact if number == 0 else f"{HEADINGS[number + 1]} {fact}" for number, fact in enumerate(facts) if fact]
        output.write(f"{name}\n  {', '.join(told)}")


def _row(copy: LoadedModel, now_s: float) -> tuple[str, ...]:
    status: str = copy.status
    if copy.status == "loading" and copy.progress is not None:
        status = f"loading {copy.progress:.0%}"
    elif copy.running:
        status = f"answering {copy.running}"
    cells = (
        copy.id,
        status,
        output.size(copy.size_bytes),
        "" if copy.context_length is None else f"{copy.context_length:,}",
        "" if copy.parallel is None else str(copy.parallel),
        _time_left(copy, now_s),
        "" if copy.queued is None else str(copy.queued),
    )
    return tuple(output.printable(cell) for cell in cells)


def _time_left(copy: LoadedModel, now_s: float) -> str:
    """Until it is unloaded; the whole time where it is not idle."""
    seconds = copy.ttl_s if copy.expires_at is None else max(0.0, copy.expires_at - now_s)
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"

"""Writing: data to standard output, all else to standard error, and nothing to a terminal that could command it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

# What a model or a server writes may hold escape sequences: C0 and C1 control characters make them, and are shown as
# a mark instead. Line feed and tab stay; a carriage return could overwrite what stands before it.
_CONTROLS: Final = {
    **{code: "\N{REPLACEMENT CHARACTER}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t\r"},
    0x0D: None,
}
_STYLES: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
WIDE_COLUMNS: Final = 10_000
"""For tables that no terminal shows: nothing is folded."""


def prepare_streams() -> None:
    """Make both streams usable whatever they are: closed, or of an encoding that cannot say everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def let_go_of_streams(*, stderr: bool = True) -> None:
    """Send what is still buffered nowhere, so that the interpreter's end does not fail over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if stderr else (sys.stdout,):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def is_terminal(stream: IO[str] | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def printable(text: str) -> str:
    """`text` without the control characters that a terminal would obey."""
    return text.translate(_CONTROLS)


def write(text: str, end: str = "\n") -> None:
    """Data, on standard output, at once."""
    if is_terminal(sys.stdout):
        text = printable(text)
    sys.stdout.write(text + end)
    sys.stdout.flush()


def note(text: str, end: str = "\n") -> None:
    """A remark of ours, on standard error. What comes from elsewhere must have gone through `printable`."""
    sys.stdout.flush()
    sys.stderr.write(text + end)
    sys.stderr.flush()


def write_json(value: Any) -> None:
    """One JSON document on standard output, indented; msgspec Structs are taken too."""
    import msgspec

    write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def styled(text: str, style: str, stream: IO[str]) -> str:
    """`text` in one of our styles, if `stream` is a terminal that may show colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not is_terminal(stream):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def columns(stream: IO[str]) -> int:
    """How wide lines on `stream` may be; a terminal's width, or `COLUMNS`."""
    return max(20, shutil.get_terminal_size().columns) if is_terminal(stream) else WIDE_COLUMNS


def console(stream: IO[str]) -> Console:
    """rich's console for `stream`; as wide as need be where there is no terminal."""
    from rich.console import Console

    return Console(file=stream, width=columns(stream), highlight=False, markup=False, emoji=False, soft_wrap=False)


def write_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Rows as data on standard output; what is in the cells must have gone through `printable`.

    Args:
        right: the columns of numbers, which are set to the right.
    """
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    table.columns[0].overflow = "fold"
    for number in right:
        table.columns[number].justify = "right"
    for row in rows:
        table.add_row(*row)
    screen = console(sys.stdout)
    with screen.capture() as shown:
        screen.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))
    sys.stdout.flush()


def size(count: int | None) -> str:
    """Bytes for people: `98 MB`, `4.1 GB`."""
    if count is None:
        return ""
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count / 10**6:.0f} MB"

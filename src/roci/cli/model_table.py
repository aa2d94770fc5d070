"""Models as a table, or as two lines each where a table would fold its cells."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from roci.cli import output
from roci.engine.model_description import ModelDescription
from roci.types.models import ModelInfo

NARROW_COLUMNS: Final = 100
HEADINGS: Final = ("key", "kind", "params", "size", "quantization", "context", "abilities", "state")
_NUMBERS: Final = (2, 3, 5)
"""The columns that are set to the right."""

Row = tuple[str, ...]


def server_row(model: ModelInfo) -> Row:
    """A model of a server. What it can do is not shown: not every server says so."""
    context = model.loaded_context_length or model.max_context_length
    return _row(
        f"lmstudio:{model.key}",
        model.kind,
        "",
        output.size(model.size_bytes),
        model.quantization,
        f"{context:,}" if context else "",
        "",
        "loaded" if model.is_loaded else "",
    )


def local_row(model: ModelDescription) -> Row:
    """A model on this machine; its state is shown where it is not ok."""
    return _row(
        f"local:{model.key}",
        model.kind if model.state == "ok" else "",
        model.params_string or "",
        output.size(model.size_bytes),
        model.quantization,
        f"{model.max_context_length:,}" if model.max_context_length else "",
        ", ".join(_abilities(model)),
        model.state if model.state != "ok" else "",
    )


def show(title: str, rows: Sequence[Row]) -> None:
    """The title as a remark, the rows as data."""
    output.note(title)
    if not rows:
        output.note("  none")
        return
    if output.columns(sys.stdout) < NARROW_COLUMNS:
        for key, *facts in rows:
            output.write(f"{key}\n  {', '.join(filter(None, facts))}")
        return
    from rich.table import Table

    table = Table(*HEADINGS, box=None, pad_edge=False, header_style="bold")
    table.columns[0].overflow = "fold"
    for number in _NUMBERS:
        table.columns[number].justify = "right"
    for row in rows:
        table.add_row(*row)
    console = output.console(sys.stdout)
    with console.capture() as shown:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))
    sys.stdout.flush()


def _abilities(model: ModelDescription) -> Iterator[str]:
    if model.trained_for_tool_use:
        yield "tools"
    if model.vision:
        yield "vision"
    if model.reasoning_options:
        yield "reasoning"


def _row(*cells: str) -> Row:
    return tuple(output.printable(cell) for cell in cells)

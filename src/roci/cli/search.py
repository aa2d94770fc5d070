"""`roci search`: find models on the hub, and see which quantization fits this machine."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import click

from roci.cli import output
from roci.engine.hub.choice import machine_memory_bytes
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.searching import LIMIT, MOST, TASKS, Found, Query, Task, parse_size, search
from roci.engine.hub.web import Web

EXAMPLES = """\b
Examples:
  roci search qwen3
  roci search llama --size "<4b" --task tools
  roci search embed --task embedding --size "<500MB"
  roci search gemma --quant Q4_K_M --json | jq -r '.models[].name'
"""
NARROW_COLUMNS: Final = 100
HEADINGS: Final = ("model", "params", "tasks", "downloads", "best here", "others")


@click.command(epilog=EXAMPLES)
@click.argument("words", nargs=-1)
@click.option("--size", metavar="SIZE", help="About 4b parameters, <8b, or files of <8GB.")
@click.option("--task", type=click.Choice(TASKS), help="What the model is for.")
@click.option("--quant", "quantization", default="", metavar="Q", help="Only models that offer this quantization.")
@click.option("--limit", type=click.IntRange(1, MOST), default=LIMIT, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    words: tuple[str, ...], size: str | None, task: Task | None, quantization: str, limit: int, as_json: bool
) -> None:
    """Find models on Hugging Face whose names hold all of WORDS, the most downloaded first.

    "Best here" is the quantization that `roci get` takes on this machine: the largest that leaves 20 % of its memory
    free.
    """
    query = Query(
        words=" ".join(words),
        size=None if size is None else parse_size(size),
        task=task,
        quantization=quantization,
        limit=limit,
    )
    memory = machine_memory_bytes()
    found = asyncio.run(_found(query, memory))
    if as_json:
        output.write_json({"models": found, "memory_bytes": memory})
    elif found:
        _show(found)
        output.note(f"Fetch one: roci get {output.printable(found[0].name)}")
    else:
        output.note("Nothing was found. Fewer words find more.")


async def _found(query: Query, memory_bytes: int) -> list[Found]:
    async with Web() as web:
        return await search(web, Hub.from_env(), query, memory_bytes)


def _show(found: list[Found]) -> None:
    rows = [_row(one) for one in found]
    if output.columns(sys.stdout) < NARROW_COLUMNS:
        for name, *facts in rows:
            output.write(f"{name}\n  {', '.join(filter(None, facts))}")
        return
    output.write_table(HEADINGS, rows, right=(1, 3))


def _row(one: Found) -> tuple[str, ...]:
    sizes = {offer.quantization: offer.size_bytes for offer in one.quantizations}
    best = "nothing fits"
    if one.best is not None:
        best = f"{one.best} {output.size(sizes.get(one.best))}".rstrip()
    others = [
        offer.quantization + ("" if offer.fits else " (too large)" if offer.fits is False else "")
        for offer in one.quantizations
        if offer.quantization != one.best
    ]
    shown = ", ".join(others[-3:]) if len(others) <= 3 else f"{len(others)} more"
    cells = (
        one.name + (" (gated)" if one.is_gated else ""),
        "" if one.parameters is None else parameters(one.parameters),
        " ".join(one.tasks),
        f"{one.downloads:,}",
        best,
        shown,
    )
    return tuple(output.printable(cell) for cell in cells)


def parameters(count: int) -> str:
    """Parameters for people: `4.0B`, `135M`."""
    return f"{count / 10**9:.1f}B" if count >= 10**9 else f"{count / 10**6:.0f}M"

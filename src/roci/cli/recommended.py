"""`roci models --recommended`: models that are worth a try, and whether this machine can hold them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from roci.cli import output
from roci.engine.hub.choice import machine_memory_bytes
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.judging import Judged, judge
from roci.engine.hub.web import Web

NARROW_COLUMNS: Final = 90
HEADINGS: Final = ("model", "for", "size", "quantization", "fits here", "how to get it")


def show(home: Path, *, as_json: bool) -> None:
    """The recommended models on standard output."""
    memory = machine_memory_bytes()
    models = asyncio.run(_judged(home, memory))
    if as_json:
        output.write_json({"models": models, "memory_bytes": memory})
        return
    output.note(f"Recommended models; one that fits leaves 20 % of this machine's {output.size(memory)} free")
    rows = [_row(model) for model in models]
    if output.columns(sys.stdout) < NARROW_COLUMNS:
        for title, *facts in rows:
            output.write(f"{title}\n  {', '.join(filter(None, facts))}")
    else:
        output.write_table(HEADINGS, rows, right=(2,))
    if any(model.size_origin == "stated" for model in models):
        output.note("~ is about what the file takes; the hub, which knows better, did not say.")


async def _judged(home: Path, memory_bytes: int) -> list[Judged]:
    async with Web() as web:
        return await judge(web, Hub.from_env(), home, memory_bytes)


def _row(model: Judged) -> tuple[str, ...]:
    mark = "~" if model.size_origin == "stated" else ""
    return (
        model.title,
        model.role,
        f"{mark}{output.size(model.size_bytes)}" + (" (varies)" if model.varies else ""),
        model.quantization,
        "fits" if model.fits else "too large",
        "is here" if model.is_here else f"roci get {model.name}",
    )

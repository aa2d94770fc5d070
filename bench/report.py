"""Tables as text: the same Markdown on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec

from bench.figures import likely_median
from bench.plots import Plot

PEERS = ("httpx2", "msgspec", "openai", "litestar", "uvicorn", "uvloop", "xllamacpp", "roci-ai")


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of equal length under one heading."""

    title: str
    how: str
    """How each number is made, in whole sentences."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    plot: Plot | None = None
    """Stands below the rows on the page, and nowhere else."""

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        rule = tuple("-" * width for width in widths)
        return "\n".join(_line(line, widths) for line in (self.columns, rule, *self.rows))


def verdict(is_met: bool) -> str:
    return "met" if is_met else "**not met**"


def at_most(budget: float, rounds: Sequence[float]) -> str:
    """The verdict on the median of these rounds. A miss that chance explains is not called one."""
    return _verdict(median(rounds) <= budget, is_chance=min(likely_median(rounds)) <= budget)


def at_least(budget: float, rounds: Sequence[float]) -> str:
    """The same the other way round."""
    return _verdict(median(rounds) >= budget, is_chance=max(likely_median(rounds)) >= budget)


def _verdict(is_met: bool, *, is_chance: bool) -> str:
    return verdict(is_met) if is_met or not is_chance else "too near to tell"


def page(tables: Sequence[Table], load: float | None) -> str:
    """The whole of docs/benchmarks.md; `load` is the machine's when the run began."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`; run it to have your own machine's numbers. "
        "Ratios say more than times: everything in one table was measured in turns, in one run.",
        machine() + busy(load),
    ]
    for table in tables:
        plots = [] if table.plot is None else [str(table.plot)]
        parts += [f"## {table.title}", str(table), *plots, table.how]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """Date, machine and versions in words; nothing that names the machine or a place on it."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    return (
        f"{today}. {platform.system()}, {usable} cores of {_cpu_model()}. "
        f"{platform.python_implementation()} {platform.python_version()}. {versions}."
    )


def busy(load: float | None) -> str:
    """How much else the machine was doing; None where the system does not tell."""
    if load is None:
        return ""
    return f" In the minute before the run, {load:.1f} processes were busy on average; at rest it is near 0."


def load_now() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

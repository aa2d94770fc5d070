"""A look through many models on disk: for the first time, with the cache of their headers, and with nothing changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from unittest import mock

from msgspec import Struct

from bench.figures import Ratio, Series, add_to, rounds
from bench.report import Table
from roci.engine.header_cache import CACHE_NAME
from roci.server.catalog import Catalog
from tests.support.tiny_gguf import write_tiny_gguf

_FLOOR: Final = "floor"
_WAYS: Final = {
    "cold": "nothing known: every header is read",
    "warm": "a new process: the headers' cache is read",
    "unchanged": "the gateway's catalog, asked again",
    _FLOOR: "floor: every folder listed, every file's size and time",
}


class LibraryPlan(Struct, frozen=True, kw_only=True):
    models: int = 500
    vocabulary: int = 32_000
    """Words in each model's header, over which a reader must step."""


def measure(plan: LibraryPlan, count: int, limit_s: float) -> Series:
    """Milliseconds of CPU by `cold`, `warm`, `unchanged` and `floor`, and of wall time by `…/wall`."""
    series: Series = {}
    with TemporaryDirectory(prefix="roci-bench-") as folder:
        home = Path(folder) / "home"
        _put_models(home / "models", plan)
        # Nobody else's models.
        with mock.patch.dict(os.environ, {"HOME": str(Path(folder) / "user"), "HF_HOME": str(Path(folder) / "hf")}):
            for _ in rounds(count, limit_s):
                (home / CACHE_NAME).unlink(missing_ok=True)
                _note(series, "cold", lambda: len(Catalog(home).entries()), plan)
                catalog = Catalog(home)
                _note(series, "warm", lambda: len(catalog.entries()), plan)  # noqa: B023 - called here
                _note(series, "unchanged", lambda: len(catalog.entries()), plan)  # noqa: B023
                _note(series, _FLOOR, lambda: _walk(home / "models"), plan)
    return series


def _note(series: Series, way: str, look: Callable[[], int], plan: LibraryPlan) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    found = look()
    took = {way: (time.process_time() - cpu) * 1000, f"{way}/wall": (time.perf_counter() - wall) * 1000}
    if found != plan.models:
        raise AssertionError(f"{found} models were found, not {plan.models}")
    add_to(series, took)


def _put_models(folder: Path, plan: LibraryPlan) -> None:
    """Models whose headers are as large as real ones'; all are links to one file, so that they take no room."""
    words = [f"▁word{number}" for number in range(plan.vocabulary)]
    more = {"tokenizer.ggml.tokens": words, "tokenizer.ggml.token_type": [1] * plan.vocabulary}
    first = write_tiny_gguf(folder.parent / "header.gguf", more=more)
    for number in range(plan.models):
        path = folder / f"publisher-{number % 10}" / f"model-{number}" / f"model-{number}-Q4_K_M.gguf"
        path.parent.mkdir(parents=True)
        os.link(first, path)


def _walk(folder: Path) -> int:
    found = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            found += os.stat(os.path.join(parent, name)).st_size > 0  # noqa: PTH116, PTH118 - as cheap as can be
    return found


def tables(series: Series, plan: LibraryPlan) -> list[Table]:
    rows = [
        (
            words,
            f"{median(series[f'{way}/wall']):.1f}",
            f"{median(series[way]):.1f}",
            f"{median(series[way]) / plan.models * 1000:.0f}",
            "" if way == _FLOOR else str(Ratio(series[way], series[_FLOOR])),
        )
        for way, words in _WAYS.items()
    ]
    return [
        Table(
            title=f"A scan of {plan.models} models",
            columns=("how", "ms", "ms of CPU", "µs of CPU a model", "CPU ÷ floor"),
            rows=tuple(rows),
            how=f"Each model is a file in a folder of its own with {plan.vocabulary:,} words in its header; the "
            "files' beginnings are in the system's cache, so that the disk is not what is measured. Cold is the first "
            f"scan of a new home, and writes the cache of headers. {len(series[_FLOOR])} rounds, medians.",
        )
    ]

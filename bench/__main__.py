"""The command line of `bench`: measures, prints tables, writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import embeddings, gateway, imports, library, routes, sdk, typed
from bench.embeddings import EmbeddingsPlan
from bench.gateway import GatewayPlan
from bench.library import LibraryPlan
from bench.processes import ROOT
from bench.report import Table, busy, load_now, machine, page
from bench.routes import RoutesPlan
from bench.sdk_child import SdkPlan
from bench.typed import TypedPlan

PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = ("sdk", "typed", "import", "gateway", "routes", "embeddings", "library")


def main() -> None:
    options = _options()
    started, load = time.monotonic(), load_now()
    print(machine() + busy(load), flush=True)
    tables: list[Table] = []
    for part in PARTS:
        if options.only in (None, part):
            print(f"\nmeasuring: {part} …", file=sys.stderr, flush=True)
            for table in _measured(part, is_quick=options.quick):
                print(f"\n{table.title}\n\n{table}", flush=True)
                tables.append(table)
    print(f"\n{time.monotonic() - started:.0f} s in all.", file=sys.stderr)
    if options.only or options.quick:
        print("docs/benchmarks.md is written by a whole run only.", file=sys.stderr)
    else:
        write_page(PAGE, tables, load)


def write_page(path: Path, tables: Sequence[Table], load: float | None) -> None:
    """The page, and its plots beside it; `load` is the machine's when the run began."""
    path.write_text(page(tables, load), encoding="utf-8")
    for table in tables:
        if table.plot is not None:
            path.with_name(table.plot.file_name).write_text(table.plot.svg(), encoding="utf-8")


def _measured(part: str, *, is_quick: bool) -> list[Table]:
    """One part's tables. The numbers of rounds keep a whole run at about twenty minutes, and a quick one below two
    minutes."""
    match part:
        case "sdk":
            quick = SdkPlan(calls=80, answers=1, tokens=200, wide_tokens=20, flood_tokens=30)
            sdk_plan = quick if is_quick else SdkPlan()
            return sdk.tables(sdk.measure(sdk_plan, 1 if is_quick else 7, limit_s=110), sdk_plan)
        case "typed":
            typed_plan = TypedPlan(calls=20, warm_calls=5) if is_quick else TypedPlan()
            return typed.tables(typed.measure(typed_plan, 1 if is_quick else 4), typed_plan)
        case "import":
            return imports.tables(imports.measure(2 if is_quick else 25, limit_s=75))
        case "gateway":
            plan = GatewayPlan(streams=((1, 16), (gateway.PARALLEL, 4)), first_tokens=6) if is_quick else GatewayPlan()
            return gateway.tables(gateway.measure(plan, 2 if is_quick else 30, limit_s=420), plan)
        case "routes":
            return routes.tables(routes.measure(RoutesPlan(), 3 if is_quick else 12, limit_s=60), RoutesPlan())
        case "embeddings":
            texts = EmbeddingsPlan(texts=256) if is_quick else EmbeddingsPlan()
            return embeddings.tables(embeddings.measure(texts, 1 if is_quick else 5, limit_s=60), texts)
        case _:
            models = LibraryPlan(models=50) if is_quick else LibraryPlan()
            return library.tables(library.measure(models, 2 if is_quick else 5, limit_s=40), models)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What roci costs, beside a floor.")
    parser.add_argument("--quick", action="store_true", help="less than two minutes; rough, and not written down")
    parser.add_argument("--only", choices=PARTS, help="one part; not written down")
    return parser.parse_args()


if __name__ == "__main__":
    main()

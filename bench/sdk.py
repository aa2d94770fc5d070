"""CPU time of the client for each call and each token: the floor, roci and the openai client on the same bytes."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Final

import msgspec

from bench.canned_server import canned_server
from bench.figures import Ratio, Series, add_to, rounds
from bench.processes import ROOT, child_environment
from bench.report import Table, at_most
from bench.sdk_child import SdkPlan

BUDGET: Final = 1.5
MODES: Final = ("sync", "async")
CONTESTANTS: Final = ("floor", "roci", "roci_selector", "openai")
TURN_LIMIT_S: Final = 120.0
_COLUMNS = ("µs of CPU for", "mode", "floor", "roci", "openai", "roci ÷ floor", "openai ÷ roci", "budget", "")


def measure(plan: SdkPlan, count: int, limit_s: float) -> Series:
    """Microseconds by `mode/contestant/measure`, one number a round."""
    series: Series = {}
    with canned_server() as url:
        for _ in rounds(count, limit_s):
            for mode in MODES:
                for contestant in CONTESTANTS:
                    add_to(series, _turn(contestant, mode, url, plan), f"{mode}/{contestant}/")
    return series


def tables(series: Series, plan: SdkPlan) -> list[Table]:
    measures = {
        "a call": ("call", "roci"),
        "a call, model by selector string": ("call", "roci_selector"),
        "a token, 1 stream": ("token_1", "roci"),
        f"a token, {plan.wide} streams": ("token_wide", "roci"),
        f"a token, {plan.wide} streams, flooded": ("token_flood", "roci"),
    }
    rows: list[tuple[str, ...]] = []
    for words, (measured, ours) in measures.items():
        for mode in MODES:
            floor, roci, openai = (series[f"{mode}/{name}/{measured}"] for name in ("floor", ours, "openai"))
            to_floor = Ratio(roci, floor)
            times = tuple(f"{median(times):.0f}" for times in (floor, roci, openai))
            ratios = (str(to_floor), str(Ratio(openai, roci)))
            rows.append(
                (
                    words,
                    mode,
                    *times,
                    *ratios,
                    f"≤ {BUDGET}",
                    at_most(BUDGET, to_floor.by_round),
                )
            )
    return [Table(title="CPU time of the client", how=_how(series, plan), columns=_COLUMNS, rows=tuple(rows))]


def _turn(contestant: str, mode: str, url: str, plan: SdkPlan) -> dict[str, float]:
    if contestant == "roci_selector":
        plan = msgspec.structs.replace(plan, answers=0)
    process = subprocess.run(
        [sys.executable, "-m", "bench.sdk_child", contestant, mode, url, msgspec.json.encode(plan).decode()],
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=child_environment(),
        timeout=TURN_LIMIT_S,
    )
    return msgspec.json.decode(process.stdout, type=dict[str, float])


def _how(series: Series, plan: SdkPlan) -> str:
    narrow, wide = _slowest(series, "schedule_1"), _slowest(series, "schedule_wide")
    pace_ms, wide_pace_ms = plan.pace_us / 1000, plan.wide_pace_us / 1000
    count = len(series["sync/floor/call"])
    return (
        "User and system time of the client's process, all its threads, divided by calls or tokens; opening a stream "
        "is part of its tokens' price. Each contestant's turn is a process of its own, and they take turns. The "
        "server is another process on another core and sends all of them the same bytes; all check that every token "
        "came. The floor is httpx2 used directly: raw bytes, split at blank lines, and msgspec decoding the one field "
        f"that is used. A call is a plain POST with a short reply ({plan.calls} one after the other, connection "
        f"kept). 1 stream: {plan.answers} answers of {plan.tokens} tokens, {pace_ms:g} ms apart; with the slowest "
        f"contestant they took {narrow:.2f} times that long. {plan.wide} streams (threads or tasks, one client): "
        f"{plan.wide_tokens} tokens each, {wide_pace_ms:g} ms apart ({wide:.2f} times). Flooded: {plan.flood_tokens} "
        f"tokens on each, {pace_ms:g} ms apart, which is more than anyone can read, so that tokens pile up and a read "
        f"holds many. {count} rounds; a ratio is the median of theirs, with the lowest and the highest behind it."
    )


def _slowest(series: Series, measured: str) -> float:
    return max(median(numbers) for name, numbers in series.items() if name.endswith(f"/{measured}"))

"""What the gateway itself costs on each route that generates: its CPU time for a request and for each token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from bench.dialects import CHAT, DIALECTS, Dialect
from bench.fast_worker import SHOWN_WORD
from bench.figures import Ratio, Series, add_to, rounds
from bench.paced_server import wanted
from bench.raw_client import post
from bench.report import Table
from bench.served import ServedGateway, served
from tests.support.tiny_gguf import write_tiny_gguf

MODEL: Final = "bench-model"
FLOOR: Final = "floor"
# What the gateway does behind an answer's last byte is part of its price.
_SETTLING_S: Final = 0.03
# With a single one, an event that tells the whole answer would look like one of its pieces.
_FEW_TOKENS: Final = 2


class RoutesPlan(Struct, frozen=True, kw_only=True):
    """How much is measured on each route in one round."""

    requests: int = 30
    """Of two tokens each."""
    answers: int = 2
    """Whose tokens are measured."""
    tokens: int = 400
    """Of each of them."""
    pace_us: int = 500


Way = tuple[str, ServedGateway, Dialect]


def measure(plan: RoutesPlan, count: int, limit_s: float) -> Series:
    """Microseconds by `route/request` and `route/token`, one number a round; the floor is a route of its own."""
    series: Series = {}
    with _ways() as ways:
        for _, gateway, dialect in ways:
            _answers(gateway, dialect, 5, 20, 0)
        for number in rounds(count, limit_s):
            for name, gateway, dialect in ways if number % 2 else ways[::-1]:
                add_to(series, _turn(gateway, dialect, plan), f"{name}/")
    return series


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with TemporaryDirectory(prefix="roci-bench-") as folder:
        home = Path(folder)
        write_tiny_gguf(home / "models" / "bench" / MODEL / f"{MODEL}.gguf")
        with served("bench.fast_gateway", folder, HOME=str(home / "user")) as gateway:
            _answers(gateway, CHAT, 1, _FEW_TOKENS, 0)  # which starts the worker
            with served("bench.floor_gateway", str(gateway.worker_socket())) as floor:
                routes = [(dialect.name, gateway, dialect) for dialect in DIALECTS]
                yield [(FLOOR, floor, CHAT), *routes]


def _turn(gateway: ServedGateway, dialect: Dialect, plan: RoutesPlan) -> dict[str, float]:
    short_s = _answers(gateway, dialect, plan.requests, _FEW_TOKENS, 0) / plan.requests
    long_s = _answers(gateway, dialect, plan.answers, plan.tokens, plan.pace_us) / plan.answers
    return {"request": short_s * 1e6, "token": (long_s - short_s) / (plan.tokens - _FEW_TOKENS) * 1e6}


def _answers(gateway: ServedGateway, dialect: Dialect, count: int, tokens: int, pace_us: int) -> float:
    """The gateway's CPU time for all of these answers, in seconds."""
    body = dialect.body(MODEL, wanted(tokens, pace_us), tokens)
    before = gateway.cpu_s()
    for _ in range(count):
        came = post(gateway.url, dialect.path, body).count(SHOWN_WORD)
        if came != tokens:
            raise AssertionError(f"{came} of {tokens} tokens came on {dialect.path}")
    time.sleep(_SETTLING_S)
    return gateway.cpu_s() - before


def tables(series: Series, plan: RoutesPlan) -> list[Table]:
    rows: list[tuple[str, ...]] = []
    for name in (FLOOR, *(dialect.name for dialect in DIALECTS)):
        cells: list[str] = []
        for measured in ("token", "request"):
            ours, floor = series[f"{name}/{measured}"], series[f"{FLOOR}/{measured}"]
            cells += [f"{median(ours):.0f}", "" if name == FLOOR else str(Ratio(ours, floor))]
        rows.append((name, *cells))
    return [
        Table(
            title="CPU time of the gateway",
            columns=("route", "µs a token", "÷ floor", "µs a request", "÷ floor"),
            rows=tuple(rows),
            how=_how(plan, len(series[f"{FLOOR}/token"])),
        )
    ]


def _how(plan: RoutesPlan, count: int) -> str:
    return (
        "User and system time of the gateway's process. In place of the engine stands a worker without a model "
        f"(`bench/fast_worker.py`), which sends llama.cpp's chunks, one each {plan.pace_us / 1000:g} ms. A request is "
        f"one with an answer of two tokens, on a fresh connection ({plan.requests} of them one after the other). A "
        f"token is what an answer of {plan.tokens} costs beyond that ({plan.answers} of them). Responses and native "
        "chat also keep what was said, as they do unless told otherwise. The floor is an ASGI application on the same "
        "uvicorn that passes the worker's chat on as bytes (`bench/floor_gateway.py`): it reads and checks nothing, "
        "finds no model, keeps no queue, and does not notice a client that leaves. All take turns. "
        f"{count} rounds; a ratio is the median of theirs, with the lowest and the highest behind it."
    )

"""What `roci serve` adds to its engine: the same worker asked through each route and on its own socket, in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import uvloop
from msgspec import Struct

from bench.dialects import CHAT, COMPLETIONS, DIALECTS, Dialect, tokens_told
from bench.figures import Ratio, Series, add_to, less, rounds
from bench.homes import home_with, starter_file
from bench.raw_client import pieces, post
from bench.report import Table, at_least, at_most, verdict
from bench.served import ServedGateway, served, served_gateway
from roci.engine.starter_model import STARTER_KEY

SPEED_BUDGET: Final = 0.97
FIRST_TOKEN_BUDGET_MS: Final = 3.0
MEMORY_BUDGET_MB: Final = 90.0
PARALLEL: Final = 8
CONTEXT_LENGTH: Final = 1024
PROMPT: Final = "Tell me about the sea."
_WORKER: Final = "worker"
_FLOOR: Final = "floor"


class GatewayPlan(Struct, frozen=True, kw_only=True):
    """How much is measured in one round, on each way."""

    streams: tuple[tuple[int, int], ...] = ((1, 60), (PARALLEL, 16))
    """Answers at once, and how many tokens each of them has."""
    first_tokens: int = 24
    """Short answers of which only the first token counts."""


class Way(Struct, frozen=True, kw_only=True):
    """One way to have the same answer."""

    name: str
    address: str | Path
    """A URL, or a Unix socket."""
    dialect: Dialect
    prompt: str


class Answer(Struct, frozen=True):
    first_token_s: float
    tokens: int


class _Prompt(Struct):
    prompt: str


def measure(plan: GatewayPlan, count: int, limit_s: float) -> Series:
    """Tokens a second and milliseconds by `way/…`, one number a round; resident megabytes, one number each."""
    with (
        home_with(starter_file(), STARTER_KEY) as home,
        served_gateway(home, parallel=PARALLEL, context_length=CONTEXT_LENGTH) as gateway,
    ):
        start_mb = gateway.resident_mb()
        post(gateway.url, CHAT.path, CHAT.body(STARTER_KEY, PROMPT, 2))  # which loads the model
        with (
            served("bench.floor_gateway", str(gateway.worker_socket())) as floor,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            series = runner.run(_measure(gateway, floor.url, plan, count, limit_s))
    series["resident/start"] = [start_mb]
    return series


async def _measure(gateway: ServedGateway, floor_url: str, plan: GatewayPlan, count: int, limit_s: float) -> Series:
    series: Series = {"resident/loaded": [gateway.resident_mb()]}
    ways = await _ways(gateway, floor_url)
    widest = max(streams for streams, _ in plan.streams)
    for way in ways:
        await _speed(way, widest, 4)  # so that the prompt is in the cache of every slot
    for number in rounds(count, limit_s):
        # Whoever comes first in one round is last in the next.
        await _round(series, ways if number % 2 else ways[::-1], plan)
    series["resident/end"] = [gateway.resident_mb()]
    return series


async def _ways(gateway: ServedGateway, floor_url: str) -> list[Way]:
    """The worker's own chat, the same through the floor, and every route with the same prompt; completions have no
    template to make it."""
    socket = gateway.worker_socket()
    reply = b""
    async for piece in pieces(socket, "/apply-template", {"messages": [{"role": "user", "content": PROMPT}]}):
        reply += piece
    templated = msgspec.json.decode(reply.partition(b"\r\n\r\n")[2], type=_Prompt).prompt
    routes = [
        Way(
            name=dialect.name,
            address=gateway.url,
            dialect=dialect,
            prompt=templated if dialect is COMPLETIONS else PROMPT,
        )
        for dialect in DIALECTS
    ]
    return [
        Way(name=_WORKER, address=socket, dialect=CHAT, prompt=PROMPT),
        Way(name=_FLOOR, address=floor_url, dialect=CHAT, prompt=PROMPT),
        *routes,
    ]


async def _round(series: Series, ways: Sequence[Way], plan: GatewayPlan) -> None:
    for streams, tokens in plan.streams:
        for way in (way for way in ways if way.name != _FLOOR):
            add_to(series, {f"speed_{streams}": await _speed(way, streams, tokens)}, f"{way.name}/")
    waits: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(plan.first_tokens):
        for way in ways if number % 2 else ways[::-1]:
            waits[way.name].append((await _ask(way, 1)).first_token_s * 1000)
    for name, times_ms in waits.items():
        add_to(series, {"first_token_ms": median(times_ms)}, f"{name}/")


async def _speed(way: Way, streams: int, tokens: int) -> float:
    """Tokens a second of all streams together, from the first request to the last answer's end."""
    started = time.perf_counter()
    answers = await asyncio.gather(*(_ask(way, tokens) for _ in range(streams)))
    took_s = time.perf_counter() - started
    if any(answer.tokens != tokens for answer in answers):
        raise AssertionError(f"{[answer.tokens for answer in answers]} tokens came on {way.name}, not {tokens} each")
    return streams * tokens / took_s


async def _ask(way: Way, tokens: int) -> Answer:
    body: dict[str, Any] = way.dialect.body(STARTER_KEY, way.prompt, tokens)
    started = time.perf_counter()
    first_token_s = None
    received = b""
    async for piece in pieces(way.address, way.dialect.path, body):
        received += piece
        if first_token_s is None and way.dialect.first_piece.search(received):
            first_token_s = time.perf_counter() - started
    if first_token_s is None:
        raise AssertionError(f"{way.name}: {received[:500]!r}")
    return Answer(first_token_s, tokens_told(received))


def tables(series: Series, plan: GatewayPlan) -> list[Table]:
    return [_speed_table(series, plan), _memory_table(series)]


def _speed_table(series: Series, plan: GatewayPlan) -> Table:
    names = [dialect.name for dialect in DIALECTS]
    rows = [_speed_row(series, name, streams) for streams, _ in plan.streams for name in names]
    rows += [_first_token_row(series, name) for name in (_FLOOR, *names)]
    count = len(series[f"{_WORKER}/first_token_ms"])
    sizes = " and ".join(f"{tokens} tokens where {streams} run at once" for streams, tokens in plan.streams)
    return Table(
        title="The gateway on top of its engine",
        columns=("what", "route", "worker asked directly", "through `roci serve`", "gateway ÷ worker", "budget", ""),
        rows=tuple(rows),
        how="`roci serve` with the starter model; the very worker that it started is asked for the same chat on its "
        "Unix socket for comparison, with a fresh connection each time, in turns and never at the same time. The "
        "client is a few lines over a bare connection: a client library pays another price for a TCP connection than "
        "for a Unix socket, and the gateway, on the same cores, waits while it works. The floor is the worker's chat "
        "through `bench/floor_gateway.py`, an ASGI application on the same uvicorn that passes bytes on and does "
        f"nothing else. Answers have {sizes}, temperature 0, a short prompt that is in the worker's cache; "
        "completions are asked with the text that the chat template makes of it. Tokens a second count from the first "
        "request to the last answer's end. The first token's time is the median of "
        f"{plan.first_tokens} short answers a round. Ratios and differences are medians of {count} rounds', with the "
        "lowest and the highest behind them. Too near to tell: the median misses the budget, by less than the rounds "
        "differ (95 % confidence).",
    )


def _speed_row(series: Series, name: str, streams: int) -> tuple[str, ...]:
    through, direct = (series[f"{way}/speed_{streams}"] for way in (name, _WORKER))
    ratio = Ratio(through, direct)
    words = f"tokens a second, {streams} stream{'s' if streams > 1 else ''}"
    judged = (f"≥ {SPEED_BUDGET}", at_least(SPEED_BUDGET, ratio.by_round))
    return (words, name, f"{median(direct):.1f}", f"{median(through):.1f}", str(ratio), *judged)


def _first_token_row(series: Series, name: str) -> tuple[str, ...]:
    through, direct = (series[f"{way}/first_token_ms"] for way in (name, _WORKER))
    added = less(through, direct)
    spread = f"{median(added):+.2f} ms ({min(added):+.2f} to {max(added):+.2f})"
    budget = (f"≤ {FIRST_TOKEN_BUDGET_MS:g} ms more", at_most(FIRST_TOKEN_BUDGET_MS, added))
    judged = ("", "") if name == _FLOOR else budget
    return ("ms to the first token", name, f"{median(direct):.1f}", f"{median(through):.1f}", spread, *judged)


def _memory_table(series: Series) -> Table:
    moments = {"start": "started, no request yet", "loaded": "after one request", "end": "after all of the above"}
    rows: list[tuple[str, ...]] = []
    for moment, words in moments.items():
        resident_mb = series[f"resident/{moment}"][0]
        judged = (f"≤ {MEMORY_BUDGET_MB:g}", verdict(resident_mb <= MEMORY_BUDGET_MB)) if moment != "end" else ("", "")
        rows.append((words, f"{resident_mb:.1f}", *judged))
    return Table(
        title="The gateway's memory",
        columns=("when", "resident MB", "budget", ""),
        rows=tuple(rows),
        how="Resident memory of the gateway's process, without the worker.",
    )

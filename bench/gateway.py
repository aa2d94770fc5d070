"""What `roci serve` adds to its engine: the same worker asked through the gateway and on its own socket, in turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import httpx2
import msgspec

from bench.figures import Ratio, Series, add_to, less, rounds
from bench.processes import ROOT
from bench.report import Table, verdict
from bench.served import ServedGateway, served_gateway
from roci.engine.starter import fetch_starter
from roci.engine.starter_model import STARTER_KEY

HOME: Final = ROOT / ".cache" / "test-home"
SPEED_BUDGET: Final = 0.97
FIRST_TOKEN_BUDGET_MS: Final = 3.0
MEMORY_BUDGET_MB: Final = 90.0
PARALLEL: Final = 8
CONTEXT_LENGTH: Final = 1024
REPLY_LIMIT_S: Final = 120.0
_GATEWAY, _DIRECT = "gateway", "worker"


class GatewayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured in one round, on each of the two ways."""

    tokens: int = 40
    """Of each answer whose speed is measured."""
    streams: tuple[int, ...] = (1, PARALLEL)
    first_tokens: int = 12
    """Short answers of which only the first token counts."""


class Answer(msgspec.Struct, frozen=True):
    first_token_s: float
    tokens: int


class _Usage(msgspec.Struct):
    completion_tokens: int


class _LastChunk(msgspec.Struct):
    usage: _Usage


def measure(plan: GatewayPlan, count: int, limit_s: float) -> Series:
    """Tokens a second and milliseconds by `way/…`, one number a round; resident megabytes, one number each."""
    fetch_starter(HOME)
    with served_gateway(HOME, parallel=PARALLEL, context_length=CONTEXT_LENGTH) as gateway:
        return asyncio.run(_measure(gateway, plan, count, limit_s))


async def _measure(gateway: ServedGateway, plan: GatewayPlan, count: int, limit_s: float) -> Series:
    series: Series = {"resident/start": [gateway.resident_mb()]}
    async with _client(None, gateway.url) as through:
        await _ask(through, 2)  # which loads the model
        series["resident/loaded"] = [gateway.resident_mb()]
        async with _client(gateway.worker_socket(), "http://worker") as direct:
            ways = [(_GATEWAY, through), (_DIRECT, direct)]
            for _, client in ways:
                await _speed(client, PARALLEL, 4)
            for number in rounds(count, limit_s):
                # Whoever comes first in one round is second in the next.
                await _round(series, ways if number % 2 else ways[::-1], plan)
    series["resident/end"] = [gateway.resident_mb()]
    return series


async def _round(series: Series, ways: Sequence[tuple[str, httpx2.AsyncClient]], plan: GatewayPlan) -> None:
    for streams in plan.streams:
        for way, client in ways:
            add_to(series, {f"speed_{streams}": await _speed(client, streams, plan.tokens)}, f"{way}/")
    waits: dict[str, list[float]] = {way: [] for way, _ in ways}
    for number in range(plan.first_tokens):
        for way, client in ways if number % 2 else ways[::-1]:
            waits[way].append((await _ask(client, 1)).first_token_s * 1000)
    for way, _ in ways:
        add_to(series, {"first_token_ms": median(waits[way])}, f"{way}/")


async def _speed(client: httpx2.AsyncClient, streams: int, tokens: int) -> float:
    """Tokens a second of all streams together, from the first request to the last answer's end."""
    started = time.perf_counter()
    answers = await asyncio.gather(*(_ask(client, tokens) for _ in range(streams)))
    took_s = time.perf_counter() - started
    if any(answer.tokens != tokens for answer in answers):
        raise AssertionError(f"{[answer.tokens for answer in answers]} tokens came, not {tokens} each")
    return streams * tokens / took_s


async def _ask(client: httpx2.AsyncClient, tokens: int) -> Answer:
    body = {
        "model": STARTER_KEY,
        "messages": [{"role": "user", "content": "Tell me about the sea."}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started = time.perf_counter()
    first_token_s = None
    received: list[bytes] = []
    async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        async for piece in reply.aiter_raw():
            if first_token_s is None and b'"content":"' in piece:
                first_token_s = time.perf_counter() - started
            received.append(piece)
    events = [event for event in b"".join(received).split(b"\n\n") if event.startswith(b"data: {")]
    if reply.status_code != 200 or first_token_s is None:
        raise AssertionError(f"{reply.status_code}: {b''.join(received)[:500]!r}")
    return Answer(first_token_s, msgspec.json.decode(events[-1][6:], type=_LastChunk).usage.completion_tokens)


def _client(uds: Path | None, url: str) -> httpx2.AsyncClient:
    # The worker closes its connection behind each answer, so that neither way may keep any.
    limits = httpx2.Limits(max_keepalive_connections=0)
    transport = httpx2.AsyncHTTPTransport(uds=None if uds is None else str(uds), limits=limits, trust_env=False)
    return httpx2.AsyncClient(base_url=url, transport=transport, timeout=REPLY_LIMIT_S)


def tables(series: Series, plan: GatewayPlan) -> list[Table]:
    return [_speed_table(series, plan), _memory_table(series)]


def _speed_table(series: Series, plan: GatewayPlan) -> Table:
    rows: list[tuple[str, ...]] = []
    for streams in plan.streams:
        through, direct = (series[f"{way}/speed_{streams}"] for way in (_GATEWAY, _DIRECT))
        ratio = Ratio(through, direct)
        words = "tokens a second, 1 stream" if streams == 1 else f"tokens a second, {streams} streams"
        judged = (f"≥ {SPEED_BUDGET}", verdict(ratio.median >= SPEED_BUDGET))
        rows.append((words, f"{median(direct):.1f}", f"{median(through):.1f}", str(ratio), *judged))
    through, direct = (series[f"{way}/first_token_ms"] for way in (_GATEWAY, _DIRECT))
    added = less(through, direct)
    spread = f"+{median(added):.2f} ms ({min(added):+.2f} to {max(added):+.2f})"
    judged = (f"≤ {FIRST_TOKEN_BUDGET_MS:g} ms more", verdict(median(added) <= FIRST_TOKEN_BUDGET_MS))
    rows.append(("ms to the first token", f"{median(direct):.1f}", f"{median(through):.1f}", spread, *judged))
    return Table(
        title="The gateway on top of its engine",
        columns=("what", "worker asked directly", "through `roci serve`", "gateway ÷ worker", "budget", ""),
        rows=tuple(rows),
        how="`roci serve` with the starter model; the very worker that it started is asked on its Unix socket for "
        "comparison, by the same httpx2 code, with a fresh connection each time, in turns and never at the same time. "
        f"Answers have {plan.tokens} tokens, temperature 0, a short prompt that is in the worker's cache. Tokens a "
        "second count from the first request to the last answer's end. The first token's time is the median of "
        f"{plan.first_tokens} short answers a round. Ratios and differences are medians of "
        f"{len(added)} rounds', with the lowest and the highest behind them.",
    )


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

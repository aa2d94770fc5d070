"""Vectors through the gateway and from its own worker asked directly, in batches of several sizes, in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx2
import msgspec
from msgspec import Struct

from bench.figures import Ratio, Series, add_to, less, rounds
from bench.gateway import FIRST_TOKEN_BUDGET_MS, SPEED_BUDGET
from bench.homes import home_with
from bench.processes import ROOT
from bench.report import Table, at_least, at_most
from bench.served import ServedGateway, served_gateway

MODEL: Final = ROOT.parent / "shared" / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"
KEY: Final = "all-minilm-l6-v2"
REPLY_LIMIT_S: Final = 120.0
PARALLEL: Final = 4
_COLUMNS: Final = (
    "batches of",
    "worker asked directly",
    "through `roci serve`",
    "gateway ÷ worker",
    "more a request",
    "gateway's own CPU",
    "budget",
    "",
)
_SUBJECTS: Final = ("cat", "tax form", "sea", "engine", "garden", "letter", "mountain", "violin", "bridge", "recipe")


class EmbeddingsPlan(Struct, frozen=True, kw_only=True):
    """How much is measured in one round, each way."""

    texts: int = 1000
    batches: tuple[int, ...] = (1, 32, 256)


class _Vector(Struct):
    index: int


class _Reply(Struct):
    data: list[_Vector]


_reply_decoder: Final = msgspec.json.Decoder(_Reply)


def measure(plan: EmbeddingsPlan, count: int, limit_s: float) -> Series:
    """By `batch/…`: seconds of `gateway/` and `worker/` for all texts, and microseconds of the gateway's CPU a text.

    Nothing at all where the model is not there.
    """
    series: Series = {}
    if not MODEL.is_file():
        return series
    with (
        home_with(MODEL, KEY) as home,
        served_gateway(home, parallel=PARALLEL) as gateway,
        _client(None, gateway.url) as through,
    ):
        _ask(through, ["to load the model"])
        with _client(gateway.worker_socket(), "http://worker") as direct:
            for number in rounds(count, limit_s):
                for size in plan.batches:
                    measured = _round(gateway, through, direct, _texts(plan.texts), size, is_first=bool(number % 2))
                    add_to(series, measured, f"{size}/")
    return series


def _round(
    gateway: ServedGateway,
    through: httpx2.Client,
    direct: httpx2.Client,
    texts: Sequence[str],
    size: int,
    *,
    is_first: bool,
) -> dict[str, float]:
    took_s = {"gateway": 0.0, "worker": 0.0}
    cpu_before_s = gateway.cpu_s()
    for start in range(0, len(texts), size):
        ways = [("gateway", through), ("worker", direct)]
        is_first = not is_first
        for way, client in ways if is_first else ways[::-1]:
            began = time.perf_counter()
            _ask(client, texts[start : start + size])
            took_s[way] += time.perf_counter() - began
    return took_s | {"cpu_us": (gateway.cpu_s() - cpu_before_s) / len(texts) * 1e6}


def _texts(count: int) -> list[str]:
    return [
        f"Number {number} is about a {_SUBJECTS[number % len(_SUBJECTS)]} and what somebody said of it."
        for number in range(count)
    ]


def _ask(client: httpx2.Client, texts: Sequence[str]) -> None:
    body: dict[str, Any] = {"model": KEY, "input": texts}
    reply = client.post("/v1/embeddings", json=body)
    if reply.status_code != 200 or len(_reply_decoder.decode(reply.content).data) != len(texts):
        raise AssertionError(f"{reply.status_code}: {reply.content[:500]!r}")


def _client(uds: Path | None, url: str) -> httpx2.Client:
    limits = httpx2.Limits(max_keepalive_connections=0)
    transport = httpx2.HTTPTransport(uds=None if uds is None else str(uds), limits=limits, trust_env=False)
    return httpx2.Client(base_url=url, transport=transport, timeout=REPLY_LIMIT_S)


def tables(series: Series, plan: EmbeddingsPlan) -> list[Table]:
    rows = [_row(series, plan, size) for size in plan.batches] if series else [_ABSENT]
    count = len(next(iter(series.values()), []))
    return [
        Table(
            title=f"{plan.texts:,} embeddings",
            columns=_COLUMNS,
            rows=tuple(rows),
            how=f"Texts a second with {MODEL.stem}, a model of 24 MB; short texts, each batch through `roci serve` and "
            "from the very worker that it started, in turns, by the same httpx2 code with a fresh connection each "
            "time. The gateway asks the worker with 32 texts at once at most, because a worker finishes a request "
            "even if its client has left. A request of one text is judged by the time that the gateway adds to it, "
            f"the others by their speed. CPU is the gateway's process alone, each text. {count} rounds.",
        )
    ]


_ABSENT: Final = (f"{MODEL.name} is not there",) + ("",) * (len(_COLUMNS) - 1)


def _row(series: Series, plan: EmbeddingsPlan, size: int) -> tuple[str, ...]:
    through, direct = series[f"{size}/gateway"], series[f"{size}/worker"]
    ratio = Ratio(direct, through)  # of speeds
    requests = -(-plan.texts // size)
    added_ms = [more_s / requests * 1000 for more_s in less(through, direct)]
    if size == 1:
        holds = at_most(FIRST_TOKEN_BUDGET_MS, added_ms)
        judged = (f"≤ {FIRST_TOKEN_BUDGET_MS:g} ms more", holds)
    else:
        judged = (f"≥ {SPEED_BUDGET}", at_least(SPEED_BUDGET, ratio.by_round))
    speeds = tuple(f"{plan.texts / median(times_s):.0f} texts/s" for times_s in (direct, through))
    cpu = f"{median(series[f'{size}/cpu_us']):.0f} µs"
    return (str(size), *speeds, str(ratio), f"{median(added_ms):+.2f} ms", cpu, *judged)

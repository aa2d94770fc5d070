"""One contestant's turn, in a process of its own: prints microseconds of CPU for each call and token as JSON.

python -m bench.sdk_child CONTESTANT sync|async URL PLAN
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from bench.canned_server import TEXT
from bench.contestants import async_contestant, sync_contestant
from bench.paced_server import wanted
from bench.processes import cpu_s, pin_to

WARM_CALLS = 20
WARM_TOKENS = 20


class SdkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured in one turn."""

    calls: int = 150
    answers: int = 2
    """On one stream, one after the other; with 0 nothing is measured but calls."""
    tokens: int = 400
    """Of each of them."""
    pace_us: int = 500
    wide: int = 64
    """Streams at once."""
    wide_tokens: int = 60
    """Of each of them."""
    wide_pace_us: int = 32_000
    """By default one token each 0.5 ms in all."""
    flood_tokens: int = 60
    """Of each of them at `pace_us`, which is more than anyone can read."""


Turn = dict[str, float]
"""Microseconds of CPU by measure: `call`, `token_1`, `token_wide`, `token_flood`. `schedule_1` and `schedule_wide` say
how many times as long as the server's own schedule the answers took."""


class _Meter:
    """Wall and CPU time from its making on."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = cpu_s()

    def cost_us(self, count: int) -> float:
        """CPU time for each of `count`."""
        return (cpu_s() - self._cpu_s) / count * 1e6

    def per_schedule(self, scheduled_us: int) -> float:
        return (time.perf_counter() - self._wall_s) * 1e6 / scheduled_us


def sync_turn(name: Any, url: str, plan: SdkPlan) -> Turn:
    client = sync_contestant(name)(url)

    def answer(tokens: int, pace_us: int) -> None:
        _check(client.stream(wanted(tokens, pace_us)), tokens)

    def calls(count: int) -> None:
        for _ in range(count):
            _check(client.call("hello"), len(TEXT))

    calls(WARM_CALLS)
    meter = _Meter()
    calls(plan.calls)
    turn = {"call": meter.cost_us(plan.calls)}
    if not plan.answers:
        return turn
    answer(WARM_TOKENS, 0)
    meter = _Meter()
    for _ in range(plan.answers):
        answer(plan.tokens, plan.pace_us)
    turn |= _narrow(meter, plan)
    with ThreadPoolExecutor(plan.wide) as threads:

        def at_once(tokens: int, pace_us: int) -> None:
            for done in [threads.submit(answer, tokens, pace_us) for _ in range(plan.wide)]:
                done.result()

        # Each waits for the others, so that all threads are there before time is taken.
        barrier = threading.Barrier(plan.wide)
        for waited in [threads.submit(barrier.wait) for _ in range(plan.wide)]:
            waited.result()
        at_once(2, plan.wide_pace_us)
        meter = _Meter()
        at_once(plan.wide_tokens, plan.wide_pace_us)
        turn |= _wide(meter, plan)
        meter = _Meter()
        at_once(plan.flood_tokens, plan.pace_us)
        turn["token_flood"] = meter.cost_us(plan.wide * plan.flood_tokens)
    return turn


async def async_turn(name: Any, url: str, plan: SdkPlan) -> Turn:
    client = async_contestant(name)(url)

    async def answer(tokens: int, pace_us: int) -> None:
        _check(await client.stream(wanted(tokens, pace_us)), tokens)

    async def calls(count: int) -> None:
        for _ in range(count):
            _check(await client.call("hello"), len(TEXT))

    async def at_once(tokens: int, pace_us: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(plan.wide):
                group.create_task(answer(tokens, pace_us))

    await calls(WARM_CALLS)
    meter = _Meter()
    await calls(plan.calls)
    turn = {"call": meter.cost_us(plan.calls)}
    if not plan.answers:
        return turn
    await answer(WARM_TOKENS, 0)
    meter = _Meter()
    for _ in range(plan.answers):
        await answer(plan.tokens, plan.pace_us)
    turn |= _narrow(meter, plan)
    await at_once(2, plan.wide_pace_us)
    meter = _Meter()
    await at_once(plan.wide_tokens, plan.wide_pace_us)
    turn |= _wide(meter, plan)
    meter = _Meter()
    await at_once(plan.flood_tokens, plan.pace_us)
    turn["token_flood"] = meter.cost_us(plan.wide * plan.flood_tokens)
    return turn


def _narrow(meter: _Meter, plan: SdkPlan) -> Turn:
    count = plan.answers * plan.tokens
    return {"token_1": meter.cost_us(count), "schedule_1": meter.per_schedule(count * plan.pace_us)}


def _wide(meter: _Meter, plan: SdkPlan) -> Turn:
    scheduled_us = plan.wide_tokens * plan.wide_pace_us
    return {
        "token_wide": meter.cost_us(plan.wide * plan.wide_tokens),
        "schedule_wide": meter.per_schedule(scheduled_us),
    }


def _check(came: int, expected: int) -> None:
    if came != expected:
        raise AssertionError(f"{came} came of {expected}")


def main() -> None:
    pin_to("client")
    name, mode, url, plan_json = sys.argv[1:]
    plan = msgspec.json.decode(plan_json, type=SdkPlan)
    turn = sync_turn(name, url, plan) if mode == "sync" else asyncio.run(async_turn(name, url, plan))
    sys.stdout.buffer.write(msgspec.json.encode(turn))


if __name__ == "__main__":
    main()

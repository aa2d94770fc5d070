"""One contestant's turn, in a process of its own: prints microseconds of CPU for each call as JSON.

python -m bench.typed_child CONTESTANT sync|async URL CALLS WARM_CALLS OPERATION…

Nothing but the standard library and the contestant: some have an interpreter of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bench.processes import cpu_s, pin_to
from bench.typed_answers import COUNTRY, LANDMARKS, NAME, POPULATION, TOLD
from bench.typed_contestants import typed_contestant

EXPECTED: dict[str, object] = {"object": (NAME, COUNTRY, POPULATION, LANDMARKS), "tools": TOLD}


def sync_cost_us(operation: Callable[[], object], expected: object, calls: int, warm_calls: int) -> float:
    """CPU time of a call, all threads."""

    def run(count: int) -> None:
        for _ in range(count):
            _check(operation(), expected)

    run(warm_calls)
    before_s = cpu_s()
    run(calls)
    return (cpu_s() - before_s) / calls * 1e6


async def async_cost_us(
    operation: Callable[[], Awaitable[object]], expected: object, calls: int, warm_calls: int
) -> float:
    """CPU time of a call, all threads."""

    async def run(count: int) -> None:
        for _ in range(count):
            _check(await operation(), expected)

    await run(warm_calls)
    before_s = cpu_s()
    await run(calls)
    return (cpu_s() - before_s) / calls * 1e6


def sync_turn(name: str, url: str, operations: list[str], calls: int, warm_calls: int) -> dict[str, float]:
    client: Any = typed_contestant(name, "sync")(url)
    return {each: sync_cost_us(getattr(client, each), EXPECTED[each], calls, warm_calls) for each in operations}


async def async_turn(name: str, url: str, operations: list[str], calls: int, warm_calls: int) -> dict[str, float]:
    client: Any = typed_contestant(name, "async")(url)
    return {each: await async_cost_us(getattr(client, each), EXPECTED[each], calls, warm_calls) for each in operations}


def _check(came: object, expected: object) -> None:
    if came != expected:
        raise AssertionError(f"{came!r} came, not {expected!r}")


def main() -> None:
    pin_to("client")
    name, mode, url, calls, warm_calls, *operations = sys.argv[1:]
    if mode == "sync":
        turn = sync_turn(name, url, operations, int(calls), int(warm_calls))
    else:
        turn = asyncio.run(async_turn(name, url, operations, int(calls), int(warm_calls)))
    sys.stdout.write(json.dumps(turn))


if __name__ == "__main__":
    main()

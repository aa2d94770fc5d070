"""How many tokens a request's prompt has."""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.planning import plan
from roci.server.target import Target
from roci.server.worker_json import ask_worker_json
from roci.wire.ask import Ask

# Counts what its chat route would compute; the body is that route's own.
_COUNT_PATH: Final = "/v1/chat/completions/input_tokens"


class _WorkerCount(Struct):
    input_tokens: int


async def count_prompt(gateway: Gateway, target: Target, ask: Ask) -> int:
    """The tokens of the very prompt that `ask` would be answered from; loads the model if need be.

    Raises:
        RociError: as `generate`.
    """
    async with gateway.pool.place(target.instance) as worker:
        planned = await off_loop(ask.size_bytes, plan, ask, target, worker.ready, worker.name)
        told = await ask_worker_json(gateway.pool, worker, _COUNT_PATH, Raw(planned.body), _WorkerCount)
    return told.input_tokens

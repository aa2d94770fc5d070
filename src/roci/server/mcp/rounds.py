"""The tool loop that the server runs: the model is asked, its calls are made, and it is asked again with their results.

The model's place is free while tools run. Whoever closes the generator ends all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from typing import Final

from msgspec.structs import replace

from roci.server.gateway import Gateway
from roci.server.generating import OnLoad, generate
from roci.server.mcp.connection import ToolReply, text_output
from roci.server.mcp.spec import WantedServer
from roci.server.mcp.toolbox import Toolbox
from roci.server.target import Target
from roci.wire.ask import Ask
from roci.wire.generation import (
    Call,
    Ended,
    Event,
    Finish,
    Note,
    Timing,
    TokenUsage,
    ToolCallStart,
    ToolResult,
    Transcript,
)
from roci.wire.openai.history import answer_messages

ROUNDS_LIMIT: Final = 16
AT_ONCE_LIMIT: Final = 8
"""Calls of one round that run at the same time."""


class ToolRounds:
    """A source of events for `Answer`.

    A call of a tool that the client brought ends the loop, so that the client can make it.

    Args:
        toolbox: empty; filled when the servers have told their tools, before the first event.
        max_calls: of the whole answer; beyond it the model is told that no more are made.
    """

    def __init__(
        self,
        gateway: Gateway,
        target: Target,
        ask: Ask,
        wanted: Sequence[WantedServer],
        toolbox: Toolbox,
        *,
        max_calls: int | None = None,
    ) -> None:
        self._gateway = gateway
        self._target = target
        self._ask = ask
        self._wanted = wanted
        self._toolbox = toolbox
        self._calls_left = max_calls
        self._own_names = {tool.function.name for tool in ask.chat.tools or ()}
        self._transcript = Transcript()
        self._ends: list[Ended] = []

    async def __call__(self, on_load: OnLoad | None) -> AsyncGenerator[list[Event]]:
        with ExitStack() as stack:
            chat = await self._toolbox.connect(self._gateway.mcp, self._wanted, self._ask.chat, stack)
            ask = replace(self._ask, chat=chat)
            for number in range(1, ROUNDS_LIMIT + 2):
                known = len(self._calls)
                async with aclosing(self._round(ask, known, on_load if number == 1 else None)) as batches:
                    async for events in batches:
                        yield events
                calls = self._calls[known:]
                async with aclosing(self._results(calls, known)) as batches:
                    async for events in batches:
                        yield events
                finish = self._transcript.choice().finish
                is_asking = finish is not None and finish.reason == "tool_calls" and bool(calls)
                if not is_asking or any(self._is_clients(call) for call in calls):
                    break
                left = self._tokens_left()
                if left is not None and left < 1:
                    yield [Finish("length")]
                    break
                may_call = number < ROUNDS_LIMIT and self._calls_left != 0
                if number == ROUNDS_LIMIT:
                    yield [Note("tool_rounds_exceeded", f"After {ROUNDS_LIMIT} rounds no more tools were called.")]
                ask = self._next(ask, left, may_call=may_call)
            yield [_summed(self._ends)]

    @property
    def _calls(self) -> list[Call]:
        return self._transcript.choice().calls

    async def _round(self, ask: Ask, known: int, on_load: OnLoad | None) -> AsyncGenerator[list[Event]]:
        """One go of the model; its `Ended` is kept back."""
        source = generate(self._gateway, self._target, ask, on_load=on_load, first_call_index=known)
        async with aclosing(source) as batches:
            async for events in batches:
                told: list[Event] = []
                for event in events:
                    if isinstance(event, Ended):
                        self._ends.append(event)
                        continue
                    if isinstance(event, ToolCallStart) and event.name not in self._own_names:
                        self._toolbox.note_unknown(event.name)
                    self._transcript.add(event)
                    told.append(event)
                if told:
                    yield told

    async def _results(self, calls: Sequence[Call], first: int) -> AsyncGenerator[list[Event]]:
        """The results of the calls that are the server's to make, in the order in which they come."""
        finish = self._transcript.choice().finish
        is_cut = finish is None or finish.reason != "tool_calls"
        gate = asyncio.Semaphore(AT_ONCE_LIMIT)
        running: dict[asyncio.Task[ToolReply], int] = {}
        for index, call in enumerate(calls, first):
            if call.is_whole and not self._is_clients(call):
                refusal = "The answer was cut before the call was made." if is_cut else self._refusal()
                running[asyncio.create_task(self._made(call, refusal, gate), name=f"tool {call.name}")] = index
        try:
            while running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                events: list[Event] = []
                for task in done:
                    index, reply = running.pop(task), task.result()
                    events.append(ToolResult(index, reply.output, reply.kind == "refused", reply.kind == "failed"))
                for event in events:
                    self._transcript.add(event)
                yield events
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _refusal(self) -> str:
        """Why one more call is not made; empty where it is, which is counted."""
        if self._calls_left == 0:
            return "No more tools are called: max_tool_calls is reached."
        if self._calls_left is not None:
            self._calls_left -= 1
        return ""

    async def _made(self, call: Call, refusal: str, gate: asyncio.Semaphore) -> ToolReply:
        if refusal:
            return ToolReply(text_output(refusal), "refused")
        async with gate:
            return await self._toolbox.call(call)

    def _is_clients(self, call: Call) -> bool:
        return call.name in self._own_names

    def _tokens_left(self) -> int | None:
        chat = self._ask.chat
        limit = chat.max_completion_tokens if chat.max_completion_tokens is not None else chat.max_tokens
        if limit is None or limit < 1:
            return None
        return limit - sum(ended.usage.completion_tokens for ended in self._ends)

    def _next(self, ask: Ask, left: int | None, *, may_call: bool) -> Ask:
        """The request of the next round; a call that was forced is forced once."""
        chat = replace(
            ask.chat,
            messages=[*self._ask.chat.messages, *answer_messages(self._transcript.choice())],
            tool_choice=None if may_call else "none",
            max_completion_tokens=left,
        )
        return replace(ask, chat=chat, context_length=None)


def _summed(ends: Sequence[Ended]) -> Ended:
    """The end of the whole answer: tokens and times of all rounds, and the wait for the first token of the first."""
    usages = [ended.usage for ended in ends]
    timings = [ended.timing for ended in ends]
    usage = TokenUsage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
    )
    generation_s = sum(timing.generation_time_s for timing in timings)
    # Each round's speed counts by how long it wrote.
    written = sum(timing.tokens_per_second * timing.generation_time_s for timing in timings)
    first = timings[0]
    timing = Timing(
        time_to_first_token_s=first.time_to_first_token_s,
        generation_time_s=generation_s,
        tokens_per_second=written / generation_s if generation_s > 0 else first.tokens_per_second,
        load_time_s=first.load_time_s,
        context_length=first.context_length,
        draft_tokens=sum(timing.draft_tokens for timing in timings),
        draft_tokens_accepted=sum(timing.draft_tokens_accepted for timing in timings),
        engine=timings[-1].engine,
    )
    return Ended(usage, timing)

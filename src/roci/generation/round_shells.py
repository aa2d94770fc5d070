"""The four ways to do what `tool_rounds.py` says: whole and streamed, sync and async side by side."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any, TypeAlias

from roci.errors import RociError, StreamInterruptedError, UsageError
from roci.generation.tool_results import ToolOutcome
from roci.generation.tool_rounds import Ask, Review, Run, ToolRounds
from roci.generation.tool_running import run_in_turn, run_together
from roci.providers.streams import AsyncTextStream, TextStream
from roci.types.requests import ProviderRequest
from roci.types.results import GenerateTextResult, ProviderResponse
from roci.types.stream import TextStreamDelta
from roci.types.tool_review import Decision, OnToolCall
from roci.types.tools import ToolCall

Asking: TypeAlias = Callable[[ProviderRequest], ProviderResponse]
AsyncAsking: TypeAlias = Callable[[ProviderRequest], Awaitable[ProviderResponse]]
Streaming: TypeAlias = Callable[[ProviderRequest], TextStream]
AsyncStreaming: TypeAlias = Callable[[ProviderRequest], AsyncTextStream]


def run_rounds(rounds: ToolRounds, ask: Asking, on_tool_call: OnToolCall | None) -> GenerateTextResult:
    """All rounds, until the model answers without a call or one is handed back."""
    try:
        todo = rounds.start()
        while todo is not None:
            answer: Any = None
            if isinstance(todo, Ask):
                answer = ask(todo.request)
            elif isinstance(todo, Review):
                answer = _decided(on_tool_call, todo.call)
            elif isinstance(todo, Run):
                answer = list(run_in_turn(todo.runs))
            todo = rounds.send(answer)
    except RociError as failure:
        rounds.note_failure(failure)
        raise
    return _result(rounds)


async def arun_rounds(rounds: ToolRounds, ask: AsyncAsking, on_tool_call: OnToolCall | None) -> GenerateTextResult:
    """All rounds, until the model answers without a call or one is handed back."""
    try:
        todo = rounds.start()
        while todo is not None:
            answer: Any = None
            if isinstance(todo, Ask):
                answer = await ask(todo.request)
            elif isinstance(todo, Review):
                answer = await _adecided(on_tool_call, todo.call)
            elif isinstance(todo, Run):
                async with aclosing(run_together(todo.runs)) as ending:
                    ended = {index: outcome async for index, outcome in ending}
                answer = [ended[index] for index in range(len(todo.runs))]
            todo = rounds.send(answer)
    except RociError as failure:
        rounds.note_failure(failure)
        raise
    return _result(rounds)


class RoundsStream(TextStream):
    """The answers of all rounds, one after the other, with the tools' results between them."""

    def __init__(self, rounds: ToolRounds, open_stream: Streaming, on_tool_call: OnToolCall | None) -> None:
        end = _End(rounds)
        self._outcome = end.outcome
        self._deltas = _stream(rounds, end, open_stream, on_tool_call)


class AsyncRoundsStream(AsyncTextStream):
    """The answers of all rounds, one after the other, with the tools' results between them."""

    def __init__(self, rounds: ToolRounds, open_stream: AsyncStreaming, on_tool_call: OnToolCall | None) -> None:
        end = _End(rounds)
        self._outcome = end.outcome
        self._deltas = _astream(rounds, end, open_stream, on_tool_call)


class _End:
    """How a stream of rounds ended. It and the readers know nothing of the stream object, so that one that nobody
    names any more is dropped at once."""

    def __init__(self, rounds: ToolRounds) -> None:
        self._rounds = rounds
        self.failure: BaseException | None = None

    def outcome(self) -> GenerateTextResult:
        if self.failure is not None:
            raise self.failure
        if self._rounds.result is None:
            closed = StreamInterruptedError("The stream was closed before the answer's end.")
            self._rounds.note_failure(closed)
            raise closed
        return self._rounds.result


def _stream(
    rounds: ToolRounds, end: _End, open_stream: Streaming, on_tool_call: OnToolCall | None
) -> Generator[TextStreamDelta, None, None]:
    try:
        todo = rounds.start()
        while todo is not None:
            answer: Any = None
            if isinstance(todo, Ask):
                with open_stream(todo.request) as stream:
                    yield from stream
                    answer = stream.result().steps[-1].response
            elif isinstance(todo, Review):
                answer = _decided(on_tool_call, todo.call)
            elif isinstance(todo, Run):
                answer = []
                for outcome in run_in_turn(todo.runs):
                    answer.append(outcome)
                    yield TextStreamDelta(tool_results=(outcome.message,))
            else:
                yield todo.delta
            todo = rounds.send(answer)
    except RociError as failure:
        rounds.note_failure(failure)
        end.failure = failure
        raise
    except Exception as failure:
        end.failure = failure
        raise


async def _astream(
    rounds: ToolRounds, end: _End, open_stream: AsyncStreaming, on_tool_call: OnToolCall | None
) -> AsyncGenerator[TextStreamDelta, None]:
    try:
        todo = rounds.start()
        while todo is not None:
            answer: Any = None
            if isinstance(todo, Ask):
                async with open_stream(todo.request) as stream:
                    async for delta in stream:
                        yield delta
                    answer = (await stream.result()).steps[-1].response
            elif isinstance(todo, Review):
                answer = await _adecided(on_tool_call, todo.call)
            elif isinstance(todo, Run):
                ended: dict[int, ToolOutcome] = {}
                async with aclosing(run_together(todo.runs)) as ending:
                    async for index, outcome in ending:
                        ended[index] = outcome
                        yield TextStreamDelta(tool_results=(outcome.message,))
                answer = [ended[index] for index in range(len(todo.runs))]
            else:
                yield todo.delta
            todo = rounds.send(answer)
    except RociError as failure:
        rounds.note_failure(failure)
        end.failure = failure
        raise
    except Exception as failure:
        end.failure = failure
        raise


def _result(rounds: ToolRounds) -> GenerateTextResult:
    assert rounds.result is not None
    return rounds.result


def _decided(on_tool_call: OnToolCall | None, call: ToolCall) -> Decision:
    decision = on_tool_call(call) if on_tool_call is not None else None
    if not inspect.isawaitable(decision):
        return decision
    if inspect.iscoroutine(decision):
        decision.close()
    raise UsageError(
        "on_tool_call is async, and the function that was called is not.",
        field="on_tool_call",
        hint="Call agenerate_text or astream_text, or pass a plain function.",
    )


async def _adecided(on_tool_call: OnToolCall | None, call: ToolCall) -> Decision:
    decision = on_tool_call(call) if on_tool_call is not None else None
    return await decision if inspect.isawaitable(decision) else decision

"""Streams of an answer, sync and async side by side. What they have in common is in `answer.py`.

The request leaves when the stream is first read. Leaving the `with` block, `close()`, cancelling the task, or dropping
a stream that has no name closes the connection at once. A stream held in a name is not closed by `break`: use `with`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Self, TypeAlias

from roci.errors import RociError
from roci.exchange.exchange import Exchange
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.providers.answer import Answer, AnswerDecoder
from roci.types.requests import CheckedRequest
from roci.types.results import GenerateTextResult, ProviderResponse
from roci.types.stream import TextStreamDelta

Opening: TypeAlias = Callable[[CheckedRequest], Exchange[AnswerDecoder]]
Examine: TypeAlias = Callable[[CheckedRequest, ProviderResponse], Exchange[RociError | None]]
"""What an answer without content hides."""
Explain: TypeAlias = Callable[[RociError], RociError]
"""What a failure means to this provider: most leave it as it is."""
AsyncExplain: TypeAlias = Callable[[RociError], Awaitable[RociError]]


class TextStream:
    """An answer as it comes: iterate it, then ask for its `result()`. For one thread at a time."""

    def __init__(
        self,
        answer: Answer,
        opening: Opening,
        connect: Callable[[], SyncTransport],
        explain: Explain,
        examine: Examine,
    ) -> None:
        self._outcome = answer.outcome
        self._deltas = _read(answer, opening, connect, explain, examine)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> TextStreamDelta:
        return next(self._deltas)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def result(self) -> GenerateTextResult:
        """The whole answer; reads what is still to come first.

        Raises:
            StreamInterruptedError: the answer broke off, or the stream was closed before its end; `.partial`.
            RociError: whatever else ended it.
        """
        for _ in self._deltas:
            pass
        return self._outcome()

    def close(self) -> None:
        """Stop reading and close the connection, which ends the generation on the server. Safe to repeat."""
        self._deltas.close()


class AsyncTextStream:
    """An answer as it comes: `async for` it, then ask for its `await result()`. For one task at a time."""

    def __init__(
        self,
        answer: Answer,
        opening: Opening,
        connect: Callable[[], Awaitable[AsyncTransport]],
        explain: AsyncExplain,
        examine: Examine,
    ) -> None:
        self._outcome = answer.outcome
        self._deltas = _aread(answer, opening, connect, explain, examine)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[TextStreamDelta]:
        return anext(self._deltas)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def result(self) -> GenerateTextResult:
        """The whole answer; reads what is still to come first.

        Raises:
            StreamInterruptedError: the answer broke off, or the stream was closed before its end; `.partial`.
            RociError: whatever else ended it.
        """
        async for _ in self._deltas:
            pass
        return self._outcome()

    async def aclose(self) -> None:
        """Stop reading and close the connection, which ends the generation on the server. Safe to repeat."""
        await self._deltas.aclose()


# The readers know the answer and not the stream object: a stream that nobody names any more is then dropped at once,
# not at the next garbage collection, and its connection with it.


def _read(
    answer: Answer, opening: Opening, connect: Callable[[], SyncTransport], explain: Explain, examine: Examine
) -> Generator[TextStreamDelta, None, None]:
    question = answer.question
    try:
        answer.start_clock()
        while True:
            transport = connect()
            with transport.open(question.exchange(lambda: opening(question.request))) as opened:
                answer.note_reply()
                decoder = opened.decoder
                try:
                    for piece in opened:
                        deltas = decoder.feed(piece)
                        for delta in deltas:
                            answer.add(delta)
                            yield delta
                        if deltas:
                            # Only now: the time that the reader of the stream takes is not the server's.
                            opened.pace.note_piece()
                        if decoder.failure is not None:
                            break
                        if decoder.is_done:
                            opened.pace.is_ending = True
                except RociError as failure:
                    _lost(decoder, failure)
            for delta in answer.end(decoder):
                yield delta
            failure = decoder.failure
            empty = answer.emptiness(decoder)
            if empty is not None:
                failure = transport.run(examine(question.request, empty)) or failure
            if failure is None:
                break
            failure = explain(failure)
            if not answer.starts_anew(failure):
                raise answer.broken_by(failure)
        answer.complete()
    except RociError as failure:
        answer.failure = answer.give_receipt(explain(failure))
        if answer.failure is failure:
            raise
        raise answer.failure from failure


async def _aread(
    answer: Answer,
    opening: Opening,
    connect: Callable[[], Awaitable[AsyncTransport]],
    explain: AsyncExplain,
    examine: Examine,
) -> AsyncGenerator[TextStreamDelta, None]:
    question = answer.question
    try:
        answer.start_clock()
        while True:
            transport = await connect()
            async with await transport.open(question.exchange(lambda: opening(question.request))) as opened:
                answer.note_reply()
                decoder = opened.decoder
                try:
                    async for piece in opened:
                        deltas = decoder.feed(piece)
                        for delta in deltas:
                            answer.add(delta)
                            yield delta
                        if deltas:
                            # Only now: the time that the reader of the stream takes is not the server's.
                            opened.pace.note_piece()
                        if decoder.failure is not None:
                            break
                        if decoder.is_done:
                            opened.pace.is_ending = True
                except RociError as failure:
                    _lost(decoder, failure)
            for delta in answer.end(decoder):
                yield delta
            failure = decoder.failure
            empty = answer.emptiness(decoder)
            if empty is not None:
                failure = await transport.run(examine(question.request, empty)) or failure
            if failure is None:
                break
            failure = await explain(failure)
            if not answer.starts_anew(failure):
                raise answer.broken_by(failure)
        answer.complete()
    except RociError as failure:
        answer.failure = answer.give_receipt(await explain(failure))
        if answer.failure is failure:
            raise
        raise answer.failure from failure


def _lost(decoder: AnswerDecoder, failure: RociError) -> None:
    """The connection failed under the decoder: which matters unless its terminal mark or a failure came before."""
    if not decoder.is_done and decoder.failure is None:
        decoder.failure = failure

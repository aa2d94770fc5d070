"""Streams of an object that grows, sync and async side by side; they read a stream of text.

The request leaves when the stream is first read. Leaving the `with` block, `close()`, or dropping a stream that has no
name closes the connection at once. A stream held in a name is not closed by `break`: use `with`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Generic, Self, TypeVar

from roci.errors import RociError, StreamInterruptedError
from roci.generation.object_attempts import Attempts
from roci.generation.partial_json import GrowingObject
from roci.providers.streams import AsyncTextStream, TextStream
from roci.types.object_results import GenerateObjectResult
from roci.types.output_schema import OutputType
from roci.types.requests import ProviderRequest
from roci.types.results import GenerateTextResult

T = TypeVar("T")


class _Outcome(Generic[T]):
    """What became of it: known to the reader and to the stream's object, which do not know each other."""

    def __init__(self) -> None:
        self.text: TextStream | AsyncTextStream | None = None
        """The stream of text that was opened last."""
        self.result: GenerateObjectResult[T] | None = None
        self.failure: RociError | None = None

    @property
    def was_left(self) -> bool:
        """It was closed before the answer's end."""
        return self.result is None and self.failure is None

    def get(self) -> GenerateObjectResult[T]:
        if self.failure is not None:
            raise self.failure
        if self.result is None:
            raise StreamInterruptedError("The stream was closed before the answer's end.")
        return self.result

    def take(self, asking: Attempts[T], answer: GenerateTextResult) -> None:
        """The answer is whole: read it."""
        try:
            asking.send(answer.steps[-1].response)
        except StopIteration as done:
            self.result = done.value


class ObjectStream(Generic[T]):
    """An object as it grows: iterate it for partial values, then ask for its `result()`. For one thread at a time."""

    def __init__(
        self, open_text: Callable[[ProviderRequest], TextStream], asking: Attempts[T], output: OutputType[T]
    ) -> None:
        self._outcome: _Outcome[T] = _Outcome()
        self._partials = _read(open_text, asking, GrowingObject(is_wrapped=output.is_wrapped), self._outcome)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._partials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def result(self) -> GenerateObjectResult[T]:
        """The whole object, checked; reads what is still to come first.

        Raises:
            SchemaMismatchError: the answer does not fit; `.json_path`, `.text`, `.receipt`.
            StreamInterruptedError: the answer broke off, or the stream was closed before its end; `.partial`.
            RociError: whatever else ended it.
        """
        for _ in self._partials:
            pass
        if self._outcome.was_left and isinstance(self._outcome.text, TextStream):
            self._outcome.text.result()  # raises, with what had come
        return self._outcome.get()

    def close(self) -> None:
        """Stop reading and close the connection, which ends the generation on the server. Safe to repeat."""
        self._partials.close()


class AsyncObjectStream(Generic[T]):
    """An object as it grows: `async for` it, then ask for its `await result()`. For one task at a time."""

    def __init__(
        self, open_text: Callable[[ProviderRequest], AsyncTextStream], asking: Attempts[T], output: OutputType[T]
    ) -> None:
        self._outcome: _Outcome[T] = _Outcome()
        self._partials = _aread(open_text, asking, GrowingObject(is_wrapped=output.is_wrapped), self._outcome)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return anext(self._partials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def result(self) -> GenerateObjectResult[T]:
        """The whole object, checked; reads what is still to come first.

        Raises:
            SchemaMismatchError: the answer does not fit; `.json_path`, `.text`, `.receipt`.
            StreamInterruptedError: the answer broke off, or the stream was closed before its end; `.partial`.
            RociError: whatever else ended it.
        """
        async for _ in self._partials:
            pass
        if self._outcome.was_left and isinstance(self._outcome.text, AsyncTextStream):
            await self._outcome.text.result()  # raises, with what had come
        return self._outcome.get()

    async def aclose(self) -> None:
        """Stop reading and close the connection, which ends the generation on the server. Safe to repeat."""
        await self._partials.aclose()


def _read(
    open_text: Callable[[ProviderRequest], TextStream],
    asking: Attempts[T],
    growing: GrowingObject,
    outcome: _Outcome[T],
) -> Generator[Any, None, None]:
    try:
        request = next(asking)
        while True:
            with open_text(request) as stream:
                outcome.text = stream
                try:
                    for delta in stream:
                        if delta.text:
                            yield from growing.feed(delta.text)
                    answer = stream.result()
                except RociError as failure:
                    # The server may take the question in another form; if not, this raises.
                    request = asking.throw(failure)
                    continue
            break
        yield from growing.close()
        outcome.take(asking, answer)
    except RociError as failure:
        outcome.failure = failure
        raise


async def _aread(
    open_text: Callable[[ProviderRequest], AsyncTextStream],
    asking: Attempts[T],
    growing: GrowingObject,
    outcome: _Outcome[T],
) -> AsyncGenerator[Any, None]:
    try:
        request = next(asking)
        while True:
            async with open_text(request) as stream:
                outcome.text = stream
                try:
                    async for delta in stream:
                        if delta.text:
                            for partial in growing.feed(delta.text):
                                yield partial
                    answer = await stream.result()
                except RociError as failure:
                    # The server may take the question in another form; if not, this raises.
                    request = asking.throw(failure)
                    continue
            break
        for partial in growing.close():
            yield partial
        outcome.take(asking, answer)
    except RociError as failure:
        outcome.failure = failure
        raise

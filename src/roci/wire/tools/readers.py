"""A worker's events -> the same with the tool calls that its text holds. One reader for each generation; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from msgspec import Raw

from roci.wire.generation import (
    Event,
    Finish,
    Note,
    StopReason,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)

NOT_PARALLEL = "parallel_tool_calls"
_CALL_EVENTS: Final = (ToolCallStart, ToolCallDelta, ToolCallEnd)


class TextReader(Protocol):
    """Reads the text of one choice."""

    def feed(self, text: str) -> list[Event]: ...

    def finish(self, reason: StopReason | None) -> list[Event]:
        """What is still held back; `reason` is None where the stream broke."""
        ...


class EventReader(Protocol):
    """Takes a generation's events one by one and gives those that the client is to see."""

    def feed(self, event: Event) -> list[Event]: ...

    def close(self) -> list[Event]:
        """What is still held back, where the generation broke before its `Finish`; nothing otherwise."""
        ...


class _Choice:
    """One choice's reader, and the token probabilities of what it holds back."""

    def __init__(self, reader: TextReader) -> None:
        self.reader = reader
        self.logprobs: list[Raw] = []
        self.has_calls = False

    def with_logprobs(self, events: list[Event]) -> list[Event]:
        """Gives what is held to the first piece of text; that of a call is forgotten."""
        for position, event in enumerate(events):
            if isinstance(event, TextDelta) and self.logprobs:
                events[position] = msgspec.structs.replace(event, logprobs=tuple(self.logprobs))
                self.logprobs.clear()
            elif isinstance(event, _CALL_EVENTS):
                self.has_calls = True
                self.logprobs.clear()
        return events


class TextCalls:
    """Finds the calls in the text of every choice. Probabilities of a call's tokens are not told, as OpenAI does."""

    def __init__(self, reader_of: Callable[[int], TextReader]) -> None:
        self._reader_of = reader_of
        self._open: dict[int, _Choice] = {}

    def feed(self, event: Event) -> list[Event]:
        if isinstance(event, TextDelta):
            choice = self._choice(event.choice)
            choice.logprobs.extend(event.logprobs)
            return choice.with_logprobs(choice.reader.feed(event.text))
        if isinstance(event, Finish):
            choice = self._choice(event.choice)
            del self._open[event.choice]
            events = choice.with_logprobs(choice.reader.finish(event.reason))
            if choice.logprobs and not choice.has_calls:
                events.append(TextDelta("", event.choice, tuple(choice.logprobs)))
            return [*events, event]
        return [event]

    def close(self) -> list[Event]:
        events: list[Event] = []
        for choice in self._open.values():
            events += choice.with_logprobs(choice.reader.finish(None))
        self._open.clear()
        return events

    def _choice(self, index: int) -> _Choice:
        found = self._open.get(index)
        if found is None:
            found = self._open[index] = _Choice(self._reader_of(index))
        return found


class CallRules:
    """What holds for calls however they came: the client's own names, one call where it wants one, the right finish.

    Args:
        names: what the model calls a tool -> what the client calls it.
        is_parallel: more than one call is wanted.
        first_index: the number of the first call, where an earlier round of the same answer made some.
        notes: told before the first choice's `Finish`.
    """

    def __init__(
        self,
        inner: EventReader | None,
        names: dict[str, str],
        *,
        is_parallel: bool,
        first_index: int,
        notes: list[Note],
    ) -> None:
        self._inner = inner
        self._names = names
        self._is_parallel = is_parallel
        self._first_index = first_index
        self._notes = notes
        self._whole: set[int] = set()
        """Choices with a whole call."""
        self._dropped: dict[int, list[str]] = {}
        """Choice -> the calls that were one too many, as text."""

    def feed(self, event: Event) -> list[Event]:
        if self._inner is None:
            return self._apply(event)
        return [kept for each in self._inner.feed(event) for kept in self._apply(each)]

    def close(self) -> list[Event]:
        events = [] if self._inner is None else self._inner.close()
        return [kept for each in events for kept in self._apply(each)]

    def _apply(self, event: Event) -> list[Event]:
        if isinstance(event, _CALL_EVENTS):
            return self._apply_call(event)
        if isinstance(event, Finish):
            return self._apply_finish(event)
        return [event]

    def _apply_call(self, event: ToolCallStart | ToolCallDelta | ToolCallEnd) -> list[Event]:
        if not self._is_parallel and event.index > 0:
            dropped = self._dropped.setdefault(event.choice, [])
            if isinstance(event, ToolCallStart):
                dropped.append(f"{self._names.get(event.name, event.name)} ")
            elif isinstance(event, ToolCallDelta):
                dropped[-1] += event.arguments
            return []
        if isinstance(event, ToolCallStart):
            event = msgspec.structs.replace(event, name=self._names.get(event.name, event.name))
        elif isinstance(event, ToolCallEnd):
            self._whole.add(event.choice)
        return [msgspec.structs.replace(event, index=event.index + self._first_index)]

    def _apply_finish(self, event: Finish) -> list[Event]:
        events: list[Event] = []
        if event.choice == 0:
            events += self._notes
            self._notes = []
        dropped = self._dropped.pop(event.choice, None)
        if dropped:
            message = f"Only one call was wanted (parallel_tool_calls is false); left out: {'; '.join(dropped)}"
            events.append(Note(NOT_PARALLEL, message, event.choice))
        if event.choice in self._whole and event.reason == "stop":
            event = msgspec.structs.replace(event, reason="tool_calls")
        return [*events, event]

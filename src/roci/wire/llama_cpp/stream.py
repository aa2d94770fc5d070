"""A worker's streamed chat -> events. No I/O, no clock.

Source: llama.cpp's server (xllamacpp 2026.10), by trying; the samples in the tests are its own.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct, UnsetType

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    PromptProgress,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Timing,
    TokenUsage,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from roci.wire.llama_cpp.types import Logprobs, WorkerProgress, WorkerTimings, WorkerUsage, decode_timings
from roci.wire.sse import SseDecoder

_ID_LETTERS: Final = 24


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: WorkerUsage | None = None
    timings: Raw | UnsetType = msgspec.UNSET
    prompt_progress: WorkerProgress | None = None
    error: Raw | UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Chunk).decode


class _Open(Struct):
    """A choice while it comes."""

    finish: StopReason | None = None
    call_index: int | None = None
    """The call that has started and not ended."""
    calls: int = 0
    wire_indexes: dict[int, int] = {}
    arguments: list[str] = []


class WorkerStreamDecoder:
    """Fed a stream's bytes, however they are cut, gives its events; `Ended` is the last of a stream that is whole."""

    def __init__(self) -> None:
        self.error: bytes | None = None
        """The event `{"error": …}` as JSON, where the stream sent one; nothing counts after it."""
        self.is_done = False
        """The terminal mark was read and every choice had its finish reason: `Ended` was given."""
        self.lacks_reason = False
        """The terminal mark was read, and a choice had no finish reason."""
        self._sse = SseDecoder()
        self._choices: dict[int, _Open] = {}
        self._usages: list[WorkerUsage] = []
        self._timings: Raw | None = None
        self._reasoning_tokens = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes.

        Raises:
            UnexpectedReplyError: an event is larger than 64 MiB.
            msgspec.DecodeError: a chunk is not what a chunk should be.
        """
        events: list[Event] = []
        for _, payload in self._sse.feed(data):
            if self.is_done or self.error is not None:
                break
            if payload == b"[DONE]":
                self._end(events)
            elif payload != b"null":  # what a completion of several prompts begins with
                self._read(payload, events)
        return events

    def _read(self, payload: bytes, events: list[Event]) -> None:
        chunk = _decode(payload)
        if chunk.error is not msgspec.UNSET:
            self.error = payload
            return
        for piece in chunk.choices:
            self._read_choice(piece, events)
        progress = chunk.prompt_progress
        if progress is not None:
            events.append(PromptProgress(progress.total, progress.cache, progress.processed))
        if chunk.usage is not None:
            self._usages.append(chunk.usage)
        if chunk.timings is not msgspec.UNSET:
            self._timings = chunk.timings.copy()

    def _read_choice(self, piece: _Choice, events: list[Event]) -> None:
        index, delta = piece.index, piece.delta
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Open(wire_indexes={}, arguments=[])
        logprobs = () if piece.logprobs is None else tuple(raw.copy() for raw in piece.logprobs.content or ())
        if delta is not None:
            if delta.reasoning_content:
                self._reasoning_tokens += 1
                events.append(ReasoningDelta(delta.reasoning_content, index))
            if delta.content or (logprobs and not delta.tool_calls and not delta.reasoning_content):
                if choice.call_index is not None:
                    self._end_call(choice, index, events)
                events.append(TextDelta(delta.content or "", index, logprobs))
            for call in delta.tool_calls or ():
                self._read_call(call, choice, index, events)
        if piece.finish_reason is not None and choice.finish is None:
            self._finish(piece.finish_reason, choice, index, events)

    def _read_call(self, piece: _CallPiece, choice: _Open, index: int, events: list[Event]) -> None:
        function = piece.function
        if piece.index not in choice.wire_indexes:
            self._end_call(choice, index, events)
            choice.call_index = choice.wire_indexes[piece.index] = choice.calls
            choice.calls += 1
            choice.arguments = []
            name = (function.name if function is not None else None) or ""
            events.append(ToolCallStart(choice.call_index, f"call_{(piece.id or '')[:_ID_LETTERS]}", name, index))
        if function is not None and function.arguments:
            choice.arguments.append(function.arguments)
            events.append(ToolCallDelta(choice.wire_indexes[piece.index], function.arguments, index))

    def _end_call(self, choice: _Open, index: int, events: list[Event]) -> None:
        if choice.call_index is not None:
            events.append(ToolCallEnd(choice.call_index, index))
            choice.call_index = None

    def _finish(self, word: str, choice: _Open, index: int, events: list[Event]) -> None:
        reason: StopReason = "length" if word == "length" else "tool_calls" if choice.calls else "stop"
        if choice.call_index is not None and (reason != "length" or _is_object("".join(choice.arguments))):
            # The token limit can cut a call in two; half a call cannot be made.
            self._end_call(choice, index, events)
        choice.finish = reason
        events.append(Finish(reason, index))

    def _end(self, events: list[Event]) -> None:
        if not self._choices or any(choice.finish is None for choice in self._choices.values()):
            self.lacks_reason = True
            return
        self.is_done = True
        events.append(Ended(self._usage(), _timing(self._timings)))

    def broken_off(self) -> Ended:
        """The end of a stream that is not read on. Its worker must have been asked for timings with each token."""
        timing = _timing(self._timings)
        told = WorkerTimings() if self._timings is None else decode_timings(self._timings)
        usage = TokenUsage(
            prompt_tokens=told.cache_n + told.prompt_n,
            completion_tokens=told.predicted_n,
            cached_tokens=told.cache_n,
            reasoning_tokens=min(self._reasoning_tokens, told.predicted_n),
        )
        return Ended(usage, timing)

    def _usage(self) -> TokenUsage:
        """Of all answers: the engine reports each by itself, with the prompt that they share."""
        if not self._usages:
            return TokenUsage(reasoning_tokens=self._reasoning_tokens)
        last = self._usages[-1]
        completion = sum(usage.completion_tokens for usage in self._usages)
        return TokenUsage(
            prompt_tokens=last.prompt_tokens,
            completion_tokens=completion,
            cached_tokens=last.cached_tokens,
            reasoning_tokens=min(self._reasoning_tokens, completion),
        )


def _timing(raw: Raw | None) -> Timing:
    if raw is None:
        return Timing()
    told = decode_timings(raw)
    return Timing(
        time_to_first_token_s=told.prompt_ms / 1000,
        generation_time_s=told.predicted_ms / 1000,
        # A single token takes no time by the engine's clock, which gives a rate of a million.
        tokens_per_second=(told.predicted_per_second or 0.0) if told.predicted_n > 1 else 0.0,
        draft_tokens=told.draft_n,
        draft_tokens_accepted=told.draft_n_accepted,
        engine=raw,
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False

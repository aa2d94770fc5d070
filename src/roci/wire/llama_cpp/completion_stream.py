"""A worker's streamed text completions -> events. No I/O, no clock.

Source: llama.cpp's server (xllamacpp 2026.10), by trying; the samples in the tests are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct, UnsetType

from roci.wire.generation import Ended, Event, Finish, PromptProgress, TextDelta, Timing, TokenUsage
from roci.wire.llama_cpp.types import Logprobs, WorkerProgress, WorkerUsage, decode_timings
from roci.wire.sse import SseDecoder


class _Choice(Struct):
    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: WorkerUsage | None = None
    timings: Raw | UnsetType = msgspec.UNSET
    prompt_progress: WorkerProgress | None = None
    error: Raw | UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Chunk).decode


class ChoiceEnd(Struct):
    """What the last chunk of a choice tells; the engine counts each choice by itself."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    timings: Raw | None


class CompletionStreamDecoder:
    """Fed a stream's bytes, however they are cut, gives its events, but for `Ended`: see `ended`.

    Args:
        first_choice: the number of the stream's first choice among those of the whole request.
    """

    def __init__(self, first_choice: int = 0) -> None:
        self.error: bytes | None = None
        """The event `{"error": …}` as JSON, where the stream sent one; nothing counts after it."""
        self.is_done = False
        """The terminal mark was read, and every choice had its finish reason."""
        self.lacks_reason = False
        """The terminal mark was read, and a choice had no finish reason."""
        self.ends: dict[int, ChoiceEnd] = {}
        self._sse = SseDecoder()
        self._first_choice = first_choice
        self._seen: set[int] = set()

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
                self.lacks_reason = not self._seen or self._seen != self.ends.keys()
                self.is_done = not self.lacks_reason
            elif payload != b"null":  # what a stream of several prompts begins with
                self._read(payload, events)
        return events

    def _read(self, payload: bytes, events: list[Event]) -> None:
        chunk = _decode(payload)
        if chunk.error is not msgspec.UNSET:
            self.error = payload
            return
        progress = chunk.prompt_progress
        if progress is not None:
            events.append(PromptProgress(progress.total, progress.cache, progress.processed))
        for piece in chunk.choices:
            index = self._first_choice + piece.index
            self._seen.add(index)
            logprobs = () if piece.logprobs is None else tuple(raw.copy() for raw in piece.logprobs.content or ())
            if piece.text or logprobs:
                events.append(TextDelta(piece.text or "", index, logprobs))
            if piece.finish_reason is not None and index not in self.ends:
                self.ends[index] = _choice_end(chunk)
                events.append(Finish("length" if piece.finish_reason == "length" else "stop", index))


def ended(ends: Mapping[int, ChoiceEnd], answers: int) -> Ended:
    """The end of a request, of all its choices' ends.

    Args:
        answers: choices for each prompt, which share that prompt's tokens.
    """
    firsts = [end for index, end in ends.items() if index % answers == 0]
    usage = TokenUsage(
        prompt_tokens=sum(end.prompt_tokens for end in firsts),
        completion_tokens=sum(end.completion_tokens for end in ends.values()),
        cached_tokens=sum(end.cached_tokens for end in firsts),
    )
    return Ended(usage, _timing([end.timings for end in ends.values() if end.timings is not None]))


def _choice_end(chunk: _Chunk) -> ChoiceEnd:
    usage = chunk.usage or WorkerUsage()
    return ChoiceEnd(
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        timings=chunk.timings.copy() if chunk.timings is not msgspec.UNSET else None,
    )


def _timing(raws: list[Raw]) -> Timing:
    """Of choices made side by side, as far as one word fits all: from the first piece to the slowest one's end."""
    if not raws:
        return Timing()
    told = [decode_timings(raw) for raw in raws]
    generation_time_s = max(one.predicted_ms for one in told) / 1000
    # The engine's clock starts at the first token, which so takes no time.
    timed_tokens = sum(max(one.predicted_n - 1, 0) for one in told)
    return Timing(
        time_to_first_token_s=min(one.prompt_ms for one in told) / 1000,
        generation_time_s=generation_time_s,
        tokens_per_second=timed_tokens / generation_time_s if generation_time_s > 0 else 0.0,
        draft_tokens=sum(one.draft_n for one in told),
        draft_tokens_accepted=sum(one.draft_n_accepted for one in told),
        engine=raws[0] if len(raws) == 1 else None,
    )

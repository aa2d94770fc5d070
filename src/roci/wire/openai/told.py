"""What a server tells of a call beside the answer: times, contexts and remarks, in each server's own fields.

Read from the last chunks of a stream and from plain replies, once each, so that the chunks between cost nothing.

Source: llama.cpp's server (`timings`), LM Studio's `stats` and `model_info` (REST reference of v0 and v1), roci's own
`roci`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from roci.types.receipt import Adjustment, Receipt

# Notes of roci's server that mean a setting was not followed -> the setting.
_IGNORED = {"reasoning_ignored": "reasoning"}
_NOTES_LIMIT = 50


class _Timings(Struct):
    prompt_ms: float | None = None
    predicted_ms: float | None = None
    predicted_n: int | None = None


class _Stats(Struct):
    tokens_per_second: float | None = None
    time_to_first_token: float | None = None
    time_to_first_token_seconds: float | None = None
    model_load_time_seconds: float | None = None


class _ModelInfo(Struct):
    context_length: int | None = None


class _Note(Struct):
    code: str = ""
    message: str = ""


class _Roci(Struct):
    notes: list[_Note] = []
    load_time_s: float | None = None
    context_length: int | None = None


class _Choice(Struct):
    roci: _Roci | None = None


class _Told(Struct):
    timings: _Timings | None = None
    stats: _Stats | None = None
    model_info: _ModelInfo | None = None
    roci: _Roci | None = None
    choices: list[_Choice] | None = None


_decode = msgspec.json.Decoder(_Told).decode


class ServerWords:
    """What a server has told of one call so far."""

    __slots__ = ("_facts", "_ignored", "_notes")

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._notes: list[str] = []
        self._ignored: list[Adjustment] = []

    def take(self, payload: bytes) -> None:
        """Read a chunk or a plain reply. One whose fields are of another form tells nothing."""
        try:
            told = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # These fields are no server's duty; an answer must not fail of them.
            return
        if told.timings is not None:
            self._take_timings(told.timings)
        if told.stats is not None:
            self._take_stats(told.stats)
        if told.model_info is not None:
            self._note("context_limit_tokens", told.model_info.context_length)
        if told.roci is not None:
            self._take_roci(told.roci)
        for choice in told.choices or ():
            if choice.roci is not None:
                self._take_roci(choice.roci)

    def receipt(self) -> Receipt:
        """A receipt that holds what the server told, and nothing else."""
        if not (self._facts or self._notes or self._ignored):
            return _NOTHING
        return Receipt(notes=tuple(self._notes), ignored=tuple(self._ignored), **self._facts)

    def _take_timings(self, timings: _Timings) -> None:
        if timings.prompt_ms is not None:
            self._note("prefill_s", timings.prompt_ms / 1000)
        if timings.predicted_ms is not None and timings.predicted_n is not None and timings.predicted_n > 1:
            # The first token comes out of the prompt's evaluation and takes no time of its own.
            self._note("seconds_per_token", timings.predicted_ms / 1000 / (timings.predicted_n - 1))

    def _take_stats(self, stats: _Stats) -> None:
        if stats.tokens_per_second:
            self._note("seconds_per_token", 1 / stats.tokens_per_second)
        first = stats.time_to_first_token_seconds
        self._note("time_to_first_token_s", stats.time_to_first_token if first is None else first)
        self._note("load_s", stats.model_load_time_seconds)

    def _take_roci(self, roci: _Roci) -> None:
        self._note("load_s", roci.load_time_s)
        self._note("context_limit_tokens", roci.context_length)
        for note in roci.notes[:_NOTES_LIMIT]:
            setting = _IGNORED.get(note.code)
            if setting is not None:
                self._ignored.append(Adjustment(setting=setting, reason=note.message))
            elif note.message not in self._notes:
                self._notes.append(note.message)

    def _note(self, fact: str, value: float | None) -> None:
        if value is not None:
            self._facts[fact] = value


_NOTHING = Receipt()

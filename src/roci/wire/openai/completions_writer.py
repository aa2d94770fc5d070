"""Text completions as they go out: chunks of a stream, or one plain reply. Pure.

Source: OpenAI API reference, completions (legacy), for the shape of `logprobs` too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from roci.wire.generation import Ended, Event, Finish, Note, TextDelta, Transcript
from roci.wire.openai.chat_writer import DONE, ID_LETTERS, notes_field, usage_object
from roci.wire.openai.completions_requests import CompletionRequest
from roci.wire.openai.error_shape import openai_error_body
from roci.wire.openai.types import WireUsage
from roci.wire.reply_writer import Begun, Failure

_encode: Final = msgspec.json.Encoder().encode


class _Likely(Struct):
    token: str
    logprob: float


class _TokenLogprob(_Likely):
    top_logprobs: list[_Likely] = []


_decode_logprob: Final = msgspec.json.Decoder(_TokenLogprob).decode


class CompletionLogprobs(Struct):
    """A list for each fact, with an entry for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]
    """Where the token begins in the choice's `text`, in characters."""


class CompletionChoice(Struct):
    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    """Null only in the pieces of a stream."""


class CompletionReply(Struct):
    """The answers to all prompts, in their order; a stream's chunks are pieces of the same form."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    """The loaded instance that answered."""
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: WireUsage


class CompletionsWriter:
    """One text completion's reply; a `ReplyWriter`.

    Args:
        more: further fields of the plain reply and of the stream's last chunk, such as LM Studio's `stats`.
    """

    starts_early = False

    def __init__(self, request: CompletionRequest, *, more: Callable[[Ended], dict[str, Any]] | None = None) -> None:
        self._choices = len(request.prompts) * request.answers
        self._likeliest = request.likeliest
        self._asked_for_usage = bool(request.stream_options is not None and request.stream_options.include_usage)
        self._more = more
        self._head = b""
        self._held: Finish | None = None
        self._notes: dict[int, list[Note]] = {}
        self._offsets: dict[int, int] = {}

    def start(self, begun: Begun) -> bytes:
        self._head = b"data: " + _encode(_head(begun))[:-1] + b","
        return b""

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(text, index, logprobs):
                return self._chunk(index, text, self._logprobs(text, index, logprobs))
            case Note(_, _, index):
                self._notes.setdefault(index, []).append(event)
            case Finish():
                flushed = self._finish_chunk()
                self._held = event
                return flushed
            case Ended():
                return self._end(event)
            case _:  # loading, progress; the rest belongs to chats
                pass
        return b""

    def fail(self, failure: Failure) -> bytes:
        return b"data: " + openai_error_body(failure) + b"\n\n"

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        assert transcript.ended is not None
        choices = [self._whole_choice(index, transcript) for index in range(self._choices)]
        return _encode(_head(begun) | {"choices": choices} | self._last_fields(transcript.ended))

    def _whole_choice(self, index: int, transcript: Transcript) -> dict[str, Any]:
        choice = transcript.choice(index)
        reason = choice.finish.reason if choice.finish is not None else None
        logprobs = None if self._likeliest is None else logprobs_object(choice.logprobs, self._likeliest)
        fields = {"index": index, "text": choice.text, "logprobs": logprobs, "finish_reason": reason}
        return fields | notes_field(choice.notes)

    def _logprobs(self, text: str, index: int, entries: Sequence[Raw]) -> bytes:
        if self._likeliest is None:
            return b"null"
        offset = self._offsets.get(index, 0)
        self._offsets[index] = offset + len(text)
        return _encode(logprobs_object(entries, self._likeliest, offset)) if entries else b"null"

    def _chunk(self, index: int, text: str, logprobs: bytes) -> bytes:
        place = b'"choices":[{"index":%d,"text":' % index
        return self._head + place + _encode(text) + b',"logprobs":' + logprobs + b',"finish_reason":null}]}\n\n'

    def _finish_chunk(self, more: dict[str, Any] | None = None) -> bytes:
        """The chunk of the finish reason that is held, until it is known whether it is the stream's last."""
        held = self._held
        if held is None:
            return b""
        self._held = None
        choice = {"index": held.choice, "text": "", "logprobs": None, "finish_reason": held.reason}
        fields: dict[str, Any] = {"choices": [choice], **notes_field(self._notes.get(held.choice, [])), **(more or {})}
        return self._head + _encode(fields)[1:] + b"\n\n"

    def _end(self, ended: Ended) -> bytes:
        last = self._last_fields(ended)
        if not self._asked_for_usage:
            # On the last chunk that has a choice: a client that did not ask may not expect one without.
            return self._finish_chunk(last) + DONE
        return self._finish_chunk() + self._head + _encode({"choices": [], **last})[1:] + b"\n\n" + DONE

    def _last_fields(self, ended: Ended) -> dict[str, Any]:
        fields: dict[str, Any] = {"usage": usage_object(ended.usage)}
        if self._more is not None:
            fields |= self._more(ended)
        if ended.timing.engine is not None:
            fields["timings"] = ended.timing.engine
        return fields


def logprobs_object(entries: Sequence[Raw], likeliest: int, offset: int = 0) -> CompletionLogprobs:
    """OpenAI's older shape of the same facts.

    Args:
        entries: one for each token, as chats have them.
        likeliest: how many alternatives to tell of.
        offset: characters of the choice's text before the first token.
    """
    told = [_decode_logprob(entry) for entry in entries]
    offsets: list[int] = []
    for one in told:
        offsets.append(offset)
        offset += len(one.token)
    top = [{like.token: like.logprob for like in one.top_logprobs[:likeliest]} for one in told]
    return CompletionLogprobs(
        tokens=[one.token for one in told],
        token_logprobs=[one.logprob for one in told],
        top_logprobs=top if likeliest else None,
        text_offset=offsets,
    )


def _head(begun: Begun) -> dict[str, Any]:
    return {
        "id": f"cmpl-{begun.id[:ID_LETTERS]}",
        "object": "text_completion",
        "created": begun.created,
        "model": begun.model,
        "system_fingerprint": begun.model,  # as LM Studio: what tells one loaded copy from another
    }

"""OpenAI's chat completions as they go out: chunks of a stream, or one plain reply. Pure.

Source: OpenAI API reference, chat completions; LM Studio's and llama.cpp's `reasoning_content`, `stats`, `timings`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from roci.wire.generation import (
    Ended,
    Event,
    Finish,
    Note,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallStart,
    Transcript,
)
from roci.wire.openai.error_shape import openai_error_body
from roci.wire.openai.requests import ChatRequest
from roci.wire.reply_writer import Begun, Failure

ID_LETTERS: Final = 24
DONE: Final = b"data: [DONE]\n\n"

_PLACE: Final = b'"choices":[{"index":%d,"delta":'
_TEXT_END: Final = b'},"logprobs":null,"finish_reason":null}]}\n\n'

_encode: Final = msgspec.json.Encoder().encode


class ChatWriter:
    """One chat completion's reply.

    Args:
        more: further fields of the plain reply and of the stream's last chunk, such as LM Studio's `stats`.
    """

    starts_early = False

    def __init__(self, chat: ChatRequest, *, more: Callable[[Ended], dict[str, Any]] | None = None) -> None:
        self._answers = chat.answers
        self._asked_for_usage = bool(chat.stream_options is not None and chat.stream_options.include_usage)
        self._shows_progress = bool(chat.return_progress)
        self._more = more or _stats
        self._head = b""
        self._text_heads: list[bytes] = []
        """For each choice, what stands before a piece of its text."""
        self._held: Finish | None = None
        self._notes: dict[int, list[Note]] = {}

    def start(self, begun: Begun) -> bytes:
        head = _encode(_head(begun, "chat.completion.chunk"))
        self._head = b"data: " + head[:-1] + b","
        self._text_heads = [self._head + _PLACE % index + b'{"content":' for index in range(self._answers)]
        role = {"role": "assistant", "content": ""}
        return b"".join(self._chunk(index, _encode(role)) for index in range(self._answers))

    def feed(self, event: Event) -> bytes:
        if isinstance(event, TextDelta) and not event.logprobs:  # nearly all of them
            return self._text_heads[event.choice] + _encode(event.text) + _TEXT_END
        match event:
            case TextDelta(text, index, logprobs):
                shown = _encode({"content": logprobs, "refusal": None}) if logprobs else b"null"
                return self._chunk(index, b'{"content":' + _encode(text) + b"}", logprobs=shown)
            case ReasoningDelta(text, index):
                raw = _encode(text)
                return self._chunk(index, b'{"reasoning_content":' + raw + b',"reasoning":' + raw + b"}")
            case ToolCallStart(position, identifier, name, index):
                function = {"name": name, "arguments": ""}
                call = {"index": position, "id": identifier, "type": "function", "function": function}
                return self._chunk(index, _encode({"tool_calls": [call]}))
            case ToolCallDelta(position, arguments, index):
                call = {"index": position, "function": {"arguments": arguments}}
                return self._chunk(index, _encode({"tool_calls": [call]}))
            case Note(_, _, index):
                self._notes.setdefault(index, []).append(event)
                return b""
            case Finish():
                flushed = self._finish_chunk()
                self._held = event
                return flushed
            case PromptProgress(total, cached, processed) if self._shows_progress:
                progress = {"total": total, "cache": cached, "processed": processed}
                return self._head + b'"choices":[],"prompt_progress":' + _encode(progress) + b"}\n\n"
            case Ended():
                return self._end(event)
            case _:
                return b""

    def fail(self, failure: Failure) -> bytes:
        return b"data: " + openai_error_body(failure) + b"\n\n"

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        assert transcript.ended is not None
        choices = [_choice(index, transcript) for index in range(self._answers)]
        usage = usage_object(transcript.ended.usage)
        reply = _head(begun, "chat.completion") | {"choices": choices, "usage": usage} | self._more(transcript.ended)
        return _encode(reply | _engine_timings(transcript.ended) | _told(transcript.ended))

    def _chunk(self, index: int, delta: bytes, *, logprobs: bytes = b"null", rest: bytes = b"") -> bytes:
        place = _PLACE % index
        return self._head + place + delta + b',"logprobs":' + logprobs + b',"finish_reason":null}]' + rest + b"}\n\n"

    def _finish_chunk(self, more: dict[str, Any] | None = None) -> bytes:
        """The chunk of the finish reason that is held, until it is known whether it is the stream's last."""
        held = self._held
        if held is None:
            return b""
        self._held = None
        no_more: dict[str, Any] = {}
        choice = {"index": held.choice, "delta": no_more, "logprobs": None, "finish_reason": held.reason}
        fields: dict[str, Any] = {"choices": [choice], **(more or {})}
        told = notes_field(self._notes.get(held.choice, []))
        if told:
            fields["roci"] = told["roci"] | fields.get("roci", {})
        return self._head + _encode(fields)[1:] + b"\n\n"

    def _end(self, ended: Ended) -> bytes:
        last = {"usage": usage_object(ended.usage), **self._more(ended), **_engine_timings(ended), **_told(ended)}
        if not self._asked_for_usage:
            # On the last chunk that has a choice: a client that did not ask may not expect one without.
            return self._finish_chunk(last) + DONE
        return self._finish_chunk() + self._head + _encode({"choices": [], **last})[1:] + b"\n\n" + DONE


def usage_object(usage: TokenUsage) -> dict[str, Any]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def notes_field(notes: list[Note]) -> dict[str, Any]:
    """roci's own field, with what the dialect has no word for; nothing where there is nothing to say."""
    if not notes:
        return {}
    return {"roci": {"notes": [{"code": note.code, "message": note.message} for note in notes]}}


def _head(begun: Begun, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{begun.id[:ID_LETTERS]}",
        "object": kind,
        "created": begun.created,
        "model": begun.model,
        "system_fingerprint": begun.model,  # as LM Studio: what tells one loaded copy from another
    }


def _choice(index: int, transcript: Transcript) -> dict[str, Any]:
    choice = transcript.choice(index)
    whole = [call for call in choice.calls if call.is_whole]
    cut = [
        Note("tool_call_cut", f"The token limit cut the call {call.name} {call.arguments}")
        for call in choice.calls
        if not call.is_whole and not any(note.code == "tool_call_cut" for note in choice.notes)
    ]
    text = choice.text
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not whole else None}
    if choice.reasoning:
        message["reasoning_content"] = message["reasoning"] = choice.reasoning
    if whole:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in whole
        ]
    logprobs = {"content": choice.logprobs, "refusal": None} if choice.logprobs else None
    reason = choice.finish.reason if choice.finish is not None else None
    fields = {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}
    return fields | notes_field(choice.notes + cut)


def _stats(ended: Ended) -> dict[str, Any]:
    """LM Studio's `stats`: empty but for speculation."""
    timing = ended.timing
    if not timing.draft_tokens:
        return {"stats": {}}
    return {
        "stats": {
            "tokens_per_second": timing.tokens_per_second,
            "total_draft_tokens_count": timing.draft_tokens,
            "accepted_draft_tokens_count": timing.draft_tokens_accepted,
            "rejected_draft_tokens_count": timing.draft_tokens - timing.draft_tokens_accepted,
        }
    }


def _engine_timings(ended: Ended) -> dict[str, Any]:
    return {} if ended.timing.engine is None else {"timings": ended.timing.engine}


def _told(ended: Ended) -> dict[str, Any]:
    """roci's own field of the reply as a whole; the notes on a choice stand beside it, or in it where chunks end."""
    timing = ended.timing
    facts = {"load_time_s": timing.load_time_s, "context_length": timing.context_length}
    told = {name: value for name, value in facts.items() if value is not None}
    return {"roci": told} if told else {}

"""How `/v1/messages` answers: events of a generation -> Anthropic's stream, and a transcript -> its plain reply. Pure.

Source: Anthropic API reference, Streaming Messages, and the accumulator of the `anthropic` package 2.12.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from roci.wire.anthropic.errors import messages_error_body
from roci.wire.anthropic.replies import (
    ContentReply,
    MessageReply,
    MessagesUsage,
    OutputDetails,
    StopReason,
    TextReply,
    ThinkingReply,
    ToolUseReply,
)
from roci.wire.generation import (
    Call,
    Ended,
    Event,
    Finish,
    Note,
    Part,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallStart,
    Transcript,
)
from roci.wire.openai.chat_writer import notes_field
from roci.wire.reply_writer import Begun, Failure

_ID_DIGITS: Final = 24
_FIELDS: Final = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}
_SIGNATURE: Final = {"type": "signature_delta", "signature": ""}

_encode: Final = msgspec.json.Encoder().encode

Kind = Literal["text", "thinking", "tool_use"]


class MessagesWriter:
    """One answer in Anthropic's form; a `ReplyWriter`.

    The stream's head tells the prompt's tokens, which are known only when the prompt is computed: it is held back
    until the first piece of the answer.

    Args:
        shows_thinking: send the text of thoughts; otherwise only that there were some.
    """

    starts_early = False

    def __init__(self, *, shows_thinking: bool = True) -> None:
        self._shows_thinking = shows_thinking
        self._begun: Begun | None = None
        self._has_head = False
        self._progress = PromptProgress(0, 0, 0)
        self._blocks = 0
        self._open: Kind | None = None
        self._before_piece = b""
        self._finish: Finish | None = None
        self._notes: list[Note] = []

    def start(self, begun: Begun) -> bytes:
        self._begun = begun
        return b""

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                return self._piece("text", text)
            case ReasoningDelta(text):
                return self._piece("thinking", text if self._shows_thinking else "", is_kept=True)
            case ToolCallDelta(_, arguments):
                return self._piece("tool_use", arguments)
            case ToolCallStart(_, identifier, name):
                return self._head() + self._close() + self._call_start(identifier, name)
            case PromptProgress():
                self._progress = event
            case Finish():
                self._finish = event
            case Note():
                self._notes.append(event)
            case Ended(usage):
                return self._head() + self._close() + self._end(usage)
            case _:  # loading, a call's end, and calls that the server runs: nothing on this route
                pass
        return b""

    def fail(self, failure: Failure) -> bytes:
        return b"event: error\ndata: " + messages_error_body(failure) + b"\n\n"

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        choice = transcript.choice()
        usage = transcript.ended.usage if transcript.ended is not None else TokenUsage()
        content = [_content(part, self._shows_thinking) for part in choice.parts if part.text or part.kind == "call"]
        reply = _message(begun, content, choice.finish, _usage(usage))
        reply.roci = notes_field(choice.notes).get("roci", msgspec.UNSET)
        return _encode(reply)

    def _head(self) -> bytes:
        if self._has_head:
            return b""
        assert self._begun is not None
        self._has_head = True
        prompt = TokenUsage(prompt_tokens=self._progress.total_tokens, cached_tokens=self._progress.cached_tokens)
        usage = _usage(prompt)
        usage.output_tokens_details = msgspec.UNSET
        return _event("message_start", message=_message(self._begun, [], None, usage))

    def _piece(self, kind: Kind, text: str, *, is_kept: bool = False) -> bytes:
        """A piece of a block, which is opened if need be; an empty one opens a block only where `is_kept`."""
        if not text and (not is_kept or self._open == kind):
            return b""
        begin = b""
        if self._open != kind:
            begin = self._head() + self._close() + self._block_start(kind, {"type": kind, kind: ""})
        return begin + self._before_piece + _encode(text) + b"}}\n\n" if text else begin

    def _call_start(self, identifier: str, name: str) -> bytes:
        return self._block_start(
            "tool_use", {"type": "tool_use", "id": _tool_use_id(identifier), "name": name, "input": {}}
        )

    def _block_start(self, kind: Kind, block: dict[str, Any]) -> bytes:
        if kind == "thinking":
            block["signature"] = ""
        self._open = kind
        delta, field = _FIELDS[kind]
        # All but the text itself is the same for every piece of a block.
        self._before_piece = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
            % (self._blocks, delta, field)
        )
        return _event("content_block_start", index=self._blocks, content_block=block)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        index = self._blocks
        signature = _event("content_block_delta", index=index, delta=_SIGNATURE) if self._open == "thinking" else b""
        self._open = None
        self._blocks += 1
        return signature + _event("content_block_stop", index=index)

    def _end(self, usage: TokenUsage) -> bytes:
        delta = {"stop_reason": _stop_reason(self._finish), "stop_sequence": _stop_sequence(self._finish)}
        last = _event("message_delta", delta=delta, usage=_usage(usage), **notes_field(self._notes))
        return last + _event("message_stop")


def _event(name: str, **fields: Any) -> bytes:
    return b"event: " + name.encode("ascii") + b"\ndata: " + _encode({"type": name, **fields}) + b"\n\n"


def _message(begun: Begun, content: list[ContentReply], finish: Finish | None, usage: MessagesUsage) -> MessageReply:
    return MessageReply(
        id=f"msg_{begun.id[:_ID_DIGITS]}",
        model=begun.model,
        content=content,
        stop_reason=_stop_reason(finish) if finish is not None else None,
        stop_sequence=_stop_sequence(finish),
        usage=usage,
    )


def _stop_reason(finish: Finish | None) -> StopReason:
    if finish is None or finish.reason == "stop":
        return "stop_sequence" if _stop_sequence(finish) is not None else "end_turn"
    return "max_tokens" if finish.reason == "length" else "tool_use"


def _stop_sequence(finish: Finish | None) -> str | None:
    return finish.stop_sequence if finish is not None and finish.reason == "stop" else None


def _usage(usage: TokenUsage) -> MessagesUsage:
    return MessagesUsage(
        input_tokens=usage.prompt_tokens - usage.cached_tokens,
        cache_read_input_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputDetails(usage.reasoning_tokens),
    )


def _content(part: Part, shows_thinking: bool) -> ContentReply:
    if part.kind == "reasoning":
        return ThinkingReply(part.text if shows_thinking else "")
    if part.call is None:
        return TextReply(part.text)
    call = part.call
    if call.is_whole:
        return ToolUseReply(_tool_use_id(call.id), call.name, Raw(call.arguments.encode() or b"{}"))
    return TextReply(_cut_call(call))


def _cut_call(call: Call) -> str:
    """A call that the token limit cut, as the text that it is: it cannot be made, and nothing of it is lost."""
    return f'{{"name": {_encode(call.name).decode()}, "arguments": {call.arguments}'


def _tool_use_id(identifier: str) -> str:
    return "toolu_" + identifier.removeprefix("call_")

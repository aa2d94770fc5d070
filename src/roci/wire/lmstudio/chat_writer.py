"""The answer of `POST /api/v1/chat` as bytes: 19 kinds of events, or one JSON object.

Source: LM Studio REST reference, "Streaming events", read for 0.4.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from roci.wire.generation import (
    Call,
    Ended,
    Event,
    Finish,
    LoadEnded,
    LoadProgress,
    LoadStarted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    Transcript,
)
from roci.wire.lmstudio.chat_result import ProviderInfo, call_arguments, failed_call, native_reply
from roci.wire.lmstudio.events import error_event, frame, load_ended, load_progressed, load_started
from roci.wire.reply_writer import Begun, Failure
from roci.wire.tool_output import output_text

_encode: Final = msgspec.json.Encoder().encode
_DELTAS: Final = {
    name: f'event: {name}.delta\ndata: {{"type":"{name}.delta","content":'.encode() for name in ("message", "reasoning")
}
_DELTA_END: Final = b"}\n\n"

Group = Literal["prompt_processing", "reasoning", "message"]


class NativeChatWriter:
    """One answer. See `ReplyWriter`.

    Args:
        is_stored: whether the answer can be continued, and so has a `response_id`.
        providers: a tool's name -> where it comes from, for the tools that the server itself runs; looked at as they
            are called.
    """

    starts_early = True

    def __init__(self, *, is_stored: bool = True, providers: Mapping[str, ProviderInfo] | None = None) -> None:
        self._is_stored = is_stored
        self._providers: Mapping[str, ProviderInfo] = {} if providers is None else providers
        self._instance_id = ""
        self._response_id: str | None = None
        self._transcript = Transcript()
        self._open: Group | None = None
        self._is_prompt_told = False
        """This round's prompt_processing.end was sent."""
        self._prompt_tokens = 0
        self._reasoning_tokens = 0
        self._text_tokens = 0
        self._pieces: list[str] = []
        """The text of the open group that is not in the transcript yet."""

    def start(self, begun: Begun) -> bytes:
        self._begin(begun)
        return frame("chat.start", model_instance_id=self._instance_id)

    def feed(self, event: Event) -> bytes:
        # The many first; their text is put together once, when something else comes.
        if isinstance(event, TextDelta):
            self._text_tokens += 1
            return self._piece("message", event.text)
        if isinstance(event, ReasoningDelta):
            self._reasoning_tokens += event.tokens
            return self._piece("reasoning", event.text)
        self._gather()
        self._transcript.add(event)
        match event:
            case PromptProgress():
                return self._progress(event)
            case ToolCallStart(index):
                call = self._call(index)
                return self._switch(None) + self._tool_frame("tool_call.start", call)
            case ToolCallEnd(index):
                call = self._call(index)
                return self._tool_frame("tool_call.arguments", call, arguments=call_arguments(call) or {})
            case ToolResult(index):
                return self._result(self._call(index))
            case LoadStarted():
                return load_started(self._instance_id)
            case LoadProgress(ratio):
                return load_progressed(self._instance_id, ratio)
            case LoadEnded(load_time_s):
                return load_ended(self._instance_id, load_time_s)
            case Finish():
                closing = self._switch(None)
                self._is_prompt_told = False  # what comes next is another round
                return closing
            case Ended():
                return frame("chat.end", result=self._reply(self._transcript, self._response_id))
            case _:
                return b""

    def fail(self, failure: Failure) -> bytes:
        """The error, then `chat.end` with what had arrived; such an answer is never stored."""
        self._gather()
        counted = TokenUsage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._text_tokens + self._reasoning_tokens,
            reasoning_tokens=self._reasoning_tokens,
        )
        result = self._reply(self._transcript, None, counted)
        return error_event(failure) + frame("chat.end", result=result)

    def whole(self, begun: Begun, transcript: Transcript) -> bytes:
        self._begin(begun)
        return _encode(self._reply(transcript, self._response_id))

    def forget_id(self) -> None:
        """The answer could not be kept after all."""
        self._is_stored = False
        self._response_id = None

    def _begin(self, begun: Begun) -> None:
        self._instance_id = begun.model
        self._response_id = f"resp_{begun.id}" if self._is_stored else None

    def _reply(self, transcript: Transcript, response_id: str | None, counted: TokenUsage | None = None) -> Any:
        return native_reply(
            self._instance_id, transcript, response_id=response_id, providers=self._providers, counted=counted
        )

    def _piece(self, group: Group, text: str) -> bytes:
        if not text:
            return b""
        delta = _DELTAS[group] + _encode(text) + _DELTA_END
        if self._open != group:
            delta = self._switch(group) + delta
        self._pieces.append(text)
        return delta

    def _gather(self) -> None:
        if self._pieces:
            text = "".join(self._pieces)
            self._pieces.clear()
            self._transcript.add(TextDelta(text) if self._open == "message" else ReasoningDelta(text))

    def _switch(self, group: Group | None) -> bytes:
        """Ends what is open and starts `group`; whatever an answer begins with, its prompt was processed before."""
        self._gather()
        frames = b"" if self._open is None else self._end()
        if not self._is_prompt_told:
            frames += frame("prompt_processing.start") + frame("prompt_processing.end")
            self._is_prompt_told = True
        if group is not None:
            frames += frame(f"{group}.start")
        self._open = group
        return frames

    def _end(self) -> bytes:
        if self._open == "prompt_processing":
            self._is_prompt_told = True
        ending = frame(f"{self._open}.end")
        self._open = None
        return ending

    def _progress(self, event: PromptProgress) -> bytes:
        if self._is_prompt_told:
            return b""  # an answer has begun: this tells nothing new
        frames = b""
        if self._open != "prompt_processing":
            frames = frame("prompt_processing.start")
            self._open = "prompt_processing"
        self._prompt_tokens = event.total_tokens
        frames += frame("prompt_processing.progress", progress=event.ratio)
        return frames + self._end() if event.processed_tokens >= event.total_tokens else frames

    def _call(self, index: int) -> Call:
        return self._transcript.choice().calls[index]

    def _result(self, call: Call) -> bytes:
        if call.is_error:
            told = failed_call(call, output_text(call.output or ""), self._providers.get(call.name))
            return frame("tool_call.failure", **told)
        return self._tool_frame(
            "tool_call.success", call, arguments=call_arguments(call) or {}, output=call.output or ""
        )

    def _tool_frame(self, name: str, call: Call, **fields: Any) -> bytes:
        return frame(name, tool=call.name, **fields, provider_info=dict(self._providers.get(call.name, {})))

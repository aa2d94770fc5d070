"""A streamed chat reply: bytes -> deltas."""

from __future__ import annotations

import msgspec

from roci.errors import RociError, StreamInterruptedError
from roci.types.results import GenerationWarning, Usage
from roci.types.stream import TextStreamDelta, ToolCallDelta
from roci.wire.openai import convert
from roci.wire.openai.errors import TEXTS, TextPattern, WireError, read_error, reply_error
from roci.wire.openai.types import ChatReply, Choice, WireToolCall
from roci.wire.sse import SseDecoder

_decode = msgspec.json.Decoder(ChatReply).decode


class ChatStreamDecoder:
    """Decodes the body of a streamed `POST …/chat/completions`.

    A stream ends well only after a finish reason: a body that ends without one, `[DONE]` or not, is interrupted.
    """

    def __init__(self, *, path: str, model: str, texts: tuple[TextPattern, ...] = TEXTS) -> None:
        self.failure: RociError | None = None
        self.is_done = False
        self.model = ""
        """The model that answers, from its first chunk on."""
        self.response_id = ""
        self.warnings: tuple[GenerationWarning, ...] = ()
        self._path = path
        self._asked_model = model
        self._texts = texts
        self._sse = SseDecoder()
        self._has_finished = False
        self._calls = _CallIndexes()
        self._early: list[TextStreamDelta] = []

    def take_whole(self, body: bytes, content_type: str) -> None:
        """Take a body that came in one piece, though a stream was asked for: a plain reply, or mislabelled events.

        Raises:
            UnexpectedReplyError: it is neither.
        """
        if body.lstrip()[:1] == b"{":
            convert.decode_reply(body, content_type)
            body = b"data: " + body.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"
        elif not body.startswith((b"data:", b"event:", b":")):
            raise convert.not_decodable(body, content_type, ValueError("no events"))
        self._early = self.feed(body)

    def feed(self, data: bytes) -> list[TextStreamDelta]:
        """The deltas that `data` completes; after a failure, none."""
        deltas: list[TextStreamDelta] = []
        if self.failure is not None:
            return deltas
        try:
            for name, payload in self._sse.feed(data):
                if payload == b"[DONE]":
                    self.is_done = True
                    continue
                delta = self._delta(name, payload)
                if delta is not None:
                    deltas.append(delta)
        except RociError as failure:
            self.failure = failure
        return deltas

    def close(self) -> list[TextStreamDelta]:
        """The deltas of an event that the body's end completes. Sets `failure` where the answer did not end."""
        deltas, self._early = self._early, []
        try:
            for name, payload in self._sse.close():
                if payload == b"[DONE]":
                    self.is_done = True
                elif payload and (delta := self._delta(name, payload)):
                    deltas.append(delta)
        except RociError as cut:
            self.failure = self.failure or StreamInterruptedError(
                "The stream was cut in the middle of an event.", hint="Look at the server's log, then ask again."
            )
            self.failure.__cause__ = cut
        if not self._has_finished and self.failure is None:
            how = "said [DONE] without giving a reason" if self.is_done else "ended before the answer did"
            self.failure = StreamInterruptedError(
                f"The stream {how}.",
                hint="The server may have crashed or been stopped; what came is in .partial.",
            )
        return deltas

    def _delta(self, name: str, payload: bytes) -> TextStreamDelta | None:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if name == "error":
                raise self._server_error(payload) from error
            raise convert.not_decodable(payload, "text/event-stream", error) from error
        if name == "error" or chunk.has_error:
            raise self._server_error(payload)
        if not self.model and chunk.model:
            self.model = chunk.model
        if not self.response_id and chunk.id:
            self.response_id = chunk.id
        usage = convert.usage(chunk.usage) if chunk.usage is not None else None
        if not chunk.choices:
            return None if usage is None else TextStreamDelta(usage=usage)
        choice = chunk.choices[0]
        delta = choice.delta or choice.message
        if delta is not None and choice.finish_reason is None and not delta.tool_calls and usage is None:
            text = delta.content or ""
            reasoning = delta.reasoning_content or delta.reasoning or ""
            return TextStreamDelta(text, reasoning) if text or reasoning else None
        return self._full_delta(choice, usage)

    def _full_delta(self, choice: Choice, usage: Usage | None) -> TextStreamDelta | None:
        delta = choice.delta or choice.message
        calls = self._calls.deltas((delta and delta.tool_calls) or [])
        reason = None
        if choice.finish_reason is not None:
            self._has_finished = True
            reason, self.warnings = convert.finish_reason(choice.finish_reason, has_calls=self._calls.count > 0)
        text = (delta and (delta.content or delta.refusal)) or ""
        reasoning = (delta and (delta.reasoning_content or delta.reasoning)) or ""
        if not (text or reasoning or calls or reason or usage):
            return None
        return TextStreamDelta(text, reasoning, calls, reason, usage)

    def _server_error(self, payload: bytes) -> RociError:
        error = read_error(payload) or WireError(message=payload[:1000].decode("utf-8", "replace"))
        return reply_error(error, status=200, path=self._path, model=self._asked_model, body=payload, texts=self._texts)


class _CallIndexes:
    """Gives each streamed tool call one index, though servers leave indexes or ids out or repeat them."""

    def __init__(self) -> None:
        self.count = 0
        self._by_id: dict[str, int] = {}
        self._by_wire_index: dict[int, int] = {}
        self._last = -1

    def deltas(self, calls: list[WireToolCall]) -> tuple[ToolCallDelta, ...]:
        return tuple(self._delta(call) for call in calls)

    def _delta(self, call: WireToolCall) -> ToolCallDelta:
        name = (call.function and call.function.name) or ""
        arguments = (call.function and call.function.arguments) or ""
        index = self._index(call.id or "", name, call.index)
        return ToolCallDelta(index=index, id=call.id or "", name=name, arguments_json=arguments)

    def _index(self, call_id: str, name: str, wire_index: int | None) -> int:
        if call_id and call_id in self._by_id:
            index = self._by_id[call_id]
        elif wire_index is not None and wire_index in self._by_wire_index and not (call_id and name):
            index = self._by_wire_index[wire_index]
        elif call_id or name or self._last < 0:
            # A new id with a name is a new call, also where its index repeats an earlier one.
            index = self.count
            self.count += 1
        else:
            index = self._last
        if call_id:
            self._by_id[call_id] = index
        if wire_index is not None:
            self._by_wire_index[wire_index] = index
        self._last = index
        return index

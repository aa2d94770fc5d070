"""A streamed chat reply: bytes -> deltas."""

from __future__ import annotations

import msgspec

from roci.errors import RociError, StreamInterruptedError
from roci.types.results import GenerationWarning, Usage
from roci.types.stream import TextStreamDelta
from roci.wire.openai import convert
from roci.wire.openai.call_indexes import CallIndexes
from roci.wire.openai.errors import TEXTS, TextPattern, WireError, read_error, reply_error
from roci.wire.openai.told import ServerWords
from roci.wire.openai.types import ChatReply, Choice, Delta
from roci.wire.reasoning_tags import ReasoningSplitter
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
        self.words = ServerWords()
        """What the server tells beside the answer, in its last chunks."""
        self._path = path
        self._asked_model = model
        self._texts = texts
        self._sse = SseDecoder()
        self._has_finished = False
        self._calls = CallIndexes()
        self._tags: ReasoningSplitter | None = ReasoningSplitter()
        """Until the answer's start has shown that there are no tags in it, or all have been read."""
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
        if self._tags is not None and (held := self._split(self._tags, "", "", is_last=True)) != ("", ""):
            deltas.append(TextStreamDelta(*held))
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
            self.words.take(payload)
            return None if usage is None else TextStreamDelta(usage=usage)
        choice = chunk.choices[0]
        delta = choice.delta or choice.message
        if delta is not None and choice.finish_reason is None and not delta.tool_calls and usage is None:
            text = delta.content or ""
            reasoning = delta.reasoning_content or delta.reasoning or ""
            if text and self._tags is not None:
                text, reasoning = self._split(self._tags, text, reasoning)
            return TextStreamDelta(text, reasoning) if text or reasoning else None
        if choice.finish_reason is not None or usage is not None:
            self.words.take(payload)
        return self._full_delta(choice, delta or Delta(), usage, payload)

    def _split(self, tags: ReasoningSplitter, text: str, reasoning: str, *, is_last: bool = False) -> tuple[str, str]:
        """`text` without the thought in it, and the thought; one that `reasoning` tells as well counts once."""
        text, thought = tags.feed(text)
        if is_last:
            more, last = tags.close()
            text, thought = text + more, thought + last
        if tags.is_plain:
            self._tags = None
        return text, reasoning if thought == reasoning else reasoning + thought

    def _full_delta(self, choice: Choice, delta: Delta, usage: Usage | None, payload: bytes) -> TextStreamDelta | None:
        calls = self._calls.deltas(delta.tool_calls or [])
        reason = None
        if choice.finish_reason is not None:
            self._has_finished = True
            reason, self.warnings = convert.finish_reason(choice.finish_reason, has_calls=self._calls.count > 0)
        text = delta.content or delta.refusal or ""
        reasoning = delta.reasoning_content or delta.reasoning or ""
        if self._tags is not None:
            text, reasoning = self._split(self._tags, text, reasoning, is_last=bool(calls or reason))
        if not (text or reasoning or calls or reason or usage):
            return None
        return TextStreamDelta(text, reasoning, calls, reason, usage)

    def _server_error(self, payload: bytes) -> RociError:
        error = read_error(payload) or WireError(message=payload[:1000].decode("utf-8", "replace"))
        return reply_error(error, status=200, path=self._path, model=self._asked_model, body=payload, texts=self._texts)

"""A worker's streamed chunks -> one plain `chat.completion` reply. No I/O.

A worker is always asked for a stream, because only that can be cancelled at once; a client that wants a plain reply
gets what the stream said, put together here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from roci.wire.sse import SseDecoder

Usage = dict[str, Any]


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


class _Logprobs(Struct):
    content: list[Raw] | None = None


class _ChoicePiece(Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chunk(Struct):
    id: str | None = None
    created: int | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[_ChoicePiece] = []
    usage: Usage | None = None
    timings: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Call(Struct):
    id: str = ""
    name: str = ""
    arguments: list[str] = []

    def is_whole(self) -> bool:
        try:
            msgspec.json.decode("".join(self.arguments) or "{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return bool(self.name)

    def as_message(self) -> dict[str, Any]:
        identifier = self.id if self.id.startswith("call_") else f"call_{self.id}"
        function = {"name": self.name, "arguments": "".join(self.arguments) or "{}"}
        return {"id": identifier, "type": "function", "function": function}


class _Answer(Struct):
    """One choice while it is being put together."""

    content: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, _Call] = {}
    logprobs: list[Raw] | None = None
    finish_reason: str | None = None

    def add(self, piece: _ChoicePiece) -> None:
        delta = piece.delta
        if delta is not None:
            if delta.content:
                self.content.append(delta.content)
            if delta.reasoning_content:
                self.reasoning.append(delta.reasoning_content)
            for call in delta.tool_calls or ():
                self._add_call(call)
        if piece.logprobs is not None and piece.logprobs.content is not None:
            self.logprobs = (self.logprobs or []) + piece.logprobs.content
        if piece.finish_reason is not None:
            self.finish_reason = piece.finish_reason

    def _add_call(self, piece: _CallPiece) -> None:
        call = self.calls.setdefault(piece.index, _Call())
        if piece.id:
            call.id = piece.id
        if piece.function is not None:
            call.name = call.name or piece.function.name or ""
            if piece.function.arguments:
                call.arguments.append(piece.function.arguments)

    def as_choice(self, index: int) -> dict[str, Any]:
        calls = [call for _, call in sorted(self.calls.items())]
        if self.finish_reason == "length":
            # The limit can cut a call in two; half a call cannot be made.
            calls = [call for call in calls if call.is_whole()]
        text = "".join(self.content)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if calls:
            message["tool_calls"] = [call.as_message() for call in calls]
        logprobs = None if self.logprobs is None else {"content": self.logprobs}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish_reason}


_decoder: Final = msgspec.json.Decoder(_Chunk)


class ChatAssembler:
    """Fed a stream's bytes, however they are cut; `reply()` gives the whole."""

    def __init__(self) -> None:
        self.error: bytes | None = None
        """The event `{"error": …}`, as JSON, where the stream sent one; nothing counts after it."""
        self.is_done = False
        """The stream's terminal mark was read."""
        self._sse = SseDecoder()
        self._head = _Chunk()
        self._answers: dict[int, _Answer] = {}
        self._usages: list[Usage] = []
        self._timings: Raw | UnsetType = UNSET

    @property
    def is_whole(self) -> bool:
        """Every answer has its finish reason, and the stream its terminal mark."""
        return self.is_done and bool(self._answers) and all(a.finish_reason for a in self._answers.values())

    def feed(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            msgspec.DecodeError: a chunk is not what a chunk should be.
        """
        for _, event in self._sse.feed(data):
            if event == b"[DONE]":
                self.is_done = True
            elif not self.is_done and self.error is None:
                self._add(_decoder.decode(event), event)

    def reply(self) -> bytes:
        """The plain reply as JSON; see `is_whole`."""
        head = self._head
        reply: dict[str, Any] = {
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [answer.as_choice(index) for index, answer in sorted(self._answers.items())],
            "usage": _total(self._usages),
        }
        if head.system_fingerprint is not None:
            reply["system_fingerprint"] = head.system_fingerprint
        if self._timings is not UNSET:
            reply["timings"] = self._timings
        return msgspec.json.encode(reply)

    def _add(self, chunk: _Chunk, event: bytes) -> None:
        if chunk.error is not UNSET:
            self.error = event
            return
        if self._head.id is None:
            self._head = chunk
        for piece in chunk.choices:
            self._answers.setdefault(piece.index, _Answer()).add(piece)
        if chunk.usage is not None:
            self._usages.append(chunk.usage)
        if chunk.timings is not UNSET:
            self._timings = chunk.timings


def _total(usages: list[Usage]) -> Usage | None:
    """The usage of all answers: the engine reports each by itself, with the prompt that they share."""
    if not usages:
        return None
    total = dict(usages[-1])
    total["completion_tokens"] = sum(usage.get("completion_tokens") or 0 for usage in usages)
    total["total_tokens"] = (total.get("prompt_tokens") or 0) + total["completion_tokens"]
    return total

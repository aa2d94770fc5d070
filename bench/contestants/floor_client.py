"""The floor: httpx2 as it is, raw bytes cut at blank lines, and the one field decoded that is used."""

from __future__ import annotations

import httpx2
import msgspec

from bench.canned_server import MODEL


class _Message(msgspec.Struct):
    content: str | None = None


class _PlainChoice(msgspec.Struct):
    message: _Message


class _Plain(msgspec.Struct):
    choices: list[_PlainChoice]


class _ChunkChoice(msgspec.Struct):
    delta: _Message


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice]


_encode = msgspec.json.Encoder().encode
_plain = msgspec.json.Decoder(_Plain).decode
_chunk = msgspec.json.Decoder(_Chunk).decode
_HEADERS = {"content-type": "application/json"}


def _body(text: str, **more: object) -> bytes:
    return _encode({"model": MODEL, "messages": [{"role": "user", "content": text}], **more})


def _streamed(text: str) -> bytes:
    return _body(text, stream=True, stream_options={"include_usage": True})


def _tokens(events: list[bytes]) -> int:
    count = 0
    for event in events:
        if event == b"data: [DONE]":
            continue
        choices = _chunk(event[6:]).choices
        if choices and choices[0].delta.content:
            count += 1
    return count


class Sync:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._client = httpx2.Client()

    def call(self, text: str) -> int:
        reply = self._client.post(self._url, content=_body(text), headers=_HEADERS)
        return len(_plain(reply.content).choices[0].message.content or "")

    def stream(self, text: str) -> int:
        count, rest = 0, b""
        with self._client.stream("POST", self._url, content=_streamed(text), headers=_HEADERS) as reply:
            for piece in reply.iter_raw():
                *events, rest = (rest + piece).split(b"\n\n")
                count += _tokens(events)
        return count


class Async:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._client = httpx2.AsyncClient()

    async def call(self, text: str) -> int:
        reply = await self._client.post(self._url, content=_body(text), headers=_HEADERS)
        return len(_plain(reply.content).choices[0].message.content or "")

    async def stream(self, text: str) -> int:
        count, rest = 0, b""
        async with self._client.stream("POST", self._url, content=_streamed(text), headers=_HEADERS) as reply:
            async for piece in reply.aiter_raw():
                *events, rest = (rest + piece).split(b"\n\n")
                count += _tokens(events)
        return count

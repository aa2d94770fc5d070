"""The floor: httpx2 as it is, schemas written by hand, and msgspec decoding the fields that are used."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec

from bench.typed_answers import MODEL, QUESTION, TOOL_NAME, TOOL_QUESTION, forecast
from bench.typed_contestants.struct_city import City, Told, told
from bench.typed_contestants.tool_schema import TOOL

_LANDMARK: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "built": {"type": "integer"}},
    "required": ["name", "built"],
    "additionalProperties": False,
}
_CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "country": {"type": "string"},
        "population": {"type": "integer"},
        "landmarks": {"type": "array", "items": _LANDMARK},
    },
    "required": ["name", "country", "population", "landmarks"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "City", "schema": _CITY, "strict": True}}
_HEADERS = {"content-type": "application/json"}


class _Arguments(msgspec.Struct):
    city: str
    days: int


class _Function(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] = []


class _Choice(msgspec.Struct):
    message: _Message


class _Reply(msgspec.Struct):
    choices: list[_Choice]


_encode = msgspec.json.Encoder().encode
_reply = msgspec.json.Decoder(_Reply).decode
_city = msgspec.json.Decoder(City).decode
_arguments = msgspec.json.Decoder(_Arguments).decode


def _object_body() -> bytes:
    messages = [{"role": "user", "content": QUESTION}]
    return _encode({"model": MODEL, "messages": messages, "response_format": _FORMAT})


def _tool_body(messages: list[dict[str, Any]]) -> bytes:
    return _encode({"model": MODEL, "messages": messages, "tools": [TOOL]})


def _asked() -> list[dict[str, Any]]:
    return [{"role": "user", "content": TOOL_QUESTION}]


def _message(reply: httpx2.Response) -> _Message:
    return _reply(reply.content).choices[0].message


def _run(message: _Message) -> list[dict[str, Any]]:
    """The messages that follow an answer that calls tools."""
    following: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in message.tool_calls
            ],
        }
    ]
    for call in message.tool_calls:
        if call.function.name != TOOL_NAME:
            raise AssertionError(f"The model calls {call.function.name!r}.")
        arguments = _arguments(call.function.arguments)
        result = forecast(arguments.city, arguments.days)
        following.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return following


class Sync:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._client = httpx2.Client()

    def object(self) -> Told:
        reply = self._client.post(self._url, content=_object_body(), headers=_HEADERS)
        return told(_city(_message(reply).content or ""))

    def tools(self) -> str:
        messages = _asked()
        while True:
            answer = _message(self._client.post(self._url, content=_tool_body(messages), headers=_HEADERS))
            if not answer.tool_calls:
                return answer.content or ""
            messages += _run(answer)


class Async:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._client = httpx2.AsyncClient()

    async def object(self) -> Told:
        reply = await self._client.post(self._url, content=_object_body(), headers=_HEADERS)
        return told(_city(_message(reply).content or ""))

    async def tools(self) -> str:
        messages = _asked()
        while True:
            answer = _message(await self._client.post(self._url, content=_tool_body(messages), headers=_HEADERS))
            if not answer.tool_calls:
                return answer.content or ""
            messages += _run(answer)

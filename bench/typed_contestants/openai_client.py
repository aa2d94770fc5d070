"""The openai client: `parse` for an object, and the loop over tool calls that its guide writes by hand."""

from __future__ import annotations

import json
from typing import Any

import openai

from bench.typed_answers import MODEL, QUESTION, TOOL_NAME, TOOL_QUESTION, forecast
from bench.typed_contestants.pydantic_city import City, Told, told
from bench.typed_contestants.tool_schema import TOOL


def _asked() -> list[Any]:
    return [{"role": "user", "content": TOOL_QUESTION}]


def _run(message: Any) -> list[Any]:
    """The messages that follow an answer that calls tools."""
    following = [message]
    for call in message.tool_calls:
        if call.function.name != TOOL_NAME:
            raise AssertionError(f"The model calls {call.function.name!r}.")
        result = forecast(**json.loads(call.function.arguments))
        following.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return following


def _told(city: City | None) -> Told:
    if city is None:
        raise AssertionError("The answer was not read.")
    return told(city)


class Sync:
    def __init__(self, url: str) -> None:
        self._chat = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0).chat.completions

    def object(self) -> Told:
        reply = self._chat.parse(model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_format=City)
        return _told(reply.choices[0].message.parsed)

    def tools(self) -> str:
        messages = _asked()
        tools: Any = [TOOL]
        while True:
            answer = self._chat.create(model=MODEL, messages=messages, tools=tools).choices[0].message
            if not answer.tool_calls:
                return answer.content or ""
            messages += _run(answer)


class Async:
    def __init__(self, url: str) -> None:
        self._chat = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0).chat.completions

    async def object(self) -> Told:
        reply = await self._chat.parse(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_format=City
        )
        return _told(reply.choices[0].message.parsed)

    async def tools(self) -> str:
        messages = _asked()
        tools: Any = [TOOL]
        while True:
            answer = (await self._chat.create(model=MODEL, messages=messages, tools=tools)).choices[0].message
            if not answer.tool_calls:
                return answer.content or ""
            messages += _run(answer)

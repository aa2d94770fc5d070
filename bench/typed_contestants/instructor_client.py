"""instructor over the openai client, held to the schema by the server. It runs no tools."""

from __future__ import annotations

from typing import Any

import instructor  # pyright: ignore[reportMissingImports]
import openai

from bench.typed_answers import MODEL, QUESTION
from bench.typed_contestants.pydantic_city import City, Told, told

_MODE: Any = instructor.Mode.JSON_SCHEMA


class Sync:
    def __init__(self, url: str) -> None:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
        self._client: Any = instructor.from_openai(client, mode=_MODE)

    def object(self) -> Told:
        messages = [{"role": "user", "content": QUESTION}]
        return told(self._client.chat.completions.create(model=MODEL, messages=messages, response_model=City))


class Async:
    def __init__(self, url: str) -> None:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
        self._client: Any = instructor.from_openai(client, mode=_MODE)

    async def object(self) -> Told:
        messages = [{"role": "user", "content": QUESTION}]
        return told(await self._client.chat.completions.create(model=MODEL, messages=messages, response_model=City))

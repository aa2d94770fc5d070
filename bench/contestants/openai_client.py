"""The openai client, as its own guide uses it."""

from __future__ import annotations

import openai

from bench.canned_server import MODEL


class Sync:
    def __init__(self, url: str) -> None:
        self._chat = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0).chat.completions

    def call(self, text: str) -> int:
        reply = self._chat.create(model=MODEL, messages=[{"role": "user", "content": text}])
        return len(reply.choices[0].message.content or "")

    def stream(self, text: str) -> int:
        count = 0
        with self._chat.create(
            model=MODEL,
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    count += 1
        return count


class Async:
    def __init__(self, url: str) -> None:
        self._chat = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0).chat.completions

    async def call(self, text: str) -> int:
        reply = await self._chat.create(model=MODEL, messages=[{"role": "user", "content": text}])
        return len(reply.choices[0].message.content or "")

    async def stream(self, text: str) -> int:
        count = 0
        async with await self._chat.create(
            model=MODEL,
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    count += 1
        return count

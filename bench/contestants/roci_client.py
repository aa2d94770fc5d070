"""roci, through the functions and the provider that its users call."""

from __future__ import annotations

from bench.canned_server import MODEL
from roci import LmStudioProvider, agenerate_text, astream_text, generate_text, stream_text


class Sync:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    def call(self, text: str) -> int:
        return len(generate_text(self._model, text).text)

    def stream(self, text: str) -> int:
        count = 0
        with stream_text(self._model, text) as stream:
            for delta in stream:
                if delta.text:
                    count += 1
        return count


class Async:
    def __init__(self, url: str) -> None:
        self._model = LmStudioProvider(MODEL, base_url=url)

    async def call(self, text: str) -> int:
        return len((await agenerate_text(self._model, text)).text)

    async def stream(self, text: str) -> int:
        count = 0
        async with astream_text(self._model, text) as stream:
            async for delta in stream:
                if delta.text:
                    count += 1
        return count

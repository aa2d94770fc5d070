"""roci, with a selector string at each call instead of a provider that is kept."""

from __future__ import annotations

import os

from bench.canned_server import MODEL
from roci import agenerate_text, astream_text, generate_text, stream_text

_SELECTOR = f"lmstudio:{MODEL}"


class Sync:
    def __init__(self, url: str) -> None:
        os.environ["LMSTUDIO_BASE_URL"] = url

    def call(self, text: str) -> int:
        return len(generate_text(_SELECTOR, text).text)

    def stream(self, text: str) -> int:
        with stream_text(_SELECTOR, text) as stream:
            return sum(1 for delta in stream if delta.text)


class Async:
    def __init__(self, url: str) -> None:
        os.environ["LMSTUDIO_BASE_URL"] = url

    async def call(self, text: str) -> int:
        return len((await agenerate_text(_SELECTOR, text)).text)

    async def stream(self, text: str) -> int:
        count = 0
        async with astream_text(_SELECTOR, text) as stream:
            async for delta in stream:
                if delta.text:
                    count += 1
        return count

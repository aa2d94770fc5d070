"""One test, both ways to call: `twin.call(provider, "describe")` is `describe()`, then `await adescribe()`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import roci


class SyncTwin:
    name = "sync"

    def call(self, owner: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(owner, method)(*args, **kwargs)

    def deltas(self, owner: Any, *args: Any, after: Callable[[Any], bool] | None = None, **kwargs: Any) -> Any:
        """(deltas, stream) of `owner.stream_text`, left early where `after(delta)` is true."""
        found: list[roci.TextStreamDelta] = []
        with owner.stream_text(*args, **kwargs) as stream:
            for delta in stream:
                found.append(delta)
                if after is not None and after(delta):
                    break
        return found

    def streamed(self, owner: Any, *args: Any, **kwargs: Any) -> roci.GenerateTextResult:
        with owner.stream_text(*args, **kwargs) as stream:
            return stream.result()


class AsyncTwin:
    name = "async"

    def call(self, owner: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return await getattr(owner, "a" + method)(*args, **kwargs)

        return asyncio.run(run())

    def deltas(self, owner: Any, *args: Any, after: Callable[[Any], bool] | None = None, **kwargs: Any) -> Any:
        async def run() -> list[roci.TextStreamDelta]:
            found: list[roci.TextStreamDelta] = []
            async with owner.astream_text(*args, **kwargs) as stream:
                async for delta in stream:
                    found.append(delta)
                    if after is not None and after(delta):
                        break
            return found

        return asyncio.run(run())

    def streamed(self, owner: Any, *args: Any, **kwargs: Any) -> roci.GenerateTextResult:
        async def run() -> roci.GenerateTextResult:
            async with owner.astream_text(*args, **kwargs) as stream:
                return await stream.result()

        return asyncio.run(run())


Twin = SyncTwin | AsyncTwin

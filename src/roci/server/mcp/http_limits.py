"""The HTTP client that MCP servers are reached by: what they send is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx2

REPLY_LIMIT_BYTES: Final = 8 * 2**20
_CONNECT_S: Final = 10.0
_READ_S: Final = 300.0
"""A server may keep a stream of its own open; how long a call may take is limited elsewhere."""


def limited_client(headers: Mapping[str, str]) -> httpx2.AsyncClient:
    """A client whose replies have 8 MiB at most, streams excepted, whose events are limited by their reader."""
    return httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx2.Timeout(_CONNECT_S, read=_READ_S),
        event_hooks={"response": [_limit]},
    )


async def _limit(response: httpx2.Response) -> None:
    if response.status_code in (401, 403):
        response.raise_for_status()  # the status would not be told otherwise
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("The reply is compressed, which was not asked for.", request=response.request)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _LimitedStream(response.stream)


class _LimitedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._inner:
            size += len(piece)
            if size > REPLY_LIMIT_BYTES:
                raise httpx2.ReadError(f"The reply is larger than {REPLY_LIMIT_BYTES // 2**20} MiB.")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()

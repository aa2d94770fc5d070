"""A stream on its way to one client: its head, its pieces, its end, and the load that it may have to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar.types import Send

from roci.server.generating import OnLoad
from roci.wire.generation import Event, LoadEvent, PromptProgress
from roci.wire.reply_writer import Begun, ReplyWriter

STREAM_END: Final[Any] = {"type": "http.response.body", "body": b"", "more_body": False}
STREAM_START: Final[Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}


class Outgoing:
    """Writes what `writer` makes of events; begins with the first of them at the latest."""

    def __init__(self, send: Send, writer: ReplyWriter, begun: Begun) -> None:
        self.has_begun = False
        self._send = send
        self._writer = writer
        self._begun = begun
        self._loads: asyncio.Queue[LoadEvent | None] | None = None
        self._teller: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Sends the head, unless it was sent."""
        if not self.has_begun:
            self.has_begun = True
            await self._send(STREAM_START)
            await self.send(self._writer.start(self._begun))

    async def write(self, events: list[Event]) -> None:
        """Sends what comes of `events`, after all that is to be said of the load."""
        if self._teller is not None:
            await self._load_is_over()
        pieces = b"" if self.has_begun else self._writer.start(self._begun)
        for event in events:
            piece = self._writer.feed(event)
            if not piece and isinstance(event, PromptProgress):
                piece = b": prompt %d of %d tokens\n\n" % (event.processed_tokens, event.total_tokens)
            pieces += piece
        if not self.has_begun:
            self.has_begun = True
            await self._send(STREAM_START)
        await self.send(pieces)

    async def send(self, data: bytes) -> None:
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send(STREAM_END)

    @asynccontextmanager
    async def telling_of_the_load(self) -> AsyncIterator[OnLoad | None]:
        """What to call with the load's events, while nobody else writes; None where the writer begins after it."""
        if not self._writer.starts_early:
            yield None
            return
        self._loads = asyncio.Queue()
        self._teller = asyncio.create_task(self._tell_of_the_load(self._loads), name="load events")
        try:
            yield self._loads.put_nowait
        except asyncio.CancelledError:
            if self._teller is not None:
                self._teller.cancel()
            raise
        finally:
            await self._load_is_over()

    async def _tell_of_the_load(self, loads: asyncio.Queue[LoadEvent | None]) -> None:
        while (event := await loads.get()) is not None:
            await self.send(self._writer.feed(event))

    async def _load_is_over(self) -> None:
        if self._teller is not None and self._loads is not None:
            self._loads.put_nowait(None)
            await self._teller
            self._teller = None

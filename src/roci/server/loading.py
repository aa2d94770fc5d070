"""One explicit load for one client: awaited, or told of as it goes; given up when the client leaves."""

from __future__ import annotations

import asyncio

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import UNSET
from msgspec.structs import replace

from roci.errors import RociError
from roci.server.error_replies import failure_of
from roci.server.model_views import load_config
from roci.server.outgoing import STREAM_END, STREAM_START
from roci.server.pool.instance import Instance, InstanceState
from roci.server.pool.pool import ModelPool
from roci.server.until_gone import until_gone
from roci.server.whole_reply import send_json
from roci.wire.lmstudio.events import error_event, load_progressed, load_replied, load_started
from roci.wire.lmstudio.load_requests import LoadReply


class LoadAnswer:
    """The reply to a load, as an ASGI application: it loads when it is run."""

    def __init__(self, pool: ModelPool, instance: Instance, *, echoes_config: bool, stream: bool) -> None:
        self._pool = pool
        self._instance = instance
        self._echoes_config = echoes_config
        self._is_stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["model"] = self._instance.id or self._instance.model.key  # for the request log
        work = self._stream(send) if self._is_stream else self._reply(send)
        scope["state"]["client_left"] = not await until_gone(receive, work)

    async def _reply(self, send: Send) -> None:
        await send_json(send, msgspec.json.encode(self._told(await self._pool.load(self._instance))))

    async def _stream(self, send: Send) -> None:
        frames = _Frames(send)
        writing = asyncio.create_task(frames.write(), name="load events")
        try:
            # No await from here to the load: nobody else may take the id that is told.
            instance = replace(self._instance, id=self._pool.new_id(self._instance))
            frames.put(load_started(instance.id))
            try:
                state = await self._pool.load(instance, lambda ratio: frames.put(load_progressed(instance.id, ratio)))
                frames.put(load_replied(self._told(state)))
            except RociError as error:
                if not frames.has_begun:
                    raise
                frames.put(error_event(failure_of(error)))
            frames.put(None)
            await writing
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _told(self, state: InstanceState) -> LoadReply:
        assert state.ready is not None
        return LoadReply(
            type="llm" if state.instance.model.kind == "llm" else "embedding",
            instance_id=state.id,
            load_time_seconds=state.ready.load_time_s,
            load_config=load_config(state) if self._echoes_config else UNSET,
        )


class _Frames:
    """A stream's frames on their way to the client, who may take them slower than they come."""

    def __init__(self, send: Send) -> None:
        self.has_begun = False
        """The status is sent: an error can no longer have one of its own."""
        self._send = send
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, data: bytes | None) -> None:
        """None is the end."""
        self._waiting.put_nowait(data)

    async def write(self) -> None:
        while (data := await self._waiting.get()) is not None:
            if not self.has_begun:
                self.has_begun = True
                await self._send(STREAM_START)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await self._send(STREAM_END)

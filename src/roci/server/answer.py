"""One answer to one client: a generation's events, written in the client's dialect as they come."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

from litestar.types import Receive, Scope, Send
from msgspec.structs import replace

from roci.errors import RociError
from roci.server.error_replies import failure_of, send_failure
from roci.server.gateway import Gateway
from roci.server.generating import OnLoad, generate
from roci.server.outgoing import Outgoing
from roci.server.target import Target
from roci.server.until_gone import until_gone
from roci.server.whole_reply import send_json
from roci.wire.ask import Ask
from roci.wire.generation import Ended, Event, PromptProgress, Transcript
from roci.wire.reply_writer import Begun, ReplyWriter

SILENCE_S: Final = 1.0
"""A client of a stream that has waited so long for its first token is told how far the prompt is."""

Source: TypeAlias = Callable[[OnLoad | None], AsyncGenerator[list[Event]]]


class Answer:
    """The reply to a request for generation, as an ASGI application: it queues, asks and answers when it is run.

    All of it is one nest of blocks, so that a client who leaves at any point leaves nothing behind.
    """

    def __init__(
        self,
        gateway: Gateway,
        target: Target,
        ask: Ask,
        writer: ReplyWriter,
        *,
        stream: bool,
        source: Source | None = None,
        on_end: Callable[[Begun, Transcript], Awaitable[None]] | None = None,
    ) -> None:
        """
        Args:
            source: where the events come from instead of one plain generation.
            on_end: awaited with an answer that came to its end, before its last bytes are sent.
        """
        self._model = target.instance.id
        self._writer = writer
        self._is_stream = stream
        self._shows_progress = bool(ask.chat.return_progress)
        self._source = source or (lambda on_load: generate(gateway, target, ask, on_load=on_load))
        self._on_end = on_end
        self._begun = Begun(id=secrets.token_hex(24), created=int(time.time()), model=target.instance.id)
        self._transcript = Transcript()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["model"] = self._model  # for the request log
        work = self._stream(send) if self._is_stream else self._reply(scope["path"], send)
        scope["state"]["client_left"] = not await until_gone(receive, work)

    async def _reply(self, path: str, send: Send) -> None:
        transcript = self._transcript
        try:
            async with aclosing(self._source(transcript.add)) as batches:
                async for events in batches:
                    for event in events:
                        transcript.add(event)
        except RociError as error:
            if not transcript.choices:
                raise
            # Nothing is lost: what had arrived is in the error.
            failure = failure_of(error)
            told = replace(failure, facts=failure.facts | {"partial": transcript.as_json()})
            await send_failure(told, path, send)
            return
        if self._on_end is not None:
            await self._on_end(self._begun, transcript)
        await send_json(send, self._writer.whole(self._begun, transcript))

    async def _stream(self, send: Send) -> None:
        out = Outgoing(send, self._writer, self._begun)
        asked_at = time.monotonic()
        try:
            if self._writer.starts_early:
                await out.begin()
            async with out.telling_of_the_load() as on_load, aclosing(self._source(on_load)) as batches:
                async for events in batches:
                    if not out.has_begun and isinstance(events[-1], PromptProgress) and not self._shows_progress:
                        self._writer.feed(events[-1])  # the dialect may want to know how long the prompt is
                        if time.monotonic() - asked_at < SILENCE_S:
                            continue
                    if self._on_end is not None:
                        await self._note(events)
                    await out.write(events)
        except Exception as error:
            if not out.has_begun:
                raise
            await out.send(self._writer.fail(failure_of(error)))
        await out.end()

    async def _note(self, events: list[Event]) -> None:
        for event in events:
            self._transcript.add(event)
        if isinstance(events[-1], Ended) and self._on_end is not None:
            await self._on_end(self._begun, self._transcript)

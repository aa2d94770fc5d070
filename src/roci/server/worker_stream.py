"""One request to a worker over its Unix socket, and the reply's bytes as they come.

Not the SDK's transport: the gateway only passes bytes on, with neither time-outs nor a pool of connections, and this
is a fifth of the CPU time for each token and a seventh for each request, a millisecond of the time to the first
token. A fresh connection for each request, because the engine closes it after a stream whatever its headers say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, cast

import httptools

from roci.errors import ConnectionLostError, UnexpectedReplyError

_HELD_LIMIT_BYTES: Final = 256 * 1024
_ERROR_LIMIT_BYTES: Final = 1024 * 1024
_WHOLE_LIMIT_BYTES: Final = 256 * 2**20
_LET_GO_S: Final = 1.0


class WorkerReply(asyncio.Protocol):
    """A reply whose head is there; iterate over it for its body. Made by `ask_worker`."""

    def __init__(self, request: bytes) -> None:
        self.status = 0
        self.content_type = ""
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_complete = False
        self._failure: ConnectionLostError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._is_closed = asyncio.Event()

    async def wait_for_head(self) -> None:
        """Returns once `status` and `content_type` are known.

        Raises:
            ConnectionLostError: the worker closed the connection before.
        """
        while not self.status:
            await self._wait()

    def __aiter__(self) -> WorkerReply:
        return self

    async def __anext__(self) -> bytes:
        """What has come since the last time, waiting for it if need be.

        Raises:
            ConnectionLostError: the connection ended before the reply did.
        """
        while not self._held:
            if self._is_complete:
                raise StopAsyncIteration
            await self._wait()
        piece = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        if self._held_bytes > _HELD_LIMIT_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._held_bytes = 0
        return piece

    async def read_error(self) -> bytes:
        """The whole body of a reply that is no stream; at most a megabyte of it."""
        body = b""
        async for piece in self:
            body += piece
            if len(body) > _ERROR_LIMIT_BYTES:
                break
        return body

    async def read_whole(self) -> bytes:
        """The whole body of a good reply that is no stream.

        Raises:
            UnexpectedReplyError: it is larger than 256 MiB.
            ConnectionLostError: the connection ended before the reply did.
        """
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            pieces.append(piece)
            size += len(piece)
            if size > _WHOLE_LIMIT_BYTES:
                raise UnexpectedReplyError(f"The engine's reply is larger than {_WHOLE_LIMIT_BYTES // 2**20} MiB.")
        return b"".join(pieces)

    async def wait_until_let_go(self) -> None:
        """Returns once the worker has closed the connection and so is done with the request; a second at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LET_GO_S):
                await self._is_closed.wait()

    def close(self) -> None:
        """Closes the connection at once, by which the engine knows that nobody waits any more."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._failure = _lost(f"it does not speak HTTP: {error}")
            self.close()
        if self._held_bytes > _HELD_LIMIT_BYTES and self._transport is not None:
            self._transport.pause_reading()  # the client reads more slowly than the model writes
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_complete and self._failure is None:
            self._failure = _lost(str(exc) if exc else "it was closed")
        self._is_closed.set()
        self._wake()

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.content_type = value.decode("latin-1").partition(";")[0].strip().lower()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._held.append(body)
        self._held_bytes += len(body)

    def on_message_complete(self) -> None:
        self._is_complete = True


@contextlib.asynccontextmanager
async def ask_worker(socket_path: Path, path: str, body: bytes) -> AsyncIterator[WorkerReply]:
    """Posts JSON to a worker; the block gets the reply when its head is there, and its end closes the connection.

    Raises:
        ConnectionLostError: nobody listens, or the worker closed the connection before it answered.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reply = WorkerReply(head.encode("ascii") + body)
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: reply, str(socket_path))
    except OSError as error:
        raise _lost(error.strerror or str(error)) from error
    try:
        await reply.wait_for_head()
        yield reply
    finally:
        reply.close()


def _lost(reason: str) -> ConnectionLostError:
    return ConnectionLostError(f"The connection to the worker broke ({reason}).")

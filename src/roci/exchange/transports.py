"""The two ways to send an exchange, side by side: the sync and the async one.

Each is bound to one server, keeps its connections, and has one closer. Differences between the two are `async`,
`await`, and how a body that nobody reads any more is let go.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from typing import Any, Generic, Self, TypeVar

import httpx2

from roci.errors import RociError, UnexpectedReplyError
from roci.exchange.address import Address
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.exchange.pace import Pace, follow
from roci.types.settings import Timeouts

T = TypeVar("T")
D = TypeVar("D")

_REPLY_LIMIT_BYTES = 512 * 1024 * 1024


class SyncTransport:
    """Sends exchanges to one server; keeps its connections until `close()`."""

    def __init__(self, base_url: str, *, uds: str | None = None, keep_alive: bool = True) -> None:
        self._address = Address(base_url, uds, keep_alive)
        self._http = httpx2.HTTPTransport(**self._address.pool)
        self._closing = threading.Event()

    @property
    def is_closed(self) -> bool:
        return self._closing.is_set()

    def run(self, exchange: Exchange[T]) -> T:
        """Send each request that `exchange` yields; return what it returns."""
        with closing(exchange):
            try:
                request = next(exchange)
                while True:
                    try:
                        reply = self._send(request)
                    except RociError as failure:
                        request = exchange.throw(failure)
                    else:
                        request = exchange.send(reply)
            except StopIteration as finished:
                return finished.value

    def open(self, opening: Exchange[D]) -> OpenStream[D]:
        """Run an exchange whose last request is streamed; what it returns decodes the body that is left open."""
        held: httpx2.Response | None = None
        pace = Pace(Timeouts())
        with closing(opening):
            try:
                request = next(opening)
                while True:
                    try:
                        pace = self._pace(request)
                        response = self._begin(request, pace)
                        if request.stream and _is_event_stream(response):
                            held, body = response, b""
                        else:
                            body = self._read(response, pace)
                    except RociError as failure:
                        request = opening.throw(failure)
                    else:
                        request = opening.send(_reply(response, body))
            except StopIteration as finished:
                return OpenStream(finished.value, held, pace, self._address)
            except BaseException:
                if held is not None:
                    _body(held).close()
                raise

    def close(self) -> None:
        """Close every connection; calls in other threads break off."""
        self._closing.set()
        self._http.close()

    def _send(self, request: HttpRequest) -> HttpReply:
        pace = self._pace(request)
        response = self._begin(request, pace)
        return _reply(response, self._read(response, pace))

    def _pace(self, request: HttpRequest) -> Pace:
        """The request's pace, once its time to be sent has come."""
        if request.wait_s and self._closing.wait(request.wait_s):
            raise self._address.closed_while_waiting()
        return Pace(request.timeouts, request.since)

    def _begin(self, request: HttpRequest, pace: Pace) -> httpx2.Response:
        try:
            return self._http.handle_request(self._address.request(request, pace))
        except httpx2.TransportError as error:
            self._address.fail(error, pace)

    def _read(self, response: httpx2.Response, pace: Pace) -> bytes:
        pieces: list[bytes] = []
        size = 0
        stream = _body(response)
        follow(_network(response))
        try:
            for piece in stream:
                pieces.append(piece)
                size += len(piece)
                if size > _REPLY_LIMIT_BYTES:
                    raise _too_large(pieces)
        except httpx2.TransportError as error:
            self._address.fail(error, pace, b"".join(pieces))
        finally:
            stream.close()
        return b"".join(pieces)


class OpenStream(Generic[D]):
    """A reply's body as it comes, with what decodes it. Closing it closes the connection, unless the body has ended."""

    __slots__ = ("_address", "_body", "_response", "decoder", "pace")

    def __init__(self, decoder: D, response: httpx2.Response | None, pace: Pace, address: Address) -> None:
        self.decoder = decoder
        self.pace = pace
        self._address = address
        self._response = response
        if response is not None:
            follow(_network(response))
            self._body: Iterator[bytes] = iter(_body(response))
        else:
            self._body = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except httpx2.TransportError as error:
            self._address.fail(error, self.pace)
        finally:
            self.close()

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            _body(response).close()


class AsyncTransport:
    """Sends exchanges to one server from one event loop; keeps its connections until `aclose()`."""

    def __init__(self, base_url: str, *, uds: str | None = None, keep_alive: bool = True) -> None:
        self._address = Address(base_url, uds, keep_alive)
        self._http = httpx2.AsyncHTTPTransport(**self._address.pool)
        self.is_closed = False

    async def run(self, exchange: Exchange[T]) -> T:
        """Send each request that `exchange` yields; return what it returns."""
        with closing(exchange):
            try:
                request = next(exchange)
                while True:
                    try:
                        reply = await self._send(request)
                    except RociError as failure:
                        request = exchange.throw(failure)
                    else:
                        request = exchange.send(reply)
            except StopIteration as finished:
                return finished.value

    async def open(self, opening: Exchange[D]) -> AsyncOpenStream[D]:
        """Run an exchange whose last request is streamed; what it returns decodes the body that is left open."""
        held: httpx2.Response | None = None
        pace = Pace(Timeouts())
        with closing(opening):
            try:
                request = next(opening)
                while True:
                    try:
                        pace = await self._pace(request)
                        response = await self._begin(request, pace)
                        if request.stream and _is_event_stream(response):
                            held, body = response, b""
                        else:
                            body = await self._read(response, pace)
                    except RociError as failure:
                        request = opening.throw(failure)
                    else:
                        request = opening.send(_reply(response, body))
            except StopIteration as finished:
                return AsyncOpenStream(finished.value, held, pace, self._address)
            except BaseException:
                if held is not None:
                    await _body(held).aclose()
                raise

    async def fetch(self, request: HttpRequest) -> AsyncOpenReply:
        """Send one request and leave its reply's body on the wire, whatever the status; redirects are not followed."""
        pace = await self._pace(request)
        return AsyncOpenReply(await self._begin(request, pace), pace, self._address)

    async def aclose(self) -> None:
        """Close every connection; calls in other tasks break off."""
        self.is_closed = True
        await self._http.aclose()

    async def _send(self, request: HttpRequest) -> HttpReply:
        pace = await self._pace(request)
        response = await self._begin(request, pace)
        return _reply(response, await self._read(response, pace))

    async def _pace(self, request: HttpRequest) -> Pace:
        """The request's pace, once its time to be sent has come."""
        if request.wait_s:
            from asyncio import sleep  # slow to import; whoever gets here has it

            await sleep(request.wait_s)
            if self.is_closed:
                raise self._address.closed_while_waiting()
        return Pace(request.timeouts, request.since)

    async def _begin(self, request: HttpRequest, pace: Pace) -> httpx2.Response:
        try:
            return await self._http.handle_async_request(self._address.request(request, pace))
        except httpx2.TransportError as error:
            self._address.fail(error, pace)

    async def _read(self, response: httpx2.Response, pace: Pace) -> bytes:
        pieces: list[bytes] = []
        size = 0
        stream = _body(response)
        follow(_network(response))
        try:
            async for piece in stream:
                pieces.append(piece)
                size += len(piece)
                if size > _REPLY_LIMIT_BYTES:
                    raise _too_large(pieces)
        except httpx2.TransportError as error:
            self._address.fail(error, pace, b"".join(pieces))
        finally:
            await stream.aclose()
        return b"".join(pieces)


class AsyncOpenStream(Generic[D]):
    """A reply's body as it comes, with what decodes it. Closing it closes the connection, unless the body has ended."""

    __slots__ = ("_address", "_body", "_response", "decoder", "pace")

    def __init__(self, decoder: D, response: httpx2.Response | None, pace: Pace, address: Address) -> None:
        self.decoder = decoder
        self.pace = pace
        self._address = address
        self._response = response
        if response is not None:
            follow(_network(response))
            self._body: AsyncIterator[bytes] | None = aiter(_body(response))
        else:
            self._body = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body is None:
            return
        try:
            async for piece in self._body:
                yield piece
        except httpx2.TransportError as error:
            self._address.fail(error, self.pace)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await _body(response).aclose()


class AsyncOpenReply:
    """A reply of any size as it comes. Every piece counts as progress, so that only a body that stands still times out.

    Closing it closes the connection, unless the body has ended.
    """

    __slots__ = ("_stream", "headers", "status")

    def __init__(self, response: httpx2.Response, pace: Pace, address: Address) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """Names in any letter case."""
        self._stream = AsyncOpenStream(None, response, pace, address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._stream.pace.note_piece()
            yield piece


def _body(response: httpx2.Response) -> Any:
    """The body as the transport gives it: an iterator with a closer, sync or async as the transport is."""
    return response.stream


def _network(response: httpx2.Response) -> Any:
    """What the body is read from."""
    return response.extensions["network_stream"]


def _is_event_stream(response: httpx2.Response) -> bool:
    if response.status_code >= 300:
        return False
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


def _reply(response: httpx2.Response, body: bytes = b"") -> HttpReply:
    return HttpReply(status=response.status_code, headers=response.headers, body=body)


def _too_large(pieces: list[bytes]) -> RociError:
    return UnexpectedReplyError(
        f"The reply is larger than {_REPLY_LIMIT_BYTES // 2**20} MiB.",
        body=pieces[0][:10_000].decode("utf-8", "replace"),
    )

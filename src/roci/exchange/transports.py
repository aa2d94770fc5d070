"""The two ways to send an exchange, side by side: the sync and the async one. The only importer of httpx2.

Each is bound to one server, keeps its connections, and has one closer. Differences between the two are `async`,
`await`, and how a body that nobody reads any more is let go.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from time import monotonic
from typing import Any, Generic, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

import httpx2

from roci.errors import ConnectionLostError, RociError, ServerUnreachableError, TimedOutError, UnexpectedReplyError
from roci.exchange.exchange import Exchange, HttpReply, HttpRequest
from roci.types.settings import Timeouts

T = TypeVar("T")
D = TypeVar("D")

_REPLY_LIMIT_BYTES = 512 * 1024 * 1024
# LM Studio and uvicorn close idle connections after 5 s; one of ours must never be older than that when it is reused.
_IDLE_CONNECTION_S = 4.0
_LINGER_S = 1.0
_FOR_EVER_S = 10.0**8
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Pace:
    """How long the next read of a stream may take: the first token's limit, then the gap's, inside the total's."""

    __slots__ = ("_deadline", "_first_deadline", "_gap_s", "_last_piece", "_started", "is_ending", "timeouts")

    def __init__(self, timeouts: Timeouts, since: float | None = None) -> None:
        self.timeouts = timeouts
        self._last_piece: float | None = None
        self.is_ending = False
        """Set by the reader when the terminal mark is there, and only the connection's end is awaited."""
        self._started = monotonic() if since is None else since
        self._gap_s = timeouts.gap_s
        self._first_deadline = None if timeouts.first_token_s is None else self._started + timeouts.first_token_s
        self._deadline = None if timeouts.total_s is None else self._started + timeouts.total_s

    def note_piece(self) -> None:
        """A piece of the answer is there. What keeps a connection alive without being one does not count."""
        self._last_piece = monotonic()

    def limit_s(self) -> float | None:
        if self.is_ending:
            return _LINGER_S
        if self._last_piece is None:
            limit = None if self._first_deadline is None else self._first_deadline - monotonic()
        else:
            limit = None if self._gap_s is None else self._last_piece + self._gap_s - monotonic()
        if self._deadline is not None:
            left = self._deadline - monotonic()
            limit = left if limit is None else min(limit, left)
        return limit if limit is None or limit > 0 else 0.001

    def timed_out(self) -> TimedOutError:
        """The error for a read that ran out of time, naming the phase and the setting that governs it."""
        waited_s = monotonic() - self._started
        limits = self.timeouts
        if self._deadline is not None and monotonic() >= self._deadline - 0.002:
            phase, words = "total", f"The call took longer than its limit of {limits.total_s:g} s."
        elif self._last_piece is None:
            phase, words = "first_token", f"Nothing of the answer came within {limits.first_token_s:g} s."
        else:
            phase, words = "gap", f"The answer stood still for {limits.gap_s:g} s."
        return TimedOutError(
            words,
            phase=phase,
            waited_s=waited_s,
            hint=f"Allow more with Timeouts({phase}_s=…) or ROCI_TIMEOUT_{phase.upper()}_S; None waits for ever.",
        )


class _Address:
    """What both transports know of their server."""

    def __init__(self, base_url: str, uds: str | None, keep_alive: bool) -> None:
        self.base_url = base_url
        self.uds = uds
        self._urls: dict[str, httpx2.URL] = {}
        parts = urlsplit(base_url)
        self.pool: dict[str, Any] = {
            # A bare context spares reading the certificate store where no TLS will be spoken.
            "verify": True if parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            "limits": httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=32 if keep_alive else 0,
                keepalive_expiry=_IDLE_CONNECTION_S,
            ),
            "uds": uds,
            "proxy": None if uds else _proxy(parts.scheme, parts.hostname or ""),
        }

    def request(self, request: HttpRequest, pace: Pace) -> httpx2.Request:
        url = self._urls.get(request.path)
        if url is None:
            if len(self._urls) > 256:
                self._urls.clear()
            url = self._urls[request.path] = httpx2.URL(self.base_url + request.path)
        limits = request.timeouts
        paced = _PacedLimit(pace.limit_s() or _FOR_EVER_S)
        paced.pace = pace
        timeout = {
            "connect": limits.connect_s,
            "read": paced,
            "write": limits.first_token_s,
            "pool": limits.connect_s,
        }
        headers = {"accept-encoding": "identity", "user-agent": "roci", **request.headers}
        if request.body is not None:
            headers["content-type"] = "application/json"
        return httpx2.Request(
            request.method, url, headers=headers, content=request.body, extensions={"timeout": timeout}
        )

    def fail(self, error: httpx2.TransportError, pace: Pace, body: bytes = b"") -> NoReturn:
        """Raise what a failed read or connect means for the caller."""
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            raise pace.timed_out() from error
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            reason = str(error) or "no answer to the connection attempt"
            if isinstance(error, httpx2.ConnectTimeout):
                reason = f"no connection within {pace.timeouts.connect_s:g} s"
            raise ServerUnreachableError(
                f"Nothing answers at {self.base_url} ({reason}).",
                base_url=self.base_url,
                hint=_unreachable_hint(self.base_url),
            ) from error
        reason = str(error) or type(error).__name__
        raise ConnectionLostError(
            f"The connection to {self.base_url} broke before the reply was whole ({reason}).",
            body=body[:10_000].decode("utf-8", "replace"),
            hint="The server may have crashed or been stopped: look at its log, then ask again.",
        ) from error


class SyncTransport:
    """Sends exchanges to one server; keeps its connections until `close()`."""

    def __init__(self, base_url: str, *, uds: str | None = None, keep_alive: bool = True) -> None:
        self._address = _Address(base_url, uds, keep_alive)
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
            raise _closed_while_waiting(self._address)
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
        _follow(response)
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

    def __init__(self, decoder: D, response: httpx2.Response | None, pace: Pace, address: _Address) -> None:
        self.decoder = decoder
        self.pace = pace
        self._address = address
        self._response = response
        if response is not None:
            _follow(response)
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
        self._address = _Address(base_url, uds, keep_alive)
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
                raise _closed_while_waiting(self._address)
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
        _follow(response)
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

    def __init__(self, decoder: D, response: httpx2.Response | None, pace: Pace, address: _Address) -> None:
        self.decoder = decoder
        self.pace = pace
        self._address = address
        self._response = response
        if response is not None:
            _follow(response)
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

    def __init__(self, response: httpx2.Response, pace: Pace, address: _Address) -> None:
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


class _PacedLimit(float):
    """A read's time-out that knows the call it belongs to; its plain value is the limit when the call began."""

    pace: Pace


def _follow(response: httpx2.Response) -> None:
    """Let each read of a reply take as long as its call's `Pace` says at that moment.

    httpcore fixes a body's read time-out when the body begins, but the limit changes when the first token comes.
    It hands the very object that a request gave as its time-out to each read, so that a read that finds a pace on
    it can ask. The reply's network stream is public; its `read` is replaced once in the connection's life.
    """
    network: Any = response.extensions["network_stream"]
    if "read" in vars(network):
        return
    inner = network.read

    def read(max_bytes: int, timeout: float | None = None) -> Any:
        return inner(max_bytes, timeout=timeout.pace.limit_s() if isinstance(timeout, _PacedLimit) else timeout)

    network.read = read


def _body(response: httpx2.Response) -> Any:
    """The body as the transport gives it: an iterator with a closer, sync or async as the transport is."""
    return response.stream


def _is_event_stream(response: httpx2.Response) -> bool:
    if response.status_code >= 300:
        return False
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


def _reply(response: httpx2.Response, body: bytes = b"") -> HttpReply:
    return HttpReply(status=response.status_code, headers=response.headers, body=body)


def _closed_while_waiting(address: _Address) -> RociError:
    return ConnectionLostError(f"The connections to {address.base_url} were closed before the next attempt.")


def _too_large(pieces: list[bytes]) -> RociError:
    return UnexpectedReplyError(
        f"The reply is larger than {_REPLY_LIMIT_BYTES // 2**20} MiB.",
        body=pieces[0][:10_000].decode("utf-8", "replace"),
    )


def _proxy(scheme: str, host: str) -> str | None:
    """The environment's proxy for this host; none for loopback, where a proxy could only lead astray."""
    if host in _LOOPBACK or host.startswith("127."):
        return None
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies: Mapping[str, str] = getproxies()
    if proxy_bypass(host):
        return None
    return proxies.get(scheme) or proxies.get("all")


def _unreachable_hint(base_url: str) -> str:
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (
        "Check these four:\n"
        "  1. The program is running: LM Studio, or `roci serve`.\n"
        "  2. Its server is started: in LM Studio under Developer, or with `lms server start`.\n"
        f"  3. Nothing blocks port {port}: a firewall, a container or a VM in between.\n"
        f"  4. {base_url} is the right address: LMSTUDIO_BASE_URL or base_url=… sets another."
    )

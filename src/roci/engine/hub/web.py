"""Requests to whichever server an address names, with redirects followed by rules of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import msgspec

from roci.engine.hub.endpoint import origin
from roci.errors import DownloadError, UnexpectedReplyError
from roci.exchange.exchange import HttpReply, HttpRequest
from roci.exchange.transports import AsyncOpenReply, AsyncTransport
from roci.types.settings import Timeouts

HOPS_LIMIT: Final = 10
ADDRESS_LIMIT: Final = 16_384
REDIRECTS: Final = (301, 302, 303, 307, 308)
JSON_LIMIT_BYTES: Final = 32 * 2**20
SECRET_HEADERS: Final = ("authorization",)


class Hop(msgspec.Struct, frozen=True):
    """Where the next request goes, and with what."""

    url: str
    headers: Mapping[str, str]


def next_hop(hop: Hop, location: str) -> Hop:
    """Where a redirect leads. What is secret is left behind when the server changes.

    Raises:
        DownloadError: it leads to something else than the web, or from an encrypted connection to a plain one.
    """
    url = urljoin(hop.url, location)
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}"
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > ADDRESS_LIMIT:
        raise DownloadError(f"{host_of(hop.url)} redirects to {shown}, which is not a web address.")
    if parts.scheme == "http" and urlsplit(hop.url).scheme == "https":
        raise DownloadError(f"{host_of(hop.url)} redirects to {shown}, which is not encrypted.")
    if parts.username is not None or parts.password is not None:
        raise DownloadError(f"{host_of(hop.url)} redirects to an address with a password in it.")
    headers = hop.headers
    if origin(url) != origin(hop.url):
        headers = {name: value for name, value in headers.items() if name.lower() not in SECRET_HEADERS}
    return Hop(url, headers)


def host_of(url: str) -> str:
    """Scheme, host and port of `url`: what may be shown of an address that can hold secrets."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


class Web:
    """Keeps one transport for each server it is sent to; closes them all. For one event loop."""

    def __init__(self) -> None:
        self._transports: dict[str, AsyncTransport] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    @asynccontextmanager
    async def open(self, url: str, headers: Mapping[str, str], timeouts: Timeouts) -> AsyncIterator[AsyncOpenReply]:
        """The reply to a GET of `url` that is no redirect; its body is still on the wire.

        Raises:
            TransportError: no reply came.
            DownloadError: a redirect that must not be followed, or too many.
        """
        hop = Hop(url, headers)
        for _ in range(HOPS_LIMIT):
            async with await self._send(hop, timeouts) as reply:
                location = reply.headers.get("location")
                if reply.status not in REDIRECTS or not location:
                    yield reply
                    return
            hop = next_hop(hop, location)
        raise DownloadError(f"{host_of(url)} redirects more than {HOPS_LIMIT} times.")

    async def read(self, url: str, headers: Mapping[str, str], timeouts: Timeouts) -> HttpReply:
        """The whole reply to a GET of `url`. Raises as `open`.

        Raises:
            UnexpectedReplyError: it is larger than 32 MiB.
        """
        async with self.open(url, headers, timeouts) as reply:
            pieces: list[bytes] = []
            size = 0
            async for piece in reply:
                pieces.append(piece)
                size += len(piece)
                if size > JSON_LIMIT_BYTES:
                    raise UnexpectedReplyError(f"The reply of {host_of(url)} is larger than {JSON_LIMIT_BYTES} bytes.")
            names = ("content-type", "retry-after", "x-error-code", "x-error-message")
            kept = {name: value for name in names if (value := reply.headers.get(name)) is not None}
            return HttpReply(status=reply.status, headers=kept, body=b"".join(pieces))

    async def _send(self, hop: Hop, timeouts: Timeouts) -> AsyncOpenReply:
        server = host_of(hop.url)
        transport = self._transports.get(server)
        if transport is None:
            transport = self._transports[server] = AsyncTransport(server)
        parts = urlsplit(hop.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return await transport.fetch(HttpRequest(path=path, headers=hop.headers, timeouts=timeouts))

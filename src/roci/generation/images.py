"""Images from the web, fetched on this side, for servers that fetch none."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

from roci.errors import ReplyError, UsageError
from roci.exchange.exchange import Exchange, HttpRequest
from roci.exchange.transports import AsyncTransport, SyncTransport
from roci.types.images import is_address
from roci.types.messages import ImagePart
from roci.types.settings import Timeouts

_HOPS_LIMIT: Final = 5
_TIMEOUTS: Final = Timeouts(connect_s=10.0, first_token_s=30.0, gap_s=30.0, total_s=60.0)


def fetch_image(url: str, *, timeouts: Timeouts | None = None) -> ImagePart:
    """The image at an `http` or `https` address, fetched now and carried as a data URI from then on.

    The address is asked as it stands, also one of this network, and so are up to five that it sends on to: take no
    address from people that you do not trust. No token is sent.

    Args:
        timeouts: of each request. None: 10 s to connect, 60 s in all.

    Raises:
        UsageError: no such address, or what came is no image or larger than 32 MiB.
        TransportError, ReplyError: it could not be fetched.
    """
    for _ in range(_HOPS_LIMIT + 1):
        origin, path = _origin_and_path(url)
        transport = SyncTransport(origin, keep_alive=False)
        try:
            came = transport.run(_fetching(path, timeouts))
        finally:
            transport.close()
        if isinstance(came, bytes):
            return ImagePart.from_bytes(came)
        url = urljoin(url, came)
    raise _too_many_hops(url)


async def afetch_image(url: str, *, timeouts: Timeouts | None = None) -> ImagePart:
    """The image at an `http` or `https` address, fetched now and carried as a data URI from then on.

    The address is asked as it stands, also one of this network, and so are up to five that it sends on to: take no
    address from people that you do not trust. No token is sent.

    Args:
        timeouts: of each request. None: 10 s to connect, 60 s in all.

    Raises:
        UsageError: no such address, or what came is no image or larger than 32 MiB.
        TransportError, ReplyError: it could not be fetched.
    """
    for _ in range(_HOPS_LIMIT + 1):
        origin, path = _origin_and_path(url)
        transport = AsyncTransport(origin, keep_alive=False)
        try:
            came = await transport.run(_fetching(path, timeouts))
        finally:
            await transport.aclose()
        if isinstance(came, bytes):
            from asyncio import to_thread

            return await to_thread(ImagePart.from_bytes, came)
        url = urljoin(url, came)
    raise _too_many_hops(url)


def _origin_and_path(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if not is_address(url) or parts.hostname is None:
        raise UsageError(f"{url[:60]!r} is no address of an image: it takes http://… or https://….", field="url")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _fetching(path: str, timeouts: Timeouts | None) -> Exchange[bytes | str]:
    """The image's bytes, or the address that the server sends on to."""
    reply = yield HttpRequest(path=path, timeouts=timeouts or _TIMEOUTS)
    location = reply.headers.get("location")
    if 300 <= reply.status < 400 and location:
        return location
    if not 200 <= reply.status < 300:
        raise ReplyError(f"The image cannot be had: status {reply.status}.", status=reply.status)
    return reply.body


def _too_many_hops(url: str) -> UsageError:
    return UsageError(
        f"The image's address sends on more than {_HOPS_LIMIT} times, lastly to {url[:80]!r}.", field="url"
    )

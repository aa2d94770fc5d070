"""Who may speak to the gateway: programs on this machine, and no web page of another site. An ASGI wrapper.

Without these checks any page could talk to a server on loopback: by a name that is made to resolve to it (Host), or
by a form or script that posts across sites (Origin).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from roci.server.error_replies import ErrorReply, error_body, send_reply
from roci.server.settings import is_loopback

_SAFE_METHODS: Final = ("GET", "HEAD")


class AccessGuard:
    """Lets through what `refusal` has nothing against."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = refusal(scope)
            if refused is not None:
                await send_reply(refused, send)
                return
        await self._app(scope, receive, send)


def refusal(scope: HTTPScope) -> ErrorReply | None:
    """Why a request may not go on; None where it may."""
    host = origin = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
    if host is not None and not is_own_host(host):
        message = f"The Host header is {host!r}; this server answers to localhost and 127.0.0.1 only."
        return ErrorReply(421, error_body(message, "invalid_request_error", code="host_not_allowed"))
    if origin is not None and scope["method"] not in _SAFE_METHODS and not is_own_origin(origin):
        message = f"Requests from web pages of {origin!r} are not allowed."
        return ErrorReply(403, error_body(message, "invalid_request_error", code="origin_not_allowed"))
    return None


@lru_cache(maxsize=64)
def is_own_host(host: str) -> bool:
    """Whether a Host header names this machine by its loopback; any port."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.port != -1 and is_loopback(parts.hostname or "") and not parts.username and not parts.path
    except ValueError:
        return False


def is_own_origin(origin: str) -> bool:
    """Whether an Origin header belongs to a page that this machine serves itself."""
    scheme, separator, host = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and is_own_host(host)

"""Who may speak to the gateway, as an ASGI wrapper: by Host, by Origin, by token. What is refused is not run.

Without these checks any web page could talk to a server on loopback: by a name that is made to resolve to it (Host), or
by a form or script that posts across sites (Origin).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from roci.server.error_replies import send_failure
from roci.server.settings import ServerSettings, is_loopback
from roci.server.state.tokens import FORM, TokenKeeper
from roci.server.web_origins import Headers, allow_headers, allows, preflight_headers
from roci.wire.reply_writer import Failure

LACKS_TOKEN: Final = "lacks_token"  # noqa: S105 - a key of the request's state
"""In a request's state where it came without the token that it should have; only open paths see such requests."""
OPEN_PATHS: Final = ("/lmstudio-greeting", "/health", "/docs", "/openapi.json")
"""What everybody may GET: so a client can tell a server that wants a token from one that is not there, and a person can
read what there is. None of it tells of models or conversations."""

_SAFE_METHODS: Final = ("GET", "HEAD")
_ASKS_METHOD: Final = b"access-control-request-method"
_ASKS_HEADERS: Final = b"access-control-request-headers"
_ASKS_PRIVATE_NETWORK: Final = b"access-control-request-private-network"
_READ: Final = frozenset(
    (b"host", b"origin", b"authorization", b"x-api-key", _ASKS_METHOD, _ASKS_HEADERS, _ASKS_PRIVATE_NETWORK)
)
_VARY: Final[Headers] = [(b"vary", b"Origin")]
_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class AccessGuard:
    """Lets through what nothing speaks against."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, home: Path) -> None:
        self._app = app
        self._cors = settings.cors
        self._names = frozenset(name.lower() for name in (settings.host, *settings.allowed_hosts))
        # A page needs a name to be made to resolve to us; an address as Host is always what it says.
        self._takes_addresses = settings.host in _EVERY_ADDRESS
        self._keeper = TokenKeeper(home) if settings.require_token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            found = {name: value for name, value in scope["headers"] if name in _READ}
            if self._refused_by_names(found, "POST") is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = {name: value for name, value in scope["headers"] if name in _READ}
        if self._cors is not False:
            if scope["method"] == "OPTIONS" and _ASKS_METHOD in found and b"origin" in found:
                await self._answer_preflight(scope, found, send)
                return
            origin = found.get(b"origin")
            is_allowed = origin is not None and allows(self._cors, _text(origin).lower())
            send = _with_headers(send, allow_headers(_text(origin)) if origin and is_allowed else _VARY)
        refused = self._refused_by_names(found, scope["method"]) or self._refused_by_token(found, scope)
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await send_failure(refused, scope["path"], send)

    async def _answer_preflight(self, scope: HTTPScope, found: Mapping[bytes, bytes], send: Send) -> None:
        origin = _text(found[b"origin"])
        refused = self._refused_by_host(found)
        if refused is None and not allows(self._cors, origin.lower()):
            refused = _foreign_origin(origin, "the setting cors does not list it")
        if refused is not None:
            await send_failure(refused, scope["path"], _with_headers(send, _VARY))
            return
        private = found.get(_ASKS_PRIVATE_NETWORK, b"").lower() == b"true"
        headers = preflight_headers(origin, found.get(_ASKS_HEADERS), is_private_network=private)
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _refused_by_names(self, found: Mapping[bytes, bytes], method: str) -> Failure | None:
        refused = self._refused_by_host(found)
        origin = found.get(b"origin")
        if refused is not None or origin is None or method in _SAFE_METHODS:
            return refused
        text = _text(origin).lower()
        if allows(self._cors, text) or is_own_origin(text, _text(found.get(b"host", b""))):
            return None
        return _foreign_origin(text, "the setting cors is off" if self._cors is False else "cors does not list it")

    def _refused_by_host(self, found: Mapping[bytes, bytes]) -> Failure | None:
        host = found.get(b"host")
        if host is None or is_own_host(_text(host), self._names, takes_addresses=self._takes_addresses):
            return None
        message = f"The Host header is {_text(host)!r}, which this server does not answer to; list it in allowed_hosts."
        return Failure(status=421, message=message, code="host_not_allowed")

    def _refused_by_token(self, found: Mapping[bytes, bytes], scope: HTTPScope) -> Failure | None:
        if self._keeper is None:
            return None
        fault = token_fault(found.get(b"authorization"), found.get(b"x-api-key"), self._keeper.knows)
        if fault is None:
            return None
        if scope["method"] == "GET" and scope["path"] in OPEN_PATHS:
            scope.setdefault("state", {})[LACKS_TOKEN] = True
            return None
        return fault


def token_fault(authorization: bytes | None, api_key: bytes | None, knows: Callable[[bytes], bool]) -> Failure | None:
    """Why a request's token does not let it in; None where it does. What was sent is never repeated."""
    given: list[bytes] = []
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(b" ")
        given.append(token.strip() if scheme.lower() == b"bearer" else b"")
    if api_key is not None:
        given.append(api_key.strip())
    if any(knows(token) for token in given):
        return None
    if not given:
        how = 'Bearer realm="roci"'
        message = (
            "This server wants an API token, by the Bearer scheme: `Authorization: Bearer TOKEN`. Who runs the server "
            "makes one with `roci tokens create NAME`."
        )
    elif not any(FORM.fullmatch(token) for token in given):
        how = 'Bearer error="invalid_token"'
        message = (
            "The API token is malformed. It is sent as `Authorization: Bearer sk-lm-XXXXXXXX:XXXXXXXXXXXXXXXXXXXX`, or "
            "without Bearer as x-api-key."
        )
    else:
        how = 'Bearer error="invalid_token"'
        message = "The API token is not known to this server. It may have been removed, or be another server's."
    return Failure(status=401, message=message, code="invalid_api_key", headers={"www-authenticate": how})


@lru_cache(maxsize=256)
def is_own_host(host: str, names: frozenset[str] = frozenset(), *, takes_addresses: bool = False) -> bool:
    """Whether a Host header names this server: by its loopback, or by one of `names`; any port.

    Args:
        takes_addresses: whether any address of a machine does too.
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where there is no number
    except ValueError:
        return False
    name = parts.hostname or ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return False
    return is_loopback(name) or name in names or (takes_addresses and _is_address(name))


def is_own_origin(origin: str, host: str = "") -> bool:
    """Whether an Origin header belongs to a page of this machine, or to one that came from this server.

    Args:
        host: the request's Host header, which has been found to be our own.
    """
    scheme, separator, authority = origin.partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    return is_own_host(authority) or (bool(host) and authority == host.lower())


def _foreign_origin(origin: str, reason: str) -> Failure:
    message = f"Requests from web pages of {origin!r} are not allowed: {reason}."
    return Failure(status=403, message=message, code="origin_not_allowed")


def _with_headers(send: Send, more: Headers) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return send_with_headers


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _text(header: bytes) -> str:
    return header.decode("latin-1")

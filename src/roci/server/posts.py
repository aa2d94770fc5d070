"""The routes that are asked by POST. They go past the framework, for the time that it takes: docs/decisions/0009.

None of them has a parameter in its path, or reads more of a request than its body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from msgspec import Struct

from roci.errors import BadRequestError
from roci.server.error_replies import failure_of, send_failure
from roci.server.gateway import Gateway

_LENGTH: Final = b"content-length"

PostHandler = Callable[[Gateway, bytes], Awaitable[ASGIApp]]
"""Refuses what can be refused at once; what it returns answers. A client that leaves is noticed only there."""


class PostRoute(Struct, frozen=True):
    """A path, and who answers what is posted there; made by `post`."""

    path: str
    handler: PostHandler

    # As the framework's own handlers name them.

    @property
    def paths(self) -> set[str]:
        return {self.path}

    @property
    def http_methods(self) -> set[str]:
        return {"POST"}


def post(path: str) -> Callable[[PostHandler], PostRoute]:
    """Makes a route of a handler."""
    return lambda handler: PostRoute(path, handler)


class Posts:
    """An ASGI application: answers the routes it knows, and leaves everything else to `app`."""

    def __init__(self, app: ASGIApp, gateway: Gateway, routes: Iterable[PostRoute], *, limit_bytes: int) -> None:
        self._app = app
        self._gateway = gateway
        self._handlers = {route.path: route.handler for route in routes}
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (handler := self._handler(scope)) is None:
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def note_start(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            body = await self._body(scope, receive)
            if body is None:
                scope["state"]["client_left"] = True
                return
            answer = await handler(self._gateway, body)
            await answer(scope, receive, note_start)
        except Exception as error:
            if has_begun:
                raise  # the server logs it and cuts the connection, so that nobody takes the rest for whole
            await send_failure(failure_of(error), scope["path"], send)

    def _handler(self, scope: HTTPScope) -> PostHandler | None:
        if scope["method"] != "POST":
            return None
        handler = self._handlers.get(scope["path"])
        if handler is None:
            # As the framework does for the other routes: a base URL that ends with a slash is a common slip.
            scope["path"] = normalize_path(scope["path"])
            handler = self._handlers.get(scope["path"])
        return handler

    async def _body(self, scope: HTTPScope, receive: Receive) -> bytes | None:
        """The request's body; None where the client left before its end.

        Raises:
            BadRequestError: it is longer than the server takes.
        """
        for name, value in scope["headers"]:
            if name == _LENGTH and int(value) > self._limit_bytes:
                raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            piece = message["body"]
            size += len(piece)
            if size > self._limit_bytes:
                raise self._too_large()
            pieces.append(piece)
            if not message["more_body"]:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self) -> BadRequestError:
        return BadRequestError(
            f"The request is larger than {self._limit_bytes // 1_000_000} MB, which is all that this server takes.",
            status=413,
            code="body_too_large",
            hint="Who runs the server raises it with the setting max_body_mb.",
        )

"""A reply that is one JSON document and takes a model's work: given up as soon as the client leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from roci.server.target import Target
from roci.server.until_gone import until_gone


class WholeReply:
    """An ASGI application that sends what `work` returns, as JSON; bytes are JSON already."""

    def __init__(self, target: Target, work: Callable[[], Awaitable[Any]]) -> None:
        self._model = target.instance.id
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["model"] = self._model  # for the request log
        scope["state"]["client_left"] = not await until_gone(receive, self._reply(send))

    async def _reply(self, send: Send) -> None:
        told = await self._work()
        body = told if isinstance(told, bytes) else msgspec.json.encode(told)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

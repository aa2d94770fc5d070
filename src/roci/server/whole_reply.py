"""A reply that is one JSON document and takes a model's work: given up as soon as the client leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from roci.server.until_gone import until_gone


class WholeReply:
    """An ASGI application that sends what `work` returns, as JSON; bytes are JSON already.

    Args:
        model: the instance that is asked, for the request log.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], *, model: str = "-") -> None:
        self._work = work
        self._model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["model"] = self._model
        scope["state"]["client_left"] = not await until_gone(receive, self._reply(send))

    async def _reply(self, send: Send) -> None:
        told = await self._work()
        await send_json(send, told if isinstance(told, bytes) else msgspec.json.encode(told))


async def send_json(send: Send, body: bytes) -> None:
    """Answers 200 with `body`, which is JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

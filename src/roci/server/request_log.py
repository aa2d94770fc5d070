"""One line for each request. Never what was asked or answered, nor a header: secrets travel there."""

from __future__ import annotations

import logging
from time import monotonic

from litestar.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)


class RequestLog:
    """Logs method, path, model, status and duration when a request is over; outermost, so that it sees them all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = monotonic()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope.setdefault("state", {})
        try:
            await self._app(scope, receive, note_status)
        finally:
            state = scope["state"]
            outcome = "client left" if state.get("client_left") else str(status)
            words = [scope["method"], scope["path"][:200], state.get("model", "-"), outcome]
            _log.info("%s %.3f s", " ".join(words).encode("ascii", "backslashreplace").decode(), monotonic() - started)

"""Refusals that come from the engine path, with the field's path as the client's dialect has it."""

from __future__ import annotations

from collections.abc import Callable

from litestar.types import ASGIApp, Receive, Scope, Send

from roci.errors import BadRequestError


class OwnPaths:
    """The ASGI application `answer`; where it refuses a field of the chat route, it names the client's own.

    Args:
        own_path: a path in a chat request -> the path in the client's.
    """

    def __init__(self, answer: ASGIApp, own_path: Callable[[str], str]) -> None:
        self._answer = answer
        self._own_path = own_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except BadRequestError as error:
            if error.param:
                own = self._own_path(error.param)
                error.message, error.param = error.message.replace(error.param, own), own
            raise

"""An answer that can be continued as soon as its client has its last byte."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from roci.server.state.conversations import Conversations, Turn

_log = logging.getLogger(__name__)


class KeptAnswer:
    """The ASGI application `answer`, with its turn kept before its last bytes are sent.

    Args:
        ended_turn: the turn, once the answer has come to its end; None before, and for an answer that failed. It is
            asked before each piece is sent.
    """

    def __init__(self, answer: ASGIApp, conversations: Conversations, ended_turn: Callable[[], Turn | None]) -> None:
        self._answer = answer
        self._conversations = conversations
        self._ended_turn = ended_turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_kept = False

        async def keep_and_send(message: Any) -> None:
            nonlocal is_kept
            turn = None if is_kept else self._ended_turn()
            if turn is not None:
                is_kept = True
                await self._keep(turn)
            await send(message)

        await self._answer(scope, receive, keep_and_send)

    async def _keep(self, turn: Turn) -> None:
        try:
            await self._conversations.save(turn)
        except sqlite3.Error as error:
            # The client gets what it waited for; whoever goes on from it is told that it is not there.
            _log.error("The answer %s could not be kept: %s", turn.id, error)

"""LM Studio's own `/api/v1/chat`: conversations that the server keeps, told event by event."""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

from litestar.types import ASGIApp

from roci.errors import BadRequestError
from roci.server.answer import Answer
from roci.server.context_limit import check_context
from roci.server.gateway import Gateway
from roci.server.mcp.allowed import native_servers
from roci.server.mcp.rounds import ToolRounds
from roci.server.mcp.toolbox import Toolbox
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation
from roci.server.posts import post
from roci.server.state.conversations import Conversations, Thread, Turn
from roci.wire.generation import Transcript
from roci.wire.lmstudio.chat_requests import (
    NativeChatRequest,
    decode_native_chat,
    native_ask,
    native_images,
    native_messages,
)
from roci.wire.lmstudio.chat_result import NativeChatReply
from roci.wire.lmstudio.chat_writer import NativeChatWriter
from roci.wire.lmstudio.error_shape import NativeErrorBody
from roci.wire.openai.history import answer_messages
from roci.wire.openai.requests import ChatMessage
from roci.wire.reply_writer import Begun

_log = logging.getLogger(__name__)


@post("/api/v1/chat")
async def chat(gateway: Gateway, body: bytes) -> ASGIApp:
    """Refuses what can be refused without the model; the rest happens while the reply is sent."""
    asked = await off_loop(len(body), decode_native_chat, body)
    await gateway.images.settle(native_images(asked))
    servers = await native_servers(asked, gateway.settings, gateway.home)
    thread = await _thread(gateway.conversations, asked.previous_response_id)
    said = thread.messages if thread is not None else []
    ask = native_ask(asked, said)
    ask.size_bytes = len(body) + (thread.size_bytes if thread is not None else 0)
    call = {} if asked.context_length is None else {"context_length": asked.context_length}
    target = await gateway.find(asked.model, "chat", call=call, substitutes=False)
    check_context(asked.context_length, target.instance.model, gateway.settings)
    toolbox = Toolbox()
    writer = NativeChatWriter(is_stored=asked.is_stored, providers=toolbox.providers)
    keeper = None
    if asked.is_stored:
        keeper = _Keeper(gateway.conversations, asked, thread, ask.chat.messages, writer)
    return Answer(
        gateway,
        target,
        ask,
        writer,
        stream=bool(asked.stream),
        source=ToolRounds(gateway, target, ask, servers, toolbox) if servers else None,
        on_end=keeper.keep if keeper is not None else None,
    )


class _Keeper:
    """Stores a turn once its answer is whole.

    Raises:
        BadRequestError: the conversation is too large to be kept.
    """

    def __init__(
        self,
        conversations: Conversations,
        asked: NativeChatRequest,
        thread: Thread | None,
        prompt: list[ChatMessage],
        writer: NativeChatWriter,
    ) -> None:
        self._conversations = conversations
        self._writer = writer
        self._previous_id = asked.previous_response_id
        added = native_messages(asked, thread.messages if thread is not None else [])
        if added is None:
            # Another system prompt than before: the conversation is kept anew, with that one at its beginning.
            added, self._previous_id, thread = prompt, None, None
        conversations.check_room(thread, added)
        self._added = added

    async def keep(self, begun: Begun, transcript: Transcript) -> None:
        turn = Turn(
            id=f"resp_{begun.id}",
            previous_id=self._previous_id,
            model=begun.model,
            messages=[*self._added, *answer_messages(transcript.choice())],
        )
        try:
            await self._conversations.save(turn)
        except sqlite3.Error as error:
            _log.error("An answer could not be kept: %s", error)
            self._writer.forget_id()


async def _thread(conversations: Conversations, previous_id: str | None) -> Thread | None:
    if previous_id is None:
        return None
    try:
        return await conversations.thread(previous_id)
    except BadRequestError as error:
        if error.code == "previous_response_not_found":
            error.code = "invalid_value"  # LM Studio's own on this route
        raise


HANDLERS: Final = (chat,)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/chat",
        summary="Chat with a model; the server keeps the conversation.",
        description="With `stream` the answer comes as events, from `chat.start` to `chat.end`, which holds the whole "
        "reply. A stream that breaks has an event `error` before its `chat.end`. A field that is not described here "
        "is refused.",
        request=NativeChatRequest,
        reply=NativeChatReply,
        is_stream=True,
        events=(
            "chat.start",
            "model_load.start",
            "model_load.progress",
            "model_load.end",
            "prompt_processing.start",
            "prompt_processing.progress",
            "prompt_processing.end",
            "reasoning.start",
            "reasoning.delta",
            "reasoning.end",
            "tool_call.start",
            "tool_call.arguments",
            "tool_call.success",
            "tool_call.failure",
            "message.start",
            "message.delta",
            "message.end",
            "error",
            "chat.end",
        ),
        statuses=(*REFUSED, "502", *BUSY),
        errors=NativeErrorBody,
    ),
)

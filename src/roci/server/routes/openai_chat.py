"""OpenAI's `/v1/chat/completions`."""

from __future__ import annotations

from typing import Final

from litestar.types import ASGIApp

from roci.server.answer import Answer
from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation
from roci.server.posts import post
from roci.wire.images import chat_images
from roci.wire.openai.chat_ask import chat_ask
from roci.wire.openai.chat_replies import ChatCompletion
from roci.wire.openai.chat_writer import ChatWriter
from roci.wire.openai.requests import ChatRequest


@post("/v1/chat/completions")
async def chat_completions(gateway: Gateway, body: bytes) -> ASGIApp:
    """Refuses what can be refused without the model; the rest happens while the reply is sent."""
    ask = await off_loop(len(body), chat_ask, body)
    await gateway.images.settle(chat_images(ask.chat.messages))
    target = await gateway.find_chat(ask)
    return Answer(gateway, target, ask, ChatWriter(ask.chat), stream=bool(ask.chat.stream))


HANDLERS: Final = (chat_completions,)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/chat/completions",
        summary="Chat with a model, which is loaded if need be.",
        description="With `stream` the answer comes in pieces, as events, then `data: [DONE]`. A stream that breaks "
        "ends with an event that holds an error, and no `[DONE]`. Fields that are not described here are passed on "
        "to the engine as they are.",
        request=ChatRequest,
        reply=ChatCompletion,
        is_stream=True,
        statuses=REFUSED + BUSY,
    ),
)

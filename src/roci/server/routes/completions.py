"""OpenAI's older `/v1/completions`: the prompt goes to the model as it is, without a chat template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar.types import ASGIApp

from roci.server.answer import Answer
from roci.server.completing import complete
from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation
from roci.server.posts import post
from roci.server.target import Target
from roci.wire.ask import Ask
from roci.wire.generation import Ended
from roci.wire.openai.completions_requests import CompletionRequest, decode_completion
from roci.wire.openai.completions_writer import CompletionReply, CompletionsWriter
from roci.wire.reply_writer import ReplyWriter

More = Callable[[Ended], dict[str, Any]]
"""Further fields of the reply, made when the answer has ended."""
Dress = Callable[[Target, Callable[[More | None], ReplyWriter]], ReplyWriter]
"""Makes the writer of another family's reply around this one's."""


@post("/v1/completions")
async def completions(gateway: Gateway, body: bytes) -> ASGIApp:
    return await completion_answer(gateway, body)


async def completion_answer(gateway: Gateway, body: bytes, dress: Dress | None = None) -> Answer:
    """What answers the completion in `body`; what can be refused without the model is refused here."""
    asked = await off_loop(len(body), decode_completion, body)
    ask = Ask(chat=asked.chat, size_bytes=asked.size_bytes)
    target = await gateway.find_chat(ask)

    def written(more: More | None) -> ReplyWriter:
        return CompletionsWriter(asked.request, more=more)

    writer = written(None) if dress is None else dress(target, written)
    return Answer(
        gateway,
        target,
        ask,
        writer,
        stream=bool(asked.request.stream),
        source=lambda on_load: complete(gateway, target, asked, on_load=on_load),
    )


HANDLERS: Final = (completions,)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/completions",
        summary="Go on with a text, without a chat template.",
        description="With `stream` the answers come in pieces, as events, then `data: [DONE]`. Fields that are not "
        "described here are passed on to the engine as they are.",
        request=CompletionRequest,
        reply=CompletionReply,
        is_stream=True,
        statuses=REFUSED + BUSY,
    ),
)

"""Anthropic's `/v1/messages` and `/v1/messages/count_tokens`. Its version, key and beta headers are not needed."""

from __future__ import annotations

from typing import Final

from litestar.types import ASGIApp
from msgspec import Raw, Struct

from roci.server.answer import Answer
from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation
from roci.server.planning import plan
from roci.server.posts import post
from roci.server.target import Target
from roci.server.whole_reply import WholeReply
from roci.server.worker_json import ask_worker_json
from roci.wire.anthropic.blocks import given_images
from roci.wire.anthropic.convert import ask_of_count, ask_of_messages
from roci.wire.anthropic.replies import MessageReply, MessagesError, TokenCount
from roci.wire.anthropic.requests import (
    CountRequest,
    MessagesRequest,
    decode_count_request,
    decode_messages_request,
)
from roci.wire.anthropic.writer import MessagesWriter
from roci.wire.ask import Ask

# Counts what its chat route would compute; the body is that route's own.
_COUNT_PATH: Final = "/v1/chat/completions/input_tokens"


class _WorkerCount(Struct):
    input_tokens: int


@post("/v1/messages")
async def messages(gateway: Gateway, body: bytes) -> ASGIApp:
    """Refuses what can be refused without the model; the rest happens while the reply is sent."""
    asked = await off_loop(len(body), decode_messages_request, body)
    await gateway.images.settle(given_images(asked.messages))
    ask = await off_loop(len(body), ask_of_messages, asked)
    ask.size_bytes = len(body)
    target = await gateway.find_chat(ask)
    thinking = asked.thinking
    writer = MessagesWriter(shows_thinking=thinking is None or thinking.display != "omitted")
    return Answer(gateway, target, ask, writer, stream=bool(asked.stream))


@post("/v1/messages/count_tokens")
async def count_tokens(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = await off_loop(len(body), decode_count_request, body)
    await gateway.images.settle(given_images(asked.messages))
    ask = await off_loop(len(body), ask_of_count, asked)
    ask.size_bytes = len(body)
    target = await gateway.find_chat(ask)
    return WholeReply(lambda: _count(gateway, target, ask), model=target.instance.id)


async def _count(gateway: Gateway, target: Target, ask: Ask) -> TokenCount:
    """The tokens of the very prompt that a message would be answered from: it is planned as one."""
    async with gateway.pool.place(target.instance) as worker:
        planned = await off_loop(ask.size_bytes, plan, ask, target, worker.ready, worker.name)
        told = await ask_worker_json(gateway.pool, worker, _COUNT_PATH, Raw(planned.body), _WorkerCount)
    return TokenCount(told.input_tokens)


HANDLERS: Final = (messages, count_tokens)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/messages",
        summary="Chat with a model as Anthropic's clients do.",
        description="With `stream` the answer comes as events, from `message_start` to `message_stop`. A stream that "
        "breaks ends with an event `error`. Fields that are not described here are ignored.",
        request=MessagesRequest,
        reply=MessageReply,
        is_stream=True,
        events=(
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "error",
        ),
        statuses=REFUSED + BUSY,
        errors=MessagesError,
    ),
    Operation(
        method="POST",
        path="/v1/messages/count_tokens",
        summary="How many tokens the model would see of a request to /v1/messages.",
        description="Loads the model if need be, and generates nothing.",
        request=CountRequest,
        reply=TokenCount,
        statuses=REFUSED + BUSY,
        errors=MessagesError,
    ),
)

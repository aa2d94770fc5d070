"""LM Studio's `/api/v0`: OpenAI's routes with figures, superseded by `/api/v1` and still in use."""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from roci.server.answer import Answer
from roci.server.gateway import Gateway
from roci.server.model_views import named_copy, v0_blocks, v0_entry, v0_list
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation, path_parameter
from roci.server.posts import post
from roci.server.routes.completions import completion_answer
from roci.server.routes.embeddings import vectors_reply
from roci.server.target import Target
from roci.server.whole_reply import WholeReply
from roci.wire.images import chat_images
from roci.wire.lmstudio.model_lists import V0Entry, V0List
from roci.wire.lmstudio.v0 import MadeWriter, V0Writer, with_blocks
from roci.wire.lmstudio.v0_replies import V0ChatReply, V0CompletionReply, V0EmbeddingReply
from roci.wire.openai.chat_ask import chat_ask
from roci.wire.openai.chat_writer import ChatWriter
from roci.wire.openai.completions_requests import CompletionRequest
from roci.wire.openai.embeddings import EmbeddingRequest, decode_embedding_request
from roci.wire.openai.requests import ChatRequest


@get("/api/v0/models")
async def list_v0_models(gateway: NamedDependency[Gateway]) -> V0List:
    library = await asyncio.to_thread(gateway.catalog.library)
    return v0_list(library.models, gateway.pool.instances, only_loaded=not gateway.settings.jit)


@get("/api/v0/models/{model:path}")
async def get_v0_model(gateway: NamedDependency[Gateway], model: FromPath[str]) -> V0Entry:
    library = await asyncio.to_thread(gateway.catalog.library)
    return v0_entry(*named_copy(model.removeprefix("/"), library, gateway.pool.instances))


@post("/api/v0/chat/completions")
async def v0_chat_completions(gateway: Gateway, body: bytes) -> ASGIApp:
    """As `/v1/chat/completions`, with the three blocks."""
    ask = await off_loop(len(body), chat_ask, body)
    await gateway.images.settle(chat_images(ask.chat.messages))
    ask.tells_stop_sequence = True
    target = await gateway.find_chat(ask)
    writer = _writer(gateway, target, lambda more: ChatWriter(ask.chat, more=more))
    return Answer(gateway, target, ask, writer, stream=bool(ask.chat.stream))


@post("/api/v0/completions")
async def v0_completions(gateway: Gateway, body: bytes) -> ASGIApp:
    """As `/v1/completions`, with the three blocks."""
    return await completion_answer(gateway, body, lambda target, written: _writer(gateway, target, written))


@post("/api/v0/embeddings")
async def v0_embeddings(gateway: Gateway, body: bytes) -> ASGIApp:
    """As `/v1/embeddings`, with the three blocks; there is nothing to say in `stats`."""
    asked = await off_loop(len(body), decode_embedding_request, body)
    target = await gateway.find_embedding(asked.model, asked.ttl)
    return WholeReply(lambda: _vectors(gateway, target, asked), model=target.instance.id)


async def _vectors(gateway: Gateway, target: Target, asked: EmbeddingRequest) -> bytes:
    reply = await vectors_reply(gateway, target, asked)
    blocks = v0_blocks(gateway.pool.get(target.instance.id))
    return reply if blocks is None else await off_loop(len(reply), with_blocks, reply, blocks)


def _writer(gateway: Gateway, target: Target, made: MadeWriter) -> V0Writer:
    return V0Writer(made, lambda: v0_blocks(gateway.pool.get(target.instance.id)))


HANDLERS: Final = (list_v0_models, get_v0_model, v0_chat_completions, v0_completions, v0_embeddings)
OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v0/models",
        summary="The models that can be asked, with what is known of each.",
        reply=V0List,
    ),
    Operation(
        method="GET",
        path="/api/v0/models/{model}",
        summary="One model, by its key or by the id of a copy in memory.",
        reply=V0Entry,
        parameters=(path_parameter("model", "A model's key; it may hold slashes."),),
    ),
    Operation(
        method="POST",
        path="/api/v0/chat/completions",
        summary="As /v1/chat/completions, with figures.",
        description="With `stream` the figures are on the chunk that has the usage.",
        request=ChatRequest,
        reply=V0ChatReply,
        is_stream=True,
        statuses=REFUSED + BUSY,
    ),
    Operation(
        method="POST",
        path="/api/v0/completions",
        summary="As /v1/completions, with figures.",
        description="With `stream` the figures are on the chunk that has the usage.",
        request=CompletionRequest,
        reply=V0CompletionReply,
        is_stream=True,
        statuses=REFUSED + BUSY,
    ),
    Operation(
        method="POST",
        path="/api/v0/embeddings",
        summary="As /v1/embeddings, with what computed it.",
        request=EmbeddingRequest,
        reply=V0EmbeddingReply,
        statuses=REFUSED + BUSY,
    ),
)

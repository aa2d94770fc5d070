"""`/v1/embeddings` and `/v1/rerank`: texts in, vectors or scores out."""

from __future__ import annotations

from typing import Final

from litestar.types import ASGIApp

from roci.server.gateway import Gateway
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation
from roci.server.posts import post
from roci.server.target import Target
from roci.server.whole_reply import WholeReply
from roci.server.worker_json import ask_worker_json
from roci.wire.openai.embeddings import (
    EmbeddingReply,
    EmbeddingRequest,
    RerankReply,
    RerankRequest,
    WorkerScores,
    WorkerVectors,
    check_tokens,
    decode_embedding_request,
    decode_rerank_request,
    embedding_reply,
    rerank_reply,
    worker_batches,
)


@post("/v1/embeddings")
async def make_embeddings(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = await off_loop(len(body), decode_embedding_request, body)
    target = await gateway.find_embedding(asked.model, asked.ttl)
    return WholeReply(lambda: vectors_reply(gateway, target, asked), model=target.instance.id)


@post("/v1/rerank")
async def rerank(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = await off_loop(len(body), decode_rerank_request, body)
    target = await gateway.find_reranker(asked.model, asked.ttl)
    return WholeReply(lambda: _scores(gateway, target, asked), model=target.instance.id)


async def vectors_reply(gateway: Gateway, target: Target, asked: EmbeddingRequest) -> bytes:
    """The reply of `/v1/embeddings`, which `/api/v0` gives too."""
    pool = gateway.pool
    async with pool.place(target.instance) as worker:
        check_tokens(asked.inputs, worker.ready.vocabulary_size)
        replies = [
            await ask_worker_json(pool, worker, "/v1/embeddings", batch, WorkerVectors)
            for batch in worker_batches(asked)
        ]
    size_bytes = sum(len(vector.embedding) for reply in replies for vector in reply.data)
    return await off_loop(size_bytes, embedding_reply, asked, replies, target.instance.id)


async def _scores(gateway: Gateway, target: Target, asked: RerankRequest) -> RerankReply:
    pool = gateway.pool
    body = {"query": asked.query, "documents": asked.texts}
    async with pool.place(target.instance) as worker:
        told = await ask_worker_json(pool, worker, "/v1/rerank", body, WorkerScores)
    return rerank_reply(asked, told, target.instance.id)


HANDLERS: Final = (make_embeddings, rerank)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/embeddings",
        summary="Vectors of texts, by a model that was made for it.",
        request=EmbeddingRequest,
        reply=EmbeddingReply,
        statuses=REFUSED + BUSY,
    ),
    Operation(
        method="POST",
        path="/v1/rerank",
        summary="How well each document answers a query, by a reranking model.",
        request=RerankRequest,
        reply=RerankReply,
        statuses=REFUSED + BUSY,
    ),
)

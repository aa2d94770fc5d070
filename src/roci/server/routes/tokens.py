"""`/v1/tokenize` and `/v1/detokenize`: a model's own tokens of a text, and back."""

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
from roci.wire.openai.tokens import (
    DetokenizeReply,
    DetokenizeRequest,
    TokenizeReply,
    TokenizeRequest,
    WorkerText,
    WorkerTokens,
    check_vocabulary,
    decode_detokenize,
    decode_tokenize,
    worker_tokenize,
)


@post("/v1/tokenize")
async def tokenize(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = await off_loop(len(body), decode_tokenize, body)
    target = await gateway.find_any(asked.model)
    return WholeReply(lambda: _tokens(gateway, target, asked), model=target.instance.id)


@post("/v1/detokenize")
async def detokenize(gateway: Gateway, body: bytes) -> ASGIApp:
    asked = await off_loop(len(body), decode_detokenize, body)
    target = await gateway.find_any(asked.model)
    return WholeReply(lambda: _text(gateway, target, asked), model=target.instance.id)


async def _tokens(gateway: Gateway, target: Target, asked: TokenizeRequest) -> TokenizeReply:
    async with gateway.pool.place(target.instance) as worker:
        told = await ask_worker_json(gateway.pool, worker, "/tokenize", worker_tokenize(asked), WorkerTokens)
    return TokenizeReply(told.tokens, len(told.tokens), target.instance.id)


async def _text(gateway: Gateway, target: Target, asked: DetokenizeRequest) -> DetokenizeReply:
    async with gateway.pool.place(target.instance) as worker:
        check_vocabulary(asked.tokens, worker.ready.vocabulary_size)
        told = await ask_worker_json(gateway.pool, worker, "/detokenize", {"tokens": asked.tokens}, WorkerText)
    return DetokenizeReply(told.content, target.instance.id)


HANDLERS: Final = (tokenize, detokenize)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/tokenize",
        summary="A text's tokens, as the model has them.",
        request=TokenizeRequest,
        reply=TokenizeReply,
        statuses=REFUSED + BUSY,
    ),
    Operation(
        method="POST",
        path="/v1/detokenize",
        summary="The text that tokens stand for.",
        request=DetokenizeRequest,
        reply=DetokenizeReply,
        statuses=REFUSED + BUSY,
    ),
)

"""OpenAI's `/v1/embeddings`, and the scores of `/v1/rerank`: what may be asked, and what is answered. Pure.

Source: OpenAI API reference, embeddings; Jina's and Cohere's rerank; llama.cpp's server, by trying.
"""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from roci.wire.openai.request_faults import decode_body, invalid

INPUTS_LIMIT: Final = 100_000
AT_ONCE: Final = 32
"""Inputs in one request to a worker, which works each request to its end even if nobody waits any more."""

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class EmbeddingRequest(Struct, kw_only=True):
    """The body of `POST /v1/embeddings`. Unknown fields are ignored."""

    model: str = ""
    input: str | list[str | list[Token] | Token]
    """A text, its tokens, or a list of either."""
    encoding_format: Literal["float", "base64"] | None = None
    """base64: 32-bit floats, little-endian. Default float."""
    dimensions: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Keep only the first of each vector, at unit length again: of use with models that were trained for it."""
    ttl: int | float | str | None = None
    """Seconds that the model stays loaded after its last request, if this request loads it."""

    @property
    def inputs(self) -> list[str | list[int]]:
        """Every text, or its tokens."""
        given = self.input
        if isinstance(given, str):
            return [given]
        if given and isinstance(given[0], int):
            return [[token for token in given if isinstance(token, int)]]
        return [entry for entry in given if not isinstance(entry, int)]


class RerankDocument(Struct):
    text: str


class RerankRequest(Struct, kw_only=True):
    """The body of `POST /v1/rerank`. Unknown fields are ignored."""

    model: str = ""
    query: str
    documents: Annotated[list[str | RerankDocument], Meta(min_length=1, max_length=INPUTS_LIMIT)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    """Only the best of them; default all."""
    return_documents: bool | None = None
    ttl: int | float | str | None = None

    @property
    def texts(self) -> list[str]:
        return [entry if isinstance(entry, str) else entry.text for entry in self.documents]


class _WorkerVector(Struct):
    embedding: Raw
    index: int = 0


class _WorkerUsage(Struct, frozen=True):
    prompt_tokens: int = 0
    total_tokens: int = 0


class WorkerVectors(Struct):
    """A worker's reply to a request for embeddings."""

    data: list[_WorkerVector]
    usage: _WorkerUsage = _WorkerUsage()


class _WorkerScore(Struct):
    index: int
    relevance_score: float


class WorkerScores(Struct):
    """A worker's reply to a request for scores."""

    results: list[_WorkerScore]
    usage: _WorkerUsage = _WorkerUsage()


class EmbeddingUsage(Struct):
    prompt_tokens: int
    total_tokens: int


class Embedding(Struct):
    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingReply(Struct):
    """The reply of `POST /v1/embeddings`."""

    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


class RerankResult(Struct, omit_defaults=True):
    index: int
    relevance_score: float
    document: RerankDocument | None = None


class RerankReply(Struct):
    """The reply of `POST /v1/rerank`, the best first."""

    model: str
    results: list[RerankResult]
    usage: EmbeddingUsage
    object: Literal["list"] = "list"


_embedding_decoder: Final = msgspec.json.Decoder(EmbeddingRequest)
_rerank_decoder: Final = msgspec.json.Decoder(RerankRequest)


def decode_embedding_request(body: bytes) -> EmbeddingRequest:
    """The request in `body`.

    Raises:
        BadRequestError: `.param` is the path of the field at fault.
    """
    request = decode_body(body, _embedding_decoder, {"encoding_format": ("float", "base64")})
    given = request.input
    if isinstance(given, str):
        return request
    if not given:
        raise invalid("input is empty; it takes a text, or a list of at least one.", "input")
    if len(given) > INPUTS_LIMIT:
        raise invalid(f"input has {len(given)} entries; it takes {INPUTS_LIMIT} at most.", "input")
    is_tokens = isinstance(given[0], int)
    for position, entry in enumerate(given):
        path = f"input[{position}]"
        if isinstance(entry, int) is not is_tokens:
            raise invalid(f"{path} is of another kind than those before it.", path)
        if isinstance(entry, list) and not entry:
            raise invalid(f"{path} is empty; it takes at least one token.", path)
    return request


def decode_rerank_request(body: bytes) -> RerankRequest:
    """The request in `body`.

    Raises:
        BadRequestError: `.param` is the path of the field at fault.
    """
    return decode_body(body, _rerank_decoder, {})


def check_tokens(inputs: Sequence[str | Sequence[int]], vocabulary_size: int) -> None:
    """Refuses tokens that the model does not have, over which the engine would stumble.

    Raises:
        BadRequestError: names the input.
    """
    for position, entry in enumerate(inputs):
        if not isinstance(entry, str) and vocabulary_size and max(entry) >= vocabulary_size:
            path = f"input[{position}]"
            raise invalid(f"{path} holds token {max(entry)}; the model has 0 to {vocabulary_size - 1}.", path)


def worker_batches(request: EmbeddingRequest) -> Iterator[dict[str, Any]]:
    """The bodies that a worker is asked with, one after the other."""
    inputs = request.inputs
    # Of a vector that is to be cut the numbers are needed, and base64 is the quicker way to them.
    form = "base64" if request.dimensions is not None else request.encoding_format or "float"
    for start in range(0, len(inputs), AT_ONCE):
        yield {"input": inputs[start : start + AT_ONCE], "encoding_format": form}


def embedding_reply(request: EmbeddingRequest, replies: Sequence[WorkerVectors], model: str) -> bytes:
    """The reply as JSON; the vectors' own bytes are passed on unless they are to be cut.

    Raises:
        BadRequestError: more dimensions are wanted than the model's vectors have.
    """
    vectors = [vector.embedding for reply in replies for vector in sorted(reply.data, key=lambda vector: vector.index)]
    if request.dimensions is not None:
        vectors = [_cut(vector, request.dimensions, request.encoding_format or "float") for vector in vectors]
    tokens = sum(reply.usage.prompt_tokens for reply in replies)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def rerank_reply(request: RerankRequest, told: WorkerScores, model: str) -> RerankReply:
    """The reply, the best document first."""
    texts = request.texts
    best = sorted(told.results, key=lambda score: score.relevance_score, reverse=True)[: request.top_n]
    results = [
        RerankResult(
            score.index,
            score.relevance_score,
            RerankDocument(texts[score.index]) if request.return_documents else None,
        )
        for score in best
    ]
    tokens = told.usage.prompt_tokens or told.usage.total_tokens
    return RerankReply(model, results, EmbeddingUsage(tokens, tokens))


def _cut(vector: Raw, dimensions: int, form: str) -> Raw:
    numbers = array("f", base64.b64decode(msgspec.json.decode(vector, type=str)))
    if dimensions > len(numbers):
        raise invalid(f"dimensions is {dimensions}; this model's vectors have {len(numbers)}.", "dimensions")
    kept = numbers[:dimensions]
    length = math.sqrt(sum(number * number for number in kept)) or 1.0
    kept = array("f", [number / length for number in kept])
    shown = base64.b64encode(kept.tobytes()).decode() if form == "base64" else kept.tolist()
    return Raw(msgspec.json.encode(shown))

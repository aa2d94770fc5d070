"""`/v1/embeddings` as a client asks it and reads it, in either form that vectors travel in. Pure.

Source: OpenAI API reference, embeddings; LM Studio 0.4 answers with numbers whatever `encoding_format` asks for.
"""

from __future__ import annotations

import binascii
import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from roci.errors import BadRequestError, RociError, UnexpectedReplyError
from roci.types.embeddings import EmbedRequest, Vector
from roci.wire.openai import convert

TEXTS_AT_ONCE: Final = 256
LETTERS_AT_ONCE: Final = 32_768
"""About 8,000 tokens; a single text may have more."""
_FLOAT_BYTES: Final = 4
_FORM_REFUSAL: Final = r"(?i)encoding_format|base64"


class _Entry(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class EmbeddingsReply(Struct):
    """The fields that are read."""

    data: list[_Entry] | None = None
    model: str | None = None
    usage: _Usage | None = None

    @property
    def input_tokens(self) -> int:
        return (self.usage and (self.usage.prompt_tokens or self.usage.total_tokens)) or 0


_decode = msgspec.json.Decoder(EmbeddingsReply).decode


def batches(texts: Sequence[str], size: int | None, *, texts_at_once: int = TEXTS_AT_ONCE) -> Iterator[Sequence[str]]:
    """`texts` in the portions that go into one request each: `size` texts, or as many as are well borne at once."""
    if size is not None:
        yield from (texts[start : start + size] for start in range(0, len(texts), size))
        return
    start, letters = 0, 0
    for end, text in enumerate(texts):
        letters += len(text)
        if end > start and (letters > LETTERS_AT_ONCE or end - start == texts_at_once):
            yield texts[start:end]
            start, letters = end, len(text)
    if start < len(texts):
        yield texts[start:]


def embeddings_body(request: EmbedRequest, texts: Sequence[str], model: str, form: str) -> dict[str, Any]:
    """The body of `POST /v1/embeddings`; `form` is `float` or `base64`."""
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": form}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body


def refuses_form(error: RociError) -> bool:
    """The server does not know the form that the vectors were asked in."""
    if not isinstance(error, BadRequestError):
        return False
    return re.search(_FORM_REFUSAL, f"{error.param} {error.message}") is not None


def decode_embeddings(body: bytes, content_type: str) -> EmbeddingsReply:
    """A reply's body. Raises as `convert.decoded`."""
    return convert.decoded(body, content_type, _decode)


def vectors(reply: EmbeddingsReply, wanted: int) -> list[Vector]:
    """The reply's vectors, in the texts' order.

    Raises:
        UnexpectedReplyError: it has not `wanted` of them, its indexes make no sense, or one cannot be read.
    """
    entries = reply.data or []
    if len(entries) != wanted:
        raise UnexpectedReplyError(
            f"The server sent {len(entries)} vectors for {wanted} texts.",
            json_path="$.data",
            hint="Ask for fewer at a time with batch_size=…, and look at the server's log.",
        )
    indexes = [entry.index for entry in entries]
    if sorted(index or 0 for index in indexes) == list(range(wanted)):
        entries = sorted(entries, key=lambda entry: entry.index or 0)
    elif any(indexes):
        raise UnexpectedReplyError(
            f"The server numbered its {wanted} vectors {indexes[:10]}, which tells no order.",
            json_path="$.data[*].index",
        )
    return [_vector(entry.embedding, f"$.data[{place}].embedding") for place, entry in enumerate(entries)]


def _vector(given: list[float] | str, path: str) -> Vector:
    if isinstance(given, list):
        vector = array("f", given)
    else:
        vector = array("f")
        try:
            data = binascii.a2b_base64(given, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise _unreadable(f"it is a text that is not base64 ({error})", path) from error
        if len(data) % _FLOAT_BYTES:
            raise _unreadable(f"{len(data)} bytes are no whole number of 32-bit floats", path)
        vector.frombytes(data)
        if sys.byteorder == "big":
            vector.byteswap()
    if not vector:
        raise _unreadable("it is empty", path)
    return vector


def _unreadable(why: str, path: str) -> UnexpectedReplyError:
    return UnexpectedReplyError(
        f"A vector cannot be read: {why}.",
        json_path=path,
        hint='Ask for numbers with encoding_format="float"; something between may have changed the reply.',
    )

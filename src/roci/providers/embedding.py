"""The vectors of one call: asked for in batches, and looked at for their sizes, their use and their length. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from roci.errors import BadRequestError, EmbeddingSizeError
from roci.exchange.exchange import Exchange, HttpReply
from roci.providers.retries import Attempts
from roci.types.embeddings import EmbedRequest, EmbedResponse, Vector, at_unit_length, length_of
from roci.types.receipt import Adjustment, Receipt, Retry
from roci.types.results import GenerationWarning, Usage
from roci.wire.openai.embedding_replies import (
    EmbeddingsReply,
    batches,
    decode_embeddings,
    embeddings_body,
    refuses_form,
    vectors,
)

SizesKnown = dict[tuple[str, int | None], int]
"""(model, dimensions asked for) -> numbers in a vector, as the server sent them the first time."""


def embedding(
    request: EmbedRequest,
    model: str,
    sizes: SizesKnown,
    ask: Callable[[dict[str, Any]], Exchange[HttpReply]],
    new_attempts: Callable[[], Attempts],
    *,
    at_once: int,
) -> Exchange[EmbedResponse]:
    """The vectors of `request`'s texts, asked for in batches; without texts nothing is asked.

    Args:
        ask: sends one batch's body and gives the good reply to it.
        at_once: texts in a batch, where the request does not say.
    """
    collected = Collected(request, model, sizes)
    form = "float" if request.encoding_format == "float" else "base64"
    for texts in batches(request.texts, request.batch_size, texts_at_once=at_once):
        attempts = new_attempts()
        try:
            reply = yield from attempts.exchange(partial(ask, embeddings_body(request, texts, model, form)))
        except BadRequestError as refusal:
            if form == "float" or not refuses_form(refusal):
                raise
            form = "float"
            collected.change_form(refusal.message)
            reply = yield from attempts.exchange(partial(ask, embeddings_body(request, texts, model, form)))
        collected.add(decode_embeddings(reply.body, reply.content_type), texts, attempts.retries)
    return collected.response()


class Collected:
    """What has come so far of one request's vectors.

    Args:
        sizes: what earlier calls of the same server gave; this one's size is added to it.
    """

    def __init__(self, request: EmbedRequest, model: str, sizes: SizesKnown) -> None:
        self.model = ""
        self._request = request
        self._asked_model = model
        self._sizes = sizes
        self._vectors: list[Vector] = []
        self._input_tokens = 0
        self._retries: list[Retry] = []
        self._ignored: list[Adjustment] = []
        self._warnings: list[GenerationWarning] = []

    def add(self, reply: EmbeddingsReply, texts: Sequence[str], retries: Sequence[Retry] = ()) -> None:
        """Take the vectors of `texts`, which came after `retries`.

        Raises:
            UnexpectedReplyError: they cannot be read, or are not one for each text.
            EmbeddingSizeError: one is of another size than those before it, in this call or an earlier one.
        """
        self.model = self.model or reply.model or ""
        self._retries += retries
        self._input_tokens += reply.input_tokens
        for vector in vectors(reply, len(texts)):
            self._check_size(len(vector))
            self._vectors.append(self._shaped(vector))

    def change_form(self, reason: str) -> None:
        """The server does not know base64, and is asked for numbers from now on."""
        if self._request.encoding_format == "base64":
            self._ignored.append(Adjustment(setting="encoding_format", asked="base64", sent="float", reason=reason))

    def response(self) -> EmbedResponse:
        """All of it, once nothing is to come."""
        return EmbedResponse(
            vectors=tuple(self._vectors),
            usage=Usage(input_tokens=self._input_tokens, total_tokens=self._input_tokens),
            model=self.model,
            warnings=tuple(self._warnings),
            receipt=Receipt(
                model_asked=self._asked_model,
                model_answered=self.model,
                ignored=tuple(self._ignored),
                notes=tuple(warning.message for warning in self._warnings),
                retries=tuple(self._retries),
            ),
        )

    def _check_size(self, size: int) -> None:
        wanted = self._request.dimensions
        expected = self._sizes.setdefault((self._asked_model, wanted), size)
        if size != expected:
            raise EmbeddingSizeError(
                f"Vector {len(self._vectors)} of {self._asked_model} has {size} numbers, those before it {expected}.",
                expected=expected,
                actual=size,
                json_path="$.data[*].embedding",
                hint="Vectors of two sizes cannot be compared. Another model may answer under this name by now; if "
                "that is meant, make a new provider, and all vectors anew.",
            )
        if wanted is not None and size < wanted:
            del self._sizes[self._asked_model, wanted]
            raise EmbeddingSizeError(
                f"dimensions is {wanted}; the vectors of {self._asked_model} have {size}.",
                expected=wanted,
                actual=size,
                json_path="$.data[*].embedding",
                hint=f"Ask for {size} at most, or leave dimensions out.",
            )

    def _shaped(self, vector: Vector) -> Vector:
        """`vector` of the size and the length that was asked for; one of no use is warned about."""
        wanted = self._request.dimensions
        is_cut = wanted is not None and len(vector) > wanted
        if is_cut:
            vector = array("f", vector[:wanted])
            if not self._ignored or self._ignored[-1].setting != "dimensions":
                reason = "The server ignored it; the vectors were cut here, and brought to unit length again."
                self._ignored.append(Adjustment(setting="dimensions", asked=str(wanted), reason=reason))
        length = length_of(vector)
        if not length or not math.isfinite(length):
            self._warn(length)
        return at_unit_length(vector, length) if is_cut or self._request.normalize else vector

    def _warn(self, length: float) -> None:
        place = len(self._vectors)
        if length == 0:
            message = f"Vector {place} is all zeros: it is as near to every other as to none."
            self._warnings.append(GenerationWarning("zero_vector", message))
        else:
            message = f"Vector {place} holds numbers that are none (NaN or infinite)."
            self._warnings.append(GenerationWarning("broken_vector", message))

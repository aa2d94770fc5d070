"""Vectors of texts: what is asked, and what comes back."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from roci.errors import UsageError
from roci.types.receipt import Receipt
from roci.types.results import GenerationWarning, Usage
from roci.types.settings import Timeouts

EncodingFormat: TypeAlias = Literal["auto", "float", "base64"]
Vector: TypeAlias = "array[float]"
"""32-bit floats."""


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts that one model is to turn into vectors."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    """How many of each vector's numbers to keep; None for all."""
    encoding_format: EncodingFormat = "auto"
    """How the vectors travel: `auto` asks for base64, the smaller and quicker, and goes over to numbers where the
    server refuses that. Whatever comes is read."""
    normalize: bool = False
    """Bring every vector to unit length."""
    batch_size: int | None = None
    """Texts in one request. None: 256, or fewer of long texts."""
    timeouts: Timeouts | None = None
    """For each of the requests; wins over the provider's."""

    def check(self) -> None:
        """Raise what is wrong with it.

        Raises:
            UsageError: names the field.
        """
        for index, text in enumerate(self.texts):
            if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(
                    f"texts[{index}] is a {type(text).__name__}, not a text.",
                    field=f"texts[{index}]",
                    hint="Pass a string, or a list of strings.",
                )
        for name in ("dimensions", "batch_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"{name} is {value!r}; it takes a whole number from 1.", field=name)
        if self.encoding_format not in ("auto", "float", "base64"):
            raise UsageError(
                f"encoding_format is {self.encoding_format!r}; it takes 'auto', 'float' or 'base64'.",
                field="encoding_format",
            )


class EmbedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider made of an `EmbedRequest`."""

    vectors: tuple[Vector, ...] = ()
    """One for each text, in the texts' order, all of one size."""
    usage: Usage = Usage()
    """Of all requests together."""
    model: str = ""
    warnings: tuple[GenerationWarning, ...] = ()
    receipt: Receipt = Receipt()


class EmbedResult(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors, one for each text, in the texts' order and all of one size."""

    embeddings: list[list[float]]
    """With `as_numpy=True` an array of shape `(texts, dimensions)` and type float32 instead."""
    dimensions: int
    """Numbers in each vector; 0 where there were no texts."""
    usage: Usage = Usage()
    """Input tokens; 0 where the server does not count them, as LM Studio."""
    model: str = ""
    """The model that answered, as the server names it."""
    warnings: tuple[GenerationWarning, ...] = ()
    """`zero_vector` or `broken_vector` for a vector that is of no use: all zeros, or with a number that is none."""
    receipt: Receipt = Receipt()

    @property
    def embedding(self) -> list[float]:
        """The vector of the one text that was given.

        Raises:
            UsageError: there were more texts, or none.
        """
        if len(self.embeddings) != 1:
            raise UsageError(
                f"There are {len(self.embeddings)} vectors, not one.",
                field="embedding",
                hint="Take them from .embeddings, in the order of the texts.",
            )
        return self.embeddings[0]


def length_of(vector: Sequence[float]) -> float:
    """Its Euclidean length; NaN or infinite where one of its numbers is."""
    return math.hypot(*vector)


def at_unit_length(vector: Vector, length: float) -> Vector:
    """`vector`, whose length is `length`, brought to 1; one of no or no finite length stays as it is."""
    if not length or not math.isfinite(length):
        return vector
    return array("f", [number / length for number in vector])

"""What comes back of an answer in a type of the user's."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from roci.types.messages import ModelMessage
from roci.types.receipt import Receipt
from roci.types.results import FinishReason, GenerationStats, GenerationWarning, ProviderResponse, Usage

T = TypeVar("T")


class GenerateObjectResult(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer as an object."""

    object: T
    text: str = ""
    """What the model wrote, as it wrote it: also where the object had to be found in it."""
    reasoning: str = ""
    usage: Usage = Usage()
    """Of all attempts together."""
    finish_reason: FinishReason = FinishReason.STOP
    messages: tuple[ModelMessage, ...] = ()
    """The conversation that was passed, with the answer behind it: ready for the next turn."""
    attempts: tuple[ProviderResponse, ...] = ()
    """Every answer that was generated; the last one is the one that fits."""
    stats: GenerationStats = GenerationStats()
    """Of the last attempt, but `total_time_s`, which is that of all."""
    warnings: tuple[GenerationWarning, ...] = ()
    model: str = ""
    """The model that answered, as the server names it."""
    receipt: Receipt = Receipt()
    """`.schema`, `.recovered` and `.retries` say how the object came about."""

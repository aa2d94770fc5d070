"""What a stream yields."""

from __future__ import annotations

import msgspec

from roci.types.messages import ModelMessage
from roci.types.results import FinishReason, GenerationStep, Usage


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a tool call. Pieces of one `index` belong together, in one round; `id` and `name` come first."""

    index: int
    id: str = ""
    name: str = ""
    arguments_json: str = ""
    """What to append to the call's arguments."""


class TextStreamDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of an answer. `text` is empty where the piece carries something else."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    """On the piece that ends an answer; where tools are run, each round has one."""
    usage: Usage | None = None
    """On the piece that the server sends its count with, usually the last."""
    tool_results: tuple[ModelMessage, ...] = ()
    """Results of tools that roci ran, each as soon as it is there; `tool_call_id` says to which call."""
    step: GenerationStep | None = None
    """Where tools are given: the round that this piece ends, with its calls, results and usage."""

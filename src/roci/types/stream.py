"""What a stream yields."""

from __future__ import annotations

import msgspec

from roci.types.results import FinishReason, Usage


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a tool call. Pieces of one `index` belong together; `id` and `name` come with the first."""

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
    """On the piece that ends the answer."""
    usage: Usage | None = None
    """On the piece that the server sends its count with, usually the last."""

"""What `/v1/messages` and `/v1/messages/count_tokens` answer.

Source: Anthropic API reference, Messages, and the types of the `anthropic` package 2.12, read in 2026.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct, UnsetType

StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextReply(Struct, tag_field="type", tag="text"):
    text: str


class ThinkingReply(Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""
    """Always empty: thoughts can be sent back, but nothing vouches for them."""


class ToolUseReply(Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Raw
    """The arguments: a JSON object."""


ContentReply: TypeAlias = TextReply | ThinkingReply | ToolUseReply


class OutputDetails(Struct):
    thinking_tokens: int
    """Of `output_tokens`."""


class MessagesUsage(Struct, kw_only=True):
    input_tokens: int
    """Prompt tokens that had to be computed; with the two below they are the whole prompt."""
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int
    """Prompt tokens that the model still knew."""
    output_tokens: int
    """Thinking included."""
    output_tokens_details: OutputDetails | UnsetType = msgspec.UNSET


class MessageReply(Struct, kw_only=True):
    """The answer. In a stream the same comes in pieces: `message_start` to `message_stop`."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    """The loaded instance that answered."""
    content: list[ContentReply]
    stop_reason: StopReason | None
    """Null only in `message_start`."""
    stop_sequence: str | None
    """Which of `stop_sequences` ended it."""
    usage: MessagesUsage
    roci: dict[str, Any] | UnsetType = msgspec.UNSET
    """roci's own: `notes`, where there is something to say that Anthropic's API has no word for."""


class TokenCount(Struct):
    input_tokens: int
    """Tokens of the prompt as the model would see it: template, system text and tools included."""


class MessagesErrorFacts(Struct):
    type: str
    message: str
    code: str | UnsetType = msgspec.UNSET
    """roci's own word for what happened."""
    param: str | UnsetType = msgspec.UNSET
    """The path of the field at fault."""


class MessagesError(Struct):
    """Every error, as a reply's body or as the data of the event `error` that ends a stream which broke."""

    type: Literal["error"]
    error: MessagesErrorFacts
    request_id: Any = None

"""A chat completion's type for those who read the API's description; `chat_writer.py` writes it.

Source: OpenAI API reference, chat completions; LM Studio's and llama.cpp's own fields.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from roci.wire.openai.requests import CalledFunction


class CallMade(Struct, kw_only=True):
    id: str
    type: Literal["function"]
    function: CalledFunction
    """`arguments` is JSON text."""


class AnswerMessage(Struct, kw_only=True):
    role: Literal["assistant"]
    content: str | None
    """Null where the answer is calls alone."""
    reasoning_content: str | UnsetType = UNSET
    """What the model thought, as `reasoning`; absent where it did not."""
    reasoning: str | UnsetType = UNSET
    tool_calls: list[CallMade] | UnsetType = UNSET


class AnswerNotes(Struct):
    """What roci has to say about an answer and OpenAI's API has no place for."""

    notes: list[dict[str, str]]


class AnswerFacts(Struct, kw_only=True):
    """What roci knows of the call beside the answer. A stream's last chunks hold a choice's notes here too."""

    load_time_s: float | UnsetType = UNSET
    """Absent where the model was loaded already."""
    context_length: int | UnsetType = UNSET
    """Tokens that one request has on the model as it is loaded."""


class ChatChoice(Struct, kw_only=True):
    index: int
    message: AnswerMessage
    """In a stream's chunks a piece of it, as `delta`."""
    logprobs: dict[str, Any] | None
    """`content`: a list with an entry for each token; null unless asked for."""
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None
    """Null only in a stream's chunks before the last."""
    roci: AnswerNotes | UnsetType = UNSET


class ChatUsage(Struct, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    """`cached_tokens`: those of the prompt that the model still knew."""
    completion_tokens_details: dict[str, int]
    """`reasoning_tokens`."""


class ChatCompletion(Struct, kw_only=True):
    """The reply of `POST /v1/chat/completions`; a stream's chunks are pieces of the same form."""

    id: str
    object: Literal["chat.completion"]
    created: int
    """Seconds since 1970."""
    model: str
    """The id of the loaded copy that answered."""
    system_fingerprint: str
    """The same again, as LM Studio gives it."""
    choices: list[ChatChoice]
    usage: ChatUsage
    stats: dict[str, Any]
    """Figures of speculative decoding where there was any, else empty."""
    timings: dict[str, Any] | UnsetType = UNSET
    """The engine's own, as it tells them."""
    roci: AnswerFacts | UnsetType = UNSET

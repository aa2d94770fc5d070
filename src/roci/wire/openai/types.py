"""OpenAI's chat dialect as local servers speak it: the fields roci reads, all optional; the rest is skipped.

Source: OpenAI API reference (chat completions, models), and replies of LM Studio 0.4, llama.cpp's server and Ollama.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class FunctionCall(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    """JSON text; a few servers send the object itself, as Ollama's own API does."""


def arguments_text(function: FunctionCall) -> str:
    """The arguments as text; empty where there are none."""
    arguments = function.arguments
    return msgspec.json.encode(arguments).decode() if isinstance(arguments, dict) else arguments or ""


class WireToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: FunctionCall | None = None


class Delta(Struct):
    """A streamed piece; also the whole message of a plain reply, whose fields are the same."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WireToolCall] | None = None
    refusal: str | None = None


class Choice(Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class PromptTokensDetails(Struct, gc=False):
    cached_tokens: int | None = None


class CompletionTokensDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class WireUsage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class ChatReply(Struct):
    """A chunk of a stream, or a whole plain reply."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def has_error(self) -> bool:
        """An error in place of an answer, under a status that says success."""
        return self.error is not msgspec.UNSET and bytes(self.error) != b"null"


class ModelMeta(Struct, gc=False):
    n_ctx_train: int | None = None
    n_ctx: int | None = None


class ModelEntry(Struct):
    """An entry of `GET /v1/models`; what is beside the id, servers add of their own."""

    id: str
    state: str | None = None  # roci
    max_context_length: int | None = None
    loaded_context_length: int | None = None
    context_length: int | None = None  # OpenRouter
    max_model_len: int | None = None  # vLLM: what it serves with
    meta: ModelMeta | None = None  # llama.cpp


class ModelList(Struct):
    data: list[ModelEntry]

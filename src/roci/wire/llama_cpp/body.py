"""What a worker is asked: a planned request -> the body of its chat route. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from roci.wire.openai.requests import ChatRequest

_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "n",
    "stop",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_format",
    "logit_bias",
)
_OWN: Final = frozenset({"model", "messages", "stream", "stream_options", "return_progress", "max_tokens"})
_TEMPLATE: Final = "chat_template_kwargs"

_encode: Final = msgspec.json.Encoder().encode


def worker_body(
    chat: ChatRequest,
    model: str,
    *,
    defaults: Mapping[str, Any],
    forwarded: Mapping[str, Raw],
    fields: Mapping[str, Any],
    template: Mapping[str, Any],
) -> bytes:
    """The JSON body of the worker's `/v1/chat/completions`.

    Always a stream, because only that can be cancelled at once, with progress, because a stream that has begun is one
    whose client can be missed, and with usage at its end.

    Args:
        model: the worker's own name for its model.
        defaults: sampling settings of the model, where the request says nothing.
        forwarded: the client's fields for the engine.
        fields: further fields, which win over `forwarded`.
        template: variables for the chat template, which win over the client's.
    """
    body: dict[str, Any] = {"model": model, "messages": chat.messages}
    body |= {name: value for name, value in forwarded.items() if name not in _OWN}
    body |= defaults
    for name in _AS_THEY_ARE:
        value = getattr(chat, name)
        if value is not None:
            body[name] = value
    limit = chat.max_completion_tokens if chat.max_completion_tokens is not None else chat.max_tokens
    if limit is not None and limit > 0:
        body["max_tokens"] = limit
    body |= fields
    if template:
        given = forwarded.get(_TEMPLATE)
        body[_TEMPLATE] = (msgspec.json.decode(given) if given is not None else {}) | dict(template)
    body["stream"] = body["return_progress"] = True
    body["stream_options"] = {"include_usage": True}
    return _encode(body)

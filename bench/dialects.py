"""The routes that generate: how each is asked for the same answer, and where its first piece and its counts stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

_COUNT: Final = re.compile(rb'"(?:completion|output|total_output)_tokens":\s*(\d+)')


class Dialect(Struct, frozen=True):
    """One route."""

    name: str
    path: str
    ask: Callable[[str, int], dict[str, Any]]
    """(prompt, limit of tokens) -> what the route's body holds beside model, temperature and stream."""
    first_piece: re.Pattern[bytes]
    """What is in a stream's bytes as soon as a piece of the answer is."""

    def body(self, model: str, prompt: str, tokens: int) -> dict[str, Any]:
        return {"model": model, "stream": True, "temperature": 0, **self.ask(prompt, tokens)}


def _messages(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _chat(prompt: str, tokens: int) -> dict[str, Any]:
    return {"messages": _messages(prompt), "max_tokens": tokens, "stream_options": {"include_usage": True}}


def _completions(prompt: str, tokens: int) -> dict[str, Any]:
    return {"prompt": prompt, "max_tokens": tokens, "stream_options": {"include_usage": True}}


def _responses(prompt: str, tokens: int) -> dict[str, Any]:
    return {"input": prompt, "max_output_tokens": tokens}


CHAT: Final = Dialect("chat", "/v1/chat/completions", _chat, re.compile(rb'"content":"[^"]'))
COMPLETIONS: Final = Dialect("completions", "/v1/completions", _completions, re.compile(rb'"text":"[^"]'))
DIALECTS: Final = (
    CHAT,
    Dialect("responses", "/v1/responses", _responses, re.compile(rb'"delta":"[^"]')),
    Dialect(
        "messages",
        "/v1/messages",
        lambda prompt, tokens: {"messages": _messages(prompt), "max_tokens": tokens},
        re.compile(rb'"text_delta","text":"[^"]'),
    ),
    Dialect("native chat", "/api/v1/chat", _responses, re.compile(rb'"message.delta","content":"[^"]')),
    COMPLETIONS,
)


def tokens_told(stream: bytes) -> int:
    """How many tokens the last count in a whole stream says that the answer has."""
    counts = _COUNT.findall(stream)
    if not counts:
        raise AssertionError(f"The stream tells no count: {stream[-500:]!r}")
    return int(counts[-1])

"""A request for an answer as the gateway's one engine path takes it, whichever route it came by."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from roci.wire.openai.requests import ChatRequest

Reasoning = Literal["off", "on", "low", "medium", "high"]


class Ask(Struct, kw_only=True):
    """What a route's body means. OpenAI's chat request is the common form: it says the most, and workers speak it."""

    chat: ChatRequest
    forwarded: dict[str, Raw] = {}
    """Fields of the engine's own that go to the worker as they came."""
    reasoning: Reasoning | None = None
    """None: the model's own default. A value that the model does not offer is mapped to the nearest that it does."""
    reasoning_is_strict: bool = False
    """A value that the model does not offer is refused instead."""
    thinking_budget_tokens: int | None = None
    """Reasoning tokens at most; from 1."""
    tells_stop_sequence: bool = False
    """`Finish.stop_sequence` is wanted."""
    context_length: int | None = None
    """Tokens for each answer with its prompt, if this request loads the model."""
    size_bytes: int = 0
    """The body's size, by which it is decided what is done beside the event loop."""

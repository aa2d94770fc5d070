"""What the routes send, apart from chats, which come from a worker."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Model(Struct, kw_only=True):
    """A model on disk. What OpenAI's own API does not have is as LM Studio tells it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """When the file was last changed, in seconds since 1970."""
    owned_by: str = "organization_owner"
    type: Literal["llm", "embedding", "reranker"]
    state: Literal["loaded", "not-loaded"]
    max_context_length: int | None
    """Tokens that the model was made for; null where its file does not say."""
    loaded_context_length: int | None
    """Tokens that one answer has with its prompt; null where the model is not loaded."""


class ModelList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Model]


class Greeting(Struct):
    """What LM Studio's clients look for to recognise a server."""

    lmstudio: bool = True


class ModelInMemory(Struct, kw_only=True):
    id: str
    state: Literal["loading", "ready", "stopping"]
    running: int
    """Requests that it is answering."""
    slots: int
    """Answers that it can make at once; 0 until it is ready."""


class Health(Struct, kw_only=True):
    status: Literal["ok", "shutting_down"]
    version: str
    models: list[ModelInMemory]
    queue_length: int
    can_load: bool
    """Whether a model that is not in memory could be loaded at once."""


class ErrorFacts(Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct):
    """Every error, as a reply's body or as the last event of a stream that broke."""

    error: ErrorFacts

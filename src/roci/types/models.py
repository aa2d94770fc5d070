"""Models: what they can do, and what a server says of them."""

from __future__ import annotations

import msgspec


class ModelCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do. The defaults are what roci assumes of a model the server was not asked about."""

    tools: bool = True
    streaming: bool = True
    json_mode: bool = True
    json_schema: bool = False
    vision: bool = False
    reasoning: bool = False
    system_messages: bool = True
    context_length: int = 32_768
    """Tokens of prompt and answer together."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its server describes it; None and empty where the server does not say."""

    key: str
    """What to ask for it by."""
    kind: str = "llm"
    """`llm`, `embedding` or `reranker`."""
    display_name: str = ""
    publisher: str = ""
    architecture: str = ""
    quantization: str = ""
    size_bytes: int | None = None
    max_context_length: int | None = None
    """The model's own limit, in tokens."""
    max_context_source: str = ""
    """Who told: a path of the server's API, such as `/api/v1/models`, or a model's file."""
    loaded_context_length: int | None = None
    """What the loaded copy was given, in tokens; None where it is not loaded or the server does not say. This is the
    limit that counts."""
    loaded_context_source: str = ""
    """Who told: a path of the server's API, or `worker`."""
    is_loaded: bool | None = None
    """None where the server does not say."""
    capabilities: ModelCapabilities = ModelCapabilities()
    source: str = ""
    """The path of the server's API that told."""


class LmStudioModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of an LM Studio server, taken wherever a model's id is."""

    model_id: str
    capabilities: ModelCapabilities = ModelCapabilities()

    @classmethod
    def custom(cls, model_id: str, capabilities: ModelCapabilities | None = None) -> LmStudioModel:
        """Any model, by the id its server knows it by."""
        return cls(model_id=model_id, capabilities=capabilities or ModelCapabilities())

    def __str__(self) -> str:
        return self.model_id

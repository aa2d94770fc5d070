"""The model lists of `/api/v1` and `/api/v0` as roci's server sends them; the SDK reads them with `types.py`.

Source: LM Studio REST reference, "List models" of v1 and v0, read for 0.4.0. Fields that are not in it are roci's
own: they tell what LM Studio shows on its screen alone.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


class QuantizationEntry(Struct):
    name: str | None
    bits_per_weight: float | None


class InstanceEntry(Struct, kw_only=True):
    """A loaded copy of a model."""

    id: str
    """What to send as `model`, and to unload it by."""
    config: dict[str, Any]
    """`context_length` always; for models that chat also `eval_batch_size`, `parallel` and so on."""
    loaded_at: int | None = None
    """Seconds since 1970; roci's own, as all that follows."""
    last_used_at: int | None = None
    """When its last answer ended, in seconds since 1970."""
    ttl_seconds: float | None = None
    """Idle seconds after which it is unloaded; null: never."""
    expires_at: int | None = None
    """When that will be if nobody asks it, in seconds since 1970."""
    running: int = 0
    """Requests that it is answering."""
    queued: int = 0
    """Requests that wait for it."""
    is_on_demand: bool = False
    """Loaded by a request: it makes room for others, within the limit of such models."""


class LoadingEntry(Struct, kw_only=True):
    """A copy that is being loaded."""

    id: str
    progress: float
    """From 0 to 1."""


class ReasoningAbility(Struct):
    allowed_options: list[str]
    default: str


class CapabilitiesEntry(Struct, kw_only=True):
    vision: bool
    trained_for_tool_use: bool
    """Models without it get LM Studio's default tool format: every chat model takes tools."""
    reasoning: ReasoningAbility | UnsetType = UNSET
    """Absent where the model does not reason."""


class NativeModel(Struct, kw_only=True):
    """An entry of `GET /api/v1/models`, and the reply of `GET /api/v1/models/{key}`."""

    type: Literal["llm", "embedding"]
    publisher: str
    key: str
    display_name: str
    architecture: str | UnsetType | None = UNSET
    """Absent on embedding models."""
    quantization: QuantizationEntry | None
    size_bytes: int
    params_string: str | None
    loaded_instances: list[InstanceEntry]
    max_context_length: int | None
    """Tokens that the model was made for; null where its file does not say."""
    format: Literal["gguf"] = "gguf"
    capabilities: CapabilitiesEntry | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    variants: list[str] | UnsetType = UNSET
    """Names of all files of the model, where it has several."""
    selected_variant: str | UnsetType = UNSET
    """Which of them the key stands for."""
    created: int
    """When the file was last changed, in seconds since 1970; roci's own, as all that follows."""
    file_state: Literal["ok", "broken", "incomplete", "arriving"] = "ok"
    """Only what is ok can be loaded."""
    file_problem: str | UnsetType = UNSET
    """Why it is not ok."""
    is_reranker: bool | UnsetType = UNSET
    loading: list[LoadingEntry] | UnsetType = UNSET
    """Copies that are being loaded."""


class NativeModels(Struct):
    """The reply of `GET /api/v1/models`: every model on disk."""

    models: list[NativeModel]


class DeletedModel(Struct, kw_only=True):
    """The reply of `DELETE /api/v1/models/{key}`, which LM Studio does not have."""

    key: str
    deleted: bool = True
    freed_bytes: int


class V0Entry(Struct, kw_only=True):
    """An entry of `GET /api/v0/models`, and the reply of `GET /api/v0/models/{model}`."""

    id: str
    object: Literal["model"] = "model"
    type: Literal["llm", "vlm", "embeddings"]
    publisher: str
    arch: str | None
    compatibility_type: Literal["gguf"] = "gguf"
    quantization: str | None
    state: Literal["loaded", "not-loaded"]
    max_context_length: int | None
    loaded_context_length: int | UnsetType = UNSET
    """Absent where the model is not loaded."""
    capabilities: list[str] | UnsetType = UNSET
    """`tool_use` for models that were trained for tools."""
    created: int
    """When the file was last changed, in seconds since 1970; roci's own."""


class V0List(Struct, kw_only=True):
    """The reply of `GET /api/v0/models`."""

    object: Literal["list"] = "list"
    data: list[V0Entry]

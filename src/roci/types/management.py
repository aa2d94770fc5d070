"""Managing the models of a server: how to load one, what is in memory, how far a load or a download is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

IfLoaded: TypeAlias = Literal["reuse", "another", "error"]
"""What a load of a model that is in memory does. `reuse`: takes the copy there is, if it has the options that are
asked for, and makes another one if not. `another`: always makes another one. `error`: is refused."""
IfInterrupted: TypeAlias = Literal["leave", "cancel"]
"""What becomes of a server's download when the call that waits for it ends early. `leave`: it goes on, and asking again
joins it. `cancel`: it is ended and what had come is removed, on servers that can."""
ServerKind: TypeAlias = Literal["roci", "lmstudio", "other"]
ServerState: TypeAlias = Literal["running", "shutting_down", "token_needed", "not_a_model_server", "unreachable"]
CopyState: TypeAlias = Literal["loading", "loaded", "idle", "answering"]


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to load a model; None leaves it to the server's settings.

    LM Studio takes the first five; `roci serve` takes all. What a server does not take is an `UnsupportedError` before
    anything is sent.
    """

    context_length: int | None = None
    """Tokens of prompt and answer together; at most what the model was made for."""
    eval_batch_size: int | None = None
    """Prompt tokens computed in one step."""
    flash_attention: bool | None = None
    num_experts: int | None = None
    """For models of several experts: how many work on each token."""
    offload_kv_cache_to_gpu: bool | None = None
    identifier: str | None = None
    """The copy's name; None: the key, or the key and `:2` where that is taken."""
    ttl_s: float | None = None
    """Idle seconds after which it is unloaded; None: never."""
    parallel: int | None = None
    """Answers at once, at most; fewer where memory is short."""
    threads: int | None = None
    n_gpu_layers: int | None = None
    """Layers on a GPU; 0: none, -1: all."""
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    kv_cache_type: str | None = None
    """`f16`, `q8_0` and so on; the server names what it takes."""
    rope_frequency_base: float | None = None
    rope_frequency_scale: float | None = None
    draft_model: str | None = None
    """The key of a smaller model of the same vocabulary that proposes tokens."""
    speculation: str | None = None
    """`ngram`: tokens are proposed from what was written before."""
    seed: int | None = None
    chat_template: str | None = None
    """A Jinja template instead of the model's own."""
    force_embedding: bool | None = None
    """Take a model that was made to chat for one that makes vectors."""

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not left to the server."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a load is."""

    key: str
    """The model that was asked for."""
    instance_id: str = ""
    """The copy's name, once the server told it."""
    ratio: float | None = None
    """From 0 to 1; None where the server does not say, as LM Studio."""


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a model in a server's memory; None and empty where the server does not say."""

    id: str
    """What to send as `model`, and to unload it by."""
    key: str
    """The model that it is a copy of."""
    kind: str = "llm"
    """`llm` or `embedding`."""
    status: CopyState = "loaded"
    """`loaded`: it can answer, and the server does not say whether it does."""
    progress: float | None = None
    """Of a copy that is being loaded, from 0 to 1."""
    display_name: str = ""
    quantization: str = ""
    size_bytes: int | None = None
    """Of the model's file."""
    context_length: int | None = None
    """Tokens that one answer has with its prompt."""
    parallel: int | None = None
    """Answers at once."""
    running: int | None = None
    """Requests that it is answering."""
    queued: int | None = None
    """Requests that wait for it."""
    ttl_s: float | None = None
    """Idle seconds after which it is unloaded."""
    expires_at: int | None = None
    """When that will be if nobody asks it, in seconds since 1970."""
    loaded_at: int | None = None
    """In seconds since 1970."""
    last_used_at: int | None = None
    """When its last answer ended, in seconds since 1970."""
    is_on_demand: bool | None = None
    """It was loaded by a request, and may make room for another model."""
    config: dict[str, Any] = {}
    """The load configuration as the server tells it, under the server's names."""
    load_time_s: float | None = None
    """From `load_model` alone; None for a copy that was there."""
    was_loaded: bool = False
    """From `load_model` alone: the copy was there, and nothing was loaded."""


class DownloadStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A server's download at one moment; None and empty where the server does not say."""

    job_id: str = ""
    """Empty where there was nothing to do."""
    model: str = ""
    """What was asked for, as the server names it."""
    status: Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    time_left_s: float | None = None
    reason: str = ""
    """Why this quantization."""
    note: str = ""
    """What holds it up at the moment."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is, as its port says; nothing is read from files."""

    base_url: str
    state: ServerState
    kind: ServerKind = "other"
    version: str = ""
    """Where the server tells it."""
    detail: str = ""
    """Why it is not `running`, as a sentence."""
    model_count: int | None = None
    """Models that it has; None where it does not say."""
    loaded: tuple[LoadedModel, ...] = ()
    queue_length: int | None = None
    """Requests that wait for a model."""
    can_load: bool | None = None
    """Whether a model that is not in memory could be loaded at once."""

    @property
    def is_alive(self) -> bool:
        """A model server answers at the address, though it may want a token."""
        return self.state in ("running", "shutting_down", "token_needed")


OnLoadProgress: TypeAlias = Callable[[LoadProgress], object]
OnDownloadProgress: TypeAlias = Callable[[DownloadStatus], object]

"""How a model is to be loaded, and what its worker says of itself once it is. Values only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from roci.errors import UnsupportedError, UsageError

KvCacheType = Literal["f16", "f32", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
KV_CACHE_TYPES: Final[tuple[str, ...]] = KvCacheType.__args__  # type: ignore[attr-defined]
UNQUANTIZED_KV: Final = frozenset({None, "f16", "f32", "bf16"})
CHAT_TEMPLATE_LIMIT: Final = 1_000_000


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is to be loaded."""

    context_length: int | None = None
    """Tokens for each slot; None: the model's own limit, at most 8,192."""
    parallel: int = 4
    """Slots, at most; fewer where memory is short."""
    threads: int | None = None
    """Threads that compute; None: usable cores minus one, at least 1."""
    n_batch: int | None = None
    """Prompt tokens computed in one step, for which a neighbour's stream pauses; None: 64 on a CPU, 512 with a GPU."""
    n_gpu_layers: int = -1
    """Layers on a GPU; 0: none, -1: all."""
    use_mlock: bool = False
    """Keep the weights in memory, never in swap. A system that does not allow it fails the load."""
    use_mmap: bool | None = None
    """Map the file instead of reading it into memory of the worker's own; None: as the engine finds best."""
    flash_attention: bool | None = None
    """None: where the engine finds it of use."""
    kv_cache_type: KvCacheType | None = None
    """How keys and values are kept; None: f16. Quantized ones need flash attention."""
    offload_kv_cache_to_gpu: bool = True
    """Keep keys and values where the layers are; False: in the machine's memory. Without a GPU both are the same."""
    num_experts: int | None = None
    """Experts that answer each token. The engine's binding cannot set it: any number is refused."""
    rope_frequency_base: float | None = None
    """None: the model's own."""
    rope_frequency_scale: float | None = None
    """The context grows by the inverse; None: the model's own."""
    draft_model: str | None = None
    """The path of a small model's file, of the same vocabulary, that proposes tokens. Keys are resolved before."""
    speculation: Literal["ngram"] | None = None
    """`ngram`: tokens are proposed out of the text so far, without a second model."""
    seed: int | None = None
    """For requests that bring none; None, or a negative one: another each time. Below 2**32."""
    chat_template: str | None = None
    """Jinja text instead of the model's own template."""
    mmproj: str | None = None
    """The path of the projector that turns images into tokens; None: the one beside the model, if there is one."""
    force_embedding: bool = False
    """Make vectors with a model that was made to write, by the mean over its tokens."""


class WorkerReady(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's own report, once it can answer."""

    address: str
    """`unix://` and the socket's path."""
    load_time_s: float
    context_length: int
    """Tokens for each slot."""
    parallel: int
    threads: int
    supports_tools: bool
    """Whether the chat template can show tools to the model."""
    supports_vision: bool
    supports_system: bool
    chat_template: bool
    engine: str
    supports_parallel_tools: bool = False
    """Whether the chat template can show several calls in one message."""
    supports_effort: bool = False
    """Whether the chat template reads `reasoning_effort`."""
    supports_preserved_reasoning: bool = False
    """Whether the chat template can show the reasoning of earlier answers."""
    is_embedding: bool = False
    """It makes vectors, because it was made for that or because it was forced to."""
    pooling: str | None = None
    """How it makes one vector of a text: mean, cls, last or rank; None where it makes none."""
    input_limit_tokens: int | None = None
    """The longest text that it makes a vector of; None where it makes none."""
    bos_token: str = ""
    eos_token: str = ""
    vocabulary_size: int = 0
    engine_name: str = "llama.cpp"
    """In the manner of LM Studio's runtimes: `llama.cpp-linux-x86_64-cpu`."""
    engine_version: str = ""
    gpus: tuple[str, ...] = ()
    """The GPUs that the engine may use; empty where it computes on the CPU."""
    pid: int = 0

    @property
    def socket_path(self) -> Path:
        return Path(self.address.removeprefix("unix://"))


def check_options(options: WorkerOptions) -> None:
    """Refuses options that could not take effect, before anything is started.

    Raises:
        UsageError: two of them exclude each other, or one is out of range; `field` names it.
        UnsupportedError: the engine cannot do it; `capability` names the option.
    """
    if options.num_experts is not None:
        raise UnsupportedError(
            "The number of experts cannot be set: the engine's binding does not pass it on.",
            capability="num_experts",
            hint="Leave num_experts out; the model then uses the number it was trained with.",
        )
    if options.flash_attention is False and options.kv_cache_type not in UNQUANTIZED_KV:
        raise UsageError(
            f"kv_cache_type {options.kv_cache_type} needs flash attention, which is switched off.",
            field="kv_cache_type",
            hint="Leave flash_attention out, or take kv_cache_type f16.",
        )
    for name, (least, most) in _RANGES.items():
        value: Any = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise UsageError(f"{name} is {value}; it can be from {least:g} to {most:g}.", field=name)
    if options.chat_template is not None and not 0 < len(options.chat_template) <= CHAT_TEMPLATE_LIMIT:
        raise UsageError(
            f"chat_template is empty or longer than {CHAT_TEMPLATE_LIMIT:,} letters.", field="chat_template"
        )


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "context_length": (1, 100_000_000),
    "parallel": (1, 256),
    "threads": (1, 1024),
    "n_batch": (1, 16_384),
    "n_gpu_layers": (-1, 100_000),
    "rope_frequency_base": (1e-3, 1e12),
    "rope_frequency_scale": (1e-6, 1e3),
    "seed": (-(2**31), 2**32 - 1),
}

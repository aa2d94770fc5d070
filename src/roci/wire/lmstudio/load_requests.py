"""Loading and unloading over `/api/v1/models`: what may be asked, and what comes back.

Source: LM Studio REST reference, "Load a model" and "Unload a model", read for 0.4.0. It has `model`,
`context_length`, `eval_batch_size`, `flash_attention`, `num_experts`, `offload_kv_cache_to_gpu` and
`echo_load_config`; all other fields of a load are roci's own.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from roci.wire.lmstudio.strict_body import decode_strict
from roci.wire.openai.request_faults import invalid

_INT_LIMIT: Final = 2**31 - 1
_TTL_LIMIT_S: Final = 10 * 365 * 86_400
_TEMPLATE_LIMIT: Final = 1_000_000

KvCacheType = Literal["f16", "f32", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
Speculation = Literal["ngram"]
Count = Annotated[int, Meta(ge=1, le=_INT_LIMIT)]


class LoadRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/models/load`. What is absent or null is as the model's settings have it."""

    model: Annotated[str, Meta(min_length=1)]
    """A key or `key@quantization`; a key that is loaded gets another instance."""
    context_length: Count | None = None
    """Tokens that one answer has with its prompt; at most what the model was made for."""
    eval_batch_size: Annotated[int, Meta(ge=1, le=16_384)] | None = None
    """Prompt tokens computed in one step, for which a neighbour's stream pauses."""
    flash_attention: bool | None = None
    num_experts: Count | None = None
    """For models of several experts: how many work on each token."""
    offload_kv_cache_to_gpu: bool | None = None
    echo_load_config: bool | None = None
    """Whether the reply tells the configuration in force."""
    identifier: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]+$")] | None = None
    """The instance's name; None: the key, or the key and `:2` where that is taken."""
    ttl: Annotated[float, Meta(gt=0, le=_TTL_LIMIT_S)] | None = None
    """Idle seconds after which it is unloaded; None: never."""
    parallel: Annotated[int, Meta(ge=1, le=256)] | None = None
    """Answers at once, at most; fewer where memory is short."""
    threads: Annotated[int, Meta(ge=1, le=1024)] | None = None
    n_gpu_layers: Annotated[int, Meta(ge=-1, le=_INT_LIMIT)] | None = None
    """Layers on a GPU; 0: none, -1: all."""
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    kv_cache_type: KvCacheType | None = None
    rope_frequency_base: Annotated[float, Meta(gt=0)] | None = None
    rope_frequency_scale: Annotated[float, Meta(gt=0)] | None = None
    draft_model: Annotated[str, Meta(min_length=1)] | None = None
    """The key of a smaller model of the same vocabulary that proposes tokens."""
    speculation: Speculation | None = None
    """`ngram`: tokens are proposed from what was written before, without a second model."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 2)] | None = None
    chat_template: Annotated[str, Meta(min_length=1, max_length=_TEMPLATE_LIMIT)] | None = None
    """A Jinja template instead of the model's own."""
    force_embedding: bool | None = None
    """Take a model that was made to chat for one that makes vectors."""
    stream: bool | None = None
    """Tell the load's progress as server-sent events; the last one holds the reply."""

    @property
    def options(self) -> dict[str, Any]:
        """The load options that it sets, by roci's own names for them."""
        wanted = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _NOT_OPTIONS}
        wanted |= {"n_batch": self.eval_batch_size, "ttl_s": self.ttl}
        return {name: value for name, value in wanted.items() if value is not None}


_NOT_OPTIONS: Final = frozenset({"model", "echo_load_config", "identifier", "ttl", "stream", "eval_batch_size"})


class LoadReply(Struct, kw_only=True):
    """The reply of a load, once the model can answer."""

    type: Literal["llm", "embedding"]
    instance_id: str
    """What to send as `model`, and to unload it by."""
    status: Literal["loaded"] = "loaded"
    load_time_seconds: float
    load_config: dict[str, Any] | UnsetType = UNSET


class UnloadRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/models/unload`."""

    instance_id: Annotated[str, Meta(min_length=1)]


class UnloadReply(Struct):
    instance_id: str


_CHOICES: Final = {"kv_cache_type": get_args(KvCacheType), "speculation": get_args(Speculation)}
_load_decoder: Final = msgspec.json.Decoder(LoadRequest)
_unload_decoder: Final = msgspec.json.Decoder(UnloadRequest)


def decode_load(body: bytes) -> LoadRequest:
    """The load in `body`.

    Raises:
        BadRequestError: `param` is the field at fault.
    """
    request = decode_strict(body, _load_decoder, _CHOICES)
    if request.draft_model is not None and request.speculation is not None:
        raise invalid("speculation is of no use beside draft_model; take one of them.", "speculation")
    return request


def decode_unload(body: bytes) -> UnloadRequest:
    """The unload in `body`.

    Raises:
        BadRequestError: `param` is the field at fault.
    """
    return decode_strict(body, _unload_decoder, {})

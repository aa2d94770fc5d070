"""The models on disk and in memory, as each family of routes lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from roci.engine.library import Library
from roci.engine.local_model import LocalModel
from roci.server.pool.instance import InstanceState
from roci.server.replies import Model, ModelList
from roci.wire.lmstudio.model_lists import (
    CapabilitiesEntry,
    InstanceEntry,
    LoadingEntry,
    NativeModel,
    NativeModels,
    QuantizationEntry,
    ReasoningAbility,
    V0Entry,
    V0List,
)
from roci.wire.lmstudio.v0 import ModelInfoBlock, RuntimeBlock, V0Blocks

# What LM Studio names in a configuration; what roci adds stands behind it.
_CONFIG: tuple[str, ...] = ("flash_attention", "num_experts", "offload_kv_cache_to_gpu")
_MORE_CONFIG: tuple[str, ...] = (
    "threads",
    "n_gpu_layers",
    "use_mmap",
    "use_mlock",
    "kv_cache_type",
    "rope_frequency_base",
    "rope_frequency_scale",
    "speculation",
    "seed",
)


def native_models(models: Iterable[LocalModel], instances: Sequence[InstanceState]) -> NativeModels:
    """`GET /api/v1/models`: an entry for each model, whatever its state, with all copies of all its variants."""
    variants: dict[str, list[LocalModel]] = {}
    for model in models:
        variants.setdefault(model.model_key or model.key, []).append(model)
    return NativeModels([native_model(key, found, instances) for key, found in sorted(variants.items())])


def native_model(key: str, variants: Sequence[LocalModel], instances: Sequence[InstanceState]) -> NativeModel:
    """An entry of `GET /api/v1/models`.

    Args:
        variants: the files of one model; the one that `key` alone stands for is among them.
    """
    chosen = next((model for model in variants if model.key == key), variants[0])
    own = [state for state in instances if state.model_key in {model.key for model in variants}]
    facts = chosen.facts
    is_chat = chosen.kind == "llm"
    named = QuantizationEntry(chosen.quantization or None, facts.bits_per_weight)
    return NativeModel(
        type="llm" if is_chat else "embedding",
        publisher=chosen.publisher,
        key=key,
        display_name=chosen.display_name,
        architecture=(facts.architecture or None) if is_chat else UNSET,
        quantization=named if named.name or named.bits_per_weight else None,
        size_bytes=chosen.size_bytes + chosen.projector_size_bytes,
        params_string=facts.params_string,
        loaded_instances=[_instance(state) for state in own if _is_loaded(state)],
        max_context_length=facts.max_context_length,
        capabilities=_capabilities(chosen) if is_chat else UNSET,
        description=None if is_chat else UNSET,
        variants=[_variant_key(key, model) for model in variants] if len(variants) > 1 else UNSET,
        selected_variant=_variant_key(key, chosen) if len(variants) > 1 else UNSET,
        created=chosen.changed_s,
        file_state=chosen.state,
        file_problem=chosen.problem or UNSET,
        is_reranker=True if chosen.kind == "reranker" else UNSET,
        loading=_loading(own) or UNSET,
    )


def load_config(state: InstanceState) -> dict[str, Any]:
    """The configuration in force, under the names of a load; what the engine decides by itself is left out."""
    ready, options = state.ready, state.instance.options
    config: dict[str, Any] = {"context_length": ready.context_length if ready is not None else options.context_length}
    if state.instance.model.kind != "llm":
        return config
    config["eval_batch_size"] = options.n_batch
    if ready is not None:
        config["parallel"] = ready.parallel
    config |= {name: getattr(options, name) for name in _CONFIG + _MORE_CONFIG}
    config["threads"] = ready.threads if ready is not None else options.threads
    return {name: value for name, value in config.items() if value is not None}


def v0_list(models: Iterable[LocalModel], instances: Sequence[InstanceState], *, only_loaded: bool) -> V0List:
    """`GET /api/v0/models`: every model that can be loaded, and the copies that have a name of their own."""
    return V0List(data=[v0_entry(*row) for row in _rows(models, instances, only_loaded)])


def v0_entry(name: str, model: LocalModel, state: InstanceState | None) -> V0Entry:
    """The entry of one model, or of the copy `state` of it."""
    chat_type = "vlm" if model.has_vision else "llm"
    loaded = _context(state)
    return V0Entry(
        id=name,
        type=chat_type if model.kind == "llm" else "embeddings",
        publisher=model.publisher,
        arch=model.facts.architecture or None,
        quantization=model.quantization or None,
        state="not-loaded" if loaded is None else "loaded",
        max_context_length=model.facts.max_context_length,
        loaded_context_length=UNSET if loaded is None else loaded,
        capabilities=["tool_use"] if model.abilities.tools else UNSET,
        created=model.changed_s,
    )


def openai_list(models: Iterable[LocalModel], instances: Sequence[InstanceState], *, only_loaded: bool) -> ModelList:
    """`GET /v1/models`, of the same models as `v0_list`."""
    return ModelList(data=[openai_model(*row) for row in _rows(models, instances, only_loaded)])


def openai_model(name: str, model: LocalModel, state: InstanceState | None) -> Model:
    """The entry of one model, or of the copy `state` of it."""
    loaded = _context(state)
    return Model(
        id=name,
        created=model.changed_s,
        type=model.kind,
        state="not-loaded" if loaded is None else "loaded",
        max_context_length=model.facts.max_context_length,
        loaded_context_length=loaded,
    )


def named_copy(
    name: str, library: Library, instances: Sequence[InstanceState]
) -> tuple[str, LocalModel, InstanceState | None]:
    """What `name`, an instance's id or a model's, means: its name, its model, and the copy in memory if there is one.

    Raises:
        ModelNotFoundError: with the nearest names there are.
        BadModelFileError: the model cannot be loaded.
    """
    for state in instances:
        if state.id == name and _is_loaded(state):
            return name, state.instance.model, state
    model = library.find(name)
    copies = [state for state in instances if state.model_key == model.key and _is_loaded(state)]
    return model.key, model, copies[0] if copies else None


def v0_blocks(state: InstanceState | None) -> V0Blocks | None:
    """What `/api/v0` tells of the copy that answered; None where it is gone by now."""
    if state is None or state.ready is None:
        return None
    model, ready = state.instance.model, state.ready
    return V0Blocks(
        model_info=ModelInfoBlock(
            arch=model.facts.architecture or None,
            quant=model.quantization or None,
            context_length=ready.context_length,
        ),
        runtime=RuntimeBlock(name=ready.engine_name, version=ready.engine_version, supported_formats=["gguf"]),
    )


def _rows(
    models: Iterable[LocalModel], instances: Sequence[InstanceState], only_loaded: bool
) -> list[tuple[str, LocalModel, InstanceState | None]]:
    rows: list[tuple[str, LocalModel, InstanceState | None]] = []
    for model in models:
        copies = [state for state in instances if state.model_key == model.key and _is_loaded(state)]
        if model.state == "ok" and (copies or not only_loaded):
            rows.append((model.key, model, copies[0] if copies else None))
        rows += [(state.id, model, state) for state in copies if state.id != model.key]
    return rows


def _is_loaded(state: InstanceState) -> bool:
    return state.phase in ("ready", "draining") and state.ready is not None


def _context(state: InstanceState | None) -> int | None:
    return None if state is None or state.ready is None else state.ready.context_length


def _variant_key(key: str, model: LocalModel) -> str:
    return f"{key}@{model.variant}"


def _instance(state: InstanceState) -> InstanceEntry:
    return InstanceEntry(
        id=state.id,
        config=load_config(state),
        loaded_at=_seconds(state.loaded_at),
        last_used_at=_seconds(state.last_used_at),
        ttl_seconds=state.instance.ttl_s,
        expires_at=_seconds(state.expires_at),
        running=state.running,
        queued=state.queued,
        is_on_demand=state.instance.is_on_demand,
    )


def _loading(states: Iterable[InstanceState]) -> list[LoadingEntry]:
    return [LoadingEntry(id=state.id, progress=state.progress_ratio) for state in states if state.phase == "loading"]


def _seconds(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s)


def _capabilities(model: LocalModel) -> CapabilitiesEntry:
    abilities = model.abilities
    options = list(abilities.reasoning_options)
    return CapabilitiesEntry(
        vision=model.has_vision,
        trained_for_tool_use=abilities.tools,
        reasoning=ReasoningAbility(options, abilities.reasoning_default or options[0]) if options else UNSET,
    )

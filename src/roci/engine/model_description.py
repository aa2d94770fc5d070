"""A model on this machine as lists show it: plain values, nothing to be looked up."""

from __future__ import annotations

import msgspec

from roci.engine.local_model import LocalModel, ModelState


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What `roci models --json` says of a model; None and empty where its file does not say."""

    key: str
    model_key: str
    """The key that all variants of the model share."""
    variant: str
    kind: str
    """`llm`, `embedding` or `reranker`; `unknown` where the state is not ok."""
    state: ModelState
    problem: str
    """Why it cannot be loaded; empty where it can."""
    display_name: str
    publisher: str
    architecture: str
    quantization: str
    bits_per_weight: float | None
    parameter_count: int | None
    params_string: str | None
    size_bytes: int
    """All parts, without the projector."""
    projector_size_bytes: int
    max_context_length: int | None
    """Tokens that the model was trained for."""
    trained_for_tool_use: bool
    vision: bool
    reasoning_options: tuple[str, ...]
    """What can be chosen, of off, low, medium, high and on; empty for a model that does not think."""
    reasoning_default: str | None
    source: str
    """The path of its file, or of its first part."""
    files: tuple[str, ...]
    is_read_only: bool
    """Whether it lies in a folder of another program."""
    is_loaded: bool = False


def describe(model: LocalModel) -> ModelDescription:
    """`model` in plain values."""
    facts = model.facts
    is_ok = model.state == "ok"
    return ModelDescription(
        key=model.key,
        model_key=model.model_key or model.key,
        variant=model.variant,
        kind=model.kind if is_ok else "unknown",
        state=model.state,
        problem=model.problem,
        display_name=model.display_name,
        publisher=model.publisher,
        architecture=facts.architecture,
        quantization=model.quantization,
        bits_per_weight=facts.bits_per_weight,
        parameter_count=facts.parameter_count or None,
        params_string=facts.params_string,
        size_bytes=model.size_bytes,
        projector_size_bytes=model.projector_size_bytes,
        max_context_length=facts.max_context_length,
        trained_for_tool_use=facts.abilities.tools and model.kind == "llm",
        vision=model.has_vision,
        reasoning_options=facts.abilities.reasoning_options,
        reasoning_default=facts.abilities.reasoning_default,
        source=str(model.path),
        files=tuple(str(path) for path in model.parts or (model.path,)),
        is_read_only=model.root is None or model.root.is_read_only,
    )

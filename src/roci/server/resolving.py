"""Which model a request means by a name: pure.

Source: LM Studio 0.4.25 as observed. An instance's id counts with its letter case, a model's key without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from roci.engine.local_model import LocalModel
from roci.errors import ModelNotFoundError, NoModelLoadedError
from roci.selector import nearest_names
from roci.server.pool.instance import Instance
from roci.wire.openai.request_faults import invalid

Purpose = Literal["chat", "embedding", "reranker", "any"]

_WORDS = {"chat": "chat", "embedding": "make embeddings", "reranker": "rerank"}
_KINDS = {"chat": "llm", "embedding": "embedding", "reranker": "reranker"}


class Loaded(Struct, frozen=True):
    """A copy in memory, or on its way there."""

    instance: Instance

    @property
    def id(self) -> str:
        return self.instance.id

    @property
    def model(self) -> LocalModel:
        return self.instance.model

    @property
    def is_embedding(self) -> bool:
        """Whether this copy makes vectors, whatever its model was made for."""
        return self.model.kind != "llm" or self.instance.options.force_embedding


def loaded_for(name: str, loaded: Sequence[Loaded], *, substitutes: bool) -> Loaded | None:
    """The copy in memory that `name` means; None where it means none of them.

    Args:
        loaded: in the order in which they were loaded.
        substitutes: take the only chat model in memory for any name that is nobody's, as LM Studio does.
    """
    for copy in loaded:
        if copy.id == name:
            return copy
    wanted = name.lower()
    for copy in loaded:
        if wanted in (copy.model.key, copy.model.model_key, *copy.model.other_keys):
            return copy
    if substitutes or not name:
        chats = [copy for copy in loaded if not copy.is_embedding]
        return chats[0] if len(chats) == 1 else None
    return None


def check_purpose(model: LocalModel, purpose: Purpose, *, is_embedding: bool) -> None:
    """Refuses a model that was not made for what is asked of it.

    Raises:
        BadRequestError: says what it was made for.
    """
    kind = model.kind if not (is_embedding and model.kind == "llm") else "embedding"
    if purpose == "any" or _KINDS[purpose] == kind:
        return
    if purpose == "chat":
        what = "an embedding model" if kind == "embedding" else "a reranking model"
        raise invalid(f"{model.key} is {what}; it cannot chat.", "model", code="not_a_chat_model")
    hint = ""
    if purpose == "embedding" and kind == "llm":
        hint = "Vectors of a model that was made to write are of little use. To have them all the same, load it with "
        hint += "force_embedding by POST /api/v1/models/load."
    code = "not_an_embedding_model" if purpose == "embedding" else "not_a_reranking_model"
    raise invalid(f"{model.key} was not made to {_WORDS[purpose]}.", "model", code=code, hint=hint)


def nothing_named(available: Sequence[str]) -> ModelNotFoundError:
    """For a request without a model's name where it is not clear which is meant."""
    return ModelNotFoundError(
        "The request names no model, and there is not exactly one in memory.",
        key="",
        available=tuple(available),
        status=400,
        code="missing_field",
        param="model",
        hint=f"There are: {', '.join(available[:10])}." if available else "There is none on this machine yet.",
    )


def not_loaded(name: str, loaded: Sequence[Loaded]) -> NoModelLoadedError:
    """For a model that is on disk, where models are not loaded on demand."""
    names = tuple(copy.id for copy in loaded)
    near = nearest_names(name, names)
    hint = f"Did you mean {near[0]}? " if near else ""
    return NoModelLoadedError(
        f"{name} is not loaded, and this server loads no model on demand (its setting jit is off).",
        available=names,
        status=400,
        code="model_not_loaded",
        param="model",
        hint=f"{hint}Load it by POST /api/v1/models/load.",
    )
